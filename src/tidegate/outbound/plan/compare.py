"""Whether what is wanted of a field is what Stripe's object has: the same thing is often spelt otherwise in the two."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, cast

Json = Mapping[str, Any]

ASKED_ONLY: Mapping[str, frozenset[str]] = {
    "customers": frozenset({"validate", "source", "tax_id_data", "cash_balance", "test_clock", "payment_method"}),
    "products": frozenset({"default_price_data"}),
    "prices": frozenset({"transfer_lookup_key", "product_data"}),
    "subscriptions": frozenset(
        {
            "add_invoice_items", "backdate_start_date", "off_session", "payment_behavior", "proration_behavior",
            "proration_date", "trial_from_plan", "trial_period_days",
        }
    ),
    "invoices": frozenset({"from_invoice", "pending_invoice_items_behavior", "days_until_due"}),
    "invoiceitems": frozenset({"price_data"}),
    "quotes": frozenset({"from_quote", "expand"}),
    "meter_events": frozenset(),
    "contacts": frozenset(),
}  # fmt: skip
"""Parameters that an object does not show: they are no change by themselves."""
BILLED = frozenset({"items", "billing_cycle_anchor", "trial_end", "cancel_at", "cancel_at_period_end"})
"""What of a subscription, when it changes, is prorated or paid for."""
ALONG: Mapping[tuple[str, str], frozenset[str]] = {
    ("prices", "transfer_lookup_key"): frozenset({"lookup_key"}),
    ("subscriptions", "off_session"): BILLED,
    ("subscriptions", "payment_behavior"): BILLED,
    ("subscriptions", "proration_behavior"): BILLED,
    ("subscriptions", "proration_date"): BILLED,
    ("invoices", "days_until_due"): frozenset({"collection_method"}),
}
"""Which of those an update sends, and along with which changes: a finalised invoice, a canceled subscription and the
metadata of both take none of them, and `add_invoice_items` would be billed with every update.
"""


METADATA = "metadata."


def flat(payload: Json) -> dict[str, Any]:
    """A payload by the names that changes have: of metadata each key is a field, `metadata.tier`."""
    found = dict(payload)
    told = found.get("metadata")
    if isinstance(told, dict) or isinstance(told, Mapping):  # noqa: SIM101  # an abstract class is slow to ask for
        del found["metadata"]
        for key, value in cast("Json", told).items():
            found[METADATA + key] = value
    return found


def nested(fields: Json) -> dict[str, Any]:
    """The payload that `flat` would make these of."""
    metadata = {name.removeprefix(METADATA): value for name, value in fields.items() if name.startswith(METADATA)}
    if not metadata:
        return dict(fields)
    return {name: value for name, value in fields.items() if not name.startswith(METADATA)} | {"metadata": metadata}


def shown(resource: str, name: str, live: Json) -> Any:
    """What an object shows of a parameter (a name as in `flat`): a value that `same` may be asked about."""
    tell = showing(resource)[name]
    return live.get(name) if tell is None else tell(live)


class _Showing(dict[str, Callable[[Json], Any] | None]):
    """What tells of an object of a resource what it shows of a parameter, by the parameter's name; None: what it has
    under that name, for which nothing needs to be called.
    """

    def __init__(self, resource: str) -> None:
        self._resource = resource

    def __missing__(self, name: str) -> Callable[[Json], Any] | None:
        self[name] = found = _shower(self._resource, name)
        return found


@cache
def showing(resource: str) -> Mapping[str, Callable[[Json], Any] | None]:
    """What tells of an object what it shows of a parameter, as `shown` does; by the names of any parameters."""
    return _Showing(resource)


def _shower(resource: str, name: str) -> Callable[[Json], Any] | None:
    if not name.startswith(METADATA):
        return _SHOWN.get((resource, name))
    key = name.removeprefix(METADATA)

    def told(live: Json) -> Any:
        metadata: Json | None = live.get("metadata")
        return metadata.get(key) if metadata else None

    return told


def shows(resource: str, name: str, live: Json) -> bool:
    """Whether an object shows a parameter at all: a price's tiers and a quote's lines are shown to who asks for them
    (of those the mirror may have an empty list).
    """
    if (resource, name) in _ASKED_FOR:
        return bool(listed(live.get(name)))
    return (resource, name) in _ELSEWHERE or name.startswith(METADATA) or name in live


def same(wanted: Any, has: Any) -> bool:
    """Whether a wanted value is what is there: of objects only the fields that are wanted are looked at, nothing is the
    same as empty, an expanded object as its id, and a decimal as another spelling of it.
    """
    if type(wanted) is type(has):
        if wanted == has:
            return True
        if type(wanted) is str and wanted and has and not _NUMERIC.match(wanted):
            return False
    plain = isinstance(wanted, (str, int))  # asked first: asking for an abstract class is slow
    if not plain and isinstance(wanted, Mapping):
        told = cast("Json", wanted)
        there: Json = cast("Json", has) if isinstance(has, Mapping) else {}
        return all(same(value, there.get(name)) for name, value in told.items())
    if not plain and isinstance(wanted, Sequence):
        ours, theirs = cast("Sequence[Any]", wanted), listed(has)
        return len(ours) == len(theirs) and all(same(one, other) for one, other in zip(ours, theirs, strict=True))
    if _empty(wanted) or _empty(has):
        return _empty(wanted) and _empty(has)
    if isinstance(has, Mapping):
        has = id_of(has)
    return wanted == has or str(wanted) == str(has) or _equal_decimals(wanted, has)


def listed(has: Any) -> Sequence[Any]:
    """The entries of a list, nested as Stripe nests them or plain."""
    if isinstance(has, Mapping):
        has = cast("Json", has).get("data")
    return cast("Sequence[Any]", has) if isinstance(has, Sequence) and not isinstance(has, str) else ()


def _empty(value: Any) -> bool:
    return value is None or value == "" or value == [] or value == {}


_NUMERIC = re.compile(r"\s*[-+]?\.?[0-9]")
"""How what is a number begins: to try whether a text is one costs more than all else that is asked of it."""


def _equal_decimals(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    if not (_NUMERIC.match(str(one)) and _NUMERIC.match(str(other))):
        return False
    try:
        return Decimal(str(one)) == Decimal(str(other))
    except InvalidOperation:
        return False


def _discounts(live: Json) -> list[dict[str, Any]]:
    """The coupons or promotion codes of an object's discounts, as they are written."""
    found: list[dict[str, Any]] = []
    for one in listed(live.get("discounts")):
        if not isinstance(one, Mapping):
            found.append({"discount": one})
            continue
        told = cast("Json", one)
        source = cast("Json", told.get("source") or {})
        coupon = source.get("coupon") or told.get("coupon")
        found.append(
            {
                "discount": told.get("id"),
                "coupon": id_of(coupon),
                "promotion_code": told.get("promotion_code"),
            }
        )
    return found


