"""The one way into the mirror, on a real database: what is stored, kept, replaced, buried, asked for again."""

import itertools
import json
import random
import string
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError
from tests.support.builders import arrival, coupon, customer, invoice, item, line, price, subscription

from tidegate.mirror.apply import Applied, apply
from tidegate.mirror.arrivals import Arrival, Lost
from tidegate.mirror.decide import Certainty
from tidegate.mirror.versions import known_versions
from tidegate.stripe_api.resources import RESOURCES

TOLD, READ, SETTLED = Certainty.TOLD, Certainty.READ, Certainty.SETTLED


@pytest.fixture
def db(engine: Engine) -> Iterator[Connection]:
    """A transaction that is rolled back: tests of this module share one database."""
    with engine.connect() as connection:
        yield connection
        connection.rollback()


def put(db: Connection, resource: str, *arrivals: Arrival, lost: tuple[Lost, ...] = ()) -> Applied:
    return apply(db, "acme", RESOURCES[resource], arrivals, lost)


def one(db: Connection, sql: str, **values: Any) -> Any:
    return db.execute(text(sql), values).mappings().one()


def ids(db: Connection, sql: str, **values: Any) -> list[str]:
    return list(db.scalars(text(sql), values))


def test_a_new_object_is_stored_whole_with_its_columns(db: Connection) -> None:
    applied = put(db, "customers", arrival("customers", customer(name="Ada"), at=1_700_000_000))
    row = one(db, "select * from stripe.customers where id = 'cus_1'")
    assert applied.counts.as_json() | {"read": 1, "stored": 1} == applied.counts.as_json()
    assert row["connection"] == "acme"
    assert row["email"] == "ada@example.com"
    assert row["created"].timestamp() == 10
    assert row["updated_at"].timestamp() == 1_700_000_000
    assert row["data"] == customer(name="Ada")
    assert applied.customers == {"cus_1"}


def test_newer_wins_and_older_loses_in_either_order(db: Connection) -> None:
    older, newer = customer(name="Old"), customer(name="New")
    put(db, "customers", arrival("customers", newer, at=200))
    applied = put(db, "customers", arrival("customers", older, at=100))
    assert applied.counts.older == 1
    assert applied.customers == set()
    assert one(db, "select name from stripe.customers")["name"] == "New"


def test_several_versions_of_one_object_in_one_batch_are_taken_in_turn(db: Connection) -> None:
    versions = [arrival("customers", customer(name=str(at)), at=at) for at in (300, 100, 400, 200)]
    applied = put(db, "customers", *versions)
    assert one(db, "select name from stripe.customers")["name"] == "400"
    assert (applied.counts.stored, applied.counts.older) == (2, 2)


def test_equal_content_moves_the_time_so_that_a_version_from_between_cannot_win(db: Connection) -> None:
    put(db, "customers", arrival("customers", customer(name="Same"), at=100))
    again = put(db, "customers", arrival("customers", customer(name="Same"), at=300))
    between = put(db, "customers", arrival("customers", customer(name="Between"), at=200, certainty=TOLD))
    assert again.counts.unchanged == 1
    assert again.customers == set()
    assert between.counts.older == 1
    assert one(db, "select name from stripe.customers")["name"] == "Same"


def test_a_tie_with_other_content_is_fetched_again_and_the_fetched_one_wins(db: Connection) -> None:
    put(db, "customers", arrival("customers", customer(name="A"), at=100, certainty=TOLD))
    tied = put(db, "customers", arrival("customers", customer(name="B"), at=100, certainty=TOLD))
    assert tied.counts.doubtful == 1
    asked = one(db, "select * from tidegate.refetches")
    assert (asked["resource"], asked["object_id"], asked["reason"]) == ("customers", "cus_1", "doubt")
    assert asked["known_at"].timestamp() == 100
    put(db, "customers", arrival("customers", customer(name="B"), at=100, certainty=SETTLED))
    assert one(db, "select name from stripe.customers")["name"] == "B"


