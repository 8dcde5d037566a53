"""Destinations in the hands of people and programs: commands, HTTP, tidegate.yaml, status, secrets, retention."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine
from tests.support.builders import customer, subscription
from tests.support.command_line import Cli
from tests.support.post import SECRET, Post, opened
from tests.support.receiver import Receiver, Reply
from tests.support.serving import serving
from tests.support.shop import Shop

from tidegate.api.app import create_app
from tidegate.connections.problems import REMEDIES
from tidegate.delivery import contacts_due, queue, stored, suppressing
from tidegate.delivery.outbox import Told, tell
from tidegate.errors import ConfigInvalid
from tidegate.secrets import Vault
from tidegate.security import tokens
from tidegate.settings import Settings
from tidegate.wiring import Hub
from tidegate.workflows import refresh as refreshing
from tidegate.workflows.clock_tasks import deliver as deliver_task
from tidegate.workflows.clock_tasks import tick
from tidegate.workflows.config import config_export, config_file, config_sections
from tidegate.workflows.contacts import contacts_forget
from tidegate.workflows.delivery import destinations_past, destinations_tried
from tidegate.workflows.doorbell import Doorbell
from tidegate.workflows.mirror import disconnect
from tidegate.workflows.operation import retention
from tidegate.workflows.operation.status import status
from tidegate.workflows.previewing import commit
from tidegate.workflows.task_context import TaskContext


def problems(post: Post) -> dict[str, tuple[str, str]]:
    return {one["code"]: (one["subject"], one["detail"]) for one in status(post.engine)["problems"] if one["subject"]}


def destination(post: Post, key: str = "app") -> Any:
    with post.engine.connect() as db:
        return stored.opened(db, key, lambda: post.vault, post.environment)


# ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_status_names_what_is_wrong_with_a_destination_and_how_to_mend_it(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url)
    acme = post.contact("acme")
    post.tell(acme, [1])
    receiver.says(422, b"no such event")
    post.deliver()
    told = "1 messages were refused by app for good, the last: HTTP 422: no such event"
    assert problems(post) == {"dead_letters": ("app", told)}
    post.tell(acme, [2])
    post.run("update deliveries set next_try_at = now() - interval '20 minutes' where state = 'waiting'")
    assert set(problems(post)) == {"dead_letters", "deliveries_late"}
    receiver.says(500, b"down")
    post.deliver()
    post.run("update destinations set failing_since = now() - interval '20 minutes'")
    assert problems(post)["destination_failing"] == (
        "app",
        "app has taken nothing since: HTTP 500: down. 1 deliveries wait.",
    )
    with post.engine.begin() as db:
        stored.pause(db, "app", "ada")
    assert set(problems(post)) == {"dead_letters"}, "whoever paused it knows"
    with post.engine.begin() as db:
        stored.pause(db, "app", "", "it is gone")
    assert problems(post)["destination_paused"] == (
        "app",
        "app is sent nothing any more: it is gone. 1 deliveries wait.",
    )
    for code in ("destination_paused", "destination_failing", "dead_letters", "deliveries_late"):
        assert "tidegate" in REMEDIES[code].format(connection="", subject="app")


# ── the past, looking, trying ────────────────────────────────────────────────────────────────────────────────────────


def record_event(post: Post, number: int, at: datetime) -> None:
    post.run(
        "insert into billing_events (connection, id, name, at, customer, identity, currency, amount, data, told) "
        "values ('acme', :id, 'Subscription Billed', :at, 'cus_1', 'ada@example.com', 'usd', 4900, "
        "'{\"properties\": {}}', false)",
        id=f"billed:in_{number}:sub_1:month",
        at=at,
    )


def test_the_past_is_sent_once_and_only_when_somebody_asks(post: Post, receiver: Receiver) -> None:
    post.tell(post.contact("acme"), [1])
    for day in (1, 2, 3):
        record_event(post, day, datetime(2026, 3, day, tzinfo=UTC))
    post.webhook(receiver.url, properties=["name"])
    assert post.deliver().delivered == 0
    since = datetime(2026, 3, 2, tzinfo=UTC)
    app = destination(post)
    with post.engine.begin() as db:
        shown = destinations_past.backfill(db, app, since, "ada", only_preview=True)
    assert shown == {
        "destination": "app",
        "since": since,
        "done": False,
        "events": 1,
        "billing_events": 2,
        "contacts": 1,
    }
    assert post.deliver().delivered == 0
    with post.engine.begin() as db:
        assert destinations_past.backfill(db, app, since, "ada", only_preview=False)["done"]
    post.deliver()
    told = sorted((one["type"], one["timestamp"][:10]) for one in receiver.events() if one["type"][0] == "b")
    assert told == [("billing_event.recorded", "2026-03-02"), ("billing_event.recorded", "2026-03-03")]
    assert len(receiver.events()) == 4
    with post.engine.begin() as db:
        again = destinations_past.backfill(db, app, datetime(2026, 3, 1, tzinfo=UTC), "ada", only_preview=False)
    assert (again["events"], again["billing_events"]) == (0, 1)


def test_the_past_of_who_is_suppressed_is_not_sent(post: Post, receiver: Receiver) -> None:
    acme = post.contact("acme")
    post.run("insert into links (connection, customer, contact, method) values ('acme', 'cus_1', :k, 'id')", k=acme)
    record_event(post, 1, datetime(2026, 3, 1, tzinfo=UTC))
    post.webhook(receiver.url, properties=["name"])
    past = datetime(2026, 1, 1, tzinfo=UTC)
    counts: list[tuple[int, int]] = []
    for is_told in (False, True):
        with post.engine.begin() as db:
            (suppressing.unsuppress(db, acme) if is_told else suppressing.suppress(db, acme, "asked us to", "ada"))
            done = destinations_past.backfill(db, destination(post), past, "ada", only_preview=True)
        counts.append((done["billing_events"], done["contacts"]))
    assert counts == [(0, 0), (1, 1)]
    post.webhook(receiver.url, "live", livemode=True, properties=["name"])
    with post.engine.begin() as db:
        live = destinations_past.backfill(db, destination(post, "live"), past, "ada", only_preview=True)
    assert (live["billing_events"], live["contacts"]) == (0, 0), "it is test data"


def test_who_is_suppressed_or_of_the_other_mode_is_not_kept_in_sync(post: Post, receiver: Receiver) -> None:
    acme = post.contact("acme", name="Acme")
    post.webhook(receiver.url, properties=["name"], events=[])
    post.webhook(f"{receiver.url}/live", "live", livemode=True, properties=["name"], events=[])
    came: list[list[str]] = []
    for change in (lambda db: suppressing.suppress(db, acme, "asked us to", "ada"),
                   lambda db: suppressing.unsuppress(db, acme)):  # fmt: skip
        with post.engine.begin() as db:
            change(db)
            contacts_due.note_contacts(db, [acme])
        post.deliver()
        came.append([f"{one.path} {one.json['data']['changed']}" for one in receiver.received])
    assert came == [[], ["/ {'name': 'Acme'}"]]


def test_a_billing_event_has_one_id_whether_it_was_told_or_sent_later(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, "one")
    record_event(post, 1, datetime(2026, 3, 1, tzinfo=UTC))
    with post.engine.begin() as db:
        data = {"id": "billed:in_1:sub_1:month", "name": "Subscription Billed", "at": "2026-03-01T00:00:00Z"}
        tell(db, [Told("billing_event.recorded", data, None, "acme")])
    post.deliver()
    post.webhook(receiver.url, "two")
    with post.engine.begin() as db:
        destinations_past.backfill(
            db, destination(post, "two"), datetime(2026, 1, 1, tzinfo=UTC), "ada", only_preview=False
        )
    post.deliver()
    assert len(receiver.received) == 2
    assert len({one.id for one in receiver.received}) == 1


def test_a_preview_shows_exactly_what_is_sent_without_its_secrets(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, headers={"X-Key": "s3cret"})
    acme = post.contact("acme")
    post.tell(acme, [1])
    with post.engine.connect() as db:
        (shown,) = destinations_tried.preview(db, destination(post), acme)
    assert receiver.received == []
    post.deliver()
    (one,) = receiver.received
    (request,) = shown["requests"]
    assert (request["method"], request["url"]) == ("POST", receiver.url)
    assert request["body"] == one.json
    assert request["headers"]["X-Key"] == "…"
    assert request["headers"]["webhook-id"] == one.id == shown["id"]


SAMPLED: dict[str, tuple[dict[str, Any], str]] = {
    "webhook": ({"secrets": [SECRET]}, "destination.tested"),
    "kissmetrics": ({"api_key": "k", "properties": ["name"]}, "destination.tested"),
    "segment": ({"write_key": "k"}, "destination.tested"),
    "hubspot": ({"token": "t", "properties": ["name"]}, "contact.updated"),
    "http": ({"body": '{"n": {{ properties.name | json }}}', "properties": ["name"], "events": []}, "contact.updated"),
    "apprise": ({}, "destination.tested"),
    "files": ({}, "destination.tested"),
}
"""By kind what it takes beside its place, and the type of the sample that it is sent."""


@pytest.mark.parametrize("kind", SAMPLED)
def test_a_sample_reaches_each_kind_and_is_of_nobody_who_is_suppressed(
    post: Post, receiver: Receiver, kind: str, tmp_path: Path
) -> None:
    said, type_ = SAMPLED[kind]
    url = f"json://127.0.0.1:{receiver.port}" if kind == "apprise" else receiver.url
    place: dict[str, Any] = {"path": str(tmp_path)} if kind == "files" else {"url": url, "allow_private": True}
    first, _ = post.contact("secretive", name="Secretive"), post.contact("acme", name="Acme")
    with post.engine.begin() as db:
        suppressing.suppress(db, first, "asked us to", "ada")
    post.destination("app", kind, **said, **place)
    with post.engine.begin() as db:
        message = destinations_tried.sample(db, destination(post))
    done = destinations_tried.test(destination(post), message)
    assert (done["type"], done["id"]) == (type_, message.id)
    came = [f"{one.path} {one.query} {one.body.decode()}" for one in receiver.received]
    came += [one.read_text() for one in tmp_path.rglob("*") if one.is_file()]
    assert len(came) == 1
    assert ("Acme" if type_ == "contact.updated" else "test of the destination app") in came[0]
    assert "ecretive" not in came[0]


# ── HTTP and the command line ────────────────────────────────────────────────────────────────────────────────────────


def hub_of(url: str, engine: Engine, tmp_path: Path) -> Hub:
    key = Fernet.generate_key().decode()
    return Hub(Settings(home=tmp_path, database_url=url, secret_key=key), engine)  # pyright: ignore[reportArgumentType]


def test_http_makes_tries_pauses_and_replays(
    post: Post, receiver: Receiver, fresh_database_url: str, tmp_path: Path
) -> None:
    from httpx import Client

    hub = hub_of(fresh_database_url, post.engine, tmp_path)
    with post.engine.begin() as db:
        token = tokens.create(db, "test", ["admin"])[1]
    with serving(create_app(hub)) as url, Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
        options = {"url": receiver.url, "secrets": [SECRET], "allow_private": True}
        made = client.post("/api/destinations", json={"key": "app", "kind": "webhook", "options": options})
        assert made.status_code == 201, made.text
        assert made.json()["options"] == {"url": receiver.url, "allow_private": True, "secrets": "…"}
        wrong = client.post("/api/destinations", json={"key": "app", "kind": "webhook", "options": {"url": "x"}})
        assert (wrong.status_code, wrong.headers["content-type"]) == (422, "application/problem+json")
        assert client.get("/api/destinations/ap").status_code == 404
        tried = client.post("/api/destinations/app/test").json()
        assert (tried["type"], tried["status"]) == ("destination.tested", 200)
        receiver.says(500, b"oops")
        failed = client.post("/api/destinations/app/test")
        assert (failed.status_code, "HTTP 500: oops" in failed.text) == (409, True)
        acme = post.contact("acme")
        post.tell(acme, [1, 2])
        receiver.answer = lambda one: Reply(400 if one.json["data"]["number"] == 1 else 200)
        done = deliver_task(TaskContext(hub.engine, hub.stripe, destination=hub.destination))
        assert (done["delivered"], done["dead"]) == (1, 1)
        (dead,) = client.get("/api/destinations/app/dead").json()["dead"]
        assert dead["contact"] == "account:acme"
        told = client.get("/api/outbox", params={"contact": "acme"}).json()["outbox"]
        assert [[each["state"] for each in one["deliveries"]] for one in told] == [["delivered"], ["dead"]]
        assert client.post("/api/destinations/app/replay", json={"deliveries": [999]}).status_code == 404
        assert client.post("/api/destinations/app/replay", json={}).json()["replayed"] == 1
        assert client.post("/api/destinations/app/pause").json()["state"] == "paused"
        assert client.post("/api/destinations/app/resume").json()["state"] == "live"
        assert client.get("/api/destinations").json()["destinations"][0]["waiting"] == 1
        assert (
            client.post("/api/destinations/app/backfill", json={"since": "2026-01-01T00:00:00Z"}).json()["done"]
            is False
        )
        assert client.delete("/api/destinations/app").status_code == 204
        assert post.rows("select count(*) from deliveries") == [(0,)]
    hub.close()


@pytest.mark.wide
def test_the_commands(post: Post, receiver: Receiver, fresh_database_url: str, tmp_path: Path) -> None:
    cli = Cli(tmp_path, fresh_database_url)
    url = f"url={receiver.url}"
    made = cli.json("destinations", "add", "app", "webhook", "--set", url, "--set", "allow_private=true")
    assert made["secret"].startswith("whsec_")
    assert made["spec"]["secrets"] == "…"
    assert cli.json("destinations", "test", "app")["status"] == 200
    assert receiver.events(made["secret"])[0]["type"] == "destination.tested"
    cli.json("destinations", "add", "km", "kissmetrics", "--env", "api_key=KM_KEY", "--set", url, KM_KEY="k-1")
    post.tell(post.contact("acme"), [1])
    (message,) = cli.json("destinations", "preview", "app")["messages"]
    assert message["requests"][0]["body"]["data"]["number"] == 1
    assert "entitlement.changed  account:acme" in cli("destinations", "preview", "app").stdout
    assert cli.json("destinations", "pause", "app")["state"] == "paused"
    assert "app is live; 1 deliveries wait." in cli("destinations", "resume", "app").stdout
    assert cli.json("destinations", "backfill", "app", "--from", "2026-01-01")["done"] is False
    assert "Nothing was sent: say --yes." in cli("destinations", "backfill", "app").stdout
    assert cli.json("destinations", "dead", "app")["dead"] == []
    assert cli.json("destinations", "replay", "app")["replayed"] == 0
    assert [one["key"] for one in cli.json("destinations", "list")["destinations"]] == ["app", "km"]
    assert "app" in cli("destinations", "list").stdout
    assert "Is it app?" in cli("destinations", "test", "apps", code=2).stderr
    receiver.says(401)
    assert "does not accept the credentials" in cli("destinations", "test", "app", code=1).stderr
    cli("destinations", "add", "gone", "webhook", "--set", "url=http://127.0.0.1:9", "--set", "allow_private=true")
    assert "gone cannot be reached" in cli("destinations", "test", "gone", code=3).stderr
    assert "there is no property mmr. Is it mrr?" in cli(
        "destinations", "add", "x", "webhook", "--set", url, "--set", "properties=[mmr]", code=2
    ).stderr  # fmt: skip
    assert "there is no event 'stage.chnged'. Is it stage.changed?" in cli(
        "destinations", "add", "x", "webhook", "--set", url, "--set", "events=[stage.chnged]", code=2
    ).stderr  # fmt: skip
    assert "Is it billing_event.recorded:Subscription Billed?" in cli(
        "destinations", "add", "x", "webhook", "--set", url,
        "--set", "events=['*.opened', 'billing_event.recorded:Subscription Biled']", code=2,
    ).stderr  # fmt: skip
    assert cli.json("destinations", "remove", "app")["waiting"] == 1


# ── tidegate.yaml ────────────────────────────────────────────────────────────────────────────────────────────────────

FILE = """
destinations:
  - key: app
    type: webhook
    url: https://example.com/hooks
    secrets: [{env: NEW}, {env: OLD}]
    headers: {Authorization: {env: BEARER}}
    events: [billing_event.*]
  - {key: km, type: kissmetrics, api_key: {env: KM_KEY}}
