"""Digests: what a period brought, for each owner and for everybody, sent once a period, after a time without a worker
once.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.queue import connect
from tests.support.receiver import Receiver
from tests.support.told import NOW, Told

from tidegate.contacts import directory
from tidegate.delivery import suppressed_properties, suppressing
from tidegate.lifecycle import digests, listing, notes, system_alerts
from tidegate.lifecycle.system_alerts import Fact
from tidegate.wiring import Hub

MORNING = datetime(2026, 3, 16, 8, 30, tzinfo=UTC)
"""A Monday; NOW is the Sunday's noon before."""
FAILED: dict[str, Any] = {"failed_attempts": 1, "failing_invoice": "in_1"}


@pytest.fixture
def told(hub: Hub, receiver: Receiver) -> Told:
    told = Told(hub, receiver)
    told.destination("ops")
    told.destination("ada-mail")
    with told.hub.engine.begin() as db:
        db.execute(text("delete from tidegate.movements"))
        db.execute(text("delete from tidegate.ledgers"))
    return told


@pytest.fixture
def live_account(told: Told) -> Iterator[None]:
    connect(told.hub.engine, "live", livemode=True)
    yield
    with told.hub.engine.begin() as db:
        db.execute(text("delete from tidegate.permissions where connection = 'live'"))
        db.execute(text("delete from tidegate.connections where name = 'live'"))


def made(told: Told, at: datetime) -> int:
    with told.hub.engine.begin() as db:
        return digests.make_due(db, at)


def digest(told: Told) -> dict[str, Any]:
    [(_, kind, data)] = [one for one in told.received() if one[1] == "digest.made"]
    assert kind == "digest.made"
    return data


def moved(
    told: Told, contact: int, kind: str, amount: int, at: datetime, currency: str = "usd", unit: str = ""
) -> None:
    """A movement in the ledger, in minor units; `unit`: another one than the contact."""
    with told.hub.engine.connect() as db:
        known = db.scalar(text("select exists (select from tidegate.connections where name = 'books')"))
    if not known:
        connect(told.hub.engine, "books")
    with told.hub.engine.begin() as db:
        db.execute(text("""
insert into tidegate.ledgers (connection, edition, preset, time_zone, adopted_at)
values ('books', 1, 'default', 'UTC', now()) on conflict do nothing"""))  # fmt: skip
        db.execute(text("""
create table if not exists tidegate.movements_of_books partition of tidegate.movements
for values from ('books', 1) to ('books', 2)"""))  # fmt: skip
        opening, closing = (0, amount) if amount > 0 else (-amount, 0)
        db.execute(text("""
insert into tidegate.movements (edition, connection, unit, customer, subscription, item, currency, at, moved_at, day,
  kind, amount, opening, closing, price, product)
values (1, 'books', :unit, 'cus', 'sub', :item, :currency, :at, :at, :day, :kind, :amount, :opening, :closing, 'p',
  'prod')"""),
            {"unit": unit or f"contact:{contact}", "item": f"{contact}{unit}{kind}{at}", "currency": currency, "at": at,
             "day": at.date(), "kind": kind, "amount": amount * 1_000_000, "opening": opening * 1_000_000,
             "closing": closing * 1_000_000},
        )  # fmt: skip