def test_a_deletion_leaves_a_tombstone_that_a_late_update_does_not_resurrect(db: Connection) -> None:
    put(db, "customers", arrival("customers", customer(name="Ada"), at=100))
    gone = put(db, "customers", arrival("customers", customer(), at=200, certainty=TOLD, deleted=True))
    late = put(db, "customers", arrival("customers", customer(name="Late"), at=300, certainty=TOLD))
    row = one(db, "select * from stripe.customers")
    assert (gone.counts.deleted, gone.customers, late.counts.older) == (1, {"cus_1"}, 1)
    assert row["deleted_at"].timestamp() == 200
    assert row["name"] == "Ada", "what was known of it stays readable"


def test_a_deletion_that_comes_before_anything_else_still_buries(db: Connection) -> None:
    put(db, "customers", arrival("customers", customer(), at=200, certainty=TOLD, deleted=True))
    put(db, "customers", arrival("customers", customer(name="Late"), at=150, certainty=TOLD))
    assert one(db, "select deleted_at from stripe.customers")["deleted_at"].timestamp() == 200


def test_an_id_that_is_used_again_after_its_deletion_is_another_object(db: Connection) -> None:
    put(db, "coupons", arrival("coupons", coupon(percent_off=10.0), at=1_000))
    put(db, "coupons", arrival("coupons", coupon(), at=2_000, certainty=TOLD, deleted=True))
    put(db, "coupons", arrival("coupons", coupon(created=3_000, percent_off=50.0), at=3_000))
    row = one(db, "select deleted_at, data from stripe.coupons")
    assert row["deleted_at"] is None
    assert row["data"]["percent_off"] == 50.0


def test_what_is_on_a_clock_that_is_ahead_is_deleted_all_the_same(db: Connection) -> None:
    """Its `created` is the clock's time, after every event about it: it says nothing of an id that is used again."""
    ahead = customer(created=9_000_000, test_clock="clock_1")
    put(db, "customers", arrival("customers", ahead, at=100))
    gone = put(db, "customers", arrival("customers", ahead, at=200, certainty=TOLD, deleted=True))
    late = put(db, "customers", arrival("customers", ahead | {"name": "Late"}, at=150, certainty=TOLD))
    read = put(db, "customers", arrival("customers", ahead | {"name": "Late"}, at=300))
    assert (gone.counts.deleted, late.counts.older, read.counts.older) == (1, 1, 1)
    assert one(db, "select deleted_at from stripe.customers")["deleted_at"].timestamp() == 200


def test_a_later_deletion_moves_the_tombstone(db: Connection) -> None:
    for at in (2_000, 4_000):
        put(db, "coupons", arrival("coupons", coupon(), at=at, certainty=TOLD, deleted=True))
    put(db, "coupons", arrival("coupons", coupon(created=3_000), at=3_500, certainty=TOLD))
    assert one(db, "select deleted_at from stripe.coupons")["deleted_at"].timestamp() == 4_000


def test_children_are_replaced_together_with_their_parent(db: Connection) -> None:
    first = subscription(items=[item("si_1"), item("si_2", quantity=3)])
    second = subscription(items=[item("si_2", quantity=5), item("si_3")])
    put(db, "subscriptions", arrival("subscriptions", first, at=100))
    put(db, "subscriptions", arrival("subscriptions", second, at=200))
    rows = db.execute(
        text("select id, quantity, position, updated_at from stripe.subscription_items order by position")
    )
    assert [(row.id, row.quantity, row.position) for row in rows] == [("si_2", 5, 0), ("si_3", 1, 1)]


def test_children_of_a_version_that_loses_change_nothing(db: Connection) -> None:
    put(db, "subscriptions", arrival("subscriptions", subscription(items=[item("si_1")]), at=200))
    put(db, "subscriptions", arrival("subscriptions", subscription(items=[item("si_9")]), at=100))
    assert ids(db, "select id from stripe.subscription_items") == ["si_1"]


def test_children_of_a_deleted_parent_are_marked_deleted(db: Connection) -> None:
    put(db, "invoices", arrival("invoices", invoice(status="draft"), at=100))
    put(db, "invoices", arrival("invoices", invoice(), at=200, certainty=TOLD, deleted=True))
    assert one(db, "select deleted_at from stripe.invoice_lines")["deleted_at"].timestamp() == 200


