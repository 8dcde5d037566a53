"""The course of a subscription: it starts, renews, changes, pauses and ends."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tidegate.sandbox.amounts import amount_of, rounded
from tidegate.sandbox.billing import (
    DRAFT_SECONDS,
    draft,
    finalize,
    item_lines,
    pending_lines,
    trial_line,
    void,
    whole_price,
)
from tidegate.sandbox.clock import add_interval, day_of_month
from tidegate.sandbox.objects import invoices, subscriptions
from tidegate.sandbox.redemptions import redeem
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import DAY, World


@dataclass
class Terms:
    """What a new subscription is agreed on; `items` are (price, quantity), metered ones without quantity."""

    items: list[tuple[Obj, int | None]]
    trial_days: int = 0
    coupon: str | None = None
    item_coupon: str | None = None
    promotion_code: str | None = None
    changes: dict[str, Any] = field(default_factory=dict[str, Any])
    agree: Callable[[Obj], None] | None = None
    """Writes on the subscription what else was agreed, before anything is billed: trial, discounts of any number."""
    collects: bool = True
    """Whether the first invoice is collected at once; else the subscription waits, incomplete, for its payment."""


def start(world: World, customer: Obj, terms: Terms) -> Obj:
    """Starts a subscription now and bills its first period; returns it as it then stands."""
    now, identifier = world.clock.now, world.ids.new("sub_1", 23)
    price = terms.items[0][0]
    end = now + terms.trial_days * DAY if terms.trial_days else period_end(price, now, now)
    items = [
        subscriptions.item(world.ids.new("si_"), now, identifier, whole, quantity, (now, end))
        for whole, quantity in terms.items
    ]
    subscription = subscriptions.subscription(identifier, now, customer, price["currency"], items, **terms.changes)
    if terms.trial_days:
        subscription |= {"status": "trialing", "trial_start": now, "trial_end": end, "billing_cycle_anchor": end}
    redeem(world, subscription, terms.coupon, terms.item_coupon, terms.promotion_code)
    if terms.agree:
        terms.agree(subscription)
        end = items[0]["current_period_end"]
    known = world.state.full("customers", customer["id"])
    if known["currency"] is None:
        world.state.put(known | {"currency": price["currency"]}, "customer.updated")
    invoice_id = world.ids.new("in_1", 23)
    lines = lines_ahead(world, subscription, invoice_id)
    invoice = draft(world, subscription, "subscription_create", lines, invoice_id)
    waits = not terms.collects and invoice["amount_due"] > 0
    if waits:
        subscription["status"] = "incomplete"
        world.plan(now + 23 * 3600, "expire", identifier)
    world.state.put(subscription, "customer.subscription.created")
    finalize(world, invoice, collects=not waits)
    world.plan(end, "renew", identifier, end)
    return world.state.full("subscriptions", identifier)


def period_end(price: Obj, begin: int, anchor: int) -> int:
    """Where the period that begins at `begin` ends; the anchor's day of the month comes back after short months."""
    recurring = price["recurring"]
    return add_interval(begin, recurring["interval"], recurring["interval_count"], day_of_month(anchor))


def lines_ahead(world: World, subscription: Obj, invoice: str) -> list[Obj]:
    """The lines for the items' current period: licensed ones in advance, none for metered ones."""
    lines: list[Obj] = []
    for item in subscription["items"]["data"]:
        if subscription["status"] == "trialing":
            lines.append(trial_line(world, subscription, item, invoice))
        elif "quantity" in item:
            period = (item["current_period_start"], item["current_period_end"])
            lines += item_lines(world, subscription, item, invoice, period, item["quantity"])
    return lines


