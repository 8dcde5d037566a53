"""Alerts of the hub itself: opened and resolved by the facts, once while they last, told to the default route."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.queue import connect
from tests.support.receiver import Receiver
from tests.support.told import NOW, Told
from tests.support.waiting import until

from tidegate.cli import watchman
from tidegate.connections import problems
from tidegate.connections.problems import REMEDIES
from tidegate.delivery import stored
from tidegate.errors import LifecycleInvalid
from tidegate.lifecycle import alerts, system_alerts
from tidegate.lifecycle.alert_rules import SETTABLE
from tidegate.lifecycle.system_alerts import LEFT_OUT, NAMES, Fact
from tidegate.wiring import Hub
from tidegate.workflows.operation import capacity, standing_problems, watch

SILENT = Fact("webhook_silent", "connection:acme", "No webhook came.", "Look in Stripe's dashboard.")


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


@pytest.fixture
def told(hub: Hub, receiver: Receiver) -> Told:
    told = Told(hub, receiver)
    told.destination("ops")
    told.route("ops")
    return told


def look(told: Told, facts: list[Fact], minutes: float = 0) -> alerts.Kept:
    told.people.now += timedelta(minutes=minutes)
    with told.hub.engine.begin() as db:
        system_alerts.lock(db)
        return system_alerts.keep(db, facts, told.people.now)


def states(told: Told) -> list[tuple[str, str, str]]:
    found = told.people.rows("select rule, subject, state from tidegate.alerts where contact is null order by id")
    return [(rule, subject, state) for rule, subject, state in found]


def test_everything_that_status_shows_is_a_rule_or_left_out_on_purpose() -> None:
    assert set(NAMES) | LEFT_OUT == set(REMEDIES)
    assert not set(NAMES) & LEFT_OUT
    assert not set(NAMES) & set(SETTABLE)


def test_it_opens_once_while_the_facts_say_it_and_is_told_with_its_remedy(told: Told) -> None:
    assert look(told, [SILENT]).opened == 1
    assert look(told, [SILENT], 1).opened == 0
    assert states(told) == [("webhook_silent", "connection:acme", "open")]
    [(where, kind, data)] = told.received()
    assert (where, kind, data["rule"], data["subject"]) == (
        "ops", "system_alert.opened", "webhook_silent", "connection:acme",
    )  # fmt: skip
    assert data["title"] == "No webhooks come (connection:acme)"
    assert data["text"] == "No webhook came.\nLook in Stripe's dashboard."


def test_it_is_resolved_once_the_facts_have_been_calm_and_the_next_is_another(told: Told) -> None:
    look(told, [SILENT])
    assert look(told, [], 1).resolved == 0
    assert look(told, [SILENT], 1).opened == 0
    look(told, [], 1)
    assert look(told, [], 4.9).resolved == 0
    assert look(told, [], 0.1).resolved == 1
    look(told, [SILENT], 60)
    assert [state for _, _, state in states(told)] == ["resolved", "open"]
    assert sorted(kind for _, kind, _ in told.received()) == [
        "system_alert.opened", "system_alert.opened", "system_alert.resolved",
    ]  # fmt: skip


def test_several_facts_of_one_rule_and_subject_are_one_alert(told: Told) -> None:
    facts = [Fact("permission_missing", "connection:acme", f"GET /v1/{name} is refused.") for name in ("a", "b")]
    assert look(told, facts).opened == 1
    [(reasons,)] = told.people.rows("select reasons from tidegate.alerts")
    assert reasons == ["GET /v1/a is refused. GET /v1/b is refused."]


def test_people_move_it_like_others_and_a_dismissed_one_ends_with_its_facts(told: Told) -> None:
    look(told, [SILENT])
    [(number,)] = told.people.rows("select id from tidegate.alerts")

    def move(state: Any, **more: Any) -> None:
        with told.hub.engine.begin() as db:
            alerts.move(db, number, state, "ada", told.people.now, **more)

    move("acknowledged")
    move("snoozed", until=NOW + timedelta(hours=1))
    look(told, [SILENT], 59)
    assert states(told)[0][2] == "snoozed"
    look(told, [SILENT], 1)
    assert states(told)[0][2] == "open"
    with pytest.raises(LifecycleInvalid, match="with a reason"):
        move("dismissed")
    move("dismissed", note="we know")
    assert look(told, [SILENT], 1).opened == 0
    look(told, [], 1)
    assert look(told, [], 5).resolved == 1
    assert look(told, [SILENT], 1).opened == 1


def test_that_the_default_route_is_paused_is_not_sent_there_and_says_so(told: Told) -> None:
    about = Fact("destination_paused", "destination:ops", "ops is sent nothing any more.", "Mend it.")
    look(told, [about, Fact("destination_paused", "destination:crm", "crm is sent nothing any more.")])
    assert [(where, data["subject"]) for where, _, data in told.received()] == [("ops", "destination:crm")]
    rows = told.people.rows("select routed_to, reasons from tidegate.alerts where subject = 'destination:ops'")
    assert rows[0][0] == ""
    assert rows[0][1][-1] == "nobody was told: the default route, ops, is the destination that this is about"
    look(told, [about], 1)
    rows = told.people.rows("select reasons from tidegate.alerts where subject = 'destination:ops'")
    assert rows[0][0][-1].startswith("nobody was told")
    assert len(rows[0][0]) == 3
    look(told, [], 1)
    look(told, [], 6)
    assert [data["subject"] for _, _, data in told.received()] == ["destination:crm"]


def test_owners_are_not_told_of_it(told: Told) -> None:
    told.destination("ada-slack")
    told.owner("ada", destination="ada-slack")
    look(told, [SILENT])
    assert [where for where, _, _ in told.received()] == ["ops"]


AGO = "now() - interval '{0} minutes'"


def run(told: Told, sql: str, **values: Any) -> None:
    with told.hub.engine.begin() as db:
        db.execute(text(sql), values)


def watched(told: Told, **more: Any) -> set[tuple[str, str]]:
    """What stands after a look at the real facts."""
    watch.watch(told.hub.engine, **more)
    return {(rule, subject) for rule, subject, state in states(told) if state == "open"}


def test_each_fact_of_a_destination_and_of_the_disk_opens_its_alert(
    told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    assert watched(told, home=tmp_path) == set()
    told.destination("crm", events=("*",))
    run(told, "insert into tidegate.outbox (type, data) values ('contact.created', '{}')")
    run(told, "insert into tidegate.deliveries (destination, outbox, next_try_at) "
        f"select 'crm', id, {AGO.format(16)} from tidegate.outbox")  # fmt: skip
    assert watched(told, home=tmp_path) == {("deliveries_late", "destination:crm")}
    run(told, "update tidegate.deliveries set state = 'dead', done_at = now(), error = 'no' where destination = 'crm'")
    assert ("dead_letters", "destination:crm") in watched(told, home=tmp_path)
    with told.hub.engine.begin() as db:
        stored.pause(db, "crm", "", "every try has failed")
    assert ("destination_paused", "destination:crm") in watched(told, home=tmp_path)
    monkeypatch.setattr(capacity.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    assert ("disk_low", "disk") in watched(told, home=tmp_path)


SYNC = """
insert into tidegate.syncs (key, model, connection, resource, spec, next_at)
values ('people', 'people', 'acme', 'customers', '{"key": "people", "model": "people", "resource": "customers",
  "match": {"id": "id"}, "fields": {}}', now() + interval '1 hour')"""
