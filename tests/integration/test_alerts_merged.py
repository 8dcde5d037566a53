"""Contacts that become one, and two again: their alerts and suppression go along, and nobody is told anything twice."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.acting import Acting
from tests.support.builders import customer, invoice, item, price, subscription
from tests.support.shop import Shop, opened
from tests.support.waiting import until

from tidegate.delivery.outbox import Told, tell
from tidegate.lifecycle import alerts, due, rulebook
from tidegate.wiring import Hub
from tidegate.workflows import previewing
from tidegate.workflows.contacts import contacts_merge, contacts_suppress
from tidegate.workflows.lifecycle import lifecycle, lifecycle_settings

pytestmark = pytest.mark.further

FAILED: dict[str, Any] = {"failed_attempts": 1, "failing_invoice": "in_1"}
OVER: dict[str, Any] = {"failed_attempts": 0, "failing_invoice": None}


@pytest.fixture
def people(hub: Hub) -> Acting:
    return Acting(hub)


def merge(people: Any) -> int:
    change = contacts_merge.merged(False, "kept", "other", "ada")
    return previewing.settle(engine_of(people), change, anyway=True).result["merge"]


def part(people: Any, number: int) -> None:
    previewing.settle(engine_of(people), contacts_merge.unmerged(number, "ada"), anyway=True)


def engine_of(one: Any) -> Any:
    return one.engine if isinstance(one, Shop) else one.hub.engine


def taken(people: Acting) -> None:
    """Takes whoever waits off the queue: a test writes the facts itself that a look would bring."""
    with people.hub.engine.begin() as db:
        due.take(db, 10)


def heard(people: Acting) -> list[str]:
    """What was told of alerts and moves, oldest first."""
    return [f"{kind} {data.get('rule', '')}" for kind, data in people.told() if kind.partition(".")[0] in LIFECYCLE]


WAITS = "select 1 from pg_locks where locktype = 'advisory' and not granted"
LIFECYCLE = ("alert", "stage", "segment", "action")


def whose(people: Any) -> list[tuple[Any, ...]]:
    """(contact, occurrence, state) of the alerts."""
    return list(
        people.rows("""
select c.external_id, a.occurrence, a.state from tidegate.alerts a join tidegate.contacts c on c.key = a.contact
order by a.id""")
    )


def test_alerts_go_along_and_nobody_is_told_anything_again(people: Acting) -> None:
    kept, other = people.add("kept"), people.add("other", status="trialing")
    people.pass_()
    people.act({"alert_opened": "payment_failed"}, "alert")
    people.act({"enters_stage": "trial"}, "stage")
    people.set(other, **FAILED)
    assert people.pass_(1).fired == 1
    told = heard(people)
    number = merge(people)
    taken(people)
    people.set(kept, status="trialing", **FAILED)
    assert people.pass_(0.01).fired == 0
    assert whose(people) == [("kept", "in_1", "open")]
    part(people, number)
    taken(people)
    people.set(kept, status=None, **OVER)
    people.set(other, status="trialing", **FAILED)
    people.pass_(0.01)
    assert whose(people) == [("other", "in_1", "open")]
    assert (heard(people), people.of(kept, "stage"), people.of(other, "stage")) == (told, "prospect", "trial")


def test_a_merge_waits_for_who_is_looked_at_just_now(people: Acting) -> None:
    kept, other = people.add("kept"), people.add("other")
    people.pass_()
    people.set(other, **FAILED)
    with ThreadPoolExecutor(1) as beside:
        with people.hub.engine.begin() as db:
            rulebook.lock(db)
            lifecycle.place(db, people.now)
            merging = beside.submit(merge, people)
            until(lambda: merging.done() or people.rows(WAITS), "the merge waits")
        merging.result(20)
    taken(people)
    people.set(kept, **FAILED)
    people.pass_(0.1)
    assert heard(people) == ["alert.opened payment_failed"]
    assert whose(people) == [("kept", "in_1", "open")]


def test_a_property_that_a_merge_brings_moves_silently(people: Acting) -> None:
    people.add("kept")
    people.add("other", {"mrr": 1500})
    lifecycle_settings.change(people.hub.engine, "ada", said_worth={"mrr": "properties.mrr"}, as_of=people.now)
    people.pass_()
    merge(people)
    people.pass_(0.1)
    segments = "select segments from tidegate.contact_lifecycle l join tidegate.contacts c on c.key = l.contact"
    assert people.rows(f"{segments} where external_id = 'kept'") == [(["enterprise"],)]
    assert heard(people) == []


def test_an_action_that_missed_an_alert_of_a_merged_contact_does_it_once(people: Acting) -> None:
    kept, other = people.add("kept"), people.add("other")
    people.pass_()
    people.act({"alert_opened": "payment_failed"})
    people.set(other, **FAILED)
    people.place(1)
    assert people.fire() == 1
    people.run("update tidegate.actions set seen_until = seen_until - interval '1 hour'")
    merge(people)
    taken(people)
    people.set(kept, **FAILED)
    assert people.pass_().fired == 0
    assert people.decided() == [("fired", ""), ("passed", "merged")]


@pytest.mark.parametrize("mine", ["resolved", "dismissed"])
def test_of_the_same_occurrence_the_one_that_stands_stays_and_both_come_back(people: Acting, mine: Any) -> None:
    kept, other = people.add("kept", **FAILED), people.add("other", **FAILED)
    people.pass_()
    if mine == "resolved":
        people.set(kept, **OVER)
        people.pass_(1)
    else:
        [(number,)] = people.rows("select id from tidegate.alerts where contact = :kept", kept=kept)
        with people.hub.engine.begin() as db:
            alerts.move(db, number, "dismissed", "ada", people.now, note="they pay by wire")
    before = people.rows("select * from tidegate.alerts order by id")
    number = merge(people)
    assert whose(people) == [("kept", "in_1", "open")]
    part(people, number)
    assert people.rows("select * from tidegate.alerts order by id") == before
    assert other != kept


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        shop.settings(create_missing=True)
        shop.has(price())
        for number, name in enumerate(("kept", "other"), 1):
            cus, sub = f"cus_{number}", f"sub_{number}"
            items = [item(f"si_{number}", sub)]
            shop.has(
                customer(cus, email=f"{name}@x.com", metadata={"id": name}), subscription(sub, items, customer=cus)
            )
        yield shop


def test_what_came_while_they_were_one_goes_to_whose_it_is(shop: Shop) -> None:
    shop.refresh()
    for number, name in enumerate(("kept", "other"), 1):
        with shop.engine.begin() as db:
            values = {"name": name, "customer": f"cus_{number}"}
            db.execute(
                text("""