def test_it_says_what_opened_was_resolved_and_is_still_open_and_what_is_coming(told: Told) -> None:
    told.route("ops", digest="daily")
    told.asked_long_ago()
    old, over, new = (told.people.add(ref) for ref in ("old", "over", "new"))
    told.people.pass_(-3)
    for key in (old, over):
        told.people.set(key, **FAILED)
    told.people.pass_()
    told.people.pass_(3)
    told.people.set(over, failed_attempts=0, failing_invoice=None)
    told.people.set(new, **FAILED, mrr='{"usd": 4900000000, "eur": 100000000}', renews_at=NOW + timedelta(days=5))
    told.people.set(old, renews_at=NOW + timedelta(days=20), mrr='{"usd": 1000000000}')
    told.people.pass_()
    with told.hub.engine.begin() as db:
        contact = directory.of_key(db, new)
        notes.add_task(db, contact, "Call them", "ada", NOW, due_on=date(2026, 3, 17))
        notes.add_task(db, contact, "Some time", "ada", NOW, due_on=date(2026, 4, 17))
    moved(told, new, "new", 4900, NOW)
    moved(told, new, "expansion", 100, NOW, "eur")
    moved(told, old, "churn", -700, NOW)
    moved(told, old, "churn", -700, NOW - timedelta(days=2))
    told.received()
    assert made(told, MORNING) == 1
    data = digest(told)
    assert (data["recipient"], data["period"], data["mode"]) == ("", "2026-03-16", "test")
    assert [one["contact"] for one in data["opened"]["alerts"]] == ["account:new"]
    assert [one["contact"] for one in data["resolved"]["alerts"]] == ["account:over"]
    assert [one["contact"] for one in data["still_open"]["alerts"]] == ["account:old"]
    assert (data["renewals"]["count"], data["renewals"]["mrr"]) == (1, {"eur": 100, "usd": 4900})
    assert [(one["kind"], one["currency"], one["contacts"], one["amount"]) for one in data["movements"]] == [
        ("new", "usd", 1, 4900),
        ("expansion", "eur", 1, 100),
        ("churn", "usd", 1, -700),
    ]
    assert data["tasks"]["count"] == 1
    assert data["title"] == "Digest, 2026-03-16, test data"
    assert data["text"].splitlines()[:2] == [
        "Opened: 1",
        "- Payment failed: account:new (payments.failed is above 0 (1))",
    ]
    assert "Renewals in the next 7 days, 1.00 EUR, 49.00 USD a month: 1" in data["text"]
    assert "- churn: 1 contacts, -7.00 USD a month" in data["text"]
    assert "- 2026-03-17 account:new: Call them" in data["text"]


def test_an_owner_hears_of_its_contacts_and_the_default_route_of_all_and_of_the_hub(told: Told) -> None:
    told.route("ops", digest="daily")
    told.owner("ada", destination="ada-mail", digest="daily")
    told.owner("bob", digest="weekly")
    told.owner("zoe", destination="ada-mail")
    told.asked_long_ago()
    mine, other = told.people.add("mine"), told.people.add("other")
    told.owned(mine, "ada")
    told.people.pass_()
    for key in (mine, other):
        told.people.set(key, **FAILED)
    told.people.pass_()
    moved(told, mine, "new", 60, NOW)
    moved(told, mine, "new", 40, NOW, unit="cus_mine")  # as a policy says by which movements are customers'
    moved(told, other, "new", 1000, NOW, unit="cus_other")
    with told.hub.engine.begin() as db:
        db.execute(text("""
insert into tidegate.links (connection, customer, contact, method) values ('books', 'cus_mine', :key, 'metadata')"""),
            {"key": mine},
        )  # fmt: skip
        system_alerts.keep(db, [Fact("disk_low", "disk", "0.1 GB are free.")], NOW)
    told.received()
    assert made(told, MORNING) == 3
    came = {(where, data["recipient"]): data for where, kind, data in told.received() if kind == "digest.made"}
    assert set(came) == {("ops", ""), ("ada-mail", "ada"), ("ops", "bob")}
    of_ada, of_all, of_bob = came["ada-mail", "ada"], came["ops", ""], came["ops", "bob"]
    assert [one["contact"] for one in of_ada["opened"]["alerts"]] == ["account:mine"]
    assert [one["amount"] for one in of_ada["movements"]] == [100]
    assert sorted(one["rule"] for one in of_all["opened"]["alerts"]) == ["disk_low", "payment_failed", "payment_failed"]
    assert [one["amount"] for one in of_all["movements"]] == [1100]
    assert (of_bob["period"], of_bob["opened"]["count"], of_bob["days"]) == ("2026-W11", 0, 30)
    assert of_ada["title"] == "Digest of ada, 2026-03-16, test data"


