"""The writable fields of each resource, read from the typed parameters of the official SDK."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType, UnionType
from typing import Any, ForwardRef, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

import typing_extensions

Kind = Literal["text", "integer", "decimal", "number", "boolean", "timestamp", "object", "list", "map", "any"]
Operation = Literal["create", "update"]

MOMENTS = ("_at", "_date", "timestamp", "billing_cycle_anchor", "trial_end")
"""How names of integers end that are times (epoch seconds): the SDK's types do not tell them from other integers."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a resource, or of an object within it.

    `choices`: the values that there are, of text; of an integer or a time, the words that may stand in its place.
    `clearable`: an empty value takes away what is there; of an address also each line. `fields`: of an object; `item`:
    of a list or a map's values. `any`: whatever JSON has.
    """

    name: str
    kind: Kind
    required: bool = False
    clearable: bool = False
    choices: tuple[str, ...] = ()
    fields: Mapping[str, "Field"] = field(default_factory=dict[str, "Field"])
    item: "Field | None" = None


RESOURCES: Mapping[str, str] = {
    "customers": "Customer",
    "products": "Product",
    "prices": "Price",
    "subscriptions": "Subscription",
    "invoices": "Invoice",
    "invoiceitems": "InvoiceItem",
    "quotes": "Quote",
}
"""What can be written, by the name of its list in Stripe's API, and how the SDK calls its parameters."""


CONTACT: Mapping[str, Field] = MappingProxyType(
    {
        "kind": Field("kind", "text", choices=("account", "user")),
        "name": Field("name", "text"),
        "owner": Field("owner", "text"),
        "properties": Field("properties", "map", clearable=True, item=Field("properties", "any")),
    }
)
"""What a sync writes of the hub's own contacts. `kind` is of those that are found by a bare id; it is `account`."""


@cache
def catalogue(resource: str, operation: Operation) -> Mapping[str, Field]:
    """The fields of a resource that an operation takes, by name; those that an SDK keeps for itself left out, and of an
    update those that it takes in another form: `billing_cycle_anchor` is a time when a subscription is made, and
    whether to move it to now later, so one column cannot say both.

    Source: `stripe.params` of the installed SDK, so the API version that requests are pinned to. Raises KeyError for a
    resource that is not written.
    """
    if resource == "contacts":
        return CONTACT
    if resource == "meter_events":
        return meter_event() if operation == "create" else MappingProxyType({})
    from stripe import params  # half a second

    found = _fields(getattr(params, f"{RESOURCES[resource]}{operation.title()}Params"))
    if operation == "create":
        return found
    made = catalogue(resource, "create")
    return MappingProxyType(
        {name: one for name, one in found.items() if name not in made or one.kind == made[name].kind}
    )


@cache
def meter_event() -> Mapping[str, Field]:
    """The fields of a meter event, which can only be created. What of the payload every event has, under names that the
    meter chooses, is `customer` and `value` here; the identifier is made of the row; and usage says when it was, for
    else it would count in whatever period a run falls into.
    """
    from stripe.params.billing import MeterEventCreateParams

    told = dict(_fields(MeterEventCreateParams))
    del told["identifier"]
    told["payload"] = replace(told["payload"], required=False)
    told["timestamp"] = replace(told["timestamp"], required=True)
    told["customer"], told["value"] = Field("customer", "text", required=True), Field("value", "decimal", required=True)
    return MappingProxyType(told)


@cache
def create_only(resource: str) -> frozenset[str]:
    """The fields that are given when an object is created and never again."""
    return frozenset(catalogue(resource, "create")) - frozenset(catalogue(resource, "update"))


def _fields(params: type) -> Mapping[str, Field]:
    return MappingProxyType({name: _field(name, told, params) for name, told in _told(params).items()})


def _told(params: type) -> dict[str, Any]:
    """Annotations of a TypedDict but for request options, whose names do not resolve, and `expand`."""
    from stripe._request_options import RequestOptions

    kept = {name: told for name, told in params.__annotations__.items() if name not in RequestOptions.__annotations__}
    kept.pop("expand", None)
    namespace = vars(sys.modules[params.__module__])
    resolved = type("Resolved", (), {"__annotations__": kept})
    return get_type_hints(resolved, globalns=dict(namespace), include_extras=True)


def _field(name: str, told: Any, params: type) -> Field:
    if get_origin(told) in (NotRequired, typing_extensions.NotRequired, Required, typing_extensions.Required):
        told = get_args(told)[0]
    options = get_args(told) if get_origin(told) in (Union, UnionType) else (told,)
    words = [word for one in options if get_origin(one) is Literal for word in get_args(one)]
    others = [_typed(name, one) for one in options if get_origin(one) is not Literal and not _is_untyped(one)]
    found = next((one for one in others if one.kind != "text"), others[0] if others else Field(name, "text"))
    return replace(
        found,
        required=name in _required(params),
        clearable="" in words or params.__name__.endswith("Address"),
        choices=tuple(str(word) for word in words if word != ""),
    )


def _typed(name: str, told: Any) -> Field:
    if isinstance(told, ForwardRef):
        raise TypeError(f"the SDK's type of {name} does not resolve: {told}")
    if told in _PLAIN:
        kind = _PLAIN[told]
        return Field(name, "timestamp" if kind == "integer" and _is_moment(name) else kind)
    if get_origin(told) is list:
        return Field(name, "list", item=_field(name, get_args(told)[0], object))
    if get_origin(told) is dict:
        return Field(name, "map", item=_field(name, get_args(told)[1], object))
    return Field(name, "object", fields=_fields(told))


def _is_moment(name: str) -> bool:
    return name in {"start", "end"} or name.endswith(MOMENTS)


def _is_untyped(told: Any) -> bool:
    """Whether it is the SDK's own object, which stands beside the type of what it holds."""
    return getattr(get_origin(told) or told, "__name__", "") == "UntypedStripeObject"


def _required(params: type) -> frozenset[str]:
    return getattr(params, "__required_keys__", frozenset())


def _plain() -> Mapping[Any, Kind]:
    from decimal import Decimal

    return {str: "text", int: "integer", Decimal: "decimal", float: "number", bool: "boolean"}


_PLAIN = _plain()