"""
ENVIRONMENT = {"NEW": SECRET, "OLD": SECRET, "BEARER": "Bearer 1", "KM_KEY": "k-1"}


def applied(engine: Engine, file: str, *, prune: bool = False) -> list[dict[str, Any]]:
    sections = config_sections.read(file, "tidegate.yaml", ENVIRONMENT)
    return commit(engine, config_file.apply(sections, "ada", prune=prune), None).result["steps"]


@pytest.mark.wide
def test_the_file_manages_destinations_and_holds_no_secret(post: Post) -> None:
    assert [one["action"] for one in applied(post.engine, FILE)] == ["create", "create"]
    assert applied(post.engine, FILE) == []
    with post.engine.connect() as db:
        exported = config_export.export(db)
        found = stored.opened(db, "app", lambda: post.vault, ENVIRONMENT)
    assert found.options.model_dump()["headers"] == {"Authorization": "Bearer 1"}
    assert exported["destinations"][0]["secrets"] == [{"env": "NEW"}, {"env": "OLD"}]
    assert exported["destinations"][1] == {"key": "km", "type": "kissmetrics", "api_key": {"env": "KM_KEY"}}
    changed = FILE.replace("[billing_event.*]", "['*']")
    (step,) = applied(post.engine, changed)
    assert (step["action"], step["before"], step["now"]) == (
        "change",
        {"events": ["billing_event.*"]},
        {"events": ["*"]},
    )
    without = "destinations:\n  - {key: km, type: kissmetrics, api_key: {env: KM_KEY}}\n"
    assert [one["action"] for one in applied(post.engine, without, prune=True)] == ["remove"]
    with pytest.raises(ConfigInvalid, match="line 2: destinations → api_key is a secret; put it into the environment"):
        applied(post.engine, "destinations:\n  - {key: km, type: kissmetrics, api_key: k-1}\n")
    with pytest.raises(ConfigInvalid, match=r"there is no kind 'kissmetric'\. Is it kissmetrics"):
        applied(post.engine, "destinations:\n  - {key: km, type: kissmetric, api_key: {env: KM_KEY}}\n")
    post.webhook("https://example.com", "own")
    with post.engine.connect() as db, pytest.raises(ConfigInvalid, match="the destination own holds a secret"):
        config_export.export(db)


# ── secrets, the forgotten, what is deleted ──────────────────────────────────────────────────────────────────────────


@pytest.mark.wide
def test_secrets_are_encrypted_and_sealed_anew(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url)
    ((sealed,),) = post.rows("select secrets from destinations")
    assert SECRET.removeprefix("whsec_").encode() not in bytes(sealed)
    new = Vault([Fernet.generate_key().decode()], "the new one")
    with post.engine.begin() as db:
        assert stored.seal_anew(db, post.vault, new) == {"app": 1}
    post.vault = new
    post.tell(post.contact("acme"), [1])
    assert post.deliver().delivered == 1
    assert len(receiver.events(SECRET)) == 1


@pytest.mark.wide
def test_a_variable_that_is_not_set_is_told_and_hinders_no_other(post: Post, receiver: Receiver) -> None:
    post.environment["KM_KEY"] = "k"
    post.destination("km", "kissmetrics", api_key={"env": "KM_KEY"}, events=["*"], properties=[])
    del post.environment["KM_KEY"]
    post.webhook(receiver.url)
    post.tell(post.contact("acme"), [1])
    assert post.deliver().delivered == 1
    assert "needs the variable KM_KEY, which is not set here" in post.shown("km")["error"]


@pytest.mark.wide
def test_of_a_forgotten_contact_nothing_is_sent_but_that_it_was(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, properties=["name", "email"], livemode=None)
    acme = post.contact("acme", name="Ada", email="ada@example.com")
    post.tell(acme, [1])
    post.deliver()
    assert any(b"ada@example.com" in one.body for one in receiver.received)
    post.tell(acme, [2])
    receiver.received.clear()
    contacts_forget.forget(post.engine, False, "account:acme", "ada", only_preview=False)
    post.tell(acme, [3])
    post.deliver()
    assert [one["type"] for one in receiver.events()] == ["contact.forgotten"]
    assert post.waiting() == 0
    assert post.rows("select count(*) from destination_contacts") == [(0,)]


def test_nothing_is_remembered_of_who_was_forgotten_while_it_was_sent(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, properties=["name", "email"], events=[])
    post.contact("acme", name="Ada", email="ada@example.com")

    def answer(_: Any) -> Reply:
        contacts_forget.forget(post.engine, False, "account:acme", "ada", only_preview=False)
        return Reply()

    receiver.answer = answer
    post.deliver()
    assert len(receiver.received) == 1
    assert post.rows("select sent from destination_contacts") == []


def test_a_destination_that_is_removed_while_it_is_sent_to_leaves_nothing(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, properties=["name"], events=["entitlement.*"])
    acme = post.contact("acme", name="Ada")

    def answer(_: Any) -> Reply:
        with post.engine.begin() as db:
            stored.remove(db, "app")
        return Reply()

    receiver.answer = answer
    post.deliver()
    assert post.rows("select sent from destination_contacts") == []
    late = "insert into deliveries (destination, contact) values ('app', :k)"
    post.run(late, k=acme)
    assert retention.forget_old(post.engine)["deliveries"] == 1
    post.run(late, k=acme)
    post.webhook(receiver.url)
    assert post.waiting() == 0, "it is another one that only has the same key"


def test_a_dead_letter_is_kept_as_long_after_it_was_given_up(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url)
    receiver.says(400)
    post.tell(post.contact("acme"), [1])
    post.run("update outbox set at = now() - interval '30 days'")  # its receiver was away for long
    post.deliver()
    assert retention.forget_old(post.engine)["outbox"] == 0
    with post.engine.begin() as db:
        assert queue.replay(db, "app") == 1
    receiver.says(200)
    assert post.deliver().delivered == 1
    assert retention.forget_old(post.engine)["outbox"] == 1


@pytest.mark.wide
def test_what_waits_outlives_retention_and_the_rest_goes_with_the_outbox(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url)
    acme = post.contact("acme")
    post.tell(acme, [1])
    post.deliver()
    with post.engine.begin() as db:
        stored.pause(db, "app", "ada")
    post.tell(acme, [2])
    post.run("update outbox set at = now() - interval '30 days'")
    deleted = retention.forget_old(post.engine)
    assert deleted["outbox"] == 1
    assert post.rows("select data ->> 'number' from outbox") == [("2",)]
    assert post.rows("select state from deliveries") == [("waiting",)]


@pytest.mark.wide
def test_a_purge_takes_what_is_due_of_the_connection(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url)
    post.tell(None, [1], "sync.finished")
    post.tell(post.contact("acme"), [2])
    assert disconnect.count_for_purge(post.engine, "acme")["tidegate.deliveries"] == 1
    disconnect.purge(post.engine, "acme", "cli:test")
    assert post.waiting() == 1
    assert post.deliver().delivered == 1


# ── the worker ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.wide
def test_what_a_refresh_tells_is_history_until_the_first_import_has_ended(
    fresh_database_url: str, receiver: Receiver
) -> None:
    with opened(fresh_database_url) as post:
        shop = Shop.__new__(Shop)
        shop.engine = post.engine
        with post.engine.connect() as db:
            from tidegate.connections import accounts

            shop.account = accounts.named(db, "acme")
        shop.settings(create_missing=True)
        post.webhook(receiver.url, properties=["name"])
        shop.has(customer(email="ada@acme.com", name="Ada"), subscription())
        shop.catalog()
        refreshing.refresh_changed(post.engine, shop.account)
        assert post.rows("select count(*), bool_and(history) from outbox") == [(5, True)]
        post.deliver()
        assert receiver.received == []
        post.run("insert into runs (connection, kind, state, finished_at) values ('acme', 'import', 'done', now())")
        shop.has(customer("cus_2", email="eve@acme.org", name="Eve"), at=200)
        shop.has(subscription("sub_2", customer="cus_2"), at=200)
        refreshing.refresh_changed(post.engine, shop.account)
        post.deliver()
        types = [one["type"] for one in receiver.events()]
        assert types[:2] == ["contact.created", "contact.linked"]
        assert "contact.updated" in types


@pytest.mark.wide
def test_a_worker_rings_for_what_is_due_and_goes_on_where_it_stopped(post: Post, receiver: Receiver) -> None:
    def opening(db: Any, key: str) -> Any:
        return stored.opened(db, key, lambda: post.vault, post.environment)

    def no_stripe(_: Any) -> Any:
        raise AssertionError

    context = TaskContext(post.engine, no_stripe, destination=opening)
    post.webhook(receiver.url)
    post.run("update connections set caught_up_at = now(), disconnected_at = now()")
    assert "deliver" not in tick(context, 60)
    post.tell(post.contact("acme"), [1])
    assert "deliver" in tick(context, 60)
    assert not Doorbell(post.engine).ring("deliver", connection=""), "one waits already"
    receiver.says(500)
    assert deliver_task(context)["failed"] == 1
    (job,) = post.rows(
        "select task_name, scheduled_at > now() from procrastinate_jobs where task_name like 'deliver_a%'"
    )
    assert job == ("deliver_again", True)
    context.stop.set()
    assert deliver_task(context)["delivered"] == 0


@pytest.mark.wide
def test_the_hub_answers_for_a_queue_with_nothing_in_it(post: Post) -> None:
    with post.engine.connect() as db:
        assert (queue.due(db), queue.next_due(db), queue.anything_due(db)) == ([], None, False)
