"""The sandbox's truth of revenue, worked out by hand: it judges the ledger, so nothing of ours may judge it."""

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tidegate.sandbox import changes, contracts, waiting
from tidegate.sandbox.cast import Role
from tidegate.sandbox.clock import add_interval
from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.contracts import Terms
from tidegate.sandbox.customers import sign_up
from tidegate.sandbox.generator import make_world
from tidegate.sandbox.life import advance_to
from tidegate.sandbox.monthly import over_time
from tidegate.sandbox.redemptions import remove
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.revenue import Month, revenue
from tidegate.sandbox.world import World

DAY = 86_400
UTC_ZONE = ZoneInfo("UTC")

WORTH = {
    "scale": 10 * 1500 + 5000 + 40 * 1200 + 14 * 900,
    "volume": 240 * 40 + 1000,
    "grid": sum(10 * (1000 - 50 * n) for n in range(1, 11)) + 40 * 450 + 11 * 500 + 2280,
    "packages": 5 * 500 + 4900,
    "metered": 1900,
    "storage": Fraction(333 * 75, 100),
    "twenty_items": sum(100 * n * (1 + n % 3) for n in range(1, 21)),
    "everywhere": 2700,
    "several": 4900 + Fraction(2500 * 52, 12),
    "mixed_intervals": Fraction(49_000, 12) + 2 * 400,
    "send_invoice": 3 * Fraction(99_000, 12),
    "item_discount": Fraction(8 * 1200 * 85, 100) + 300 - 1000,
    "item_once": 5 * 1200,
    "customer_discount": 2450,
    "coupon_gone": 3430,
    "friend": 0,
    "tva": Fraction(7 * 1200 * 100, 120),
    "vat": 7 * 1200,
    "jct": 7 * 1800,
    "free": 0,
    "trialing": 0,
    "trial_no_card": 0,
    "trial_no_card_billed": 4900,
    "past_due": 4900,
    "unpaid": 0,
    "incomplete": 0,
    "incomplete_expired": 0,
    "dunned": 0,
    "churned": 0,
    "canceling": 4900,
    "deleted": 0,
    "pending": 4900,
    "pending_paid": 9900,
    "scheduled": 4900,
    "stepped_up": 6 * 9900,
    "signed_ahead": 0,
    "paused_collection": 4900,
    "paused_void": 4900,
    "paused_uncollectible": 0,
    "growing_free": 10 * 1200,
    "left_in_change": 0,
    "refunded_fraud": 4900,
    "credited_refund": 4900,
}
"""What each of the cast is worth in the end, in minor units a month."""

MOVED = {
    "upgrading": ["new 2280", "expansion 3720"],
    "growing_free": ["new 7200", "expansion 4800"],
    "left_in_change": ["new 7200", "expansion 3600", "churn -10800"],
    "paused_void": ["new 4900", "churn -4900", "reactivation 4900"],
    "trial_restarted": ["new 4900", "churn -4900", "reactivation 4900"],
    "returned": ["new 4900", "churn -4900", "reactivation 4900"],
    "paid_late": ["new 4900", "churn -4900", "reactivation 4900"],
    "three_months_off": ["new 7301/2", "expansion 2499/2"],
    "discounted_later": ["new 4900", "contraction -2450", "expansion 2450"],
    "pending_lapsed": ["new 4900"],
    "trial_canceled": [],
}


@pytest.fixture
def world() -> World:
    """A catalog, and nobody yet."""
    return make_world(SandboxConfig(customers=0, months=1))


def told(world: World, zone: ZoneInfo = UTC_ZONE) -> list[Month]:
    return revenue(world, zone)


def begun(world: World, role: str = "pro-month-usd", quantity: int = 1, **terms: Any) -> Obj:
    """A new customer's subscription."""
    world.by_chance = False
    customer = sign_up(world, "", Role(0))
    return contracts.start(world, customer, Terms([(world.prices[role], quantity)], **terms))


def later(world: World, days: float) -> None:
    advance_to(world, world.clock.now + int(days * DAY))


