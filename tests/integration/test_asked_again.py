"""Writes that are sent again with their Idempotency-Key, and conditions on how a thing was when it was read."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from httpx import Client, Response
from sqlalchemy import text
from tests.support.serving import serving
from tests.support.waiting import until

from tidegate.api.app import create_app
from tidegate.errors import IdempotencyPending
from tidegate.security import kept_answers, tokens
from tidegate.wiring import Hub
from tidegate.workflows.operation.retention import forget_old

NEW = {"key": "seats", "type": "metered"}


@pytest.fixture
def url(hub: Hub) -> Iterator[str]:
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.tokens, tidegate.features, tidegate.packages cascade"))
    with serving(create_app(hub, ring_drain=lambda _db, _connection: None)) as url:
        yield url


@pytest.fixture
def client_of(hub: Hub, url: str) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(*scopes: str) -> Client:
        with hub.engine.begin() as db:
            _, token = tokens.create(db, "test", scopes or ["admin"])
        made.append(Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30))
        return made[-1]

    yield make
    for client in made:
        client.close()


def keyed(client: Client, key: str, body: dict[str, Any], path: str = "/api/features") -> Response:
    return client.post(path, json=body, headers={"Idempotency-Key": key})


def silent(hub: Hub) -> None:
    """As if whoever does what was asked had said nothing for a while."""
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.kept_answers set seen_at = now() - interval '1 minute'"))


def kept(hub: Hub) -> int:
    with hub.engine.connect() as db:
        return db.execute(text("select count(*) from tidegate.kept_answers")).scalar_one()


def test_a_request_that_comes_again_is_answered_as_before_and_not_done_again(
    hub: Hub, client_of: Callable[..., Client]
) -> None:
    client = client_of()
    first, again = keyed(client, "k1", NEW), keyed(client, "k1", NEW)
    assert (first.status_code, first.headers.get("idempotent-replayed")) == (201, None)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert client.post("/api/features", json=NEW).status_code == 422, "without the key it is another request"
    assert keyed(client_of(), "k1", NEW).status_code == 422, "and so it is with another token"


@pytest.mark.parametrize(
    ("path", "body"), [("/api/features", NEW | {"unit": "seat"}), ("/api/features?x=1", NEW), ("/api/packages", NEW)]
)
def test_a_key_that_came_with_another_request_is_refused(
    client_of: Callable[..., Client], path: str, body: dict[str, Any]
) -> None:
    client = client_of()
    assert keyed(client, "k1", NEW).status_code == 201
    refused = keyed(client, "k1", body, path)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:tidegate:problem:idempotency-key-reused")


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_what_can_be_no_key_is_refused(client_of: Callable[..., Client], key: str) -> None:
    assert keyed(client_of(), key, NEW).json()["type"] == "urn:tidegate:problem:idempotency-key-invalid"


def test_of_many_at_once_one_is_done_and_all_get_its_answer(hub: Hub, client_of: Callable[..., Client]) -> None:
    client, start = client_of(), threading.Barrier(6)

    def ask(_: int) -> Response:
        start.wait()
        return keyed(client, "k1", NEW)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(6)))
    assert {one.status_code for one in answers} == {201}
    assert sum("idempotent-replayed" not in one.headers for one in answers) == 1
    with hub.engine.connect() as db:
        assert db.scalar(text("select count(*) from tidegate.features")) == 1


def test_what_did_nothing_may_be_tried_again_with_its_key(hub: Hub, client_of: Callable[..., Client]) -> None:
    reader, client = client_of("read"), client_of()
    assert keyed(reader, "k1", NEW).status_code == 403
    with Client(base_url=client.base_url) as nobody:
        assert keyed(nobody, "k1", NEW).status_code == 401
    with hub.engine.begin() as db:
        db.execute(text("alter table tidegate.features rename to away"))
    try:
        assert keyed(client, "k1", NEW).status_code == 503
    finally:
        with hub.engine.begin() as db:
            db.execute(text("alter table tidegate.away rename to features"))
    assert kept(hub) == 0
    assert keyed(client, "k1", NEW).status_code == 201
    assert keyed(client, "k2", NEW).status_code == 422
    assert kept(hub) == 2, "a refusal that stays one is kept"


def test_who_asks_while_it_is_done_waits_and_then_is_told(
    hub: Hub, client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.api.asked_again.WAIT_SECONDS", 0.2)
    client = client_of()
    assert keyed(client, "k1", NEW).status_code == 201
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.kept_answers set answer = null"))  # as while it is being done
    told = keyed(client, "k1", NEW)
    assert (told.status_code, told.json()["type"]) == (409, "urn:tidegate:problem:idempotency-pending")
    assert "Send it again later" in told.json()["detail"]
    silent(hub)
    assert "never answered" in keyed(client, "k1", NEW).json()["detail"], "its process ended: nothing is done twice"


def test_what_a_process_ended_in_before_it_wrote_anything_is_done_by_who_is_asked_again(
    hub: Hub, client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.api.asked_again.WAIT_SECONDS", 0.2)
    client = client_of()
    assert keyed(client, "k1", NEW).status_code == 201
    with hub.engine.begin() as db:  # as if it had been claimed, and no more
        db.execute(text("delete from tidegate.features"))
        db.execute(text("update tidegate.kept_answers set answer = null, wrote = false"))
    assert keyed(client, "k1", NEW).status_code == 409, "it may be under way"
    silent(hub)
    assert keyed(client, "k1", NEW | {"unit": "seat"}).status_code == 422, "another request"
    assert keyed(client, "k1", NEW).status_code == 201
    assert keyed(client, "k1", NEW).headers["idempotent-replayed"] == "true"


def test_who_goes_away_before_all_was_said_has_asked_for_nothing(hub: Hub, client_of: Callable[..., Client]) -> None:
    client = client_of()
    head = "POST /api/features HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 40\r\n"
    said = f"{head}Authorization: {client.headers['authorization']}\r\nIdempotency-Key: k1\r\n\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as line:
        line.sendall(said.encode() + b'{"key": "se')
        until(lambda: used(hub), "its token is looked up")
    assert keyed(client, "k1", NEW).status_code == 201
    assert kept(hub) == 1


def used(hub: Hub) -> bool:
    with hub.engine.connect() as db:
        return bool(db.scalar(text("select max(last_used_at) is not null from tidegate.tokens")))


def test_who_was_taken_for_ended_writes_nothing_any_more(hub: Hub, client_of: Callable[..., Client]) -> None:
    client_of()
    with hub.engine.begin() as db:
        token = db.scalar(text("select max(id) from tidegate.tokens"))
        first = kept_answers.claim(db, token, "k1", b"asked")
        assert first
        assert kept_answers.claim(db, token, "k1", b"asked") is None
    silent(hub)
    with hub.engine.begin() as db:
        kept_answers.renew(db, first)
        assert kept_answers.claim(db, token, "k1", b"asked") is None, "it says that it is alive"
    silent(hub)
    with hub.engine.begin() as db:
        second = kept_answers.claim(db, token, "k1", b"asked")
        assert second
    added = text("insert into tidegate.packages (key, kind) values (:key, 'base')")
    with kept_answers.doing(first), hub.engine.begin() as db:
        db.execute(text("select 1"))  # who only reads is not kept from it
    with pytest.raises(IdempotencyPending), kept_answers.doing(first), hub.engine.begin() as db:
        db.execute(added, {"key": "late"})
    with kept_answers.doing(second), hub.engine.begin() as db:
        db.execute(added, {"key": "sound"})
    with hub.engine.begin() as db:
        assert db.scalars(text("select key from tidegate.packages")).all() == ["sound"]
        kept_answers.release(db, first)
        assert db.scalar(text("select wrote from tidegate.kept_answers")) is True, "and it is not the first's to forget"


def test_answers_are_kept_for_a_day_and_say_nothing_to_who_reads_the_database(
    hub: Hub, client_of: Callable[..., Client]
) -> None:
    client = client_of()
    keyed(client, "k1", NEW | {"name": "Very Secret"})
    with hub.engine.begin() as db:
        row = db.execute(text("select * from tidegate.kept_answers")).one()
        assert b"Secret" not in bytes(row.answer)
        assert b"Secret" not in bytes(row.asked)
    assert forget_old(hub.engine)["kept_answers"] == 0
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.kept_answers set begun_at = now() - interval '25 hours'"))
    other = {"key": "sso", "type": "boolean"}
    assert keyed(client, "k1", other).status_code == 201, "after a day a key is a new one"
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.kept_answers set begun_at = now() - interval '25 hours'"))
    assert forget_old(hub.engine)["kept_answers"] == 1


def test_a_thing_that_is_known_is_not_sent_again(client_of: Callable[..., Client]) -> None:
    client = client_of()
    client.post("/api/features", json=NEW)
    shown = client.get("/api/features/seats")
    tag = shown.headers["etag"]
    for said in (tag, f'"other", W/{tag}', "*"):
        spared = client.get("/api/features/seats", headers={"If-None-Match": said})
        assert (spared.status_code, spared.content, spared.headers["etag"]) == (304, b"", tag)
    assert client.get("/api/features/seats", headers={"If-None-Match": '"other"'}).json() == shown.json()
    client.patch("/api/features/seats", json={"name": "Seats"})
    assert client.get("/api/features/seats", headers={"If-None-Match": tag}).status_code == 200
    assert "etag" not in client.get("/api/features").headers, "a list has none"
    assert "etag" not in client.get("/api/features/none").headers


def test_a_write_is_refused_when_the_thing_changed_since_it_was_read(client_of: Callable[..., Client]) -> None:
    client = client_of()
    client.post("/api/packages", json={"key": "pro"})
    tag = client.get("/api/packages/pro").headers["etag"]
    draft = {"features": {}}
    assert client.patch("/api/packages/pro", json={"name": "A"}, headers={"If-Match": tag}).status_code == 200
    stale = client.patch("/api/packages/pro", json={"name": "B"}, headers={"If-Match": tag})
    assert (stale.status_code, stale.json()["type"]) == (412, "urn:tidegate:problem:precondition-failed")
    assert client.put("/api/packages/pro/draft", json=draft, headers={"If-Match": tag}).status_code == 412, "below it"
    assert client.patch("/api/packages/pro", json={"name": "C"}, headers={"If-Match": "*"}).status_code == 200
    assert client.patch("/api/packages/none", json={}, headers={"If-Match": "*"}).status_code == 412
    assert client.post("/api/features", json=NEW, headers={"If-Match": tag}).status_code == 412, "a list has no tag"
    assert client.get("/api/packages/pro").json()["name"] == "C"
    refused = client_of("read").patch("/api/packages/pro", json={}, headers={"If-Match": "*"})
    assert refused.status_code == 403
    assert client_of("entitlements").patch("/api/packages/pro", headers={"If-Match": "*"}).status_code == 403


def test_of_two_who_read_the_same_one_changes_it(client_of: Callable[..., Client]) -> None:
    client, start = client_of(), threading.Barrier(4)
    client.post("/api/packages", json={"key": "pro"})
    tag = client.get("/api/packages/pro").headers["etag"]

    def change(name: str) -> int:
        start.wait()
        return client.patch("/api/packages/pro", json={"name": name}, headers={"If-Match": tag}).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(change, "ABCD")) == [200, 412, 412, 412]