def test_a_list_that_an_event_cut_off_is_fetched_before_it_replaces_what_is_whole(db: Connection) -> None:
    whole = subscription(items=[item(f"si_{n}") for n in range(12)])
    cut = subscription(items=[item(f"si_{n}") for n in range(10)], has_more=True, status="past_due")
    put(db, "subscriptions", arrival("subscriptions", whole, at=100))
    told = put(db, "subscriptions", arrival("subscriptions", cut, at=200, certainty=TOLD, whole=False))
    assert told.counts.doubtful == 1
    assert len(ids(db, "select id from stripe.subscription_items")) == 12
    assert one(db, "select reason, known_at from tidegate.refetches")["reason"] == "cut_off"


def test_a_new_object_that_is_not_whole_is_stored_and_fetched(db: Connection) -> None:
    put(db, "prices", arrival("prices", price(), at=100, certainty=TOLD, whole=False))
    assert ids(db, "select id from stripe.prices") == ["price_1"]
    assert ids(db, "select object_id from tidegate.refetches") == ["price_1"]


def kept(db: Connection) -> list[tuple[int, str, str]]:
    rows = db.execute(text("select at, event, data from tidegate.versions order by at, event"))
    return [(int(row.at.timestamp()), row.event, row.data["status"]) for row in rows]


def test_every_version_of_a_subscription_is_kept_losers_included(db: Connection) -> None:
    def version(status: str, at: int, certainty: Certainty = READ, event: str = "") -> Arrival:
        return arrival("subscriptions", subscription(status=status), at=at, certainty=certainty, event=event)

    put(db, "subscriptions", version("trialing", 100))
    put(db, "subscriptions", version("active", 300, TOLD, "evt_2"))
    put(db, "subscriptions", version("past_due", 200, TOLD, "evt_1"))
    put(db, "subscriptions", version("active", 300, TOLD, "evt_2"))
    put(db, "subscriptions", version("canceled", 400))
    assert kept(db) == [(100, "", "trialing"), (200, "evt_1", "past_due"), (300, "evt_2", "active")]
    assert one(db, "select status from stripe.subscriptions")["status"] == "canceled"


def test_a_version_is_dated_by_when_it_was_first_seen_however_often_it_was_confirmed(db: Connection) -> None:
    for at in (100, 200, 300):
        put(db, "subscriptions", arrival("subscriptions", subscription(status="active"), at=at))
    put(db, "subscriptions", arrival("subscriptions", subscription(status="canceled"), at=400))
    assert kept(db) == [(100, "", "active")]


def test_a_version_that_an_event_told_is_kept_once_though_it_was_read_later(db: Connection) -> None:
    active, canceled = subscription(status="active"), subscription(status="canceled")
    put(db, "subscriptions", arrival("subscriptions", active, at=100, certainty=TOLD, event="evt_1"))
    put(db, "subscriptions", arrival("subscriptions", active, at=200))
    put(db, "subscriptions", arrival("subscriptions", canceled, at=300))
    assert kept(db) == [(100, "evt_1", "active")]


def test_the_known_versions_of_an_object_tell_what_stood_before_its_events(db: Connection) -> None:
    """Read as active at 200; told canceled at 300, which also tells of the note that it had until then."""
    told = subscription(status="canceled", description=None)
    previous = json.dumps({"status": "active", "description": "pilot"})
    put(db, "subscriptions", arrival("subscriptions", subscription(status="active", description=None), at=200))
    put(
        db,
        "subscriptions",
        arrival("subscriptions", told, at=300, certainty=TOLD, event="evt_1", previous=previous),
    )
    put(db, "subscriptions", arrival("subscriptions", told, at=400))
    found = known_versions(db, "acme", RESOURCES["subscriptions"], "sub_1")
    assert [(one.source, one.at, one.until, one.data["status"], one.data["description"]) for one in found] == [
        ("read", 200, None, "active", None),
        ("rebuilt", None, 300, "active", "pilot"),
        ("told", 300, None, "canceled", None),
    ]
    assert known_versions(db, "acme", RESOURCES["subscriptions"], "sub_2") == []
    with pytest.raises(ValueError, match="customers keep no versions"):
        known_versions(db, "acme", RESOURCES["customers"], "cus_1")