RAN = """
insert into tidegate.runs (connection, kind, state, started_at, finished_at, summary, error)
values ('sync:people', 'sync', '{state}', now() - interval '{minutes} minutes', now(), '{{"rows": 10}}', '{error}')"""
FORWARD = """
insert into tidegate.meter_forwards (debit, contact, feature, event_name, value, connection, customer, state, at, error)
select 1, max(key), 'calls', 'calls', 1, 'acme', 'cus_1', '{state}', now() - interval '16 minutes', 'no'
from tidegate.contacts"""
COMPARED = """
insert into tidegate.comparisons (run, connection, resource, verdict)
select max(id), 'acme', 'prices', 'different' from tidegate.runs"""
STANDS: dict[tuple[str, str], Sequence[str]] = {
    ("webhook_silent", "connection:acme"): (
        "update tidegate.connections set webhook_secrets = '\\x00', last_webhook_at = now() - interval '5 hours'",
        """
insert into tidegate.inbox (connection, event_id, type, created, source, body, state)
values ('acme', 'evt_1', 'x', now() - interval '3 hours', 'events', '{}', 'handled')""",
    ),
    ("behind", "connection:acme"): (
        "update tidegate.connections set caught_up_at = now() - interval '16 minutes'",
    ),
    ("refetch_failing", "connection:acme"): ("""
insert into tidegate.refetches (connection, resource, object_id, reason, attempts, error)
values ('acme', 'prices', 'price_1', 'event', 9, 'HTTP 500')""",),
    ("audit_failed", "connection:acme"): (
        "insert into tidegate.runs (connection, kind, state, finished_at) values ('acme', 'audit', 'done', now())",
        COMPARED,
    ),
    ("audit_incomplete", "connection:acme"): (
        "insert into tidegate.runs (connection, kind, state, finished_at) values ('acme', 'audit', 'done', now())",
        COMPARED.replace("different", "not_compared"),
    ),
    ("import_incomplete", "connection:acme"): ("""
insert into tidegate.runs (connection, kind, state, finished_at, error)
values ('acme', 'import', 'interrupted', now(), 'no')""",),
    ("usage_failed", "connection:acme"): (FORWARD.format(state="failed"),),
    ("usage_late", "connection:acme"): (FORWARD.format(state="waiting"),),
    ("sync_invalid", "sync:people"): (SYNC, """update tidegate.syncs set spec = '{"key": "people"}'"""),
    ("sync_failed", "sync:people"): (SYNC, RAN.format(state="interrupted", minutes=1, error="no")),
    ("sync_late", "sync:people"): (SYNC, "update tidegate.syncs set next_at = now() - interval '3 hours'"),
    ("sync_slow", "sync:people"): (SYNC, RAN.format(state="done", minutes=2000, error="")),
    ("sync_rows_failed", "sync:people"): (SYNC, RAN.format(state="done", minutes=1, error=""), """
insert into tidegate.sync_rows (sync, key, hash, state)
select 'people', n::text, n, 'failed' from generate_series(1, 9) n"""),
    ("destination_failing", "destination:ops"): ("""
update tidegate.destinations set failing_since = now() - interval '16 minutes', error = 'no' where key = 'ops'""",),
    ("action_unusable", "action:hello"): ("""
insert into tidegate.actions (key, spec, enabled, since, seen_until, seed)
values ('hello', '{"on": {"enters_stage": "nowhere"}, "do": [{"destination": "ops", "event": "x"}]}', true, now(),
  now(), '')""",),
    ("action_idle", "action:vips"): ("""
insert into tidegate.actions (key, spec, enabled, since, seen_until, seed)
values ('vips', '{"on": "payment_failed", "when": {"field": "segments", "has": "nobodys"},
  "do": [{"destination": "ops", "event": "x"}]}', true, now(), now(), '')""",),
    ("owner_idle", "owner:ada"): ("""
insert into tidegate.owners (key, place, condition) values ('ada', 0, '{"field": "segments", "has": "nobodys"}')""",),
}  # fmt: skip
"""By alert and subject what the tables then have."""
NOTED = (
    "key_invalid", "oauth_revoked", "account_gone", "mode_wrong", "permission_missing", "unreachable", "events_lost",
)  # fmt: skip
"""Problems that are noted when they are met."""


