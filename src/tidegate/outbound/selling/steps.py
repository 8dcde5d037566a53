"""The request that a wish takes, what Stripe is asked to preview for it, and the items that it leads to. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tidegate.errors import SaleInvalid, SaleRefused
from tidegate.outbound.selling import choosing
from tidegate.outbound.selling.facts import Customer, Facts, Item, Price, Subscription
from tidegate.outbound.selling.wish import Wish, needs_prorations

Json = Mapping[str, Any]
Operation = Literal["create", "update", "end", "cancel", "nothing"]
MARK = "tidegate_package"
"""The key of a subscription's metadata that names the package it was sold as."""
NEW = "new"
"""Stands for the id of what is not there yet."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done. `params`: of the request, `preview`: of Stripe's preview of the next invoice (None: nothing
    is billed by it). `bills_now`: whether that invoice is made at once. `items`: those that there are afterwards.

    `customer` None: one is made first, of the parameters `making`. `why`: why nothing is to be done. `notes`: what has
    to be known of it.
    """

    operation: Operation
    method: str = ""
    path: str = ""
    params: Json = field(default_factory=dict[str, Any])
    customer: str | None = None
    making: Json | None = None
    subscription: Subscription | None = None
    items: tuple[Item, ...] = ()
    preview: Json | None = None
    bills_now: bool = False
    prorated: bool = False
    why: str = ""
    notes: tuple[str, ...] = ()

    @property
    def before(self) -> tuple[Item, ...]:
        """The items that there are now."""
        return self.subscription.items if self.subscription else ()


def step(facts: Facts, wish: Wish) -> Step:
    """What carries the wish out. Raises SaleInvalid, and SaleRefused where the facts stand against it."""
    match wish.action:
        case "subscribe":
            return _subscribe(facts, wish)
        case "change":
            return _change(facts, wish)
        case "cancel":
            return _cancel(facts, wish)


def _subscribe(facts: Facts, wish: Wish) -> Step:
    held = choosing.having(facts, wish, facts.package)
    if held:
        return _held_already(facts, wish, *held)
    if facts.kind == "base":
        if other := choosing.having(facts, wish):
            subscription, item = other
            raise SaleRefused(
                problem=f"{facts.contact} has the base package {item.package} already ({subscription.id}, "
                f"{subscription.status}). `tidegate change {facts.contact} {facts.package}` switches it."
            )
        return _new(facts, wish)
    host = choosing.host(facts, wish)
    return _added(facts, wish, host) if host else _new(facts, wish)


def _held_already(facts: Facts, wish: Wish, subscription: Subscription, item: Item) -> Step:
    if subscription.status == "incomplete":
        raise SaleRefused(
            problem=f"{subscription.id} with {facts.package} waits for its first payment. Have its invoice paid, or "
            f"end it with `tidegate cancel {facts.contact} {facts.package} --now`."
        )
    same = wish.price in (None, item.price.id) and wish.quantity in (None, item.quantity)
    currency = wish.currency and wish.currency.lower()
    if same and wish.interval in (None, item.price.interval) and currency in (None, item.price.currency):
        why = f"{facts.contact} has {facts.package} already: {subscription.id}, {item.price.says}"
        return Step("nothing", customer=subscription.customer, subscription=subscription, items=subscription.items,
                    why=why)  # fmt: skip
    raise SaleRefused(
        problem=f"{facts.contact} has {facts.package} already ({subscription.id}, {item.price.says}). "
        f"`tidegate change {facts.contact} {facts.package}` changes its price or quantity."
    )


def _new(facts: Facts, wish: Wish) -> Step:
    customer = choosing.customer(facts, wish)
    price = choosing.price(facts, wish, currency=customer.currency if customer else None)
    item = _wanted(price, wish.quantity)
    params: dict[str, Any] = {"items": [item]}
    if wish.trial_days:
        params["trial_period_days"] = wish.trial_days
    if wish.collection_method:
        params["collection_method"] = wish.collection_method
    if wish.days_until_due is not None:
        params["days_until_due"] = wish.days_until_due
    discounts = _discounts(facts, wish)
    params |= discounts
    params |= {"payment_behavior": wish.payment, "metadata": {MARK: facts.package}}
    notes: tuple[str, ...] = ()
    if facts.kind == "add_on":
        notes = (f"{facts.package} is an add-on, and there is no running subscription: it gets one of its own.",)
    if customer is None:
        if facts.making is None:
            raise SaleRefused(problem=f"{facts.contact} has no customer, and none can be made of it.")
        notes += ("The contact has no customer in Stripe yet: one is made and linked to it.",)
    ours = Item(NEW, price, None if price.metered else wish.quantity or 1, facts.package, facts.kind)
    preview = {"subscription_details": {"items": [item]}} | discounts | _of(customer)
    return Step(
        "create", "post", "/v1/subscriptions", _of(customer) | params, customer.id if customer else None,
        None if customer else facts.making, items=(ours,), preview=preview, bills_now=True, notes=notes,
    )  # fmt: skip