def test_what_stood_before_is_not_told_twice(db: Connection) -> None:
    put(db, "subscriptions", arrival("subscriptions", subscription(status="trialing"), at=100))
    changed = arrival(
        "subscriptions", subscription(), at=200, certainty=TOLD, event="evt_1", previous='{"status": "trialing"}'
    )
    put(db, "subscriptions", changed)
    found = known_versions(db, "acme", RESOURCES["subscriptions"], "sub_1")
    assert [(one.source, one.at, one.data["status"]) for one in found] == [
        ("read", 100, "trialing"),
        ("told", 200, "active"),
    ]


def test_what_stood_before_an_event_is_kept_with_it(db: Connection) -> None:
    changed = arrival(
        "subscriptions", subscription(), at=100, certainty=TOLD, event="evt_1", previous='{"status": "trialing"}'
    )
    put(db, "subscriptions", changed)
    assert one(db, "select previous from tidegate.versions")["previous"] == {"status": "trialing"}


def test_customers_keep_no_versions(db: Connection) -> None:
    put(db, "customers", arrival("customers", customer(name="A"), at=100, event="evt_1"))
    put(db, "customers", arrival("customers", customer(name="B"), at=200, event="evt_2"))
    assert ids(db, "select object_id from tidegate.versions") == []


@pytest.mark.parametrize("poison", ["\u0000", "\ud800"], ids=["NUL", "lone surrogate"])
def test_an_object_that_is_no_jsonb_is_kept_as_text_and_costs_nobody_else(db: Connection, poison: str) -> None:
    arrivals = [
        arrival("customers", customer(f"cus_{n}", description=poison if n == 37 else "fine"), at=100)
        for n in range(100)
    ]
    applied = put(db, "customers", *arrivals)
    assert (applied.counts.stored, applied.counts.unreadable) == (99, 1)
    lost = one(db, "select * from tidegate.unreadable")
    assert lost["object_id"] == "cus_37"
    assert json.loads(lost["body"])["description"] == poison


def test_a_poisoned_child_is_kept_as_text_and_its_parent_stored(db: Connection) -> None:
    poisoned = invoice(lines=[line("il_1"), line("il_2", description="\u0000"), line("il_3")])
    # The same text stands in the parent's body too, so it is the parent that cannot be stored: nothing of it is lost.
    applied = put(db, "invoices", arrival("invoices", poisoned, at=100), arrival("invoices", invoice("in_2"), at=100))
    assert applied.counts.unreadable == 1
    assert ids(db, "select invoice from stripe.invoice_lines") == ["in_2"]
    assert ids(db, "select object_id from tidegate.unreadable") == ["in_1"]


def test_a_field_that_does_not_fit_is_null_and_said_until_it_fits_again(db: Connection) -> None:
    put(db, "customers", arrival("customers", customer(email={"not": "text"}), at=100))
    assert one(db, "select email from stripe.customers")["email"] is None
    assert one(db, "select object_id, field from tidegate.unreadable") == {"object_id": "cus_1", "field": "email"}
    put(db, "customers", arrival("customers", customer(), at=200))
    assert ids(db, "select object_id from tidegate.unreadable") == []


def test_what_could_not_be_read_is_recorded(db: Connection) -> None:
    applied = put(db, "customers", lost=(Lost("?1", "", "no id", '{"object":"customer"}'),))
    assert (applied.counts.read, applied.counts.unreadable) == (1, 1)
    assert one(db, "select body from tidegate.unreadable")["body"] == '{"object":"customer"}'


def test_connections_live_side_by_side(db: Connection) -> None:
    for name in ("acme", "other"):
        apply(db, name, RESOURCES["customers"], [arrival("customers", customer(name=name), at=100)])
    rows = db.execute(text("select connection, name from stripe.customers order by 1")).all()
    assert [tuple(row) for row in rows] == [("acme", "acme"), ("other", "other")]


def test_a_child_that_stands_twice_is_stored_once_and_said(db: Connection) -> None:
    twice = invoice(lines=[line("il_1"), line("il_2"), line("il_1", amount=7)])
    put(db, "invoices", arrival("invoices", twice, at=100))
    assert ids(db, "select id from stripe.invoice_lines order by position") == ["il_1", "il_2"]
    assert ids(db, "select object_id from tidegate.unreadable") == ["in_1/il_1#2"]


