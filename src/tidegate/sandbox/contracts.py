"""The course of a subscription: it starts, renews, and goes from trial to paid; changes and ends are beside it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tidegate.sandbox.anchors import anchored, first_lines
from tidegate.sandbox.billing import (
    DRAFT_SECONDS,
    composed,
    draft,
    finalize,
    lines_ahead,
    metered_lines,
    pending_items,
    pending_line,
    pending_lines,
    period_end,
)
from tidegate.sandbox.changes import add_item, bill_now, change, credit, remove_item
from tidegate.sandbox.endings import OVER, end, expire, finish, give_up, schedule_end
from tidegate.sandbox.objects import subscriptions
from tidegate.sandbox.payments import declines_now, method_of
from tidegate.sandbox.redemptions import redeem, told
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.schedules import turn
from tidegate.sandbox.state import split
from tidegate.sandbox.world import DAY, Due, World

__all__ = [
    "Terms",
    "add_item",
    "bill_now",
    "change",
    "end",
    "expire",
    "give_up",
    "remove_item",
    "renew",
    "schedule_end",
    "start",
]

EXPIRES_SECONDS = 23 * 3600
UPCOMING_DAYS, TRIAL_ENDS_DAYS = 7, 3
"""How long before a renewal and the end of a trial Stripe tells of it."""


@dataclass
class Terms:
    """What a new subscription is agreed on; `items` are (price, quantity), metered ones without quantity.

    Billed in the first price's own currency unless another of its `currency_options` is named.
    """

    items: list[tuple[Obj, int | None]]
    trial_days: int = 0
    coupon: str | None = None
    item_coupon: str | None = None
    promotion_code: str | None = None
    currency: str | None = None
    changes: dict[str, Any] = field(default_factory=dict[str, Any])
    agree: Callable[[Obj], None] | None = None
    """Writes on the subscription what else was agreed, before anything is billed: trial, discounts of any number."""
    collects: bool = True
    """Whether the first invoice is collected at once; else the subscription waits, incomplete, for its payment."""
    anchor: int | None = None
    """When the first whole period begins (UTC epoch seconds, later than now); None: at once, or after the trial."""
    prorates: bool = True
    """Whether the time before the first whole period is billed; a start in the past is among `changes`."""


def start(world: World, customer: Obj, terms: Terms) -> Obj:
    """Starts a subscription now and bills its first period; returns it as it then stands.

    One whose first payment fails is incomplete from birth.
    """
    now, identifier = world.clock.now, world.ids.new("sub_1", 23)
    currency = terms.currency or terms.items[0][0]["currency"]
    trial_end = now + terms.trial_days * DAY
    items = [
        subscriptions.item(
            world.ids.new("si_"),
            now,
            identifier,
            price,
            quantity,
            (now, trial_end if terms.trial_days else terms.anchor or period_end(price, now, now)),
        )
        for price, quantity in terms.items
    ]
    subscription = subscriptions.subscription(identifier, now, customer, currency, items, **terms.changes)
    if terms.trial_days:
        subscription |= {"status": "trialing", "trial_start": now, "trial_end": trial_end}
        subscription["billing_cycle_anchor"] = trial_end
    elif terms.anchor:
        subscription["billing_cycle_anchor"] = terms.anchor
    redeem(world, subscription, terms.coupon, terms.item_coupon, terms.promotion_code)
    if terms.agree:
        terms.agree(subscription)
    known = world.state.full("customers", customer["id"])
    if known["currency"] is None:
        world.state.put(known | {"currency": currency}, "customer.updated")
    if anchored(subscription) and not terms.prorates:
        tell_of(world, subscription)
    else:
        bill_first(world, subscription, terms)
    plan_renewal(world, subscription)
    return world.state.full("subscriptions", identifier)


def bill_first(world: World, subscription: Obj, terms: Terms) -> None:
    """Bills what a new subscription costs at first and collects it; tells of the subscription, whose status depends on
    that."""
    invoice_id = world.ids.new("in_1", 23)
    lines = first_lines(world, subscription, invoice_id, prorates=terms.prorates)
    invoice = draft(world, subscription, "subscription_create", lines, invoice_id)
    waits = not terms.collects and invoice["amount_due"] > 0
    declined = not waits and declines_now(world, invoice)
    if waits or declined:
        subscription["status"] = "incomplete"
    tell_of(world, subscription)
    if waits:
        world.plan(world.clock.now + EXPIRES_SECONDS, "expire", subscription["id"])
    finalize(world, invoice, declined, collects=not waits)


def tell_of(world: World, subscription: Obj) -> None:
    """Stores a new subscription with its event and those of the discounts that were made for it."""
    world.state.put(subscription, "customer.subscription.created")
    for owner in (subscription, *subscription["items"]["data"]):
        for discount in (world.state.full("discounts", one) for one in owner["discounts"]):
            if discount["subscription"] == subscription["id"]:
                told(world, discount)


def next_end(subscription: Obj) -> int:
    """When the first of the items' current periods ends."""
    return min(item["current_period_end"] for item in subscription["items"]["data"])


