"""What status says: how fresh a mirror is, every problem with its remedy, and numbers that do not take seconds."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event as sql_events
from tests.support.builders import customer, event
from tests.support.hubs import copied
from tests.support.importing import imported, stripe
from tests.support.live import NOWHERE, Live
from tests.support.replies import changed, revoked
from tests.support.standing import Standing, standing

from tidegate.connections import problems, runs
from tidegate.errors import ConnectionUnknown, StripeAccessRevoked
from tidegate.mirror import sizes
from tidegate.wiring import Hub
from tidegate.workflows.doorbell import Doorbell
from tidegate.workflows.mirror.disconnect import disconnect
from tidegate.workflows.mirror.fan_out import fan_out
from tidegate.workflows.mirror.probe import probe
from tidegate.workflows.operation import capacity, problems_found
from tidegate.workflows.operation.status import status

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox


@pytest.fixture(scope="module")
def company(server_url: str, secret_key: str) -> Iterator[Standing]:
    """A very small company, imported and caught up."""
    with standing(server_url, secret_key, customers=3, months=1) as company:
        yield company


@pytest.fixture
def database_url(request: pytest.FixtureRequest, server_url: str) -> Iterator[str]:
    """Every test of this module has a database of its own; with `current` it is a copy of the company's."""
    if "current" not in request.fixturenames:
        yield request.getfixturevalue("fresh_database_url")
        return
    with copied(server_url, request.getfixturevalue("company").database) as url:
        yield url


