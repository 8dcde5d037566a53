"""Stripe's webhooks over HTTP: signed, stored once, acknowledged after that."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Client, Response
from sqlalchemy import Connection, func, insert, text
from sqlalchemy.exc import OperationalError
from tests.support.serving import serving
from tests.support.waiting import until

from tidegate.api import known
from tidegate.api.app import create_app
from tidegate.connections import accounts, problems
from tidegate.connections.accounts import Credentials
from tidegate.connections.tables import connections
from tidegate.mirror import inbox
from tidegate.mirror.events import AUTHORIZATIONS
from tidegate.mirror.inbox import Entry, Kept
from tidegate.wiring import Hub

SECRET = "whsec_first"


def event(event_id: str = "evt_1", **facts: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"id": event_id, "object": "event", "type": "customer.updated", "created": 1_760_000_000}
    body |= {"livemode": False, "api_version": "2025-03-31.basil"}
    return body | {"data": {"object": {"id": "cus_1", "object": "customer"}}} | facts


def signed(body: bytes, secret: str = SECRET, at: float | None = None) -> str:
    stamp = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), b"%d.%s" % (stamp, body), hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def connected(hub: Hub, name: str = "acme", *, livemode: bool = False, secrets: tuple[str, ...] = (SECRET,)) -> None:
    values = {"name": name, "account": f"acct_{name}", "livemode": livemode, "rate": 25, "endpoint_rate": 25}
    with hub.engine.begin() as db:
        accounts.save(db, values, Credentials("sk_test_1", "", secrets), hub.vault)


@pytest.fixture
def rung() -> list[str]:
    return []


@pytest.fixture
def client(hub: Hub, rung: list[str]) -> Iterator[Client]:
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.inbox, tidegate.connections"))
    connected(hub)

    def ring(_db: Connection, connection: str) -> None:
        rung.append(connection)

    with serving(create_app(hub, ring_drain=ring)) as url, Client(base_url=url) as client:
        yield client


def send(client: Client, body: Any, connection: str = "acme", secret: str = SECRET, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"stripe-signature": signed(raw, secret)} | headers
    return client.post(f"/api/webhooks/stripe/{connection}", content=raw, headers=headers)


def kept(hub: Hub) -> list[tuple[str, str, str]]:
    with hub.engine.connect() as db:
        rows = db.execute(text("select event_id, type, source from tidegate.inbox order by 1"))
        return [(row.event_id, row.type, row.source) for row in rows]


def refusal(answer: Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    return answer.json()["detail"]


def test_an_event_is_stored_once_with_its_raw_body(hub: Hub, client: Client, rung: list[str]) -> None:
    raw = json.dumps(event(), indent=3).encode()
    assert send(client, raw).json() == {"received": True, "new": True}
    assert send(client, raw).json() == {"received": True, "new": False}
    with hub.engine.connect() as db:
        row = db.execute(text("select * from tidegate.inbox")).mappings().one()
        noted = accounts.named(db, "acme").last_webhook_at
    assert row["body"] == raw.decode()
    assert (row["connection"], row["event_id"], row["state"], row["source"]) == ("acme", "evt_1", "waiting", "webhook")
    assert row["created"].timestamp() == 1_760_000_000
    assert rung[:1] == ["acme"]
    assert noted is not None


def test_every_event_is_followed_by_a_ring_at_the_latest_when_the_process_stops(hub: Hub) -> None:
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.inbox, tidegate.connections"))
    connected(hub)
    seen: list[int] = []

    def ring(db: Connection, _connection: str) -> None:
        seen.append(db.scalar(text("select count(*) from tidegate.inbox")) or 0)

    with serving(create_app(hub, ring_drain=ring)) as url, Client(base_url=url) as client:
        for number in range(20):
            assert send(client, event(f"evt_{number}")).status_code == 200
    assert seen[-1] == 20
    assert len(seen) < 20


def test_the_default_ring_queues_a_drain(hub: Hub, client: Client) -> None:
    with serving(create_app(hub)) as url, Client(base_url=url) as real:
        assert send(real, event("evt_ring")).status_code == 200
    with hub.engine.connect() as db:
        queued = db.scalar(
            text("select count(*) from tidegate.procrastinate_jobs where task_name = 'drain' and status = 'todo'")
        )
    assert queued == 1


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("", "Stripe-Signature is missing"),
        ("nonsense", "malformed"),
        (signed(b"another body"), "does not fit"),
        (signed(json.dumps(event()).encode(), "whsec_wrong"), "does not fit"),
        (signed(json.dumps(event()).encode(), at=time.time() - 3600), "signed"),
    ],
    ids=["none", "nonsense", "another body", "wrong secret", "too old"],  # signatures hold the time
)
def test_what_stripe_did_not_sign_is_refused(hub: Hub, client: Client, header: str, told: str) -> None:
    assert told in refusal(send(client, event(), **{"stripe-signature": header}), 400)
    assert kept(hub) == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"not json", "no event"),
        (b"[]", "no event"),
        (b'{"id": "evt_1"}', "no event"),
        (event(livemode=True), "live-mode event and the connection is in test mode"),
        (event(account="acct_other"), "about the account acct_other and the connection is acct_acme"),
        (event("evt_\0"), "no text"),
        (event(""), "empty"),
        (event(created=10**15), "created"),
    ],
)
def test_what_is_no_event_of_this_connection_is_refused(hub: Hub, client: Client, body: Any, told: str) -> None:
    assert told in refusal(send(client, body), 400)
    assert kept(hub) == []


def test_an_unknown_connection_is_not_found(client: Client) -> None:
    assert "no connection named ghost" in refusal(send(client, event(), connection="ghost"), 404)


def test_a_body_is_bounded_announced_or_not(hub: Hub, client: Client) -> None:
    large = b"x" * (hub.settings.webhook_max_bytes + 1)
    assert "2000000" in refusal(send(client, large), 413)
    streamed = client.post(
        "/api/webhooks/stripe/acme", content=iter([large[:1_000_000]] * 3), headers={"stripe-signature": signed(b"")}
    )
    assert "2000000" in refusal(streamed, 413)


def test_secrets_rotate_without_a_restart(hub: Hub, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.api.webhooks.FRESH", -1.0)
    assert send(client, event("evt_1")).status_code == 200
    connected(hub, secrets=("whsec_second", SECRET))
    assert send(client, event("evt_2"), secret="whsec_second").status_code == 200
    assert send(client, event("evt_3")).status_code == 200
    connected(hub, name="later", secrets=("whsec_later",))
    assert send(client, event("evt_4"), connection="later", secret="whsec_later").status_code == 200
    assert known.FRESH > 0


def test_events_sent_at_once_are_all_stored_and_told_apart(hub: Hub, client: Client) -> None:
    from concurrent.futures import ThreadPoolExecutor

    ids = [f"evt_{n % 60}" for n in range(120)]
    with ThreadPoolExecutor(12) as senders:
        answers = list(senders.map(lambda one: send(client, event(one)).json(), ids))
    assert sum(answer["new"] for answer in answers) == 60
    assert len(kept(hub)) == 60


def test_a_lost_database_connection_is_replaced(hub: Hub, client: Client) -> None:
    assert send(client, event("evt_1")).status_code == 200
    with hub.engine.begin() as db:
        db.execute(
            text(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
                "and pid <> pg_backend_pid()"
            )
        )
    assert send(client, event("evt_2")).status_code == 200
    assert [row[0] for row in kept(hub)] == ["evt_1", "evt_2"]


def test_a_table_that_cannot_be_written_lets_stripe_send_again(hub: Hub, client: Client) -> None:
    with hub.engine.begin() as db:
        db.execute(text("alter table tidegate.inbox rename to inbox_away"))
    try:
        answer = send(client, event())
        assert "send it again" in refusal(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
    finally:
        with hub.engine.begin() as db:
            db.execute(text("alter table tidegate.inbox_away rename to inbox"))
    assert send(client, event()).json()["new"] is True


def platform(hub: Hub, *children: str) -> None:
    """A platform `plat` with these connections of accounts."""
    connected(hub, "plat")
    with hub.engine.begin() as db:
        accounts.note(db, "plat", fan_out_at=func.now() + text("interval '1 day'"))
        for name in children:
            values = {"name": name, "account": f"acct_{name}", "livemode": False, "rate": 25, "endpoint_rate": 25}
            db.execute(insert(connections).values(platform="plat", **values))


def where(hub: Hub) -> dict[str, tuple[str, str, str]]:
    """Every event's connection, state and reason."""
    with hub.engine.connect() as db:
        rows = db.execute(text("select event_id, connection, state, error from tidegate.inbox"))
        return {row.event_id: (row.connection, row.state, row.error) for row in rows}


