"""Where alerts go: to the owner's destination, else to the default route, once, in the transaction that opens them."""

from typing import Any

import pytest
from sqlalchemy import text
from tests.support.receiver import Receiver
from tests.support.told import Told

from tidegate.cli.setup import _asked_for_alerts  # pyright: ignore[reportPrivateUsage]
from tidegate.delivery import stored
from tidegate.errors import DestinationUnknown, LifecycleInvalid
from tidegate.lifecycle import due, routes
from tidegate.lifecycle.routes import Route
from tidegate.wiring import Hub
from tidegate.workflows.delivery import destinations

FAILED: dict[str, Any] = {"failed_attempts": 1, "failing_invoice": "in_1"}
OVER: dict[str, Any] = {"failed_attempts": 0, "failing_invoice": None}


@pytest.fixture
def told(hub: Hub, receiver: Receiver) -> Told:
    told = Told(hub, receiver)
    told.destination("ops")
    told.destination("ada-slack")
    return told


def test_an_alert_goes_to_the_owners_destination_else_to_the_default_route(told: Told) -> None:
    told.route("ops")
    told.owner("ada", destination="ada-slack")
    told.owner("bob")
    of_ada, of_bob, of_nobody, of_stranger = (told.people.add(ref) for ref in ("a", "b", "c", "d"))
    for contact, owner in ((of_ada, "ada"), (of_bob, "bob"), (of_stranger, "zoe")):
        told.owned(contact, owner)
    told.people.pass_()
    assert told.came() == []
    for contact in (of_ada, of_bob, of_nobody, of_stranger):
        told.people.set(contact, **FAILED)
    told.people.pass_()
    came = told.received()
    assert sorted((where, data["contact"]) for where, _, data in came) == [
        ("ada-slack", "account:a"),
        ("ops", "account:b"),
        ("ops", "account:c"),
        ("ops", "account:d"),
    ]
    assert {(kind, data["rule"], data["title"]) for _, kind, data in came} == {
        ("alert.opened", "payment_failed", "Payment failed")
    }
    assert came[0][2]["text"] == "payments.failed is above 0 (1)"
    rows = told.people.rows("select routed_to from tidegate.alerts order by contact")
    assert [row[0] for row in rows] == ["ada-slack", "ops", "ops", "ops"]


def test_once_for_each_occurrence_and_its_end_goes_where_it_began(told: Told) -> None:
    told.route("ops")
    key = told.people.add()
    told.people.pass_()
    told.people.set(key, **FAILED)
    told.people.pass_()
    told.people.pass_(1)
    assert told.came() == [("ops", "alert.opened", "payment_failed")]
    told.route("ada-slack")
    told.people.set(key, **OVER)
    told.people.pass_()
    assert told.came() == [("ops", "alert.resolved", "payment_failed")]
    told.people.set(key, failed_attempts=1, failing_invoice="in_2")
    told.people.pass_()
    assert told.came() == [("ada-slack", "alert.opened", "payment_failed")]


def test_a_destination_that_asks_for_alerts_anyway_is_sent_each_once(told: Told) -> None:
    told.destination("ops", events=("alert.*",))
    told.route("ops")
    key = told.people.add()
    told.people.pass_()
    told.people.set(key, **FAILED)
    told.people.pass_()
    assert told.came() == [("ops", "alert.opened", "payment_failed")]


def test_without_a_route_nobody_is_told_and_the_alert_is_there(told: Told) -> None:
    key = told.people.add()
    told.people.pass_()
    told.people.set(key, **FAILED)
    told.people.pass_()
    assert told.people.alerts() == [("payment_failed", "open")]
    assert told.came() == []


def test_what_an_import_opens_is_told_to_nobody_also_of_contacts_that_were_known(told: Told) -> None:
    told.route("ops")
    known = told.people.add("known")
    told.people.pass_()
    told.people.set(known, **FAILED, status="past_due")
    told.people.add("new", status="past_due", **FAILED)
    with told.hub.engine.begin() as db:
        db.execute(text("select set_config('tidegate.history', 'on', true)"))
        due.note(db, [known])
    taken(told)
    told.people.pass_()
    assert told.people.alerts() == [("payment_failed", "open"), ("payment_failed", "open")]
    assert told.came() == []
    assert told.people.told() == []
    assert {row[0] for row in told.people.rows("select because from tidegate.memberships")} == {"begin"}
    told.people.set(known, failing_invoice="in_2")
    told.people.pass_()
    assert told.came() == [
        ("ops", "alert.opened", "payment_failed"),
    ]


def taken(told: Told) -> None:
    """A pass that ends after it has looked at the contacts that were queued, and kept what is imported of them."""
    with told.hub.engine.begin() as db:
        due.take(db, 10)