def renew(world: World, identifier: str, expected_end: int) -> None:
    """Ends a subscription's period and begins the next, if it is still the one that was expected to end now."""
    subscription = world.state.full("subscriptions", identifier)
    items: list[Obj] = subscription["items"]["data"]
    if subscription["status"] in ("canceled", "incomplete_expired", "incomplete", "paused"):
        return
    if items[0]["current_period_end"] != expected_end:
        return
    if subscription["cancel_at_period_end"]:
        end(world, subscription, "cancellation_requested")
        return
    was_trial = subscription["status"] == "trialing"
    if was_trial and not _pays(world, subscription):
        _trial_without_card(world, subscription)
        return
    invoice_id, lines = world.ids.new("in_1", 23), list[Obj]()
    if was_trial:
        subscription["status"] = "active"
    else:
        lines = metered_lines(world, subscription, invoice_id)
    begun = items[0]["current_period_start"]
    following = period_end(items[0]["price"], expected_end, subscription["billing_cycle_anchor"])
    for item in items:
        item |= {"current_period_start": expected_end, "current_period_end": following}
    lines = pending_lines(world, subscription, invoice_id) + lines + lines_ahead(world, subscription, invoice_id)
    period = {"period_start": begun, "period_end": expected_end}
    draft(world, subscription, "subscription_cycle", lines, invoice_id, **period)
    world.state.put(subscription, "customer.subscription.updated")
    if subscription["status"] != "unpaid":
        world.plan(world.clock.now + DRAFT_SECONDS, "finalize", invoice_id)
    world.plan(following, "renew", identifier, following)


def _pays(world: World, subscription: Obj) -> bool:
    customer = world.state.full("customers", subscription["customer"])
    return subscription["collection_method"] == "send_invoice" or bool(
        subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    )


def _trial_without_card(world: World, subscription: Obj) -> None:
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if behavior == "pause":
        subscription["status"] = "paused"
        world.state.put(subscription, "customer.subscription.updated", "customer.subscription.paused")
    else:
        end(world, subscription, "cancellation_requested")


def metered_lines(world: World, subscription: Obj, invoice: str) -> list[Obj]:
    """The lines for what was used of metered items in the period that ends now."""
    lines: list[Obj] = []
    for item in subscription["items"]["data"]:
        if "quantity" not in item:
            used = world.chance.randrange(0, 60_000)
            period = (item["current_period_start"], item["current_period_end"])
            lines += item_lines(world, subscription, item, invoice, period, used)
    return lines


def change(
    world: World, subscription: Obj, item: Obj, price: Obj, quantity: int, prorations: str = "create_prorations"
) -> None:
    """Changes an item's price or quantity now, with prorations: pending for the next invoice, or billed at once when
    the interval changes or the period is longer than a month.

    `prorations` is Stripe's proration_behavior: `always_invoice` bills them at once, `none` makes none.
    """
    now = world.clock.now
    old_price = whole_price(world, item["price"])
    prorated = subscription["status"] in ("active", "past_due") and prorations != "none"
    new_interval = price["recurring"]["interval"] != old_price["recurring"]["interval"] or (
        price["recurring"]["interval_count"] != old_price["recurring"]["interval_count"]
    )
    begin, old_end = item["current_period_start"], item["current_period_end"]
    left = Fraction(old_end - now, old_end - begin)
    credit = -rounded(amount_of(old_price, item["quantity"]) * left)
    new_end = period_end(price, now, now) if new_interval and prorated else old_end
    debit = rounded(amount_of(price, quantity) * (Fraction(1) if new_interval else left))
    if prorated:
        credited = subscription.get("_billed", {}).get(item["id"])
        prorate(world, subscription, item, old_price, item["quantity"], credit, (now, old_end), credited)
        prorate(world, subscription, item, price, quantity, debit, (now, new_end), None)
    item |= {"price": subscriptions.shown_price(price), "plan": subscriptions.plan_of(price), "quantity": quantity}
    if new_interval and prorated:
        subscription["billing_cycle_anchor"] = now
        for one in subscription["items"]["data"]:
            one |= {"current_period_start": now, "current_period_end": new_end}
        world.plan(new_end, "renew", subscription["id"], new_end)
    at_once = new_interval or old_end - begin > 40 * DAY or prorations == "always_invoice"
    if prorated and at_once:
        bill_now(world, subscription)
    else:
        world.state.put(subscription, "customer.subscription.updated")


def bill_now(world: World, subscription: Obj) -> None:
    """Bills the pending prorations of a subscription at once."""
    invoice_id = world.ids.new("in_1", 23)
    lines = pending_lines(world, subscription, invoice_id)
    invoice = draft(world, subscription, "subscription_update", lines, invoice_id)
    world.state.put(subscription, "customer.subscription.updated")
    finalize(world, invoice)