def test_a_platforms_endpoint_takes_the_events_of_its_accounts(hub: Hub, client: Client, rung: list[str]) -> None:
    platform(hub, "child")
    for facts in ({"account": "acct_child"}, {"account": "acct_plat"}, {}):
        assert send(client, event(f"evt_{len(facts)}{facts}", **facts), "plat").status_code == 200
    assert {told[:2] for told in where(hub).values()} == {("child", "waiting"), ("plat", "waiting")}
    until(lambda: {"child", "plat"} <= set(rung), "both are rung for")
    with hub.engine.connect() as db:
        assert accounts.named(db, "child").last_webhook_at is not None


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"account": "acct_nobody"}, "acct_nobody is no connection of this platform, or is disconnected"),
        ({"account": "acct_gone"}, "acct_gone is no connection of this platform, or is disconnected"),
        ({"account": "acct_child", "livemode": True}, "a live-mode event of acct_child"),
        ({"account": "acct_acme"}, "acct_acme is no connection of this platform"),
    ],
)
def test_what_no_account_of_the_platform_takes_is_acknowledged_and_kept_with_the_reason(
    hub: Hub, client: Client, facts: dict[str, Any], reason: str
) -> None:
    platform(hub, "child", "gone")
    with hub.engine.begin() as db:
        accounts.note(db, "gone", disconnected_at=func.now())
    assert send(client, event(**facts), "plat").json() == {"received": True, "new": True}
    assert send(client, event(**facts), "plat").json() == {"received": True, "new": False}
    connection, state, told = where(hub)["evt_1"]
    assert (connection, state) == ("plat", "skipped")
    assert told.startswith(reason)