def test_its_days_are_those_of_the_connections_time_zone(told: Told) -> None:
    """In Auckland, 13 hours ahead of UTC, the day is the next one from 11:00 UTC on."""
    told.route("ops", digest="daily")
    told.asked_long_ago()
    key = told.people.add(mrr='{"usd": 4900000000}', renews_at=datetime(2026, 3, 17, 20, tzinfo=UTC))
    moved(told, key, "new", 4900, NOW)
    due = {"Today": date(2026, 3, 16), "Tomorrow": date(2026, 3, 17), "Later": date(2026, 3, 18)}
    with told.hub.engine.begin() as db:
        db.execute(text("update tidegate.ledgers set time_zone = 'Pacific/Auckland'"))
        db.execute(text("""
insert into tidegate.links (connection, customer, contact, method) values ('books', 'cus', :contact, 'hand')"""),
            {"contact": key},
        )  # fmt: skip
        for what, day in due.items():
            notes.add_task(db, directory.of_key(db, key), what, "ada", NOW, due_on=day)
    morning = datetime(2026, 3, 15, 19, tzinfo=UTC)
    assert made(told, morning - timedelta(minutes=1)) == 1, "of the day before, which nobody made"
    told.received()
    assert made(told, morning) == 1
    data = digest(told)
    assert (data["period"], data["until"]) == ("2026-03-16", "2026-03-15T19:00:00Z")
    assert [one["day"] for one in data["renewals"]["contacts"]] == ["2026-03-18"]
    assert "- 2026-03-18 account:acme: 49.00 USD a month" in data["text"]
    assert [one["text"] for one in data["tasks"]["tasks"]] == ["Today", "Tomorrow"]
    told.route("ops", digest="daily", time_zone="America/New_York")
    with told.hub.engine.connect() as db:
        [one] = digests.recipients(db)
        seen = digests.preview(db, "", "daily", datetime(2026, 3, 16, 13, tzinfo=UTC))
    assert one.zone.key == "America/New_York"
    assert [one["day"] for one in seen["renewals"]["contacts"]] == ["2026-03-18"], "a renewal's is its connection's"


def test_each_period_is_sent_once_whoever_looks_when(told: Told) -> None:
    told.route("ops", digest="daily")
    told.asked_long_ago()
    assert [made(told, MORNING + timedelta(minutes=n)) for n in range(3)] == [1, 0, 0]
    assert made(told, MORNING.replace(day=17, hour=7)) == 0
    assert made(told, MORNING.replace(day=17)) == 1
    told.route("ops", digest="daily", hour=20)
    assert made(told, MORNING.replace(day=17, hour=21)) == 0
    assert len(told.received()) == 2


def test_after_days_without_a_worker_there_is_one_of_the_whole_time(told: Told) -> None:
    told.route("ops", digest="daily")
    told.asked_long_ago()
    made(told, MORNING)
    digest(told)
    key = told.people.add()
    told.people.pass_(2)
    told.people.set(key, **FAILED)
    told.people.pass_()
    told.received()
    assert made(told, MORNING + timedelta(days=5)) == 1
    data = digest(told)
    assert (data["since"], data["until"]) == ("2026-03-16T08:00:00Z", "2026-03-21T08:00:00Z")
    assert data["opened"]["count"] == 1


def test_it_is_sent_to_nobody_else_whatever_they_ask_for(told: Told) -> None:
    told.destination("all", events=("*",))
    told.route("ops", digest="daily")
    told.asked_long_ago()
    made(told, MORNING)
    assert [(where, kind) for where, kind, _ in told.received()] == [("ops", "digest.made")]


def test_none_is_due_for_a_period_that_ended_before_somebody_asked(told: Told) -> None:
    told.route("ops", digest="daily")
    with told.hub.engine.begin() as db:
        asked = MORNING + timedelta(minutes=5)
        db.execute(text("update tidegate.alert_route set digest_since = :at"), {"at": asked})
    assert made(told, MORNING + timedelta(minutes=10)) == 0
    assert made(told, MORNING + timedelta(days=1)) == 1


def test_what_is_stored_of_one_names_nobody_and_who_is_forgotten_is_not_sent(told: Told) -> None:
    told.route("ops", digest="daily")
    told.asked_long_ago()
    key = told.people.add("secretive")
    told.people.pass_()
    told.people.set(key, **FAILED)
    told.people.pass_()
    told.received()
    made(told, MORNING)
    for table in ("digests", "outbox"):
        assert told.people.rows(f"select 1 from tidegate.{table} t where t::text like '%secretive%'") == []
    with told.hub.engine.begin() as db:
        db.execute(text("update tidegate.contacts set external_id = 'forgotten-1', name = ''"))
    assert [one["contact"] for one in digest(told)["opened"]["alerts"]] == ["account:forgotten-1"]