def test_what_changes_while_an_import_waits_is_no_history(told: Told) -> None:
    told.route("ops")
    key = told.people.add()
    told.people.pass_()
    with told.hub.engine.begin() as db:
        due.note(db, [key])
    with told.hub.engine.begin() as db:
        db.execute(text("select set_config('tidegate.history', 'on', true)"))
        due.note(db, [key])
    assert told.people.rows("select history from tidegate.lifecycle_due") == [(False,)]
    with told.hub.engine.begin() as db:
        db.execute(text("delete from tidegate.lifecycle_due"))
        db.execute(text("select set_config('tidegate.history', 'on', true)"))
        due.note(db, [key])
        db.execute(text("select set_config('tidegate.history', 'off', true)"))
        due.note(db, [key])
    assert told.people.rows("select history from tidegate.lifecycle_due") == [(False,)]


def test_what_waits_for_a_paused_destination_is_sent_when_it_is_resumed(told: Told) -> None:
    told.route("ops")
    key = told.people.add()
    told.people.pass_()
    with told.hub.engine.begin() as db:
        stored.pause(db, "ops", "ada")
    told.people.set(key, **FAILED)
    told.people.pass_()
    assert told.came() == []
    with told.hub.engine.begin() as db:
        stored.resume(db, "ops")
    assert told.came() == [("ops", "alert.opened", "payment_failed")]


def test_an_alert_and_what_is_due_of_it_are_there_together_or_not_at_all(told: Told) -> None:
    told.route("ops")
    key = told.people.add()
    told.people.pass_()
    told.people.set(key, **FAILED)
    with told.hub.engine.begin() as db:
        db.exec_driver_sql("alter table tidegate.deliveries add constraint none check (destination <> 'ops')")
    try:
        with pytest.raises(Exception, match="none"):
            told.people.pass_()
        assert told.people.alerts() == []
    finally:
        with told.hub.engine.begin() as db:
            db.exec_driver_sql("alter table tidegate.deliveries drop constraint none")
    told.people.pass_()
    assert told.came() == [("ops", "alert.opened", "payment_failed")]


def test_setup_makes_a_destination_of_the_address_that_is_typed_and_asks_again_for_one_that_is_none(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["nonsense", "json://127.0.0.1:9/", "json://127.0.0.1:9/", ""])

    def prompt(*_: Any, **__: Any) -> str:
        return next(typed)

    monkeypatch.setattr("typer.prompt", prompt)
    assert [_asked_for_alerts(told.hub) for _ in range(3)] == ["alerts", "alerts-2", None]
    with told.hub.engine.connect() as db:
        shown = stored.shown(db, "alerts")
    assert (shown["kind"], shown["spec"]["url"], shown["mode"]) == ("apprise", "…", "both")


def test_a_live_destination_is_not_sent_alerts_of_test_contacts(told: Told) -> None:
    told.destination("live", livemode=True)
    told.route("live")
    told.owner("ada", destination="ops")
    told.owner("bob", destination="live")
    keys = [told.people.add(ref) for ref in ("a", "b", "c")]
    told.owned(keys[0], "ada")
    told.owned(keys[1], "bob")
    told.people.pass_()
    for key in keys:
        told.people.set(key, **FAILED)
    told.people.pass_()
    assert [(where, data["contact"]) for where, _, data in told.received()] == [("ops", "account:a")]
    assert told.people.rows("select routed_to from tidegate.alerts order by contact") == [("ops",), ("",), ("",)]


@pytest.mark.parametrize(
    ("route", "words"),
    [
        (Route("ops", digest="hourly"), "daily or weekly, not 'hourly'"),  # pyright: ignore[reportArgumentType]
        (Route("", digest="daily"), "needs its `destination`"),
        (Route("ops", hour=24), "0 to 23, not 24"),
        (Route("ops", time_zone="Mars/Base"), "no time zone 'Mars/Base'"),
        (Route("km"), "of the kind kissmetrics, which takes no alerts. apprise, files, webhook do"),
    ],
)
def test_a_route_that_cannot_be_is_refused(told: Told, route: Route, words: str) -> None:
    said = {"api_key": "k"}
    with told.hub.engine.begin() as db:
        stored.define(db, "km", "kissmetrics", said, variables={}, vault=lambda: told.hub.vault, livemode=False)
    with told.hub.engine.begin() as db, pytest.raises(LifecycleInvalid, match=words):
        routes.put(db, route)


def test_a_route_names_a_destination_that_there_is_and_keeps_it(told: Told) -> None:
    with told.hub.engine.begin() as db, pytest.raises(DestinationUnknown, match="Is it ops"):
        routes.put(db, Route("opps"))
    told.route("ops")
    told.owner("ada", destination="ops")
    with (
        told.hub.engine.begin() as db,
        pytest.raises(LifecycleInvalid, match="the default route, the owner ada; name another"),
    ):
        destinations.remove(db, "ops", "ada")


def test_who_changes_again_while_it_waits_is_looked_at_again(told: Told) -> None:
    key = told.people.add()
    told.people.pass_()
    with told.hub.engine.begin() as db:
        due.note(db, [key])
    with told.hub.engine.begin() as changing:
        due.note(changing, [key])
        with told.hub.engine.begin() as looking:
            assert due.take(looking, 10) == [], "what changed cannot be seen yet"
    with told.hub.engine.begin() as db:
        assert due.take(db, 10) == [key]
