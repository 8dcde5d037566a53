"""What terms of a subscription come to a month: the sandbox's own exact arithmetic, in fractions of minor units."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache

from tidegate.sandbox.amounts import price_in
from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.world import World
from tidegate.sandbox.worth import Course, ItemTerms, Terms

MONTHS = {"day": Fraction(12, 365), "week": Fraction(12, 52), "month": Fraction(1), "year": Fraction(12)}
"""Months of an interval: a year has 12 of them, 52 weeks or 365 days."""

Worth = list[tuple[int, Fraction]]
"""From when on (UTC epoch seconds) how much a month, oldest first."""


def over_time(world: World, course: Course) -> Worth:
    """What a subscription was worth a month, from its start on."""
    found: Worth = []
    lingering: dict[str, tuple[str, ...]] = {}
    """Discounts that are over, by item (the whole subscription's under ''), which the last bills still bore."""
    own = world.state.worth.own.get(course.customer, [])
    for number, terms in enumerate(course.terms):
        if number:
            lingering = _outlived(world, course.terms[number - 1], terms, lingering)
        until = course.terms[number + 1].at if number + 1 < len(course.terms) else None
        for at in _instants(world, terms, own, until):
            amount = _amount(world, course, terms, lingering, at) if terms.counts else Fraction(0)
            if not found or found[-1][1] != amount:
                found.append((at, amount))
    return found


def _outlived(
    world: World, before: Terms, now: Terms, lingering: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Discounts that went because their time was over: what was billed with them stays so to the end of its period. One
    that was taken away before that is gone at once.
    """
    held = {"": before.discounts} | {item.id: item.discounts for item in before.items}
    still = {"": now.discounts} | {item.id: item.discounts for item in now.items}
    found: dict[str, tuple[str, ...]] = {}
    for where in still:
        known = (*lingering.get(where, ()), *held.get(where, ()))
        gone = [one for one in known if one not in still[where]]
        starts = [item.period[0] for item in now.items if item.period and where in ("", item.id)]
        ends = {one: _discount(world, one)["end"] for one in gone}
        over = tuple(one for one in gone if ends[one] and min(starts, default=now.at) < ends[one] <= now.at)
        if over:
            found[where] = over
    return found


def _instants(world: World, terms: Terms, own: Sequence[tuple[int, str | None]], until: int | None) -> list[int]:
    """When terms begin to hold and what changes by itself while they do: a period ends that a discount outlasted, the
    customer's own discount comes or goes.
    """
    ends = [item.period[1] for item in terms.items if item.period]
    later = [at for at in (*ends, *(at for at, _ in own)) if at > terms.at and (until is None or at < until)]
    return [terms.at, *sorted({at for at in later if at <= world.clock.now})]


def _amount(world: World, course: Course, terms: Terms, lingering: dict[str, tuple[str, ...]], at: int) -> Fraction:
    """The monthly worth at an instant: prices, the items' discounts, those of the whole, included tax."""
    prices = {item.id: _price(world, item.price, course.currency) for item in terms.items}
    costs = {item.id: _cost(prices[item.id], item.quantity) for item in terms.items}
    for item in terms.items:
        for discount in (*lingering.get(item.id, ()), *item.discounts):
            _take_off(world, costs, prices, [item], discount, at, course.currency)
    whole = (*lingering.get("", ()), *terms.discounts) or _inherited(world, course, at)
    for discount in whole:
        for items in _by_interval(terms.items, prices):
            _take_off(world, costs, prices, items, discount, at, course.currency)
    return sum((_net(item, costs[item.id]) / _months(prices[item.id]) for item in terms.items), Fraction(0))


def _inherited(world: World, course: Course, at: int) -> tuple[str, ...]:
    """The customer's own discount at an instant."""
    known = [one for since, one in world.state.worth.own.get(course.customer, []) if since <= at]
    return (known[-1],) if known and known[-1] else ()


def _by_interval(items: Sequence[ItemTerms], prices: dict[str, Obj]) -> Iterator[list[ItemTerms]]:
    """Items of the same interval stand on one invoice, off which an amount is taken once."""
    kinds = {item.id: (_every(prices[item.id])) for item in items}
    for kind in dict.fromkeys(kinds.values()):
        yield [item for item in items if kinds[item.id] == kind]


def _take_off(
    world: World,
    costs: dict[str, Fraction],
    prices: dict[str, Obj],
    items: Sequence[ItemTerms],
    discount: str,
    at: int,
    currency: str,
) -> None:
    """Takes a discount off what items cost, where it recurs and they were last billed before its end."""
    given = _discount(world, discount)
    coupon = world.coupons[given["source"]["coupon"]]
    if coupon["duration"] == "once" or given["start"] > at:
        return
    goods = part(coupon, "applies_to").get("products")
    hit = [one for one in items if not goods or prices[one.id]["product"] in goods]
    hit = [one for one in hit if given["end"] is None or _billed_at(one, at) < given["end"]]
    whole = sum((costs[one.id] for one in hit), Fraction(0))
    if coupon["percent_off"] is not None:
        share = Fraction(str(coupon["percent_off"])) / 100
    elif coupon["currency"] == currency and whole > 0:
        share = min(Fraction(1), Fraction(coupon["amount_off"]) / whole)
    else:
        return
    for one in hit:
        costs[one.id] -= costs[one.id] * share


def _billed_at(item: ItemTerms, at: int) -> int:
    """When the period that holds at an instant was billed."""
    return item.period[0] if item.period and at < item.period[1] else at


def _price(world: World, identifier: str, currency: str) -> Obj:
    if identifier not in world.state["prices"]:
        raise Refusal(400, f"The sandbox has no price {identifier}: it cannot tell what that is worth.")
    return price_in(world.state.full("prices", identifier), currency)


def _discount(world: World, identifier: str) -> Obj:
    return world.state.full("discounts", identifier)


def _net(item: ItemTerms, cost: Fraction) -> Fraction:
    """Without the tax that the price includes."""
    percent = sum((Fraction(rate) for rate, inclusive in item.rates if inclusive), Fraction(0))
    return cost * 100 / (100 + percent)


def _every(price: Obj) -> tuple[str, int]:
    return price["recurring"]["interval"], price["recurring"]["interval_count"]


def _months(price: Obj) -> Fraction:
    interval, count = _every(price)
    return MONTHS[interval] * count


def _cost(price: Obj, quantity: int) -> Fraction:
    """What a quantity costs per period, nothing rounded."""
    if price["billing_scheme"] == "per_unit":
        packs = price["transform_quantity"]
        units = quantity
        if packs:
            units, rest = divmod(quantity, packs["divide_by"])
            units += 1 if rest and packs["round"] == "up" else 0
        return _exact(price["unit_amount_decimal"]) * units
    total, below = Fraction(0), 0
    for tier in price["tiers"]:
        last = tier["up_to"] is None or quantity <= tier["up_to"]
        if price["tiers_mode"] == "volume":
            if last:
                return _tier(tier, quantity)
            continue
        total += _tier(tier, (quantity if last else tier["up_to"]) - below)
        if last:
            break
        below = tier["up_to"]
    return total


def _tier(tier: Obj, quantity: int) -> Fraction:
    return _exact(tier["unit_amount_decimal"]) * quantity + _exact(tier["flat_amount_decimal"])


@lru_cache(4096)
def _exact(decimal: str | None) -> Fraction:
    return Fraction(decimal or 0)
