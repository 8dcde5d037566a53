"""Reads a subscription that somebody hands over as JSON, with the prices, coupons and invoice lines it depends on."""

from collections.abc import Iterable
from typing import Any, TypeVar, cast

import msgspec

from tidegate.errors import SubscriptionInvalid
from tidegate.pricing.facts import Facts
from tidegate.stripe_api.shapes.base import Shape
from tidegate.stripe_api.shapes.catalog import Coupon, Plan, Price, TaxRate
from tidegate.stripe_api.shapes.decoders import decoder
from tidegate.stripe_api.shapes.discounts import Discount
from tidegate.stripe_api.shapes.lines import InvoiceLine
from tidegate.stripe_api.shapes.subscriptions import Subscription, SubscriptionItem

_S = TypeVar("_S", bound=Shape)

LISTS = {
    "prices": Price,
    "coupons": Coupon,
    "discounts": Discount,
    "tax_rates": TaxRate,
    "invoice_lines": InvoiceLine,
    "customer_discounts": Discount,
}
"""What may stand beside `subscription`, each a list of Stripe's objects."""


def given(body: bytes) -> Facts:
    """The facts in a JSON document: a subscription of any API version, or `{"subscription": …}` with some of `LISTS`.

    Raises SubscriptionInvalid, which names the place.
    """
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise SubscriptionInvalid(where="the document", problem=f"it is no JSON: {wrong}") from wrong
    if not isinstance(document, dict):
        raise SubscriptionInvalid(where="the document", problem="it is no JSON object")
    members = cast("dict[str, Any]", document)
    told = members.get("subscription") if isinstance(members.get("subscription"), dict) else members
    subscription = _read(Subscription, told, "the subscription")
    if subscription.object not in {None, "subscription"}:
        raise SubscriptionInvalid(where="the subscription", problem=f"it is a {subscription.object}")
    beside = {} if told is members else members
    if unknown := sorted(set(beside) - {"subscription", *LISTS}):
        raise SubscriptionInvalid(where=unknown[0], problem=f"it is not known; there are {', '.join(LISTS)}")
    read = {name: _list(shape, beside.get(name), name) for name, shape in LISTS.items()}
    return Facts(
        subscription,
        _items(subscription),
        prices=_by_id(read["prices"], Price),
        coupons=_by_id(read["coupons"], Coupon),
        discounts=_by_id(read["discounts"], Discount),
        tax_rates=_by_id(read["tax_rates"], TaxRate),
        customer_discounts=[one for one in read["customer_discounts"] if isinstance(one, Discount)],
        lines=_by_item(one for one in read["invoice_lines"] if isinstance(one, InvoiceLine)),
    )


def _items(subscription: Subscription) -> list[SubscriptionItem]:
    """Its items; before items existed (2016-07-06) a subscription had one plan and its quantity."""
    raw = (subscription.items.data if subscription.items else None) or []
    found = [_read(SubscriptionItem, one, f"items.data[{n}]") for n, one in enumerate(raw)]
    if not found and isinstance(subscription.plan, Plan):
        return [SubscriptionItem(id=subscription.id, plan=subscription.plan, quantity=subscription.quantity)]
    if not found:
        raise SubscriptionInvalid(where="items", problem="it has none; expand them, or hand over the whole object")
    return found


def _list(shape: type[_S], value: Any, where: str) -> list[_S]:
    if isinstance(value, dict):  # as Stripe's own lists come
        value = cast("dict[str, Any]", value).get("data", cast("object", value))
    if value is None:
        return []
    if not isinstance(value, list):
        raise SubscriptionInvalid(where=where, problem="it is no list")
    return [_read(shape, one, f"{where}[{n}]") for n, one in enumerate(cast("list[Any]", value))]


def _read(shape: type[_S], value: Any, where: str) -> _S:
    try:
        return decoder(shape).decode(value if isinstance(value, msgspec.Raw) else msgspec.json.encode(value))
    except msgspec.MsgspecError as wrong:
        raise SubscriptionInvalid(where=where, problem=str(wrong)) from wrong


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