def _pricing(live: Json) -> dict[str, Any]:
    """An invoice item's price, where newer and older versions keep it."""
    pricing = cast("Json", live.get("pricing") or {})
    details = cast("Json", pricing.get("price_details") or {})
    return {"price": details.get("price") or live.get("price")}


def _line_items(live: Json) -> list[dict[str, Any]]:
    """A quote's lines as they are written."""
    return [
        {"id": one.get("id"), "price": one.get("price"), "quantity": one.get("quantity")}
        for one in cast("Sequence[Json]", listed(live.get("line_items")))
    ]


def _tiers(told: Json) -> list[dict[str, Any]] | None:
    """A price's tiers as they are written: the last is without end, which Stripe shows as null."""
    if "tiers" not in told:
        return None
    return [{**one, "up_to": "inf" if one.get("up_to") is None else one["up_to"]} for one in listed(told["tiers"])]


def _custom_amount(told: Json) -> dict[str, Any] | None:
    """What a customer may choose to pay: where it is shown, it is enabled."""
    amount = cast("Json | None", told.get("custom_unit_amount"))
    return None if amount is None else {**amount, "enabled": True}


def _currency_options(live: Json) -> dict[str, dict[str, Any]]:
    """A price's amounts in other currencies as they are written."""
    options = cast("Mapping[str, Json]", live.get("currency_options") or {})
    return {
        currency: {**told, "tiers": _tiers(told), "custom_unit_amount": _custom_amount(told)}
        for currency, told in options.items()
    }


def _subscription(live: Json) -> str | None:
    """The subscription of an invoice or an invoice item, where newer and older versions keep it."""
    parent = cast("Json", live.get("parent") or {})
    details = cast("Json", parent.get("subscription_details") or {})
    return id_of(details.get("subscription") or live.get("subscription"))


def _unit_amount(live: Json) -> Any:
    """An invoice item's amount of one, where newer and older versions keep it."""
    return cast("Json", live.get("pricing") or live).get("unit_amount_decimal")


def _items(live: Json) -> list[dict[str, Any]]:
    """A subscription's items as they are written."""
    return [
        {"id": one.get("id"), "price": id_of(one.get("price")), "quantity": one.get("quantity")}
        for one in cast("Sequence[Json]", listed(live.get("items")))
    ]


def id_of(value: Any) -> str | None:
    """The id of an object, expanded or not."""
    return cast("Json", value).get("id") if isinstance(value, Mapping) else value


_ASKED_FOR = frozenset({("quotes", "line_items")})
_SHOWN: Mapping[tuple[str, str], Callable[[Json], Any]] = {
    ("prices", "tiers"): _tiers,
    ("prices", "custom_unit_amount"): _custom_amount,
    ("prices", "currency_options"): _currency_options,
    ("subscriptions", "discounts"): _discounts,
    ("invoices", "discounts"): _discounts,
    ("invoiceitems", "discounts"): _discounts,
    ("quotes", "discounts"): _discounts,
    ("quotes", "line_items"): _line_items,
    ("invoices", "subscription"): _subscription,
    ("invoiceitems", "pricing"): _pricing,
    ("invoiceitems", "subscription"): _subscription,
    ("invoiceitems", "unit_amount_decimal"): _unit_amount,
    ("subscriptions", "items"): _items,
}
_ELSEWHERE = frozenset(
    {
        ("invoices", "subscription"), ("invoiceitems", "pricing"), ("invoiceitems", "subscription"),
        ("invoiceitems", "unit_amount_decimal"),
    }
)  # fmt: skip
"""Parameters that objects show under other names."""
