"""Rules of Stripe that its types do not tell: what goes together, what is needed when, how long, how many, how much.

The source of each is said beside it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, cast

from tidegate.outbound.fields.catalogue import Field, Operation, catalogue
from tidegate.outbound.fields.problems import REQUIRED, Problem

Json = Mapping[str, Any]

LENGTHS: Mapping[str, Mapping[str, int]] = {
    "customers": {
        "business_name": 150, "description": 5000, "email": 512, "individual_name": 150, "invoice_prefix": 12,
        "name": 256, "phone": 20,
    },
    "products": {"description": 40_000, "id": 5000, "name": 5000, "statement_descriptor": 22, "unit_label": 12},
    "prices": {"lookup_key": 200, "nickname": 5000},
    "subscriptions": {"description": 500},
    "invoices": {"description": 1500, "footer": 5000, "number": 26, "statement_descriptor": 22},
    "invoiceitems": {"description": 5000},
    "quotes": {},
    "meter_events": {"event_name": 100},
    "contacts": {"name": 512, "owner": 512},
}  # fmt: skip
"""The most characters of a text.

Sources: the SDK's texts (`stripe.params`) tell those of business_name, email, individual_name, invoice_prefix,
lookup_key and a product's statement_descriptor; the others are `maxLength` of the parameters in Stripe's OpenAPI
description (github.com/stripe/openapi), looked up in what github.com/jeffhuen/tiger_stripe generates from it.
A quote's texts have none that could be looked up: Stripe tells when they are too long.
"""
MOST: Mapping[str, int] = {
    "images": 8, "marketing_features": 15, "custom_fields": 4, "items": 20, "add_invoice_items": 20,
}  # fmt: skip
"""The most entries of a list (the SDK's texts)."""
EXCLUSIVE: Mapping[str, Sequence[tuple[str, ...]]] = {
    "": (("price", "price_data"), ("unit_amount", "unit_amount_decimal"), ("quantity", "quantity_decimal")),
    "prices": (
        ("product", "product_data"), ("unit_amount", "unit_amount_decimal", "tiers", "custom_unit_amount"),
        ("tiers", "transform_quantity"),
    ),
    "subscriptions": (
        ("billing_cycle_anchor", "billing_cycle_anchor_config"), ("trial_end", "trial_period_days"),
        ("cancel_at", "cancel_at_period_end"),
    ),
    "invoices": (("days_until_due", "due_date"),),
    "invoiceitems": (("amount", "pricing", "price_data", "unit_amount_decimal"),),
}  # fmt: skip
"""Fields of which one may be given, of a resource and, under an empty name, of any object."""
_EXCLUDING: Mapping[str, frozenset[str]] = {
    resource: frozenset(name for names in groups for name in names) for resource, groups in EXCLUSIVE.items()
}
NEEDED: Mapping[str, Sequence[tuple[str, ...]]] = {
    "prices": (("product", "product_data"), ("unit_amount", "unit_amount_decimal", "tiers", "custom_unit_amount")),
    "subscriptions": (("customer", "customer_account"), ("items",)),
    "invoices": (("customer", "customer_account", "from_invoice"),),
    "invoiceitems": (("customer", "customer_account"), ("amount", "pricing", "price_data", "unit_amount_decimal")),
    "quotes": (("customer", "customer_account", "from_quote"), ("line_items", "from_quote")),
}
"""Fields of which one has to be given when an object is made (docs.stripe.com/api, the resource's create). Without
customer and lines a quote could be drafted, and never be finalised.
"""
NOT_NEGATIVE = frozenset({"quantity", "quantity_decimal", "unit_amount", "days_until_due", "trial_period_days"})
LOOKED_AT = NOT_NEGATIVE | {"unit_amount_decimal", "interval_count", "start"}
"""Fields whose values a rule is about, wherever they are."""
CUSTOM = ("custom_fields.", "invoice_settings.custom_fields.")
"""Where the fields are that are shown on an invoice."""
CUSTOM_LENGTHS: Mapping[str, int] = {"name": 40, "value": 140}
"""The most characters of their names and values."""
LONGEST_INTERVAL: Mapping[str, int] = {"day": 1095, "week": 156, "month": 36, "year": 3}
"""The most that `interval_count` may be: three years (docs.stripe.com/api/prices/create)."""
PRORATED_AT_ONCE = ("billing_cycle_anchor", "billing_cycle_anchor_config", "backdate_start_date")
"""What makes the first period of a new subscription another one than a whole, which `proration_behavior` is about
(docs.stripe.com/api/subscriptions/create).
"""
VALUE_DIGITS = 15
DECIMALS = 12
"""The most decimal places of an amount in minor units (the SDK's texts)."""


def broken(resource: str, operation: Operation, payload: Json, *, fits: bool = False) -> list[Problem]:
    """What is wrong with a payload whose fields have the right types; of an update what the payload itself tells.
    `fits`: no text in it is longer than `LENGTHS` say.
    """
    found = [] if fits else _lengths(resource, payload)
    if _excludes(resource, payload):
        found += _exclusive(resource, payload, "")
    if not _ruled(resource, operation).isdisjoint(payload):
        _look(resource, payload, "", found)
    if operation == "create":
        found += _needed(resource, payload)
    if rule := _OF_RESOURCE.get(resource):
        found += rule(operation, payload)
    return found


def _lengths(resource: str, payload: Json) -> list[Problem]:
    return [
        Problem(name, f"it has {len(value)} characters, and Stripe takes {most}", value)
        for name, most in LENGTHS[resource].items()
        if isinstance(value := payload.get(name), str) and len(value) > most
    ]


def _excludes(resource: str, said: Json) -> bool:
    """Whether fields are given that others may exclude: asked of every object, and mostly none is."""
    return resource in _EXCLUDING and not _EXCLUDING[resource].isdisjoint(said)


def _exclusive(resource: str, said: Json, path: str) -> Iterator[Problem]:
    for names in EXCLUSIVE.get(resource, ()):
        given = [name for name in names if name in said and _is_given(said, name)]
        if len(given) > 1:
            yield Problem(
                _at(path, given[1]), f"it excludes {given[0]}: give one of {', '.join(names)}", said[given[1]]
            )


def _needed(resource: str, payload: Json) -> Iterator[Problem]:
    for names in NEEDED.get(resource, ()):
        if not any(_is_given(payload, name) for name in names):
            first, *others = names
            yield Problem(first, ", or ".join([REQUIRED, *others]))


@cache
def _ruled(resource: str, operation: Operation) -> frozenset[str]:
    """The fields that `_look` looks at, or into: of most payloads none."""
    return frozenset(name for name, one in catalogue(resource, operation).items() if _is_ruled(one))


def _is_ruled(one: Field) -> bool:
    if one.kind in {"map", "any"}:  # under names that nobody knows
        return one.name != "metadata"
    inner = one.fields or (one.item.fields if one.item else {})
    return (
        one.name in LOOKED_AT
        or one.name in MOST
        or not _EXCLUDING[""].isdisjoint(inner)
        or any(_is_ruled(field) for field in inner.values())
    )


def _look(resource: str, said: Json, path: str, found: list[Problem]) -> None:
    """Adds what is wrong with the values of an object, and of what is in it."""
    about = LOOKED_AT | CUSTOM_LENGTHS.keys() if path.startswith(CUSTOM) else LOOKED_AT
    for name, value in said.items():
        if isinstance(value, (dict, list)):  # asked of every field: a union takes three times as long
            if name != "metadata":
                _look_into(resource, name, cast("dict[str, Any] | list[Any]", value), _at(path, name), found)
        elif name in about and value != "" and value is not None:
            found += _of_value(resource, _at(path, name), name, value, said)


def _look_into(resource: str, name: str, value: dict[str, Any] | list[Any], path: str, found: list[Problem]) -> None:
    if isinstance(value, dict):
        if _excludes("", value):
            found += _exclusive("", value, path)
        _look(resource, value, path, found)
    else:
        _look_through(resource, name, value, path, found)


def _look_through(resource: str, name: str, entries: Sequence[Any], path: str, found: list[Problem]) -> None:
    if name in MOST and len(entries) > MOST[name]:
        found.append(Problem(path, f"it has {len(entries)} entries, and Stripe takes {MOST[name]}"))
    objects = [(_at(path, str(place)), cast(Json, one)) for place, one in enumerate(entries) if isinstance(one, dict)]
    for where, one in objects:
        if _excludes("", one):
            found += _exclusive("", one, where)
    for where, one in objects:
        _look(resource, one, where, found)


def _of_value(resource: str, path: str, name: str, value: Any, parent: Json) -> Iterator[Problem]:
    if name in NOT_NEGATIVE and Decimal(str(value)) < 0:
        yield Problem(path, "it takes 0 or more", value)
    elif name == "unit_amount_decimal":
        yield from _of_decimal(resource, path, value)
    elif name == "interval_count":
        most = LONGEST_INTERVAL.get(str(parent.get("interval")), 1)
        if not 1 <= int(value) <= most:
            yield Problem(path, f"it takes 1 to {most} for the interval {parent.get('interval')}", value)
    elif name == "start" and isinstance(end := parent.get("end"), int) and isinstance(value, int) and end < value:
        yield Problem(path, "it begins after its end", value)
    elif name in CUSTOM_LENGTHS and len(str(value)) > (most := CUSTOM_LENGTHS[name]):
        yield Problem(path, f"it has {len(str(value))} characters, and Stripe takes {most}", value)


def _of_decimal(resource: str, path: str, value: Any) -> Iterator[Problem]:
    """An amount in minor units; an invoice item's own may be negative (docs.stripe.com/api/invoiceitems/create)."""
    amount = Decimal(str(value))
    if amount < 0 and (resource, path) != ("invoiceitems", "unit_amount_decimal"):
        yield Problem(path, "it takes 0 or more", value)
    places = amount.as_tuple().exponent
    if isinstance(places, int) and -places > DECIMALS:
        yield Problem(path, f"it has {-places} decimal places, and Stripe takes {DECIMALS}", value)


_SPACE = re.compile(r"\s")


def _customer(operation: Operation, payload: Json) -> Iterator[Problem]:
    email = payload.get("email")
    if email and ("@" not in email or _SPACE.search(email)):
        yield Problem("email", "it is no e-mail address", email)
    prefix = payload.get("invoice_prefix")
    if prefix and not (len(prefix) >= 3 and prefix.isascii() and prefix.isalnum() and prefix == prefix.upper()):
        yield Problem("invoice_prefix", "it takes 3 to 12 upper-case letters and digits", prefix)


def _product(operation: Operation, payload: Json) -> Iterator[Problem]:
    if "name" in payload and not payload["name"].strip():
        yield Problem("name", "it cannot be empty", payload["name"])
    descriptor = payload.get("statement_descriptor") or ""
    if set(descriptor) & set("<>\\\"'"):
        yield Problem("statement_descriptor", "it takes none of < > \\ \" '", descriptor)


def _price(operation: Operation, payload: Json) -> Iterator[Problem]:
    """Tiers go with `billing_scheme: tiered` and a mode, rise, and the last is without end
    (docs.stripe.com/api/prices/create).
    """
    tiers, scheme = payload.get("tiers"), payload.get("billing_scheme")
    if scheme == "tiered" and not tiers:
        yield Problem("tiers", REQUIRED + " with billing_scheme tiered")
    if not tiers:
        return
    if scheme != "tiered":
        yield Problem("billing_scheme", "it is tiered where there are tiers", scheme)
    if not payload.get("tiers_mode"):
        yield Problem("tiers_mode", REQUIRED + " with tiers")
    ends = [float("inf") if one.get("up_to") == "inf" else one.get("up_to", 0) for one in tiers]
    rising = all(one < following for one, following in zip([0, *ends], ends, strict=False))
    if not rising or ends[-1] != float("inf"):
        yield Problem("tiers", "their up_to rises, and that of the last is inf", [one.get("up_to") for one in tiers])


UNPRORATED = "say what {} costs now: none, create_prorations or always_invoice"


def _subscription(operation: Operation, payload: Json) -> Iterator[Problem]:
    given = [name for name in PRORATED_AT_ONCE if _is_given(payload, name)]
    if operation == "create" and given and not payload.get("proration_behavior"):
        yield Problem("proration_behavior", UNPRORATED.format(", ".join(given)))
    yield from _collected(operation, payload, ("days_until_due",))
    if "items" in payload:
        yield from _items("items", payload["items"])


def _invoice(operation: Operation, payload: Json) -> Iterator[Problem]:
    yield from _collected(operation, payload, ("days_until_due", "due_date"))


def _invoice_item(operation: Operation, payload: Json) -> Iterator[Problem]:
    if _is_given(payload, "amount") and payload.get("quantity", 1) != 1:
        yield Problem("quantity", "it goes with the amount of one; an amount is that of all", payload["quantity"])


def _quote(operation: Operation, payload: Json) -> Iterator[Problem]:
    if payload.get("line_items"):
        yield from _items("line_items", payload["line_items"])


def _meter_event(operation: Operation, payload: Json) -> Iterator[Problem]:
    """At most 15 significant digits (docs.stripe.com/changelog/dahlia/2026-04-22)."""
    digits = len(Decimal(payload["value"]).normalize().as_tuple().digits)
    if digits > VALUE_DIGITS:
        yield Problem("value", f"it has {digits} digits, and Stripe takes {VALUE_DIGITS}", payload["value"])


def _items(name: str, items: Sequence[Json]) -> Iterator[Problem]:
    """Each has a price, and none twice (docs.stripe.com/api/subscriptions/create)."""
    seen: set[Any] = set()
    for place, one in enumerate(items):
        if not one.get("price") and not one.get("price_data") and not one.get("id"):
            yield Problem(f"{name}.{place}.price", REQUIRED)
        if one.get("price") in seen:
            yield Problem(f"{name}.{place}.price", "another entry has the same price", one["price"])
        seen |= {one["price"]} if one.get("price") else set()


def _collected(operation: Operation, payload: Json, names: Sequence[str]) -> Iterator[Problem]:
    """What is sent to be paid needs to say until when, and only that says so
    (docs.stripe.com/api/invoices/create, days_until_due).
    """
    method = payload.get("collection_method", "charge_automatically" if operation == "create" else None)
    given = [name for name in names if _is_given(payload, name)]
    if method == "send_invoice" and operation == "create" and not given:
        yield Problem(names[0], f"{REQUIRED} with collection_method send_invoice")
    if method == "charge_automatically" and given:
        yield Problem(given[0], "it goes with collection_method send_invoice only", payload[given[0]])


def _is_given(said: Json, name: str) -> bool:
    if name not in said:
        return False
    value = said[name]
    return value is not None and value != "" and value != [] and value is not False


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_OF_RESOURCE: Mapping[str, Callable[[Operation, Json], Iterator[Problem]]] = {
    "customers": _customer,
    "products": _product,
    "prices": _price,
    "subscriptions": _subscription,
    "invoices": _invoice,
    "invoiceitems": _invoice_item,
    "quotes": _quote,
    "meter_events": _meter_event,
}