def _added(facts: Facts, wish: Wish, host: Subscription) -> Step:
    _refuse_scheduled(host)
    said = wish.as_json()
    if wrong := next((name for name in ("trial_days", "collection_method", "coupon", "promotion_code") if name in said),
                     None):  # fmt: skip
        raise SaleInvalid(
            problem=f"--{wrong.replace('_', '-')} is for a new subscription; {facts.package} is added to {host.id}, "
            "which has its own."
        )
    prorations = needs_prorations(wish, f"{facts.package} is added to {host.id}")
    beside = host.items[0].price
    price = choosing.price(facts, wish, beside=beside, currency=host.currency)
    item = _wanted(price, wish.quantity)
    ours = Item(NEW, price, None if price.metered else wish.quantity or 1, facts.package, facts.kind)
    return _updated(host, wish, [item], prorations, (*host.items, ours), bills_now=prorations == "always_invoice")


def _change(facts: Facts, wish: Wish) -> Step:
    held = choosing.having(facts, wish, facts.package if facts.kind == "add_on" else None)
    if held is None:
        what = f"the add-on {facts.package}" if facts.kind == "add_on" else "a base package"
        raise SaleRefused(
            problem=f"{facts.contact} has no running subscription with {what}. "
            f"`tidegate subscribe {facts.contact} {facts.package}` starts one."
        )
    subscription, item = held
    _refuse_scheduled(subscription)
    if subscription.status == "incomplete":
        raise SaleRefused(problem=f"{subscription.id} waits for its first payment; it cannot be changed before.")
    price = _changed_price(facts, wish, item)
    said = _wanted(price, wish.quantity)
    kept = 1 if item.quantity is None else item.quantity  # of what was metered before there is none
    quantity = None if price.metered else wish.quantity or kept
    if (price.id, quantity) == (item.price.id, item.quantity):
        why = f"{subscription.id} has {facts.package} so already: {price.says}"
        return Step("nothing", customer=subscription.customer, subscription=subscription, items=subscription.items,
                    why=why)  # fmt: skip
    prorations = needs_prorations(wish, f"{item.package or item.price.id} of {subscription.id} changes")
    wanted = {"id": item.id} | said | ({} if quantity is None else {"quantity": quantity})
    becomes = replace(item, price=price, quantity=quantity, package=facts.package, kind=facts.kind)
    items = tuple(becomes if one.id == item.id else one for one in subscription.items)
    restarts = price.terms[1:] != item.price.terms[1:] or (item.price.unit_amount == 0 and price.unit_amount != 0)
    notes: tuple[str, ...] = ()
    if subscription.ends_at is not None:
        notes = (f"{subscription.id} is to end on {subscription.ends_at:%Y-%m-%d}, and still will. "
                 f"`tidegate cancel {facts.contact} {facts.package} --undo` takes that back.",)  # fmt: skip
    return replace(
        _updated(subscription, wish, [wanted], prorations, items, bills_now=restarts or prorations == "always_invoice"),
        notes=notes,
    )


def _changed_price(facts: Facts, wish: Wish, item: Item) -> Price:
    says_none = wish.price is None and wish.interval is None and wish.currency is None
    if item.package == facts.package and says_none:
        return item.price
    return choosing.price(facts, wish, beside=item.price, currency=item.price.currency)