@pytest.fixture
def current(company: Standing, hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> Live:
    """The company, and its mirror."""
    return company.live(hub, make_sandbox)


def one(live: Live, **options: Any) -> dict[str, Any]:
    found = status(live.hub.engine, ["acme"], **options)
    json.dumps(found)
    return found["connections"][0]


def codes(live: Live, **options: Any) -> list[str]:
    return [problem["code"] for problem in one(live, **options)["problems"]]


def test_before_anything_is_connected(hub: Hub) -> None:
    found = status(hub.engine)
    assert (found["connections"], found["problems"]) == ([], [])
    assert found["database"]["bytes"] > 0
    with pytest.raises(ConnectionUnknown):
        status(hub.engine, ["nobody"])


def test_a_current_mirror_has_its_numbers_and_no_problem(current: Live) -> None:
    found = one(current)
    assert found["problems"] == []
    resources = {each["resource"]: each for each in found["resources"]}
    truth = current.sandbox.truth()
    assert {name: each["stored"] for name, each in resources.items() if name in truth} == {
        name: truth[name] for name in resources if name in truth
    }
    assert resources["customers"]["newest"].endswith("Z")
    assert {each["estimated"] for each in found["resources"]} == {False}
    assert found["run"]["state"] == "done"
    assert found["inbox"] == {"waiting": 0, "parked": 0, "oldest_seconds": 0}
    assert found["mode"] == "test"


def test_several_connections_each_have_their_own(
    hub: Hub, make_sandbox: Callable[..., "Sandbox"], current: Live
) -> None:
    other = Live(hub, make_sandbox(customers=2, months=1, seed=5), "beta")
    found = status(hub.engine)
    assert [each["name"] for each in found["connections"]] == ["acme", "beta"]
    assert [(each["connection"], each["code"]) for each in found["problems"]] == [("beta", "not_imported")]
    assert sum(each["stored"] for each in found["connections"][1]["resources"]) == 0
    assert other.account.name == "beta"


def test_what_the_key_may_read_is_named_and_what_is_refused_comes_first(current: Live) -> None:
    assert one(current)["permissions"] == []
    with stripe(current.sandbox.key, current.sandbox.url) as api:
        probe(current.hub.engine, current.account, api)
    current.run("update tidegate.permissions set allowed = false, detail = 'No.' where endpoint = 'GET /v1/disputes'")
    current.run("update tidegate.permissions set allowed = null where endpoint = 'GET /v1/charges'")
    refused, *others = one(current)["permissions"]
    assert refused | {"checked_at": ""} == {
        "name": "disputes", "endpoint": "GET /v1/disputes", "state": "refused", "allowed": False, "detail": "No.",
        "checked_at": "",
    }  # fmt: skip
    states = {each["name"]: each["state"] for each in others}
    assert (states["charges"], states["customers"], states["events"]) == ("unknown", "granted", "granted")
    assert {each["checked_at"][-1] for each in others} == {"Z"}


def test_the_next_sweep_is_told(current: Live) -> None:
    found = one(current, sweep_hour=3)
    assert found["sweep"] is None
    upcoming = datetime.fromisoformat(found["next_sweep_at"])
    assert timedelta(hours=19) < upcoming - datetime.now(UTC) <= timedelta(hours=44)
    disconnect(current.hub.engine, "acme", "cli:test")
    assert one(current)["next_sweep_at"] is None


def test_a_platforms_accounts_are_told_and_theirs_is_named(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> None:
    live = Live(hub, make_sandbox(customers=1, months=1, connected=2))
    assert one(live)["accounts"] is None
    with stripe(live.sandbox.key, live.sandbox.url) as api:
        names = [each.connection for each in fan_out(hub.engine, live.account, api).accounts]
    live.run("update tidegate.connections set disconnected_at = now(), left_out = true where name = :n", n=names[1])
    found = {each["name"]: each for each in status(hub.engine)["connections"]}
    states = {each["connection"]: each["state"] for each in found["acme"]["accounts"]}
    assert states == {names[0]: "connected", names[1]: "left_out"}
    assert found["acme"]["accounts_looked_at_next"].endswith("Z")
    assert (found[names[0]]["platform"], found[names[0]]["accounts"]) == ("acme", None)
    live.run("update tidegate.connections set left_out = false where name = :n", n=names[1])
    gone = {each["connection"]: each["state"] for each in status(hub.engine, ["acme"])["connections"][0]["accounts"]}
    assert gone[names[1]] == "gone"


AGO = "update tidegate.connections set {column} = now() - interval '{ago}'"


def attended(live: Live) -> None:
    """A worker gives a sign of life."""
    live.run("insert into procrastinate_workers (last_heartbeat) values (now())")


def freshness(live: Live, **options: Any) -> str:
    return one(live, **options)["freshness"]


@pytest.mark.wide
def test_freshness_in_words(live: Live) -> None:
    assert freshness(live) == "not imported yet"
    imported(live.hub, live.account, "products")
    assert freshness(live) == "partly imported"
    live.run("update tidegate.runs set state = 'running', finished_at = null, heartbeat_at = now()")
    assert freshness(live) == "being imported"
    imported(live.hub, live.account, full=True)
    assert freshness(live).startswith("as of 2026-08-31 23:59 UTC") or freshness(live).startswith(
        "as of 2026-09-01 00:00"
    )
    assert freshness(live).endswith("nothing keeps it current")
    live.catch_up()
    assert freshness(live).endswith("nothing keeps it current"), "it was caught up by hand, and no worker polls"
    attended(live)
    assert freshness(live) == "polling, up to 5 min behind"
    assert freshness(live, poll_seconds=600) == "polling, up to 10 min behind"
    live.run(AGO.format(column="caught_up_at", ago="16 minutes"))
    assert freshness(live).endswith("nothing keeps it current")
    live.run(AGO.format(column="last_webhook_at", ago="59 minutes"))
    assert freshness(live) == "live by webhooks"
    live.run("update procrastinate_workers set last_heartbeat = now() - interval '61 seconds'")
    assert freshness(live).endswith("nothing keeps it current"), "nobody would handle them"
    live.run("update procrastinate_workers set last_heartbeat = now()")
    live.run(AGO.format(column="last_webhook_at", ago="2 hours"))
    assert freshness(live).endswith("nothing keeps it current"), "nobody would know whether one was missed"
    live.run(AGO.format(column="caught_up_at", ago="1 minute"))
    assert freshness(live) == "live by webhooks", "polling would have told what they missed"
    live.told(event("customer.created", customer(), 100))
    live.run("update tidegate.inbox set received_at = now() - interval '21 minutes', "
             "next_try_at = now() - interval '21 minutes' where state = 'waiting'")  # fmt: skip
    assert freshness(live) == "behind: 1 events wait, the oldest for 21 min"
    disconnect(live.hub.engine, "acme", "cli:test")
    assert freshness(live) == f"disconnected since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def test_a_second_import_does_not_make_a_live_mirror_less_live(current: Live) -> None:
    with current.hub.engine.begin() as db:
        runs.begin(db, "acme", "import", {"resources": [], "began": 0}, "me")
    attended(current)
    assert freshness(current) == "polling, up to 5 min behind"


def incomplete(live: Live) -> None:
    live.run("update tidegate.runs set state = 'incomplete', summary = "
             "'{\"problems\": {\"disputes\": \"may not be read\"}}' where kind = 'import'")  # fmt: skip


def parked(live: Live) -> None:
    live.run("insert into tidegate.inbox (connection, event_id, type, created, source, body, state) "
             "values ('acme', 'evt_1', 'x', now(), 'webhook', '', 'parked')")  # fmt: skip


def waiting(live: Live) -> None:
    live.told(event("customer.created", customer(), 100))
    live.run("update tidegate.inbox set next_try_at = now() - interval '6 minutes' where state = 'waiting'")


def failing(live: Live) -> None:
    live.run("""
insert into tidegate.refetches (connection, resource, object_id, reason, attempts, error, next_try_at)
values ('acme', 'prices', 'price_1', 'event', 3, 'no permission', now() + interval '1 minute')""")


def unasked(live: Live) -> None:
    live.run("insert into tidegate.refetches (connection, resource, object_id, reason, next_try_at) "
             "values ('acme', 'prices', 'price_1', 'event', now() - interval '6 minutes')")  # fmt: skip


def unread(live: Live) -> None:
    live.run(AGO.format(column="caught_up_at", ago="16 minutes"))
    live.run("update tidegate.runs set finished_at = now() - interval '1 hour'")


def unbegun(live: Live) -> None:
    Doorbell(live.hub.engine).ring("import_account", connection="acme", resources=[], full=False)
    live.run("update procrastinate_events set at = now() - interval '6 minutes'")


def polled_only(live: Live) -> None:
    """Polling brought, half an hour ago, what no webhook told."""
    live.run("update tidegate.connections set webhook_secrets = 'sealed', last_webhook_at = now() - interval '3 hours'")
    live.told(event("customer.created", customer(), live.now), source="events")
    live.run("update tidegate.inbox set created = now() - interval '30 minutes' where event_id like 'evt_%cus_1'")
    live.drain()


def not_activated(live: Live) -> None:
    live.run("update tidegate.connections set livemode = true")
    live.run("update stripe.accounts set charges_enabled = false")


def audited(live: Live) -> None:
    live.run("delete from stripe.customers")
    live.audit("customers")


def noted(code: str, subject: str = "") -> Callable[[Live], None]:
    def note(live: Live) -> None:
        with live.hub.engine.begin() as db:
            problems.note(db, "acme", code, "what happened", subject)

    return note


PROBLEMS: list[tuple[str, Callable[[Live], None], str]] = [
    ("import_incomplete", incomplete, "disputes: may not be read"),
    ("inbox_parked", parked, "1 events"),
    ("queue_old", waiting, "1 events"),
    ("queue_old", unasked, "1 objects"),
    ("refetch_failing", failing, "no permission"),
    ("behind", unread, "not been read since"),
    ("queue_old", unbegun, "0 objects to fetch and an import wait"),
    ("audit_failed", audited, "Different: customers."),
    ("webhook_silent", polled_only, "1 events came by polling and by no webhook; the last came at"),
    ("account_not_activated", not_activated, "it may not take payments"),
    ("oauth_revoked", noted("oauth_revoked"), "what happened"),
    ("mode_wrong", noted("mode_wrong"), "what happened"),
    ("key_invalid", noted("key_invalid"), "what happened"),
    ("unreachable", noted("unreachable"), "what happened"),
    ("account_gone", noted("account_gone"), "what happened"),
    ("permission_missing", noted("permission_missing", "GET /v1/disputes"), "what happened"),
    ("events_lost", noted("events_lost"), "what happened"),
]


@pytest.mark.parametrize(
    ("code", "make", "detail"), PROBLEMS, ids=[f"{code}-{n}" for n, (code, _, _) in enumerate(PROBLEMS)]
)
def test_a_problem_is_shown_since_when_and_with_its_remedy(
    current: Live, code: str, make: Callable[[Live], None], detail: str
) -> None:
    make(current)
    (problem,) = one(current)["problems"]
    assert problem["code"] == code
    assert detail in problem["detail"]
    assert problem["since"].endswith("Z")
    assert problem["remedy"]
    assert "{" not in problem["remedy"]


def test_every_problem_that_has_a_remedy_can_be_made(live: Live) -> None:
    assert codes(live) == ["not_imported"]
    of_syncs = {
        "sync_failed",
        "sync_invalid",
        "sync_rows_failed",
        "sync_late",
        "sync_slow",
        "sync_unfinished",
        "outbound_paused",
    }  # test_sync_operation.py, test_sync_links.py
    of_usage = {"usage_failed", "usage_late"}  # test_forward_usage.py
    of_destinations = {
        "destination_paused",
        "destination_failing",
        "dead_letters",
        "deliveries_late",
        "action_unusable",
        "action_idle",
    }  # test_delivery_operation.py
    alone = {"not_imported", "no_worker", "disk_low", "action_unusable"}  # the last: test_actions.py
    alone |= {"owner_idle", "rates_missing"}  # test_owners.py, test_ledger_policy.py
    alone.add("audit_incomplete")  # test_what_the_key_may_not_read_is_not_said_to_differ
    made = {code for code, _, _ in PROBLEMS} | alone | of_syncs | of_usage | of_destinations
    assert made == set(problems.REMEDIES)


CLEARED: list[tuple[Callable[[Live], None], str]] = [
    (polled_only, "update tidegate.connections set last_webhook_at = now()"),
    (polled_only, "update tidegate.connections set last_webhook_at = now() - interval '85 minutes'"),
    (polled_only, "update tidegate.connections set webhook_secrets = null"),
    (polled_only, "update tidegate.inbox set source = 'webhook'"),
    (polled_only, "update tidegate.inbox set created = now() - interval '9 minutes'"),
    (not_activated, "update stripe.accounts set charges_enabled = true"),
    (not_activated, "update tidegate.connections set livemode = false"),
    (unbegun, "update procrastinate_jobs set status = 'succeeded'"),
    (unbegun, "update procrastinate_jobs set scheduled_at = now() + interval '1 minute'"),
    (unbegun, "insert into procrastinate_jobs (queue_name, task_name, lock, status) "
              "values ('import', 'import_account', 'import_account:acme', 'doing')"),
    (waiting, "update tidegate.inbox set state = 'handled' where state = 'waiting'"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "sql"), CLEARED)
def test_a_problem_that_shows_in_the_tables_ends_with_its_cause(
    current: Live, make: Callable[[Live], None], sql: str
) -> None:
    make(current)
    assert len(codes(current)) == 1
    current.run(sql)
    assert codes(current) == []


def test_a_silent_endpoint_is_not_called_live(current: Live) -> None:
    polled_only(current)
    attended(current)
    assert freshness(current) == "polling, up to 5 min behind"
    current.run("update tidegate.connections set last_webhook_at = now()")
    assert freshness(current) == "live by webhooks"


def test_an_endpoint_that_never_sent_anything_is_silent_too(current: Live) -> None:
    polled_only(current)
    current.run("update tidegate.connections set last_webhook_at = null, created_at = now() - interval '1 day'")
    (problem,) = one(current)["problems"]
    assert problem["detail"].endswith("none ever came.")


def test_whether_webhooks_are_silent_is_told_without_reading_the_inbox(current: Live) -> None:
    """It is asked whenever somebody looks at the status, and a busy account's inbox has millions of rows."""
    current.run("""
insert into tidegate.inbox (connection, event_id, type, created, source, state, body)
select 'acme', 'evt_' || n, 'customer.updated', now() - interval '1 hour', 'webhook', 'handled', '{}'
from generate_series(1, 5000) n""")
    current.run("analyze tidegate.inbox")
    asked: list[tuple[str, dict[str, Any]]] = []

    def note(_db: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "i.source = 'events'" in statement:
            asked.append((statement, parameters))

    sql_events.listen(current.hub.engine, "before_cursor_execute", note)
    current.run("update tidegate.connections set last_webhook_at = now() - interval '1 day'")
    one(current)
    sql_events.remove(current.hub.engine, "before_cursor_execute", note)
    [(statement, parameters)] = asked
    with current.hub.engine.connect() as db:
        plan = "\n".join(db.exec_driver_sql(f"explain {statement}", parameters).scalars())
    assert "inbox_polled" in plan


def test_an_account_whose_details_lack_is_not_activated(current: Live) -> None:
    current.run("update tidegate.connections set livemode = true")
    assert codes(current) == []
    current.run("update stripe.accounts set details_submitted = false")
    (problem,) = one(current)["problems"]
    assert (problem["code"], problem["detail"].endswith(": its details are not complete.")) == (
        "account_not_activated",
        True,
    )


def of_installation(live: Live, **options: Any) -> list[str]:
    found = status(live.hub.engine, **options)["problems"]
    return [problem["code"] for problem in found if not problem["connection"]]


@pytest.mark.parametrize("make", [waiting, unasked, unbegun])
def test_no_worker_is_a_problem_while_something_is_due(current: Live, make: Callable[[Live], None]) -> None:
    assert of_installation(current) == []
    make(current)
    assert of_installation(current) == ["no_worker"]
    current.run("insert into procrastinate_workers (last_heartbeat) values (now() - interval '30 seconds')")
    assert of_installation(current) == []
    current.run("update procrastinate_workers set last_heartbeat = now() - interval '61 seconds'")
    assert of_installation(current) == ["no_worker"]
    disconnect(current.hub.engine, "acme", "cli:test")
    assert of_installation(current) == [], "nobody waits for it any more"


def test_a_full_disk_is_a_problem_of_the_embedded_database(
    current: Live, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free = [capacity.DISK_LOW - 1]

    def free_bytes(home: Path) -> tuple[Path, int]:
        return home, free[0]

    monkeypatch.setattr(problems_found, "free_bytes", free_bytes)
    (problem,) = status(current.hub.engine, home=tmp_path)["problems"]
    assert (problem["code"], problem["connection"], problem["since"]) == ("disk_low", "", None)
    assert problem["detail"] == f"2.0 GB are free under {tmp_path}."
    assert of_installation(current) == [], "the disk of another database cannot be seen"
    free[0] += 1
    assert of_installation(current, home=tmp_path) == []


def test_an_import_of_something_else_hides_nothing(current: Live) -> None:
    incomplete(current)
    imported(current.hub, current.account, "products")
    assert codes(current) == ["import_incomplete"]
    imported(current.hub, current.account, "disputes")
    assert codes(current) == [], "what had failed is read"


def test_an_interrupted_import_is_made_good_by_one_of_everything_only(current: Live) -> None:
    current.run("update tidegate.runs set state = 'interrupted', error = 'killed' where kind = 'import'")
    imported(current.hub, current.account, "products")
    (problem,) = one(current)["problems"]
    assert (problem["code"], problem["detail"]) == ("import_incomplete", "killed")
    imported(current.hub, current.account, full=True)
    assert codes(current) == []


def test_behind_shows_beside_an_import_that_lacks_a_permission_for_good(current: Live) -> None:
    incomplete(current)
    unread(current)
    assert codes(current) == ["import_incomplete", "behind"]


def test_access_taken_back_shows_until_stripe_answers_again(current: Live) -> None:
    restore = changed(current.sandbox, revoked)
    with pytest.raises(StripeAccessRevoked):
        current.catch_up()
    assert codes(current) == ["oauth_revoked"]
    restore()
    current.catch_up()
    assert codes(current) == []


def test_an_event_tells_that_access_was_taken_back(current: Live) -> None:
    gone = event("account.application.deauthorized", {"object": "application", "id": "ca_1"}, current.now)
    current.told(gone)
    current.drain()
    (problem,) = one(current)["problems"]
    assert (problem["code"], gone["id"] in problem["detail"]) == ("oauth_revoked", True)
    current.catch_up()
    assert codes(current) == [], "the account may be connected in another way"


def test_a_drain_that_reaches_stripe_clears_unreachable(current: Live) -> None:
    unasked(current)
    current.drain(base=NOWHERE)
    assert codes(current) == ["unreachable"]
    current.drain()
    assert codes(current) == ["unreachable"], "nothing was due, so nobody asked Stripe"
    current.run("update tidegate.refetches set next_try_at = now()")
    current.drain()
    assert codes(current) == []


def test_an_event_that_waits_for_its_next_try_is_no_idle_queue(current: Live) -> None:
    current.told(event("customer.created", customer(), 100))
    current.run("update tidegate.inbox set received_at = now() - interval '2 hours', "
                "next_try_at = now() + interval '1 hour', attempts = 7 where state = 'waiting'")  # fmt: skip
    assert codes(current) == []
    assert one(current)["inbox"]["oldest_seconds"] >= 7_200


def test_an_import_alone_is_current_for_a_quarter_of_an_hour_only(live: Live) -> None:
    imported(live.hub, live.account)
    assert codes(live) == []
    live.run("update tidegate.runs set finished_at = now() - interval '16 minutes'")
    assert codes(live) == ["behind"]
    assert codes(live, poll_seconds=3_600) == [], "that is how often it is to look"


def test_a_later_audit_of_something_else_does_not_hide_what_was_found(current: Live) -> None:
    audited(current)
    current.audit("products")
    assert codes(current) == ["audit_failed"]
    imported(current.hub, current.account, "customers", full=True)
    current.audit("customers")
    assert codes(current) == []


def test_an_interrupted_audit_hides_nothing_either(current: Live) -> None:
    audited(current)
    with current.hub.engine.begin() as db:
        runs.begin(db, "acme", "audit", {"resources": []}, "me")
    assert codes(current) == ["audit_failed"]


def test_what_the_key_may_not_read_is_not_said_to_differ(current: Live) -> None:
    from tidegate.sandbox.keys import Key

    assert current.sandbox.server is not None
    ring = current.sandbox.server.keys
    names = [name for name in current.sandbox.state.collections if name != "disputes"]
    current.sandbox.call(lambda: ring.add(Key(current.sandbox.key, dict.fromkeys(names, "read"))))
    current.audit("disputes")
    details = {problem["code"]: problem["detail"] for problem in one(current)["problems"]}
    assert set(details) == {"permission_missing", "audit_incomplete"}
    assert details["audit_incomplete"].startswith("Not compared: disputes (")


def test_of_many_that_could_not_be_compared_one_says_why(current: Live) -> None:
    from tidegate.sandbox.keys import Key

    assert current.sandbox.server is not None
    ring = current.sandbox.server.keys
    lacking = {"disputes", "charges", "coupons", "quotes"}
    names = [name for name in current.sandbox.state.collections if name not in lacking]
    current.sandbox.call(lambda: ring.add(Key(current.sandbox.key, dict.fromkeys(names, "read"))))
    current.audit(*sorted(lacking))
    (detail,) = [one["detail"] for one in one(current)["problems"] if one["code"] == "audit_incomplete"]
    assert detail.startswith("Not compared: charges (")
    assert detail.endswith("), coupons, disputes, quotes.")


def test_a_disconnected_account_has_no_problem(current: Live) -> None:
    parked(current)
    noted("events_lost")(current)
    disconnect(current.hub.engine, "acme", "cli:test")
    assert codes(current) == []


def test_what_is_too_big_to_count_is_estimated(current: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "COUNTED", 500)
    current.run("""
insert into stripe.charges (connection, id, updated_at, certainty, deleted_at, data)
select case when n % 1000 < 10 then 'tiny' else 'acme' end, 'ch_' || n, now(), 1,
  case when n % 5 = 0 then now() end, '{}'
from generate_series(1, 10000) n""")
    for analysed in (False, True):
        if analysed:
            current.run("analyze stripe.charges")
        found = {each["resource"]: each for each in one(current)["resources"]}
        charges = found["charges"]
        assert (charges["estimated"], charges["newest"]) == (True, None)
        if analysed:
            assert charges["stored"] == pytest.approx(7_920, rel=0.1)
            assert charges["deleted"] == pytest.approx(1_980, rel=0.1)
        assert found["customers"]["estimated"] is False
    with current.hub.engine.connect() as db:
        (few,) = [each for each in sizes.sizes(db, "tiny") if each["resource"] == "charges"]
    assert (few["stored"], few["deleted"], few["estimated"]) == (80, 20, False), "few rows in a big table are counted"
