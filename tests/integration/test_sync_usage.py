"""Usage to Stripe's meters: each row counts once, whatever happens; what was told is never told again nor changed."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.desk import Desk, opened
from tests.support.usage import DAY, FIELDS, counted, first, identifiers, now, ready, row

from tidegate.errors import SyncInvalid
from tidegate.outbound import rows, specs, syncs
from tidegate.outbound.metering.events import PATH
from tidegate.workflows.contacts.contacts_forget import forget
from tidegate.workflows.outbound import revert_sync
from tidegate.workflows.outbound.sync_plan import Part

FULL = Part(full=True)


@pytest.fixture
def desk(fresh_database_url: str, secret_key: str, tmp_path: Path) -> Iterator[Desk]:
    with opened(fresh_database_url, secret_key, tmp_path, as_of=now()) as desk:
        yield desk


def on_events(desk: Desk, hook: Callable[[int], str | None]) -> None:
    """Lets the requests that tell usage meet the fault that the hook says of their number, from 1 on."""
    server, told = desk.sandbox.server, [0]

    def draw(path: str = "") -> str | None:
        if path != PATH:
            return None
        told[0] += 1
        return hook(told[0])

    server.faults.draw = draw
    server.faults.late = lambda: True


def healed(desk: Desk) -> None:
    desk.sandbox.server.faults.draw = lambda path="": None


def test_rows_count_once_and_an_unchanged_model_asks_nothing(desk: Desk) -> None:
    ada, bo = ready(desk)
    at = now() - 3600
    desk.table("usage", row(1, calls="3", at=at), row(2, calls="0.5"), row(3, "bo", "-2"), row(4, "bo", "7"))
    done = first(desk)
    assert (done["state"], done["sent"]) == ("done", {"create": 4})
    assert counted(desk.sandbox) == {ada: 3.5, bo: 5}
    told = [params for _, path, params in desk.asked() if path == "billing/meter_events"]
    params = next(one for one in told if one["timestamp"] == str(at))
    assert params["event_name"] == "calls"
    assert params["payload"] == {"stripe_customer_id": ada, "value": "3"}
    assert params["identifier"].startswith("tidegate-")
    assert desk.run("usage")["sent"] == {}
    assert desk.asked() == []
    desk.run("usage", part=FULL)
    assert (desk.asked(), len(identifiers(desk.sandbox))) == ([], 4)


def test_a_plan_says_what_would_count_and_asks_nothing(desk: Desk) -> None:
    ready(desk)
    desk.asked()
    late, early = row(4, calls="1", at=now() - 36 * DAY), row(5, calls="1", at=now() + 400)
    desk.table("usage", row(1, calls="1"), row(2, "nobody", "1"), row(3, calls="many"), late, early)
    desk.sync("usage", "meter_events", {}, FIELDS)
    plan = desk.plan("usage")
    assert {kind: n for kind, n in plan["counts"].items() if n} == {"create": 1, "held": 1, "invalid": 3}
    assert desk.asked() == []
    assert "waits for customers with email nobody@usage.example" in plan["sample"]["held"][0]["why"]
    told = {one["key"]: one["problems"][0] for one in plan["sample"]["invalid"]}
    assert told["3"]["field"] == "value"
    assert "past 35 days only" in told["4"]["problem"]
    assert "5 minutes ahead" in told["5"]["problem"]


@pytest.mark.wide
def test_a_row_that_changes_afterwards_is_said_and_not_told_again(desk: Desk) -> None:
    ada, bo = ready(desk)
    at = now() - 60
    desk.table("usage", row(1, calls=3, at=at), row(2, calls=4, at=at))
    first(desk)
    desk.table("usage", row(1, calls=5, at=at), row(2, "bo", calls=4, at=at))
    done = desk.run("usage")
    assert (done["state"], done["sent"], done["counts"]["invalid"]) == ("incomplete", {}, 2)
    state, why = desk.states("usage")["1"]
    assert state == "invalid"
    assert "usage cannot be changed" in why
    assert "write what differs as a new row" in why
    assert counted(desk.sandbox) == {ada: 7}
    desk.table("usage", row(1, calls=3, at=at), row(2, calls=4, at=at), row(3, calls=2))
    assert desk.run("usage", plan=None)["state"] == "done"
    assert {state for state, _ in desk.states("usage").values()} == {"sent"}
    assert counted(desk.sandbox) == {ada: 9}
    desk.table("usage", row(3, calls=2))
    desk.run("usage")
    desk.table("usage", row(1, calls=3, at=at), row(2, "bo", calls=9, at=at))  # they left, and came back
    assert desk.run("usage")["sent"] == {}
    assert (counted(desk.sandbox), bo in counted(desk.sandbox)) == ({ada: 9}, False)


@pytest.mark.wide
def test_a_sync_that_is_reset_or_made_anew_tells_nothing_twice(desk: Desk) -> None:
    ada, _ = ready(desk)
    desk.table("usage", row(1, at=now() - 60), row(2, at=now() - 60))
    first(desk)
    with desk.hub.engine.begin() as db:
        rows.forget(db, "usage", ["1", "2"])
    assert desk.run("usage", part=FULL)["sent"] == {}
    with desk.hub.engine.begin() as db:
        syncs.remove(db, "syncs", "usage")
    assert first(desk)["sent"] == {}
    assert counted(desk.sandbox) == {ada: 2}
    assert {state for state, _ in desk.states("usage").values()} == {"sent"}


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"mode": "upsert"}, "mode: it is insert; usage is told once"),
        ({"mode": "update"}, "mode: it is insert"),
        ({"delete": "remove"}, "delete: usage is told once, and what left the model stays counted"),
        ({"on_conflict": "stripe"}, "on_conflict: usage is told once"),
        ({"match": {"id": "id"}}, "match: usage is told once"),
        ({"finish": "sent"}, "finish: only invoices and quotes"),
        ({"fields": {**FIELDS, "identifier": "id"}}, "fields.identifier: it cannot be written: it is made of the sync"),
        ({"fields": {**FIELDS, "custmer": "id"}}, "fields.custmer: there is no such field, perhaps customer"),
        ({"fields": {**FIELDS, "customer": {"name": "id"}}}, "fields.customer: it names one of customers by"),
    ],
)
@pytest.mark.wide
def test_what_cannot_be_said_of_usage_is_refused_when_it_is_read(said: dict[str, Any], problem: str) -> None:
    with pytest.raises(SyncInvalid) as wrong:
        specs.sync({"key": "usage", "model": "usage", "resource": "meter_events", "fields": FIELDS} | said)
    assert problem in str(wrong.value)


@pytest.mark.wide
def test_without_a_mode_it_is_insert() -> None:
    said = specs.sync({"key": "usage", "model": "usage", "resource": "meter_events", "fields": FIELDS})
    assert (said.mode, said.columns) == ("insert", ("calls", "owner", "used_at"))


@pytest.mark.wide
def test_the_meter_s_own_keys_dimensions_and_the_zone_of_times(desk: Desk) -> None:
    ada, _ = ready(desk)
    desk.v1.billing.meters.create(
        {
            "event_name": "bytes", "display_name": "Bytes", "default_aggregation": {"formula": "sum"},
            "customer_mapping": {"type": "by_id", "event_payload_key": "who"},
            "value_settings": {"event_payload_key": "bytes"},
        }
    )  # fmt: skip
    desk.learn()
    desk.asked()
    local = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    table = {"id": 1, "who": ada, "n": 5, "used_at": local, "region": "eu"}
    desk.table("usage", table)
    fields = {
        "event_name": {"value": "bytes"}, "customer": {"id": "who"}, "value": "n", "timestamp": "used_at",
        "payload": {"region": "region"},
    }  # fmt: skip
    assert first(desk, fields=fields, time_zone="Etc/GMT-3")["sent"] == {"create": 1}
    [(_, _, params)] = desk.asked()
    assert params["payload"] == {"who": ada, "bytes": "5", "region": "eu"}
    assert int(params["timestamp"]) == int(local.replace(tzinfo=UTC).timestamp()) - 3 * 3600
    taken = {**fields, "payload": {"who": "region"}}
    desk.sync("usage", "meter_events", {}, taken, time_zone="Etc/GMT-3")
    desk.table("usage", table, table | {"id": 2})
    desk.run("usage")
    assert "payload.who: write `customer` and `value`" in desk.states("usage")["2"][1]


@pytest.mark.wide
def test_a_meter_that_is_not_there_or_takes_nothing_is_named(desk: Desk) -> None:
    ready(desk)
    desk.table("usage", row(1, name="cals"), row(2, name="old"))
    old = desk.v1.billing.meters.create(
        {"event_name": "old", "display_name": "Old", "default_aggregation": {"formula": "sum"}}
    )
    desk.v1.billing.meters.deactivate(old.id)
    desk.catch_up()  # by its events
    first(desk, fields={**FIELDS, "event_name": "name"})
    states = desk.states("usage")
    assert "Stripe has no meter of this event name (perhaps calls)" in states["1"][1]
    assert "deactivated" in states["2"][1]
    desk.v1.billing.meters.reactivate(old.id)
    desk.catch_up()
    desk.run("usage")
    assert desk.states("usage")["2"][0] == "sent"


@pytest.mark.wide
def test_a_row_waits_for_its_customer_by_your_id_too(desk: Desk) -> None:
    ready(desk)
    desk.table("usage", row(1, who="acme"), row(2, who="cus_unknown"))
    first(desk, fields={**FIELDS, "customer": {"own_id": "who"}})
    assert "customers with own id acme" in desk.states("usage")["1"][1]
    first(desk, fields={**FIELDS, "customer": {"id": "who"}})
    assert desk.states("usage")["2"] == ("held", "waits for customers with id cus_unknown")
    assert counted(desk.sandbox) == {}


# Nothing counts twice.


WIDE = pytest.mark.wide


@pytest.mark.parametrize("fault", ["500", pytest.param("reset", marks=WIDE), pytest.param("truncate", marks=WIDE)])
@pytest.mark.wide
def test_an_answer_that_is_lost_counts_once(desk: Desk, fault: str) -> None:
    ada, _ = ready(desk)
    desk.table("usage", *(row(n, at=now() - 60) for n in range(1, 6)))
    on_events(desk, lambda n: fault if n in {2, 3} else None)
    first(desk)
    healed(desk)
    assert desk.run("usage", plan=None)["state"] == "done"
    assert counted(desk.sandbox) == {ada: 5}
    assert len(set(identifiers(desk.sandbox))) == 5
    assert {state for state, _ in desk.states("usage").values()} == {"sent"}


def doubted(desk: Desk, count: int = 1, at: int | None = None) -> str:
    """Rows of one minute of which Stripe counted all, and whose answers said 500; now it is a day later."""
    ada, _ = ready(desk)
    minute = (now() - 7200) // 60 * 60 if at is None else at
    desk.table("usage", *(row(n, calls=n + 2, at=minute + n) for n in range(1, count + 1)))
    on_events(desk, lambda _: "500")
    first(desk)
    healed(desk)
    a_day_later(desk)
    return ada


def a_day_later(desk: Desk) -> None:
    """Nobody remembers an identifier or a key any more."""
    desk.sandbox.advance(25 * 3600)
    with desk.hub.engine.begin() as db:
        db.execute(text("update tidegate.requests set intended_at = intended_at - interval '25 hours'"))


@pytest.mark.wide
def test_after_a_day_the_meter_s_summary_tells_that_it_was_counted(desk: Desk) -> None:
    ada = doubted(desk)
    assert len(identifiers(desk.sandbox)) == 1
    assert desk.run("usage", plan=None)["state"] == "done"
    assert desk.states("usage")["1"][0] == "sent"
    assert (counted(desk.sandbox), len(identifiers(desk.sandbox))) == ({ada: 3}, 1)


@pytest.mark.wide
def test_after_a_day_the_summary_tells_that_it_was_not_counted_and_it_is_told(desk: Desk) -> None:
    ada, _ = ready(desk)
    desk.table("usage", row(1, calls=3), row(2, calls=4))
    on_events(desk, lambda n: "500")
    desk.sandbox.server.faults.late = lambda: False
    first(desk)
    healed(desk)
    assert counted(desk.sandbox) == {}
    a_day_later(desk)
    assert desk.run("usage")["state"] == "done"
    assert counted(desk.sandbox) == {ada: 7}


@pytest.mark.wide
def test_after_a_day_what_the_summary_cannot_tell_is_not_told_again(desk: Desk) -> None:
    ada = doubted(desk, 2)
    told = desk.sandbox.call(lambda: desk.sandbox.state.metering.known)
    of_second = next(one for one in told.values() if one.value == 4)
    desk.sandbox.call(lambda: setattr(of_second, "canceled", True))  # in Stripe's dashboard, say
    done = desk.run("usage")
    assert (done["state"], done["failed"]) == ("incomplete", 2)
    state, why = desk.states("usage")["2"]
    assert state == "failed"
    assert "nobody knows whether Stripe counted it" in why
    assert "it says 3" in why
    assert "write it as a new row" in why
    desk.run("usage")
    assert (counted(desk.sandbox), len(identifiers(desk.sandbox))) == ({ada: 3}, 2)


@pytest.mark.wide
def test_a_run_is_taken_back_within_a_day_and_not_told_again(desk: Desk) -> None:
    ada, bo = ready(desk)
    desk.table("usage", row(1, calls=3), row(2, "bo", calls=4))
    done = first(desk)
    way = revert_sync.plan(desk.hub.engine, done["run"])
    assert way.as_json()["counts"]["revert"] == 2
    back = revert_sync.revert(desk.hub.engine, done["run"], desk.hub.stripe_writing, "me")
    assert (back["state"], back["sent"]) == ("done", {"cancel": 2})
    assert counted(desk.sandbox) == {}
    assert desk.run("usage", part=FULL)["sent"] == {}
    desk.table("usage", row(1, calls=9), row(2, "bo", calls=4), row(3, "bo", calls=1))
    desk.run("usage")
    assert counted(desk.sandbox) == {bo: 1}
    assert "for a new row to say" in desk.states("usage")["1"][1]
    with desk.hub.engine.begin() as db:
        db.execute(text("update tidegate.requests set intended_at = intended_at - interval '25 hours'"))
        last = db.scalar(text("select max(run) from tidegate.requests"))
    late = revert_sync.plan(desk.hub.engine, last).as_json()
    assert late["counts"] == {"revert": 0, "conflict": 0, "skip": 1, "nothing": 0}
    assert "within a day only" in late["sample"]["skip"][0]["why"]
    assert ada not in counted(desk.sandbox)


@pytest.mark.wide
def test_of_a_person_who_is_forgotten_nothing_is_told_any_more(desk: Desk) -> None:
    ada, bo = ready(desk)
    desk.table("usage", row(1, calls=3), row(2, "bo", 4))
    first(desk)
    forget(desk.hub.engine, False, None, "me", customer=ada, account=desk.account, only_preview=False)
    with desk.hub.engine.connect() as db:
        kept = db.execute(text("select params::text from tidegate.requests where key = '1'")).scalar_one()
    assert kept == "{}"
    desk.table("usage", row(1, calls=9), row(2, "bo", 4), row(3, calls=1))
    desk.run("usage", part=FULL)
    assert counted(desk.sandbox) == {ada: 3, bo: 4}
    assert desk.states("usage")["1"] == ("skipped", "the person was forgotten")
    assert desk.states("usage")["3"][0] in {"held", "skipped"}