def test_each_fact_that_stands_in_the_tables_is_an_alert_of_its_subject(told: Told) -> None:
    connect(told.hub.engine, "acme")
    told.people.add()
    sound = """
insert into tidegate.runs (connection, kind, state, finished_at)
values ('acme', 'import', 'done', now() - interval '1 hour')"""
    run(told, sound)
    run(told, "update tidegate.connections set caught_up_at = now()")
    noted = {
        (code, "connection:acme"): [f"insert into tidegate.problems (connection, code, subject, detail) "
                                    f"values ('acme', '{code}', '', 'no')"] for code in NOTED
    }  # fmt: skip
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for case, statements in (STANDS | noted).items():
        with told.hub.engine.connect() as db, db.begin() as looking:
            for statement in statements:
                db.execute(text(statement))
            facts = standing_problems.facts(db, poll_seconds=300, home=None)
            system_alerts.keep(db, facts, NOW)
            rows = db.execute(text("select rule, subject from tidegate.alerts where contact is null"))
            found[case] = {(row.rule, row.subject) for row in rows}
            looking.rollback()
    assert found == {case: {case} for case in found}
    elsewhere = {"inbox_parked", "queue_old", "no_worker", "destination_paused", "dead_letters", "deliveries_late",
                 "disk_low", "rates_missing"}  # fmt: skip
    assert {rule for rule, _ in found} | elsewhere == set(NAMES) - {"account_not_activated", "sync_unfinished"}