def test_each_child_has_its_own_json_and_columns(db: Connection) -> None:
    put(db, "invoices", arrival("invoices", invoice(lines=[line("il_2", amount=2), line("il_1", amount=1)]), at=100))
    rows = db.execute(text("select id, amount, data from stripe.invoice_lines order by position")).all()
    assert [(row.id, row.amount, row.data["amount"]) for row in rows] == [("il_2", 2, 2), ("il_1", 1, 1)]


def test_a_session_stages_again_after_a_rollback(engine: Engine) -> None:
    with engine.connect() as db:
        for _ in range(2):
            assert put(db, "invoices", arrival("invoices", invoice(), at=100)).counts.stored == 1
            db.rollback()
        with db.begin_nested() as savepoint:
            put(db, "quotes", arrival("quotes", {"id": "qt_1", "object": "quote", "created": 1}, at=100))
            savepoint.rollback()
        put(db, "quotes", arrival("quotes", {"id": "qt_1", "object": "quote", "created": 1}, at=100))
        db.rollback()


def unfit(db: Connection) -> list[tuple[str, str]]:
    rows = db.execute(text("select object_id, field from tidegate.unreadable order by 1, 2"))
    return [(row.object_id, row.field) for row in rows]


def test_a_field_of_a_child_that_does_not_fit_is_said(db: Connection) -> None:
    put(db, "invoices", arrival("invoices", invoice(lines=[line("il_1", quantity=10**30)]), at=100))
    assert one(db, "select quantity, amount from stripe.invoice_lines") == {"quantity": None, "amount": 1000}
    assert unfit(db) == [("in_1/il_1", "quantity")]
    put(db, "invoices", arrival("invoices", invoice(lines=[line("il_1", quantity=1)]), at=200))
    assert unfit(db) == []


def test_what_is_wrong_with_children_is_said_as_long_as_it_is_stored(db: Connection) -> None:
    broken = invoice(lines=[line("il_1"), {"object": "line_item"}, line("il_2", quantity=10**30)], total="x")
    put(db, "invoices", arrival("invoices", broken, at=100))
    said = unfit(db)
    assert said == [("in_1", "total"), ("in_1/1", ""), ("in_1/il_2", "quantity")]
    put(db, "invoices", arrival("invoices", broken, at=200))
    assert unfit(db) == said, "the same content again"
    put(db, "invoices", arrival("invoices", invoice(), at=150))
    assert unfit(db) == said, "an older version says nothing of the stored one"


def test_a_version_that_loses_leaves_no_fault(db: Connection) -> None:
    put(db, "customers", arrival("customers", customer(), at=200))
    put(db, "customers", arrival("customers", customer(balance="x"), at=100))
    assert unfit(db) == []


def test_a_version_that_could_not_be_taken_is_forgotten_once_the_object_is_seen_sound_again(db: Connection) -> None:
    put(db, "customers", arrival("customers", customer(), at=100))
    put(db, "customers", lost=(Lost("cus_1", "", "no JSON object", "{"),))
    assert unfit(db) == [("cus_1", "")]
    put(db, "customers", arrival("customers", customer(), at=200))
    assert unfit(db) == []


def test_the_same_fault_in_two_versions_of_one_batch_is_said_once(db: Connection) -> None:
    versions = [arrival("customers", customer(name=str(at), balance="x"), at=at) for at in (100, 200)]
    applied = put(db, "customers", *versions, lost=(Lost("a", "", "no id", "[]"), Lost("a", "", "no id", "[]")))
    assert applied.counts.stored == 2
    assert unfit(db) == [("a", ""), ("cus_1", "balance")]


def test_whom_an_object_belonged_to_before_has_changed_too(db: Connection) -> None:
    method = {"id": "pm_1", "object": "payment_method", "created": 10, "type": "card"}
    put(db, "payment_methods", arrival("payment_methods", method | {"customer": "cus_1"}, at=100))
    moved = put(db, "payment_methods", arrival("payment_methods", method | {"customer": "cus_2"}, at=200))
    detached = put(db, "payment_methods", arrival("payment_methods", method | {"customer": None}, at=300))
    assert (moved.customers, detached.customers) == ({"cus_1", "cus_2"}, {"cus_2"})