def plan_renewal(world: World, subscription: Obj) -> None:
    """Plans the end of the current period and what is told ahead of it."""
    now, identifier, ends = world.clock.now, subscription["id"], next_end(subscription)
    world.plan(ends, "renew", identifier, ends)
    if ends - UPCOMING_DAYS * DAY > now:
        world.plan(ends - UPCOMING_DAYS * DAY, "upcoming", identifier, ends)
    if subscription["status"] == "trialing":
        world.plan(max(now, ends - TRIAL_ENDS_DAYS * DAY), "trial_will_end", identifier, ends)


def renew(world: World, identifier: str, expected_end: int) -> None:
    """Ends a subscription's period and begins the next, if it is still the one that was expected to end now; of items
    with different intervals only those whose period ends."""
    subscription = world.state.full("subscriptions", identifier)
    if subscription["status"] in (*OVER, "incomplete", "paused") or next_end(subscription) != expected_end:
        return
    if subscription["cancel_at"] and subscription["cancel_at"] <= expected_end:
        finish(world, subscription)
        return
    was_trial = subscription["status"] == "trialing"
    if was_trial and not _goes_on(world, subscription):
        return
    if subscription["schedule"] and turn(world, subscription):
        return
    due = [item for item in subscription["items"]["data"] if item["current_period_end"] == expected_end]
    invoice_id, lines = world.ids.new("in_1", 23), list[Obj]()
    if was_trial:
        subscription["status"] = "active"
    else:
        lines = metered_lines(world, subscription, due, invoice_id)
    period = {"period_start": due[0]["current_period_start"], "period_end": expected_end}
    roll(world, subscription, due, expected_end)
    lines = pending_lines(world, subscription, invoice_id) + lines + lines_ahead(world, subscription, due, invoice_id)
    unpaid: Obj = {"auto_advance": False, "automatically_finalizes_at": None}
    waits = unpaid if subscription["status"] == "unpaid" else {}
    draft(world, subscription, "subscription_cycle", lines, invoice_id, **period, **waits)
    world.state.put(subscription, "customer.subscription.updated")
    if not waits:
        world.plan(world.clock.now + DRAFT_SECONDS, "finalize", invoice_id)
    plan_renewal(world, subscription)


def roll(world: World, subscription: Obj, items: list[Obj], begin: int) -> None:
    """Begins the next period of items, whose prices are shown as they now are."""
    for item in items:
        price = world.state.full("prices", item["price"]["id"])
        finish_at = period_end(price, begin, subscription["billing_cycle_anchor"])
        item |= {"price": subscriptions.shown_price(price), "plan": subscriptions.plan_of(price)}
        item |= {"current_period_start": begin, "current_period_end": finish_at}