update tidegate.contacts c set external_id = :name from tidegate.links l
where l.customer = :customer and l.contact = c.key"""),
                values,
            )
            db.execute(
                text("""
update tidegate.contact_ids i set external_id = :name from tidegate.links l
where l.customer = :customer and l.contact = i.contact"""),
                values,
            )
    keep(shop)
    number = merge(shop)
    keep(shop)
    for place in (1, 2):
        said = {"status": "open", "attempt_count": 1, "amount_remaining": 100, "subscription": f"sub_{place}"}
        shop.has(invoice(f"in_{place}", customer=f"cus_{place}", **said))
    shop.refresh()
    keep(shop)
    assert whose(shop) == [("kept", "in_1", "open"), ("kept", "in_2", "open")]
    told = shop.rows("select type from tidegate.outbox where type ~ '^(alert|stage|segment)'")
    part(shop, number)
    keep(shop)
    assert whose(shop) == [("kept", "in_1", "open"), ("other", "in_2", "open")]
    assert shop.rows("select type from tidegate.outbox where type ~ '^(alert|stage|segment)'") == told


def keep(shop: Shop) -> None:
    lifecycle.keep(shop.engine, as_of=datetime(2026, 3, 15, tzinfo=UTC))


def waiting(people: Acting) -> list[tuple[Any, ...]]:
    """(contact, type) of what waits for `all`."""
    return people.rows("""
select c.external_id, o.type from tidegate.deliveries d join tidegate.outbox o on o.id = d.outbox
join tidegate.contacts c on c.key = d.contact where d.destination = 'all' and d.state = 'waiting' order by d.id""")


@pytest.mark.parametrize("who", ["kept", "other"])
def test_a_merge_with_a_suppressed_contact_is_silent_until_they_are_two_again(people: Acting, who: str) -> None:
    keys = {name: people.add(name) for name in ("kept", "other")}
    people.destination("all", events=["alert.*"])
    with people.hub.engine.begin() as db:
        contacts_suppress.suppress(db, False, who, "wishes so", "ada")
        tell(db, [Told("alert.opened", {}, key) for key in keys.values()])
    free = next(name for name in keys if name != who)
    assert waiting(people) == [(free, "alert.opened")]
    number = merge(people)
    assert waiting(people) == []
    part(people, number)
    with people.hub.engine.begin() as db:
        assert [one["contact"] for one in contacts_suppress.listing(db, False)] == [f"account:{who}"]
        tell(db, [Told("alert.opened", {}, key) for key in keys.values()])
    assert waiting(people) == [(free, "alert.opened")]


def test_a_suppression_that_was_said_anew_since_the_merge_stays(people: Acting) -> None:
    for name in ("kept", "other"):
        people.add(name)
    with people.hub.engine.begin() as db:
        contacts_suppress.suppress(db, False, "other", "wishes so", "ada")
    number = merge(people)
    with people.hub.engine.begin() as db:
        contacts_suppress.suppress(db, False, "kept", "both wish so", "ada")
    part(people, number)
    with people.hub.engine.connect() as db:
        assert {one["contact"] for one in contacts_suppress.listing(db, False)} == {"account:kept", "account:other"}