@pytest.mark.parametrize(
    ("resource", "poison", "sound"),
    [
        ("coupons", coupon("x" * 1001), coupon("FINE")),
        ("customers", customer("cus_long", email="é" * 1001), customer("cus_fine")),
        ("invoices", invoice("in_long", customer="x" * 2001), invoice("in_fine")),
    ],
)
def test_what_no_index_takes_is_kept_as_text_and_costs_nobody_else(
    db: Connection, resource: str, poison: dict[str, Any], sound: dict[str, Any]
) -> None:
    applied = put(db, resource, arrival(resource, poison, at=100), arrival(resource, sound, at=100))
    assert (applied.counts.stored, applied.counts.unreadable) == (1, 1)
    assert ids(db, f"select id from stripe.{resource}") == [sound["id"]]
    kept = one(db, "select object_id, reason, body from tidegate.unreadable")
    assert (kept["object_id"], json.loads(kept["body"])) == (poison["id"], poison)
    assert "bytes" in kept["reason"]


def test_a_child_with_an_id_that_no_index_takes_costs_only_itself(db: Connection) -> None:
    put(db, "invoices", arrival("invoices", invoice(lines=[line("x" * 1001), line("il_2")]), at=100))
    assert ids(db, "select id from stripe.invoice_lines") == ["il_2"]


def test_the_longest_that_is_taken_fits_every_index(db: Connection) -> None:
    id_, email = random_text(1000), random_text(2000)
    put(db, "customers", arrival("customers", customer(id_, email=email), at=100))
    put(db, "prices", arrival("prices", price(id_), at=100, event=id_[:1000]))
    put(db, "invoices", arrival("invoices", invoice(id_, lines=[line(id_)]), at=100))
    assert one(db, "select email from stripe.customers")["email"] == email
    assert ids(db, "select object_id from tidegate.unreadable") == []


def random_text(length: int) -> str:
    """Text that PostgreSQL cannot compress."""
    return "".join(random.Random(length).choices(string.ascii_letters + string.digits, k=length))


def test_the_same_content_told_again_makes_nothing_less_certain(db: Connection) -> None:
    put(db, "customers", arrival("customers", customer(), at=200, certainty=SETTLED))
    put(db, "customers", arrival("customers", customer(), at=200, certainty=TOLD))
    assert one(db, "select certainty from stripe.customers")["certainty"] == SETTLED


def test_a_deletion_that_comes_late_is_dated_as_it_was(db: Connection) -> None:
    put(db, "customers", arrival("customers", customer(), at=200))
    put(db, "customers", arrival("customers", customer(), at=150, certainty=TOLD, deleted=True))
    row = one(db, "select deleted_at, updated_at from stripe.customers")
    assert (row["deleted_at"].timestamp(), row["updated_at"].timestamp()) == (150, 200)


def test_a_tie_about_which_nobody_can_be_asked_goes_to_what_was_told_last(db: Connection) -> None:
    discount = {"id": "di_1", "object": "discount", "customer": "cus_1", "start": 10}
    for end in (20, 30):
        put(db, "discounts", arrival("discounts", discount | {"end": end}, at=100, certainty=TOLD))
    assert one(db, "select data ->> 'end' as told from stripe.discounts")["told"] == "30"
    assert ids(db, "select object_id from tidegate.refetches where resource = 'discounts'") == []


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))], ids=str)
def test_events_of_one_second_about_which_nobody_can_be_asked_are_put_in_order(
    db: Connection, order: tuple[int, ...]
) -> None:
    """A creation and two changes of a discount, in every order of arrival: each change tells what it changed."""
    discount = {"id": "di_1", "object": "discount", "customer": "cus_1", "start": 10}
    told = [(None, None), (20, '{"end": null}'), (30, '{"end": 20}')]
    for n in order:
        end, previous = told[n]
        body = discount | {"end": end}
        put(db, "discounts", arrival("discounts", body, at=100, certainty=TOLD, event=f"evt_{n}", previous=previous))
    assert one(db, "select data ->> 'end' as told from stripe.discounts")["told"] == "30"