def _cancel(facts: Facts, wish: Wish) -> Step:
    held = choosing.having(facts, wish, facts.package)
    if held is None:
        raise SaleRefused(problem=f"{facts.contact} has no running subscription with {facts.package}.")
    subscription, item = held
    _refuse_scheduled(subscription)
    if wish.undo:
        return _kept(facts, subscription)
    if item.kind == "add_on" and len(subscription.items) > 1:
        return _taken_away(wish, subscription, item)
    path = f"/v1/subscriptions/{subscription.id}"
    others = [one.package or one.price.id for one in subscription.items if one.id != item.id]
    notes = (f"The whole subscription ends, with {', '.join(others)}.",) if others else ()
    if wish.now:
        params = {"prorate": wish.prorate, "invoice_now": wish.invoice_now}
        preview = None
        if wish.prorate or wish.invoice_now:
            behavior = "create_prorations" if wish.prorate else "none"
            details = {"cancel_now": True, "proration_behavior": behavior}
            preview = {"subscription": subscription.id, "subscription_details": details}
        return Step("cancel", "delete", path, params, subscription.customer, subscription=subscription,
                    preview=preview, bills_now=wish.invoice_now, prorated=wish.prorate, notes=notes)  # fmt: skip
    if subscription.status == "incomplete":
        raise SaleRefused(problem=f"{subscription.id} has not begun: it is ended with --now.")
    if subscription.ends_at is not None:
        why = f"{subscription.id} is to end on {subscription.ends_at:%Y-%m-%d} already"
        return Step("nothing", customer=subscription.customer, subscription=subscription, items=subscription.items,
                    why=why)  # fmt: skip
    details = {"cancel_at_period_end": True}
    preview = {"subscription": subscription.id, "subscription_details": details}
    return Step("end", "post", path, details, subscription.customer, subscription=subscription,
                items=subscription.items, preview=preview, notes=notes)  # fmt: skip


def _kept(facts: Facts, subscription: Subscription) -> Step:
    if subscription.ends_at is None:
        why = f"No end of {subscription.id} is scheduled"
        return Step("nothing", customer=subscription.customer, subscription=subscription, items=subscription.items,
                    why=why)  # fmt: skip
    params: Json = {"cancel_at_period_end": False} if subscription.cancel_at_period_end else {"cancel_at": ""}
    preview = {"subscription": subscription.id, "subscription_details": params}
    return Step("update", "post", f"/v1/subscriptions/{subscription.id}", params, subscription.customer,
                subscription=subscription, items=subscription.items, preview=preview)  # fmt: skip


def _taken_away(wish: Wish, subscription: Subscription, item: Item) -> Step:
    if wish.now and (wish.prorate or wish.invoice_now):
        raise SaleInvalid(
            problem=f"{item.package} is one item of {subscription.id}, whose others go on: say --proration-behavior "
            "instead of --prorate and --invoice-now."
        )
    prorations = needs_prorations(wish, f"{item.package} is taken off {subscription.id}, at once and")
    items = tuple(one for one in subscription.items if one.id != item.id)
    notes = ("Stripe takes an item off at once; only whole subscriptions end with their period.",)
    deleted = [{"id": item.id, "deleted": True}]
    made = _updated(subscription, wish, deleted, prorations, items, bills_now=prorations == "always_invoice")
    return replace(made, notes=notes)


def _updated(
    subscription: Subscription,
    wish: Wish,
    items: list[dict[str, Any]],
    prorations: str,
    after: tuple[Item, ...],
    *,
    bills_now: bool,
) -> Step:
    params = {"items": items, "proration_behavior": prorations, "payment_behavior": wish.payment}
    details = {"items": items, "proration_behavior": prorations}
    preview = {"subscription": subscription.id, "subscription_details": details}
    return Step("update", "post", f"/v1/subscriptions/{subscription.id}", params, subscription.customer,
                subscription=subscription, items=after, preview=preview, bills_now=bills_now,
                prorated=prorations != "none")  # fmt: skip


def _wanted(price: Price, quantity: int | None) -> dict[str, Any]:
    if price.metered and quantity is not None:
        raise SaleInvalid(problem=f"{price.says} is charged by usage: it has no --quantity.")
    return {"price": price.id} | ({} if price.metered else {"quantity": quantity or 1})


def _discounts(facts: Facts, wish: Wish) -> dict[str, Any]:
    if wish.coupon:
        return {"discounts": [{"coupon": wish.coupon}]}
    if wish.promotion_code:
        return {"discounts": [{"promotion_code": facts.promotion_code or wish.promotion_code}]}
    return {}


def _of(customer: Customer | None) -> dict[str, Any]:
    return {"customer": customer.id} if customer else {}


def _refuse_scheduled(subscription: Subscription) -> None:
    if subscription.schedule:
        raise SaleRefused(
            problem=f"{subscription.id} follows the schedule {subscription.schedule}, which would undo any change. "
            "Release or change the schedule in Stripe first."
        )
    if subscription.pending:
        raise SaleRefused(
            problem=f"A change of {subscription.id} waits for its payment in Stripe. Have its invoice paid, or wait "
            "until it is dropped (23 hours)."
        )
