"""Subscriptions, started, changed and ended."""

from dataclasses import replace
from typing import Any

from tidegate.sandbox import contracts, endings
from tidegate.sandbox.amounts import amount_of
from tidegate.sandbox.answers import Refusal, missing
from tidegate.sandbox.contracts import Terms
from tidegate.sandbox.params import required
from tidegate.sandbox.payments import declines, method_of
from tidegate.sandbox.redemptions import remove
from tidegate.sandbox.rehearsal import rehearsal
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.writes import ends, items
from tidegate.sandbox.writes.anchors import anchors_now, beginning
from tidegate.sandbox.writes.calls import Call, Write, metadata, needs, needs_value, taken
from tidegate.sandbox.writes.coupons import given_to, wanted
from tidegate.sandbox.writes.pace import Pace
from tidegate.sandbox.writes.payment_methods import declined, owned, without_card
from tidegate.sandbox.writes.prorating import prorated
from tidegate.sandbox.writes.test_clocks import room_for_subscription
from tidegate.sandbox.writes.trials import end_trial, later, on_trial, trial_change, trial_of

ENDED = ("canceled", "incomplete_expired")
PLAIN = ("collection_method", "days_until_due", "description")
SETTINGS = ("payment_settings", "trial_settings")
SERVED = (
    *PLAIN,
    "billing_cycle_anchor",
    *ends.SERVED,
    "default_payment_method",
    "default_tax_rates",
    "discounts",
    "metadata",
    "off_session",
    "payment_behavior",
    "payment_settings[payment_method_types]",
    "payment_settings[save_default_payment_method]",
    "proration_behavior",
    "trial_end",
    "trial_settings",
)


def create(call: Call) -> Obj:
    """Starts a subscription, bills its first period and collects it as `payment_behavior` says."""
    given = call.given
    needs(given, "customer", "items")
    customer = call.referred("customers", given["customer"], "customer")
    room_for_subscription(call, customer)
    wishes = [items.wish(call, one, None, customer["id"], f"items[{n}]") for n, one in enumerate(given["items"])]
    items.fits(wishes, None)
    one_currency(call, customer, str(wishes[0].price and wishes[0].price["currency"]))
    trial_end, ends_at = trial_of(call), ends.wanted(call)
    begins = beginning(call, [one.price for one in wishes if one.price])
    discounts = wanted(call, given.get("discounts") or [], customer["id"], "discounts")
    changes = fields(call, customer["id"], {}) | metadata({}, given)
    collected(given, changes | {"collection_method": given.get("collection_method", "charge_automatically")})
    free = trial_end or (begins["anchor"] and not begins["prorates"])
    costs = not free and any(one.price and amount_of(one.price, one.quantity or 0) for one in wishes)
    if costs and not _all_off(call, discounts):
        payable(call, customer, changes)

    def agree(subscription: Obj) -> None:
        if trial_end:
            on_trial(call, subscription, trial_end)
        for item, one in zip(subscription["items"]["data"], wishes, strict=True):
            items.dress(call, subscription, item, one)
        subscription["discounts"] = given_to(call, discounts, customer["id"], subscription=subscription["id"])
        ends.of_new(call, subscription, ends_at)

    bought: list[tuple[Obj, int | None]] = []
    for one in wishes:
        assert one.price is not None
        items.keep(call, one.price)
        bought.append((one.price, one.quantity))
    waits = given.get("payment_behavior") == "default_incomplete"
    if given.get("backdate_start_date") is not None:
        changes["start_date"] = given["backdate_start_date"]
    terms = Terms(bought, changes=changes, agree=agree, collects=not waits, **begins)
    return contracts.start(call.world, customer, terms)


def fields(call: Call, customer: str, known: Obj) -> Obj:
    """The plain fields that the parameters set. Raises Refusal (400)."""
    given = call.given
    needs_value(given, "cancel_at_period_end", "days_until_due")
    changes = taken(given, *PLAIN)
    card = given.get("default_payment_method")
    if "default_payment_method" in given:
        changes["default_payment_method"] = owned(call, card, customer, "default_payment_method") if card else None
    rates = items.tax_rates(call, given.get("default_tax_rates"), "default_tax_rates")
    if rates is not None:
        changes["default_tax_rates"] = rates
    payment: Obj = given.get("payment_settings") or {}
    if payment:
        nothing: Obj = {"payment_method_options": None, "payment_method_types": None}
        changes["payment_settings"] = (
            nothing | {"save_default_payment_method": "off"} | known.get("payment_settings", {}) | payment
        )
    if given.get("trial_settings"):
        changes["trial_settings"] = given["trial_settings"]
    return changes