def test_the_platform_itself_hears_who_comes_and_goes(hub: Hub, client: Client) -> None:
    platform(hub, "child")
    for number, kind in enumerate(sorted(AUTHORIZATIONS)):
        told = event(f"evt_{number}", type=f"{kind}", account="acct_child")
        assert send(client, told, "plat").status_code == 200
    assert [told[:2] for told in where(hub).values()] == [("plat", "waiting")] * 2
    with hub.engine.connect() as db:
        assert problems.listing(db, "plat") == [], "it is the account's access that was taken back"


def test_an_event_is_kept_for_an_account_only_while_the_connection_is_the_accounts(hub: Hub, client: Client) -> None:
    platform(hub, "child")
    assert send(client, event("evt_1", account="acct_child"), "plat").status_code == 200
    with hub.engine.begin() as db:
        accounts.note(db, "child", account="acct_other")
    assert "another account" in refusal(send(client, event("evt_2", account="acct_child"), "plat"), 400)
    assert list(where(hub)) == ["evt_1"]


def test_an_account_that_was_connected_just_now_is_known_at_once(
    hub: Hub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform(hub)
    assert send(client, event("evt_1", account="acct_late"), "plat").status_code == 200
    monkeypatch.setattr("tidegate.api.webhooks.FRESH", -1.0)
    with hub.engine.begin() as db:
        values = {"name": "late", "account": "acct_late", "livemode": False, "rate": 25, "endpoint_rate": 25}
        db.execute(insert(connections).values(platform="plat", **values))
    assert send(client, event("evt_2", account="acct_late"), "plat").status_code == 200
    assert {name: told[:2] for name, told in where(hub).items()} == {
        "evt_1": ("plat", "skipped"),
        "evt_2": ("late", "waiting"),
    }


def test_nothing_is_kept_for_a_name_that_was_purged_and_given_to_another_account(hub: Hub, client: Client) -> None:
    """What the endpoint knows of the connections may be half a minute old."""
    assert send(client, event("evt_1")).status_code == 200
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.inbox, tidegate.connections"))
    assert "removed" in refusal(send(client, event("evt_2")), 400)
    with hub.engine.begin() as db:
        values = {"name": "acme", "account": "acct_other", "livemode": False, "rate": 25, "endpoint_rate": 25}
        accounts.save(db, values, Credentials("sk_test_1", "", ("whsec_other",)), hub.vault)
    assert "another account" in refusal(send(client, event("evt_3")), 400)
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.connections set account = 'acct_acme', livemode = true"))
    assert "another account" in refusal(send(client, event("evt_4")), 400)
    assert kept(hub) == []


def test_a_purge_waits_for_events_on_their_way_in(hub: Hub, client: Client) -> None:
    entry = Entry("acme", "evt_1", "x", 1, "webhook", "{}", "acct_acme", False)
    with hub.engine.begin() as db:
        assert inbox.keep_each(db, [entry, entry]) == [Kept.NEW, Kept.KNOWN]
        with hub.engine.connect() as other:
            other.execute(text("set local lock_timeout = '50ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                other.execute(text("delete from tidegate.connections"))
    with hub.engine.begin() as db:
        assert inbox.keep_each(db, [entry]) == [Kept.KNOWN]
