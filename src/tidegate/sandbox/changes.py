"""Changes of a running subscription: price, quantity, items, with the prorations that Stripe writes for them."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from tidegate.sandbox.amounts import amount_of, rounded
from tidegate.sandbox.billing import draft, finalize, lines_ahead, pending_lines, period_end, whole_price
from tidegate.sandbox.objects import invoices, subscriptions
from tidegate.sandbox.redemptions import live_discounts, of_whole
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.world import World

Prorations = Literal["create_prorations", "none", "always_invoice"]
BILLED = ("active", "past_due")


def change(
    world: World,
    subscription: Obj,
    item: Obj,
    price: Obj,
    quantity: int,
    behavior: Prorations = "create_prorations",
) -> None:
    """Changes an item's price or quantity now.

    Prorations wait for the next invoice, or are billed at once (`always_invoice`). Another interval, or a price after
    none, begins a new period, which is billed at once: as the recorded example of it shows, as a proration over the
    whole new period, or as an ordinary line without prorations.
    """
    now, currency = world.clock.now, subscription["currency"]
    billed = subscription["status"] in BILLED
    prorated = billed and behavior != "none"
    restarts = billed and begins_anew(whole_price(world, item["price"], currency), price, item.get("quantity", 0))
    affected: list[Obj] = subscription["items"]["data"] if restarts and not flexible(subscription) else [item]
    if prorated:
        for one in affected:
            credit(world, subscription, one)
    swap(item, price, quantity)
    end = period_end(price, now, now) if restarts else item["current_period_end"]
    if prorated:
        for one in affected:
            debit(world, subscription, one, end, whole=restarts)
    if restarts:
        subscription["billing_cycle_anchor"] = now
        for one in affected:
            one |= {"current_period_start": now, "current_period_end": end}
        world.plan(end, "renew", subscription["id"], end)
    if restarts or (prorated and behavior == "always_invoice"):
        bill_now(world, subscription, affected if restarts and not prorated else [])
    else:
        world.state.put(subscription, "customer.subscription.updated")


def begins_anew(old: Obj, new: Obj, quantity: int) -> bool:
    """Whether changing from one whole price to another begins a new billing period."""
    terms = [(price["recurring"]["interval"], price["recurring"]["interval_count"]) for price in (old, new)]
    return terms[0] != terms[1] or (amount_of(old, quantity) == 0 and amount_of(new, 1) > 0)


def flexible(subscription: Obj) -> bool:
    """Whether each item has a billing period of its own."""
    return subscription["billing_mode"]["type"] == "flexible"


def swap(item: Obj, price: Obj, quantity: int | None) -> None:
    """Puts another price on an item."""
    item |= {"price": subscriptions.shown_price(price), "plan": subscriptions.plan_of(price)}
    if quantity is not None:
        item["quantity"] = quantity


def bill_now(world: World, subscription: Obj, ahead: Sequence[Obj] = (), *, declined: bool | None = None) -> Obj:
    """Bills the pending invoice items of a subscription at once, and the current period of the items `ahead`."""
    invoice_id = world.ids.new("in_1", 23)
    lines = pending_lines(world, subscription, invoice_id) + lines_ahead(world, subscription, list(ahead), invoice_id)
    invoice = draft(world, subscription, "subscription_update", lines, invoice_id)
    world.state.put(subscription, "customer.subscription.updated")
    finalize(world, invoice, declined)
    return invoice


def prorated_at(world: World) -> int:
    """As of when a change that is made now is prorated, UTC epoch seconds."""
    return world.clock.now if world.prorated_at is None else world.prorated_at


def credit(world: World, subscription: Obj, item: Obj) -> None:
    """Adds a pending proration for what is unused of an item: the same share of what was really billed for it,
    discounts included, so that no more is given back than was paid."""
    now = prorated_at(world)
    if "quantity" not in item:
        return
    price = whole_price(world, item["price"], subscription["currency"])
    billed = part(subscription, "_billed", item["id"]) or _unbilled(item, amount_of(price, item["quantity"]))
    if billed["end"] <= now:
        return
    amount = rounded(Fraction(billed["net"] * (billed["end"] - now), billed["end"] - billed["start"]))
    lines: Obj | None = None
    if billed["invoice"]:
        lines = {"invoice": billed["invoice"], "invoice_line_items": billed["lines"]}
    _prorate(world, subscription, item, price, -amount, (now, billed["end"]), "Unused", lines)


def debit(world: World, subscription: Obj, item: Obj, end: int, *, whole: bool) -> None:
    """Adds a pending proration for an item as it now is, until `end`: for what remains of its period, or the whole of a
    new one; net of the percent discounts that hold now."""
    now = world.clock.now if whole else prorated_at(world)
    if "quantity" not in item:
        return
    price = whole_price(world, item["price"], subscription["currency"])
    begin = now if whole else item["current_period_start"]
    share = Fraction(end - now, end - begin) * remaining(world, subscription, item, price)
    amount = rounded(amount_of(price, item["quantity"]) * share)
    _prorate(world, subscription, item, price, amount, (now, end), "Remaining", None)
    entry: Obj = {"invoice": None, "lines": [], "net": amount, "start": now, "end": end}
    subscription["_billed"] = part(subscription, "_billed") | {item["id"]: entry}


def _unbilled(item: Obj, amount: int) -> Obj:
    """What stands for the note of what was billed where there is none: objects put from outside have none."""
    begin, end = item["current_period_start"], item["current_period_end"]
    return {"invoice": None, "lines": [], "net": amount, "start": begin, "end": end}


def remaining(world: World, subscription: Obj, item: Obj, price: Obj) -> Fraction:
    """The share of a price that is left after the percent discounts that hold now, its item's first."""
    factor = Fraction(1)
    for given in [*live_discounts(world, item["discounts"]), *of_whole(world, subscription)]:
        coupon = world.coupons[given["source"]["coupon"]]
        goods = part(coupon, "applies_to").get("products")
        if coupon["percent_off"] is not None and (not goods or price["product"] in goods):
            factor *= 1 - Fraction(str(coupon["percent_off"])) / 100
    return factor