def collected(given: dict[str, Any], subscription: Obj) -> None:
    """Checks how a subscription is to be collected. Raises Refusal (400)."""
    sends = subscription["collection_method"] == "send_invoice"
    if sends and subscription.get("days_until_due") is None:
        raise required("days_until_due")
    if not sends and given.get("days_until_due") is not None:
        raise Refusal(
            400,
            "days_until_due can only be set if collection_method is `send_invoice`.",
            param="days_until_due",
        )


def one_currency(call: Call, customer: Obj, currency: str) -> None:
    """Refuses a second currency while the customer has a live subscription in another (400)."""
    for identifier in call.state["subscriptions"].find("customer", customer["id"]):
        other = call.state["subscriptions"].shown(identifier)
        if other["status"] not in ENDED and other["currency"] != currency:
            raise Refusal(
                400,
                "You cannot combine currencies on a single customer. This customer has an active subscription, "
                f"subscription schedule, discount, quote, or invoice item with currency {other['currency']}.",
                param="items",
            )


def _all_off(call: Call, discounts: items.Wanted) -> bool:
    coupons = [call.world.coupons[one[0]] for one in discounts if not isinstance(one, str)]
    return any(coupon["percent_off"] == 100 for coupon in coupons)


def payable(call: Call, customer: Obj, changes: Obj) -> None:
    """Checks that the first invoice can be paid as `payment_behavior` wants.

    Raises Refusal: 400 without a card, 402 when `error_if_incomplete` and the card is declined.
    """
    behavior = call.given.get("payment_behavior") or "allow_incomplete"
    if behavior == "pending_if_incomplete":
        raise Refusal(400, "pending_if_incomplete is only for updates of a subscription.", param="payment_behavior")
    sends = changes.get("collection_method") == "send_invoice"
    if sends or behavior == "default_incomplete" or customer["balance"] < 0:
        return
    card = changes.get("default_payment_method") or customer["invoice_settings"]["default_payment_method"]
    if card not in call.state["payment_methods"]:
        raise without_card()
    if behavior == "error_if_incomplete":
        first: Obj = {"billing_reason": "subscription_create", "attempt_count": 0, "customer": customer["id"]}
        if declines(call.world, first, card):
            raise declined("insufficient_funds")


def update(call: Call) -> Obj:
    """Changes a subscription: its items with prorations, its collection, its end, its trial."""
    subscription, given = call.addressed("subscriptions"), call.given
    identifier, customer = subscription["id"], subscription["customer"]
    if subscription["status"] in ENDED and given.keys() - {"metadata", "cancellation_details"}:
        raise Refusal(400, "A canceled subscription can only update its cancellation_details and metadata.")
    if given.get("payment_behavior") not in (None, "allow_incomplete", "error_if_incomplete"):
        raise Refusal(
            400,
            "The sandbox updates with payment_behavior=allow_incomplete and error_if_incomplete only.",
            param="payment_behavior",
        )
    if given.get("payment_behavior") == "error_if_incomplete":
        paid_or_refused(call, subscription)
    wishes = wishes_of(call, subscription)
    changes = fields(call, customer, subscription) | metadata(subscription["metadata"], given)
    collected(given, subscription | changes)
    discounts = None
    if "discounts" in given:
        discounts = wanted(call, given["discounts"] or [], customer, "discounts")
    until, ends_at = trial_change(call, subscription), ends.wanted(call)
    anew = anchors_now(call, subscription)
    prorations = given.get("proration_behavior") or "create_prorations"
    if wishes:
        items.admit(call, subscription, wishes, prorations)
    pause = pause_of(call)
    before = dict(subscription)
    subscription |= changes | pause
    alter(call, subscription, discounts, until)
    if wishes:
        with prorated(call, subscription):
            items.carry_out(call, subscription, wishes, prorations)
    elif not anew and not given.get("cancel_at_period_end") and ends_at is None and subscription != before:
        call.state.put(subscription, "customer.subscription.updated")
    ends.of_known(call, subscription, ends_at)
    if anew:
        contracts.reanchor(call.world, subscription, prorates=prorations != "none")
    if until == "now":
        end_trial(call, identifier)
    return call.state.full("subscriptions", identifier)