def prorate(
    world: World,
    subscription: Obj,
    item: Obj,
    price: Obj,
    quantity: int,
    amount: int,
    period: tuple[int, int],
    credited: Obj | None,
) -> None:
    """Adds a pending proration: what is unused of the old (negative) or remains of the new (positive), net of percent
    discounts, minor units."""
    factor = Fraction(1)
    for given in (world.state.full("discounts", one) for one in [*item["discounts"], *subscription["discounts"]]):
        coupon = world.coupons[given["source"]["coupon"]]
        if coupon["percent_off"] is not None and "applies_to" not in coupon:
            factor *= 1 - Fraction(str(coupon["percent_off"])) / 100
    name = world.state.full("products", price["product"])["name"]
    world.state.put(
        invoices.invoiceitem(
            world.ids.new("ii_1", 23),
            world.clock.now,
            subscription["customer"],
            subscription["currency"],
            rounded(amount * factor),
            quantity,
            period,
            description=f"{'Unused' if credited or amount < 0 else 'Remaining'} time on {quantity} × {name}",
            discountable=False,
            parent={
                "subscription_details": {"subscription": subscription["id"], "subscription_item": item["id"]},
                "type": "subscription_details",
            },
            pricing=invoices.pricing(price, None),
            proration=True,
            _credited=credited,
        ),
        "invoiceitem.created",
    )


def add_item(world: World, subscription: Obj, price: Obj, quantity: int, prorations: str = "create_prorations") -> Obj:
    """Adds an item for the rest of the period, `prorations` as in `change`; returns the item."""
    first = subscription["items"]["data"][0]
    begin, finish = first["current_period_start"], first["current_period_end"]
    now = world.clock.now
    added = subscriptions.item(world.ids.new("si_"), now, subscription["id"], price, quantity, (begin, finish))
    subscription["items"]["data"].append(added)
    prorated = subscription["status"] in ("active", "past_due") and prorations != "none"
    if prorated:
        amount = rounded(amount_of(price, quantity) * Fraction(finish - now, finish - begin))
        prorate(world, subscription, added, price, quantity, amount, (now, finish), None)
    if prorated and prorations == "always_invoice":
        bill_now(world, subscription)
    else:
        world.state.put(subscription, "customer.subscription.updated")
    return added


def schedule_end(world: World, subscription: Obj, feedback: str, comment: str | None) -> None:
    """Has a subscription end with its period."""
    subscription |= {
        "cancel_at_period_end": True,
        "cancel_at": subscription["items"]["data"][0]["current_period_end"],
        "canceled_at": world.clock.now,
        "cancellation_details": {"comment": comment, "feedback": feedback, "reason": "cancellation_requested"},
    }
    world.state.put(subscription, "customer.subscription.updated")


def end(world: World, subscription: Obj, reason: str | None) -> None:
    """Ends a subscription now."""
    now = world.clock.now
    subscription |= {"status": "canceled", "ended_at": now, "canceled_at": subscription["canceled_at"] or now}
    if subscription["cancellation_details"]["reason"] is None:
        subscription["cancellation_details"] = subscription["cancellation_details"] | {"reason": reason}
    world.state.put(subscription, "customer.subscription.deleted")


def expire(world: World, identifier: str) -> None:
    """Ends a subscription whose first payment never came."""
    subscription = world.state.full("subscriptions", identifier)
    if subscription["status"] != "incomplete":
        return
    subscription |= {"status": "incomplete_expired", "ended_at": world.clock.now, "canceled_at": world.clock.now}
    world.state.put(subscription, "customer.subscription.updated")
    void(world, world.state.full("invoices", subscription["latest_invoice"]), "void")


def give_up(world: World, identifier: str, invoice_id: str) -> None:
    """What follows the last failed attempt: the subscription is canceled, or unpaid for those who keep it open."""
    subscription = world.state.full("subscriptions", identifier)
    if subscription["status"] == "canceled":
        return
    role = world.state.full("customers", subscription["customer"]).get("_role")
    if role == "unpaid":
        if subscription["status"] != "unpaid":
            world.state.put(subscription | {"status": "unpaid"}, "customer.subscription.updated")
        return
    if role == "past_due":
        return
    void(world, world.state.full("invoices", invoice_id), "uncollectible")
    end(world, world.state.full("subscriptions", identifier), "payment_failed")