def _goes_on(world: World, subscription: Obj) -> bool:
    """Whether a trial that ends now becomes a paid subscription; without a card it may be paused or canceled, by
    default its first period is billed all the same."""
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if behavior == "create_invoice" or subscription["collection_method"] == "send_invoice":
        return True
    if method_of(world, subscription):
        return True
    if behavior == "pause":
        subscription["status"] = "paused"
        world.state.put(subscription, "customer.subscription.updated", "customer.subscription.paused")
    else:
        end(world, subscription, "cancellation_requested")
    return False


def resume_paused(world: World, subscription: Obj) -> None:
    """Goes on with a subscription that was paused for want of a card: its first paid period begins now."""
    if subscription["status"] != "paused":
        return
    now, items = world.clock.now, subscription["items"]["data"]
    subscription |= {"status": "active", "billing_cycle_anchor": now}
    roll(world, subscription, items, now)
    bill_now(world, subscription, items)
    world.state.put(world.state.full("subscriptions", subscription["id"]), "customer.subscription.resumed")
    plan_renewal(world, subscription)


def reanchor(world: World, subscription: Obj, *, prorates: bool) -> None:
    """Begins a new period of a running subscription now and bills it at once; with `prorates` what is unused of the
    one before is credited."""
    now, items = world.clock.now, subscription["items"]["data"]
    if prorates:
        for item in items:
            credit(world, subscription, item)
    subscription["billing_cycle_anchor"] = now
    roll(world, subscription, items, now)
    bill_now(world, subscription, items)
    plan_renewal(world, subscription)


def restart_trial(world: World, subscription: Obj, days: int) -> None:
    """Gives a running subscription a trial from now on; what is unused of its paid period is credited."""
    now, items = world.clock.now, subscription["items"]["data"]
    for item in items:
        credit(world, subscription, item)
        item |= {"current_period_start": now, "current_period_end": now + days * DAY}
    subscription |= {"status": "trialing", "trial_start": now, "trial_end": now + days * DAY}
    subscription["billing_cycle_anchor"] = now + days * DAY
    bill_now(world, subscription, items)
    plan_renewal(world, subscription)


def trial_will_end(world: World, due: Due) -> None:
    """Tells that a trial is about to end."""
    subscription = world.state.full("subscriptions", due.about)
    if subscription["status"] == "trialing" and subscription["trial_end"] == due.detail:
        world.state.put(subscription, "customer.subscription.trial_will_end")


def upcoming(world: World, due: Due) -> None:
    """Tells what the next invoice of a subscription will be, as things stand: an invoice that is never stored."""
    subscription = world.state.full("subscriptions", due.about)
    running = subscription["status"] in ("active", "past_due", "trialing")
    if not running or next_end(subscription) != due.detail or subscription["cancel_at"] == due.detail:
        return
    if subscription["pause_collection"] or world.clock.now < world.state.events_from:
        return
    invoice = next_invoice(world, subscription, due.detail)
    invoice |= {"created": due.detail, "test_clock": world.state.clock_of.get(subscription["customer"])}
    body, _, _ = split(world.state["invoices"].resource, invoice, livemode=world.state.livemode)
    world.state.emit("invoice.upcoming", body, None)


def next_invoice(world: World, subscription: Obj, at: int, *, pending: bool = True) -> Obj:
    """The invoice that a subscription's renewal at an instant (UTC epoch seconds) will make, as things stand, over what
    is `pending`, too; it is not stored.
    """
    identifier = world.ids.new("upcoming_in_1", 23)
    after = subscription | {"status": "active"}
    items = [item for item in subscription["items"]["data"] if item["current_period_end"] == at]
    period = {"period_start": items[0]["current_period_start"], "period_end": at}
    roll(world, after, items, at)
    waiting = pending_items(world, subscription) if pending else []
    lines = [pending_line(world, one, identifier) for one in waiting]
    lines += lines_ahead(world, after, items, identifier)
    times: Obj = {"automatically_finalizes_at": None, "next_payment_attempt": at + DRAFT_SECONDS}
    if subscription["collection_method"] == "send_invoice":
        times["next_payment_attempt"] = None
    return composed(world, after, "upcoming", lines, identifier, **period, **times)
