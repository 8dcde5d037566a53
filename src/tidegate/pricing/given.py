"""Reads a subscription that somebody hands over as JSON, with the prices, coupons and invoice lines it depends on."""

from collections.abc import Iterable
from typing import Any, TypeVar, cast

import msgspec

from tidegate.errors import SubscriptionInvalid
from tidegate.pricing.facts import Facts
from tidegate.stripe_api.shapes.base import Part, Seconds, Shape
from tidegate.stripe_api.shapes.catalog import Coupon, Plan, Price, TaxRate
from tidegate.stripe_api.shapes.decoders import decoder
from tidegate.stripe_api.shapes.discounts import Discount
from tidegate.stripe_api.shapes.lines import InvoiceLine
from tidegate.stripe_api.shapes.schedules import SubscriptionSchedule
from tidegate.stripe_api.shapes.subscriptions import Subscription, SubscriptionItem

_S = TypeVar("_S", bound=Shape)
_T = TypeVar("_T")

LISTS = {
    "prices": Price,
    "coupons": Coupon,
    "discounts": Discount,
    "tax_rates": TaxRate,
    "invoice_lines": InvoiceLine,
    "customer_discounts": Discount,
}
"""What may stand beside `subscription`, each a list of Stripe's objects."""

SINGLE = ("schedule", "past_due_since")
"""And what stands there alone: the schedule that manages it, and since when it is past due (epoch seconds)."""

FINAL = frozenset({"open", "paid", "uncollectible"})


class Instant(Part):
    """An instant, epoch seconds."""

    at: Seconds


def given(body: bytes) -> Facts:
    """The facts in a JSON document: a subscription of any API version, or `{"subscription": …}` with some of `LISTS`
    and `SINGLE`. What the subscription has expanded counts as well: its customer's discount, its latest invoice's
    lines, its schedule.

    Raises SubscriptionInvalid, which names the place.
    """
    members = _document(body)
    inner = members.get("subscription")
    if isinstance(inner, dict):
        told, beside = cast("dict[str, Any]", inner), members
    else:
        told, beside = members, dict[str, Any]()
    subscription = _read(Subscription, told, "the subscription")
    if subscription.object not in {None, "subscription"}:
        raise SubscriptionInvalid(where="the subscription", problem=f"its `object` says {subscription.object}")
    if unknown := sorted(set(beside) - {"subscription", *LISTS, *SINGLE}):
        known = ", ".join((*LISTS, *SINGLE))
        raise SubscriptionInvalid(where=unknown[0], problem=f"nothing of that name is known; there are {known}")
    read = {name: _list(shape, beside.get(name), name) for name, shape in LISTS.items()}
    since = beside.get("past_due_since")
    return Facts(
        subscription,
        _items(subscription),
        prices=_by_id(read["prices"], Price),
        coupons=_by_id(read["coupons"], Coupon),
        discounts=_by_id(read["discounts"], Discount),
        tax_rates=_by_id(read["tax_rates"], TaxRate),
        customer_discounts=_only(read["customer_discounts"], Discount) or _of_customer(told),
        lines=_by_item(_only(read["invoice_lines"], InvoiceLine) or _of_latest_invoice(told)),
        past_due_since=None if since is None else _read(Instant, {"at": since}, "past_due_since").at,
        schedule=_schedule(beside.get("schedule", told.get("schedule"))),
    )


def _document(body: bytes) -> dict[str, Any]:
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise SubscriptionInvalid(where="the document", problem=f"it is no JSON ({wrong})") from wrong
    if not isinstance(document, dict):
        raise SubscriptionInvalid(where="the document", problem="it is no JSON object")
    return cast("dict[str, Any]", document)


def _items(subscription: Subscription) -> list[SubscriptionItem]:
    """Its items; before items existed (2016-07-06) a subscription had one plan and its quantity."""
    listing = subscription.items
    raw = (listing.data if listing else None) or []
    found = [_read(SubscriptionItem, one, f"items.data[{n}]") for n, one in enumerate(raw)]
    if listing is not None and listing.has_more:
        problem = f"there are more than the {len(found)} told; hand over all of them"
        raise SubscriptionInvalid(where="items.has_more", problem=problem)
    if not found and isinstance(subscription.plan, Plan):
        return [SubscriptionItem(id=subscription.id, plan=subscription.plan, quantity=subscription.quantity)]
    if not found:
        raise SubscriptionInvalid(where="items", problem="it has none; expand them, or hand over the whole object")
    return found


def _of_customer(told: dict[str, Any]) -> list[Discount]:
    """The discount of the customer, where the subscription has that expanded."""
    discount = _inside(told.get("customer"), "discount")
    return [] if discount is None else [_read(Discount, discount, "customer.discount")]


def _of_latest_invoice(told: dict[str, Any]) -> list[InvoiceLine]:
    """The lines of the latest invoice, where the subscription has that expanded and it is final."""
    invoice = told.get("latest_invoice")
    if _inside(invoice, "status") not in FINAL:
        return []
    return _list(InvoiceLine, _inside(invoice, "lines"), "latest_invoice.lines")


def _schedule(value: Any) -> SubscriptionSchedule | None:
    """The schedule, unless it is named by its id alone."""
    return None if value is None or isinstance(value, str) else _read(SubscriptionSchedule, value, "schedule")


def _inside(value: Any, name: str) -> Any:
    return cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None


def _list(shape: type[_S], value: Any, where: str) -> list[_S]:
    """A list of objects, plain or as Stripe answers lists."""
    told = _inside(value, "data") if isinstance(value, dict) else value
    if value is None:
        return []
    if not isinstance(told, list):
        raise SubscriptionInvalid(where=where, problem="it is no list")
    return [_read(shape, one, f"{where}[{n}]") for n, one in enumerate(cast("list[Any]", told))]


def _read(shape: type[_T], value: Any, where: str) -> _T:
    try:
        return decoder(shape).decode(value if isinstance(value, msgspec.Raw) else msgspec.json.encode(value))
    except msgspec.MsgspecError as wrong:
        raise SubscriptionInvalid(where=where, problem=str(wrong)) from wrong


def _only(shapes: Iterable[Shape], kind: type[_S]) -> list[_S]:
    return [one for one in shapes if isinstance(one, kind)]


def _by_id(shapes: Iterable[Shape], kind: type[_S]) -> dict[str, _S]:
    return {one.id: one for one in shapes if isinstance(one, kind) and one.id}


def _by_item(lines: Iterable[InvoiceLine]) -> dict[str, list[InvoiceLine]]:
    """The lines of each item's last period, prorations left out."""
    found: dict[str, list[InvoiceLine]] = {}
    for line in lines:
        if line.subscription_item and not line.proration:
            found.setdefault(line.subscription_item, []).append(line)
    return {item: [one for one in those if one.period_start == _last(those)] for item, those in found.items()}


def _last(lines: Iterable[InvoiceLine]) -> int | None:
    return max((one.period_start for one in lines if one.period_start is not None), default=None)