def test_who_is_suppressed_while_one_waits_is_not_named_in_it(told: Told) -> None:
    told.route("ops", digest="daily")
    told.asked_long_ago()
    key = told.people.add("secretive", renews_at=NOW + timedelta(days=5))
    told.people.pass_()
    told.people.set(key, **FAILED)
    told.people.pass_()
    with told.hub.engine.begin() as db:
        notes.add_task(db, directory.of_key(db, key), "Call them", "ada", NOW, due_on=date(2026, 3, 16))
    told.received()
    made(told, MORNING)
    with told.hub.engine.begin() as db:
        suppressing.suppress(db, key, "asked us to", "ada")
    data = digest(told)
    assert (data["opened"]["count"], data["renewals"]["count"], data["tasks"]["count"]) == (1, 1, 1)
    assert "secretive" not in str(data)


def test_whose_renewals_are_nobodys_business_is_not_told_in_one(told: Told) -> None:
    told.route("ops", digest="daily")
    told.asked_long_ago()
    told.people.add("acme", renews_at=NOW + timedelta(days=5), mrr='{"usd": 4900000000}')
    told.people.pass_()
    with told.hub.engine.begin() as db:
        suppressed_properties.put(db, "renews_at", "nobody's business", "ada")
    made(told, MORNING)
    data = digest(told)
    assert (data["renewals"]["count"], data["renewals"]["contacts"]) == (1, [])
    assert "2026-03-20" not in data["text"]


def test_live_and_test_data_are_never_in_one(told: Told) -> None:
    told.destination("live", livemode=True)
    told.route("live", digest="daily")
    told.asked_long_ago()
    key = told.people.add()
    told.people.pass_()
    told.people.set(key, **FAILED)
    told.people.pass_()
    made(told, MORNING)
    data = digest(told)
    assert (data["mode"], data["opened"]["count"], data["title"]) == ("live", 0, "Digest, 2026-03-16")


@pytest.mark.parametrize(("of", "mode"), [(True, True), (False, False), (None, True)])
@pytest.mark.usefixtures("live_account")
def test_of_live_and_test_contacts_it_counts_as_alerts_are_listed(told: Told, of: bool | None, mode: bool) -> None:
    told.destination("either", livemode=of)
    told.route("either", digest="daily")
    told.asked_long_ago()
    still, new = ([told.people.add(f"{when}-{n}") for n in range(3)] for when in ("still", "new"))
    with told.hub.engine.begin() as db:
        live = text("update tidegate.contacts set livemode = true where key = any(:keys)")
        assert db.execute(live, {"keys": [still[0], new[0]]}).rowcount == 2
    told.people.pass_(-2)
    for key in still:
        told.people.set(key, **FAILED)
    told.people.pass_()
    told.people.pass_(2)
    for key in new:
        told.people.set(key, **FAILED)
    told.people.pass_()
    made(told, MORNING)
    with told.hub.engine.connect() as db:
        [found] = db.execute(text("select data from tidegate.digests")).scalars()
        listed = {one["id"] for one in listing.alerts(db, livemode=mode)}
    assert found["mode"] == ("live" if mode else "test")
    assert {*found["opened"]["alerts"], *found["still_open"]["alerts"]} == listed
    assert (found["opened"]["count"], found["still_open"]["count"]) == ((1, 1) if mode else (2, 2))


def test_a_preview_tells_of_the_period_that_runs_and_sends_nothing(told: Told) -> None:
    told.route("ops", digest="daily")
    told.asked_long_ago()
    made(told, MORNING)
    digest(told)
    key = told.people.add()
    told.people.pass_(2)
    told.people.set(key, **FAILED)
    told.people.pass_()
    told.received()
    with told.hub.engine.connect() as db:
        seen = digests.preview(db, "", "daily", told.people.now + timedelta(minutes=1))
    assert (seen["opened"]["count"], seen["period"]) == (1, "2026-03-18")
    assert seen["text"].startswith("Opened: 1\n")
    assert told.received() == []
