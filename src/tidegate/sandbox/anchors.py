"""The first invoice of a subscription whose periods do not begin with it: a start in the past, a later anchor."""

from fractions import Fraction

from tidegate.sandbox.amounts import amount_of, rounded
from tidegate.sandbox.billing import lines_ahead, period_end, whole_price
from tidegate.sandbox.objects import invoices
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import World


def first_lines(world: World, subscription: Obj, invoice: str, *, prorates: bool = True) -> list[Obj]:
    """The lines of the first invoice (docs.stripe.com/billing/subscriptions/backdating and …/billing-cycle).

    Without a trial: one line for the time from a start in the past until now and one for the period that begins now,
    or a single one from the start to an anchor in the future. Without prorations only the period remains; until the
    anchor it is free.
    """
    begin, now, items = subscription["start_date"], subscription["created"], subscription["items"]["data"]
    if subscription["status"] == "trialing":
        return lines_ahead(world, subscription, items, invoice)
    if anchored(subscription):
        return (
            _part_lines(world, subscription, invoice, begin, subscription["billing_cycle_anchor"]) if prorates else []
        )
    past = _part_lines(world, subscription, invoice, begin, now) if prorates and begin < now else []
    return past + lines_ahead(world, subscription, items, invoice)


def anchored(subscription: Obj) -> bool:
    """Whether a new subscription's first whole period begins later, without a trial until then."""
    return subscription["status"] != "trialing" and subscription["billing_cycle_anchor"] > subscription["created"]


def intervals(price: Obj, begin: int, until: int) -> Fraction:
    """How many of a price's intervals, imagined to follow each other from `begin`, there are until then."""
    whole, at = 0, begin
    while (end := period_end(price, at, begin)) <= until:
        whole, at = whole + 1, end
    return whole + Fraction(until - at, end - at)


def _part_lines(world: World, subscription: Obj, invoice: str, begin: int, end: int) -> list[Obj]:
    lines: list[Obj] = []
    for item in (one for one in subscription["items"]["data"] if "quantity" in one):
        price = whole_price(world, item["price"], subscription["currency"])
        name = world.state.full("products", price["product"])["name"]
        line = invoices.line(
            world.ids.new("il_1", 23),
            invoice,
            subscription["currency"],
            rounded(amount_of(price, item["quantity"]) * intervals(price, begin, end)),
            item["quantity"],
            (begin, end),
            description=f"Time on {item['quantity']} × {name} before the first whole period",
            parent=invoices.of_item(subscription["id"], item["id"], proration=True),
            pricing=invoices.pricing(price, None),
        )
        lines.append(line)
    return lines