def test_nobody_is_told_of_what_a_person_paused(told: Told) -> None:
    told.destination("crm")
    with told.hub.engine.begin() as db:
        stored.pause(db, "crm", "ada")
    assert watched(told) == set()


def test_a_noted_problem_of_a_connection_is_an_alert_with_the_same_remedy(told: Told, make_sandbox: Any) -> None:
    from tests.support.importing import connected

    account = connected(told.hub, make_sandbox(customers=1, months=1))
    with told.hub.engine.begin() as db:
        problems.note(db, account.name, "key_invalid", "Stripe says: Invalid API Key.")
        parked = """
insert into tidegate.inbox (connection, event_id, type, created, source, body, state, next_try_at)
values ('acme', 'evt_1', 'x', now(), 'webhook', '{}', 'parked', now()),
  ('acme', 'evt_2', 'x', now(), 'webhook', '{}', 'waiting', now() - interval '6 minutes')"""
        db.execute(text(parked))
    assert watched(told) == {
        ("key_invalid", "connection:acme"),
        ("inbox_parked", "connection:acme"),
        ("queue_old", "connection:acme"),
        ("no_worker", "worker"),
    }
    [(reasons,)] = told.people.rows("select reasons from tidegate.alerts where rule = 'key_invalid'")
    assert reasons == ["Stripe says: Invalid API Key.", REMEDIES["key_invalid"].format(connection="acme", subject="")]
    with told.hub.engine.begin() as db:
        problems.clear(db, "acme", ["key_invalid"])
        db.execute(text("update tidegate.inbox set state = 'handled'"))
    watch.watch(told.hub.engine)
    later = datetime.now(UTC) + timedelta(minutes=6)
    assert watch.watch(told.hub.engine, as_of=later).resolved == 4


def test_without_any_worker_the_web_process_tells_it(told: Told, make_sandbox: Any) -> None:
    from tests.support.importing import connected

    connected(told.hub, make_sandbox(customers=1, months=1))
    run(told, "insert into tidegate.inbox (connection, event_id, type, created, source, body, state, next_try_at) "
        f"values ('acme', 'evt_1', 'x', now(), 'webhook', '{{}}', 'waiting', {AGO.format(2)})")  # fmt: skip
    run(told, "insert into procrastinate_workers (last_heartbeat) values (now())")
    assert watch.watch_unattended(told.hub.engine, told.hub.destination) is None
    run(told, "delete from procrastinate_workers")
    done = watch.watch_unattended(told.hub.engine, told.hub.destination)
    assert done is not None
    assert done.opened == 1
    assert [(one.path, one.json["data"]["rule"]) for one in told.receiver.received] == [("/ops", "no_worker")]


def test_the_watchman_of_the_web_process_looks_again_and_again(told: Told) -> None:
    told.destination("crm", events=("*",))
    with told.hub.engine.begin() as db:
        stored.pause(db, "crm", "", "every try has failed")
    with watchman.watched(told.hub, between=0.05):
        until(lambda: told.receiver.received, "the default route is told")
    assert told.receiver.received[0].json["data"]["subject"] == "destination:crm"