def test_a_tombstone_is_no_version(db: Connection) -> None:
    put(db, "prices", arrival("prices", price(), at=100))
    put(db, "prices", arrival("prices", price(), at=200, certainty=TOLD, deleted=True))
    put(db, "prices", arrival("prices", price(created=250), at=300))
    kept = "select distinct extract(epoch from at)::int::text from tidegate.versions where resource = 'prices'"
    assert ids(db, kept) == ["100"]


FULL = invoice(
    lines=[line("il_b", description="Zoë 漢 \\ \t", period={"start": 5, "end": 7}), line("il_a", quantity=None)],
    discounts=[{"id": f"di_{n}", "object": "discount", "coupon": coupon(f"RABATT-{n}-é")} for n in range(3)],
    status_transitions={"paid_at": 1_700_000_001, "finalized_at": 99},
    due_date=253_402_300_799,
    created=-1,
)


def test_a_new_object_is_the_same_row_whether_copied_straight_or_staged(db: Connection) -> None:
    put(db, "invoices", arrival("invoices", FULL, at=100))
    straight = rows_of_the_invoice(db)
    for table in ("invoices", "invoice_lines"):
        db.execute(text(f"delete from stripe.{table}"))
    put(db, "invoices", arrival("invoices", FULL, at=100, event="evt_1"))  # what an event tells is staged
    assert rows_of_the_invoice(db) == straight
    assert straight[0][0]["coupons"] == ["RABATT-0-é", "RABATT-1-é", "RABATT-2-é"]
    assert straight[0][0]["due_date"].year == 9999
    assert [row["id"] for row in straight[1]] == ["il_b", "il_a"]


def rows_of_the_invoice(db: Connection) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    invoices = db.execute(text("select * from stripe.invoices")).mappings()
    lines = db.execute(text("select * from stripe.invoice_lines order by position")).mappings()
    return [dict(row) for row in invoices], [dict(row) for row in lines]


def test_what_somebody_else_stores_meanwhile_is_decided_about_like_any_other(db: Connection, engine: Engine) -> None:
    """Another session's row is not seen when the page is looked up, and is there when it is copied."""
    with engine.connect() as other:
        apply(other, "acme", RESOURCES["customers"], [arrival("customers", customer("cus_race", name="New"), at=200)])
        releasing = threading.Timer(0.3, other.commit)
        releasing.start()
        page = [customer(id_, name="Old") for id_ in ("cus_1", "cus_race", "cus_z")]
        applied = put(db, "customers", *(arrival("customers", one, at=100) for one in page))
        releasing.join()
    assert (applied.counts.stored, applied.counts.older) == (2, 1)
    assert one(db, "select name from stripe.customers where id = 'cus_race'")["name"] == "New"
    db.rollback()
    with engine.begin() as cleaning:
        cleaning.execute(text("delete from stripe.customers where id = 'cus_race'"))


def test_lines_that_an_earlier_invoice_left_behind_do_not_cost_the_new_one(db: Connection) -> None:
    put(db, "invoices", arrival("invoices", invoice(lines=[line("il_1", amount=1)]), at=100))
    db.execute(text("delete from stripe.invoices"))
    put(db, "invoices", arrival("invoices", invoice(lines=[line("il_1", amount=2)]), at=200))
    assert one(db, "select amount from stripe.invoice_lines")["amount"] == 2


@pytest.mark.parametrize("code", ["53100", "55P03", "40P01"], ids=["disk full", "lock time-out", "deadlock"])
def test_trouble_of_the_database_is_no_fault_of_the_rows(db: Connection, code: str) -> None:
    """It ends the transaction, as the error that everybody handles; nothing is put down as unreadable."""
    db.execute(
        text(f"""
create function pg_temp.trouble() returns trigger language plpgsql as $$
begin raise exception 'no luck' using errcode = '{code}'; end $$""")
    )
    db.execute(text("create trigger trouble before insert on stripe.customers execute function pg_temp.trouble()"))
    with pytest.raises(OperationalError) as caught:
        put(db, "customers", arrival("customers", customer(), at=100))
    assert getattr(caught.value.orig, "sqlstate", None) == code