def _prorate(
    world: World,
    subscription: Obj,
    item: Obj,
    price: Obj,
    amount: int,
    period: tuple[int, int],
    what: str,
    credited: Obj | None,
) -> None:
    name = world.state.full("products", price["product"])["name"]
    pending = invoices.invoiceitem(
        world.ids.new("ii_1", 23),
        world.clock.now,
        subscription["customer"],
        subscription["currency"],
        amount,
        item["quantity"],
        period,
        description=f"{what} time on {item['quantity']} × {name}",
        discountable=False,
        parent={
            "subscription_details": {"subscription": subscription["id"], "subscription_item": item["id"]},
            "type": "subscription_details",
        },
        pricing=invoices.pricing(price, None),
        proration=True,
        _credited=credited,
    )
    world.state.put(pending, "invoiceitem.created")


def has_price(subscription: Obj, price: Obj) -> bool:
    """Whether a subscription has an item of this price already: Stripe refuses a second one."""
    return any(item["price"]["id"] == price["id"] for item in subscription["items"]["data"])


def add_item(
    world: World, subscription: Obj, price: Obj, quantity: int | None, behavior: Prorations = "create_prorations"
) -> Obj:
    """Adds an item for the rest of the period and returns it. The caller sees to it that the price is new
    (`has_price`)."""
    first, now = subscription["items"]["data"][0], world.clock.now
    period = (first["current_period_start"], first["current_period_end"])
    added = subscriptions.item(world.ids.new("si_"), now, subscription["id"], price, quantity, period)
    subscription["items"]["data"].append(added)
    prorated = subscription["status"] in BILLED and behavior != "none"
    if prorated:
        debit(world, subscription, added, period[1], whole=False)
    _close(world, subscription, behavior, prorated=prorated)
    return added


def remove_item(world: World, subscription: Obj, item: Obj, behavior: Prorations = "create_prorations") -> None:
    """Takes an item off a subscription that has others; what is unused of it is credited."""
    prorated = subscription["status"] in BILLED and behavior != "none"
    if prorated:
        credit(world, subscription, item)
    items = subscription["items"]
    subscription["items"] = items | {"data": [one for one in items["data"] if one["id"] != item["id"]]}
    _close(world, subscription, behavior, prorated=prorated)


def _close(world: World, subscription: Obj, behavior: Prorations, *, prorated: bool) -> None:
    if prorated and behavior == "always_invoice":
        bill_now(world, subscription)
    else:
        world.state.put(subscription, "customer.subscription.updated")