def paid_or_refused(call: Call, subscription: Obj) -> None:
    """Tries an update in a copy. Raises Refusal (402, or 400 without a card) when what it bills at once is not paid."""
    world = rehearsal(call.world)
    given = call.given | {"payment_behavior": "allow_incomplete"}
    tried = update(replace(call, world=world, pace=Pace(world.state), given=given, later=[]))
    if tried["latest_invoice"] in (None, subscription["latest_invoice"]):
        return
    invoice = world.state.full("invoices", tried["latest_invoice"])
    if invoice["status"] == "open" and invoice["collection_method"] == "charge_automatically":
        raise declined("insufficient_funds") if method_of(world, invoice) else without_card()


def alter(call: Call, subscription: Obj, discounts: items.Wanted | None, until: int | str | None) -> None:
    """Writes on a subscription what an update changes besides plain fields and items; it is not stored."""
    given = call.given
    if given.get("cancellation_details"):
        subscription["cancellation_details"] = subscription["cancellation_details"] | given["cancellation_details"]
    if discounts is not None:
        replace_discounts(call, subscription, discounts)
    if isinstance(until, int):
        on_trial(call, subscription, until)
        call.world.plan(until, "renew", subscription["id"], until)
    if ends.taken_back(given):
        endings.take_back(subscription)


def wishes_of(call: Call, subscription: Obj) -> list[items.Wish]:
    """What an update asks for the items, checked. Raises Refusal (400)."""
    wishes: list[items.Wish] = []
    for position, given in enumerate(call.given.get("items") or []):
        param = f"items[{position}]"
        known = items.item_of(subscription, given["id"], f"{param}[id]") if given.get("id") else None
        if given.get("deleted") and known is None:
            raise required(f"{param}[id]")
        wishes.append(items.wish(call, given, known, subscription["customer"], param))
    if wishes:
        items.fits(wishes, subscription)
    return wishes


def pause_of(call: Call) -> Obj:
    """The change of `pause_collection`; going on again by itself is put on the agenda. Raises Refusal (400)."""
    if "pause_collection" not in call.given:
        return {}
    pause: Obj | None = call.given["pause_collection"]
    if pause is None:
        return {"pause_collection": None}
    resumes = pause.get("resumes_at")
    if resumes is not None:
        call.world.plan(later(call, resumes, "pause_collection[resumes_at]"), "resume", call.names[-1], resumes)
    return {"pause_collection": {"behavior": pause["behavior"], "resumes_at": resumes}}


def replace_discounts(call: Call, subscription: Obj, discounts: items.Wanted) -> None:
    """Has a subscription keep or get these discounts, and lose its others."""
    kept = {one for one in discounts if isinstance(one, str)}
    remove(call.world, subscription, set(subscription["discounts"]) - kept)
    subscription["discounts"] = given_to(call, discounts, subscription["customer"], subscription=subscription["id"])


def cancel(call: Call) -> Obj:
    """Ends a subscription now; `prorate` credits what is left, `invoice_now` bills what is pending."""
    given, subscription = call.given, call.addressed("subscriptions")
    if subscription["status"] in ENDED:
        raise missing("subscription", subscription["id"])
    if given.get("cancellation_details"):
        subscription["cancellation_details"] = subscription["cancellation_details"] | given["cancellation_details"]
    asked = {"invoice_now": bool(given.get("invoice_now")), "prorate": bool(given.get("prorate"))}
    if asked["invoice_now"]:
        call.pace.new_invoice(subscription["id"])
    endings.end(call.world, subscription, "cancellation_requested", **asked)
    return call.state.full("subscriptions", subscription["id"])


CREATED = (
    *SERVED,
    "backdate_start_date",
    "customer",
    "trial_period_days",
    "items[metadata]",
    *(f"items[{name}]" for name in items.SERVED),
)
UPDATED = (
    *SERVED,
    *("cancellation_details", "pause_collection", "proration_date", "items[id]", "items[deleted]"),
    *(f"items[{name}]" for name in items.SERVED),
)
CANCELED = ("cancellation_details", "invoice_now", "prorate")
WRITES = (
    Write("POST", "/v1/subscriptions", "subscriptions", "subscription", "SubscriptionCreateParams", create, CREATED),
    Write(
        "POST", "/v1/subscriptions/{id}", "subscriptions", "subscription", "SubscriptionUpdateParams", update, UPDATED
    ),
    *(
        Write(method, path, "subscriptions", "subscription", "SubscriptionCancelParams", cancel, CANCELED)
        for method, path in (("DELETE", "/v1/subscriptions/{id}"), ("POST", "/v1/subscriptions/{id}/cancel"))
    ),
)