def of(world: World, subscription: Obj) -> list[tuple[int, Fraction]]:
    """How many days after its start a subscription was worth how much."""
    course = world.state.worth.courses[subscription["id"]]
    return [((at - subscription["created"]) // DAY, amount) for at, amount in over_time(world, course)]


def roles(api: Any, found: dict[str, Any]) -> dict[str, Any]:
    customers = api.server.world.state["customers"]
    return {customers.full(one)["_role"]: value for one, value in found.items() if one in customers}


def test_what_each_of_the_cast_is_worth_in_the_end(api: Any) -> None:
    last = revenue(api.server.world, UTC_ZONE)[-1]
    found = roles(api, {customer: amount for (customer, _), amount in last.worth.items()})
    assert {role: found.get(role, 0) for role in WORTH} == WORTH


def test_how_that_moved(api: Any) -> None:
    found: dict[str, list[str]] = {}
    for month in revenue(api.server.world, UTC_ZONE):
        for one in month.movements:
            found.setdefault(one.customer, []).append(f"{one.kind} {one.amount}")
    by_role = roles(api, found)
    assert {role: by_role.get(role, []) for role in MOVED} == MOVED


def test_movements_add_up_to_the_change_of_every_customers_worth(api: Any) -> None:
    stands: dict[tuple[str, str], Fraction] = {}
    for month in revenue(api.server.world, UTC_ZONE):
        for one in month.movements:
            line = (one.customer, one.currency)
            stands[line] = stands.get(line, Fraction(0)) + one.amount
        assert {line: amount for line, amount in stands.items() if amount} == month.worth


def test_a_discount_that_is_over_lasts_to_the_end_of_the_period_billed_before(world: World) -> None:
    yearly = begun(world, "pro-year-usd", coupon="SPRING3")
    monthly = begun(world, coupon="SPRING3")
    later(world, 400)
    full = Fraction(49_000, 12)
    assert of(world, yearly) == [(0, full * Fraction(745, 1000)), (365, full)]
    assert of(world, monthly) == [(0, 4900 * Fraction(745, 1000)), (91, Fraction(4900))]


def test_a_discount_that_is_taken_away_is_gone_at_once(world: World) -> None:
    yearly = begun(world, "pro-year-usd", coupon="SPRING3")
    later(world, 10)
    subscription = world.state.full("subscriptions", yearly["id"])
    remove(world, subscription, set(subscription["discounts"]))
    world.state.put(subscription, "customer.subscription.updated")
    later(world, 200)
    assert [days for days, _ in of(world, yearly)] == [0, 10]


def test_an_amount_off_is_taken_once_of_each_interval(world: World) -> None:
    world.by_chance = False
    customer = sign_up(world, "", Role(0))
    items = [(world.prices["pro-year-usd"], 1), (world.prices["addon-4"], 2)]
    made = contracts.start(world, customer, Terms(items, coupon="TENOFF"))
    assert of(world, made) == [(0, Fraction(48_000, 12))]  # the add-on's 800 are all taken


def test_changes_count_when_they_are_made_and_backdating_from_its_start(world: World) -> None:
    backdated = begun(world, changes={"start_date": world.clock.now - 45 * DAY})
    seats = begun(world, "team-month-usd", 6)
    later(world, 12)
    subscription = world.state.full("subscriptions", seats["id"])
    item = subscription["items"]["data"][0]
    changes.change(world, subscription, item, world.prices["team-month-usd"], 10, "none")
    later(world, 1)
    waiting.pause(world, world.state.full("subscriptions", seats["id"]), "void", world.clock.now + 2 * DAY)
    later(world, 5)
    assert of(world, backdated) == [(-45, Fraction(4900))]
    assert of(world, seats) == [(0, Fraction(7200)), (12, Fraction(12_000)), (13, Fraction(0)), (15, Fraction(12_000))]


def test_changes_within_an_hour_of_the_first_are_one_movement(world: World) -> None:
    seats = begun(world, "team-month-usd", 1)
    for minutes, quantity in ((50, 2), (9, 3), (2, 4)):
        later(world, minutes / 1440)
        subscription = world.state.full("subscriptions", seats["id"])
        changes.change(
            world, subscription, subscription["items"]["data"][0], world.prices["team-month-usd"], quantity, "none"
        )
    moved = [one for month in told(world) for one in month.movements]
    assert [(one.kind, one.amount, one.at - seats["created"]) for one in moved] == [
        ("new", 3600, 59 * 60), ("expansion", 1200, 61 * 60),
    ]  # fmt: skip


def test_a_month_ends_where_its_time_zone_says(world: World) -> None:
    advance_to(world, int(datetime(2026, 9, 30, 22, 30, tzinfo=UTC).timestamp()))
    begun(world)
    later(world, 1)
    assert [(month.name, dict(month.mrr())) for month in told(world)] == [
        ("2026-09", {"usd": 4900}),
        ("2026-10", {"usd": 4900}),
    ]
    berlin = told(world, ZoneInfo("Europe/Berlin"))
    assert [(month.name, dict(month.mrr()), len(month.movements)) for month in berlin] == [
        ("2026-10", {"usd": 4900}, 1)
    ]


def test_customers_on_test_clocks_are_no_revenue(api: Any) -> None:
    state = api.server.world.state
    clocked = {one["customer"] for one in api.every("/v1/subscriptions", f"&test_clock={api.clocks()[0]}")}
    assert clocked
    assert not clocked & {course.customer for course in state.worth.courses.values()}


def test_a_deleted_subscription_is_worth_nothing_any_more(world: World) -> None:
    made = begun(world)
    later(world, 3)
    world.state.delete("subscriptions", made["id"])
    assert of(world, made) == [(0, Fraction(4900)), (3, Fraction(0))]


def test_a_company_whose_months_are_ahead_lives_the_same_life(make_api: Callable[..., Any]) -> None:
    lived, ahead = make_api(customers=110, months=6), make_api(customers=110, months=6, ahead=6)
    world = ahead.server.world
    assert world.clock.now == ahead.server.config.starts == add_interval(lived.server.config.as_of, "month", -6)
    assert not world.state["customers"].ids
    advance_to(world, lived.server.config.as_of)
    there = [(month.name, month.mrr()) for month in revenue(world, UTC_ZONE)]
    assert there == [(month.name, month.mrr()) for month in revenue(lived.server.world, UTC_ZONE)]


def test_the_truth_is_told_over_http_with_exact_amounts(api: Any) -> None:
    answer = api.get("/__truth/revenue?zone=Europe/Berlin")
    assert (answer["zone"], answer["now"]) == ("Europe/Berlin", api.server.world.clock.now)
    last = answer["months"][-1]
    assert last["ends"] == answer["now"] + 1
    told = {currency: Fraction(amount) for currency, amount in last["mrr"].items()}
    assert told == revenue(api.server.world, UTC_ZONE)[-1].mrr()
    assert sum(Fraction(one["mrr"]) for one in last["customers"]) == sum(told.values())
    assert set(answer["months"][-2]["movements"]["usd"]) <= {"new", "expansion", "contraction", "churn", "reactivation"}


def test_what_cannot_be_told_is_refused(make_api: Callable[..., Any], api: Any) -> None:
    bulk = make_api(profile="bulk", customers=3)
    assert bulk.ask("/__truth/revenue").status == 400
    assert "no time zone" in api.ask("/__truth/revenue?zone=Moon/Base").json["error"]["message"]
    own = make_api(customers=1)
    item = {"id": "si_x", "price": {"id": "price_gone"}, "quantity": 1}
    foreign = {
        "id": "sub_x",
        "object": "subscription",
        "status": "active",
        "currency": "usd",
        "items": {"data": [item]},
    }
    own.server.world.state.put(foreign)
    assert "price_gone" in own.ask("/__truth/revenue").json["error"]["message"]
