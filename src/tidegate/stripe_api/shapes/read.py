"""Reads Stripe's bodies into rows: objects by their registry row, pages of a list, events. Errors are values here."""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, cast

import msgspec

from tidegate.stripe_api.resources.resource import Nested, Resource
from tidegate.stripe_api.shapes import loose
from tidegate.stripe_api.shapes.base import Body, Seconds, Shape
from tidegate.stripe_api.shapes.decoders import decoder
from tidegate.stripe_api.shapes.salvage import MISFIT, Fault, salvage


class Reading(msgspec.Struct, frozen=True):
    """What was read of one object.

    `values` stand in the order of the resource's columns: timestamps as epoch seconds (UTC), `text[]` as lists of text.
    `nested` has an entry for each nested list that the body tells, as raw objects, with whether Stripe cut it off.
    `faults` name the fields that did not fit; their columns are None.
    """

    id: str
    created: int | None
    deleted: bool
    object: str
    values: tuple[Any, ...]
    nested: tuple[tuple[Nested, list[msgspec.Raw], bool], ...]
    faults: tuple[Fault, ...]
    livemode: bool | None


class Unreadable(msgspec.Struct, frozen=True):
    """A body that is not even an envelope: no JSON, no object, or without an id."""

    id: str | None
    reason: str


class Page(msgspec.Struct, frozen=True):
    """A page of a list; the raw objects keep the whole body in memory while they live."""

    data: list[msgspec.Raw]
    has_more: bool


class Event(msgspec.Struct, frozen=True):
    """A Stripe event.

    `created` is epoch seconds. `object` is the raw `data.object`, `object_type` its `object` ("subscription") and
    `object_id` its id (None where it has none: upcoming invoices). `previous_attributes` is None when nothing is told.
    """

    id: str
    type: str
    created: int
    api_version: str | None
    account: str | None
    livemode: bool | None
    object: msgspec.Raw
    object_type: str | None
    object_id: str | None
    previous_attributes: msgspec.Raw | None


class _Plan(msgspec.Struct, frozen=True):
    """What reading a resource needs, worked out once."""

    decode: Callable[[Body], Shape]
    values: Callable[[Shape], tuple[Any, ...]]
    nested: tuple[tuple[Nested, Callable[[Shape], Any]], ...]


@cache
def _plan(resource: Resource) -> _Plan:
    return _Plan(
        decode=decoder(resource.shape).decode,
        values=_getter([column.name for column in resource.columns]),
        nested=tuple((nested, attrgetter(nested.field)) for nested in resource.nested),
    )


def _getter(names: list[str]) -> Callable[[Shape], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda shape: tuple(getattr(shape, name) for name in names)


def read(resource: Resource, body: Body) -> Reading | Unreadable:
    """Reads one object of a resource, in whatever API version it came; never raises for what the body holds.

    The body is decoded in one go; only where something does not fit it is read again field by field.
    """
    plan = _plan(resource)
    try:
        shape = plan.decode(body)
        faults: list[Fault] = []
        unstorable: dict[str, str] = {}
    except MISFIT:
        try:
            shape, faults, unstorable = _salvaged(resource, body)
        except MISFIT as wrong:
            return Unreadable(loose.told_id(body), f"no JSON object: {wrong}")
    key = shape.identity
    if not key or "\0" in key:
        return Unreadable(None, next((f"id: {fault.reason}" for fault in faults if fault.field == "id"), "no id"))
    values = plan.values(shape)
    if _holds_nul(body if type(body) is bytes else bytes(body)):
        unstorable["\0"] = "holds the character U+0000"
    if unstorable:
        values = _storable(resource, values, unstorable, faults)
    return Reading(
        key,
        shape.created,
        shape.deleted is True,
        shape.object or resource.object,
        values,
        _nested(plan, shape) if plan.nested else (),
        tuple(faults),
        shape.livemode,
    )


def _nested(plan: _Plan, shape: Shape) -> tuple[tuple[Nested, list[msgspec.Raw], bool], ...]:
    return tuple(
        (nested, listing.data, listing.has_more is True)
        for nested, listed in plan.nested
        if (listing := listed(shape)) is not None and listing.data is not None
    )


_NUL = b"\\u0000"


def _holds_nul(body: bytes) -> bool:
    return b"\\" in body and _NUL in body  # most bodies escape nothing, and one character is found much faster


def _salvaged(resource: Resource, body: Body) -> tuple[Shape, list[Fault], dict[str, str]]:
    """What fits of a body, the faults, and characters that stand for what no column can hold, with the reason."""
    try:
        return *salvage(body, resource.shape), {}
    except MISFIT:
        mended = loose.mended(body)
        if mended is None:
            raise
        return *salvage(mended, resource.shape), {loose.REPLACEMENT: "holds half of a surrogate pair"}


def _storable(
    resource: Resource, values: tuple[Any, ...], unstorable: dict[str, str], faults: list[Fault]
) -> tuple[Any, ...]:
    """The values with None, and a fault, for each text that PostgreSQL cannot hold."""
    kept = list(values)
    for place, column in enumerate(resource.columns):
        value = kept[place]
        text = "".join(cast("list[str]", value)) if isinstance(value, list) else value if isinstance(value, str) else ""
        for character, reason in unstorable.items():
            if character in text:
                kept[place] = None
                faults.append(Fault(column.name, reason))
    return tuple(kept)


class _PageBody(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool = False


_decode_page = msgspec.json.Decoder(_PageBody).decode


def read_page(body: bytes) -> Page | Unreadable:
    """Reads the envelope of a list; its objects stay raw, so one bad object costs no other."""
    try:
        page = _decode_page(body)
    except MISFIT as wrong:
        told = loose.members(body)
        data = told.get("data")
        if not isinstance(data, list):
            return Unreadable(None, f"no list: {wrong}")
        return Page([loose.raw(each) for each in cast("list[object]", data)], told.get("has_more") is True)
    return Page(page.data, page.has_more)


class _EventData(msgspec.Struct):
    object: msgspec.Raw
    previous_attributes: msgspec.Raw = msgspec.Raw(b"null")  # msgspec takes no object for `Raw | None`


class _EventHead(msgspec.Struct):
    id: str
    type: str
    created: Seconds
    api_version: str | None = None
    account: str | None = None
    livemode: bool | None = None


class _EventBody(_EventHead, kw_only=True):
    data: _EventData


class _Named(msgspec.Struct):
    id: str | None = None
    object: str | None = None


_decode_event = msgspec.json.Decoder(_EventBody).decode
_decode_named = msgspec.json.Decoder(_Named).decode
decoder(_EventHead)  # made before threads convert to it


def read_event(body: Body) -> Event | Unreadable:
    """Reads the envelope of an event; `data.object` and `data.previous_attributes` stay raw."""
    try:
        event = _decode_event(body)
        named = _decode_named(event.data.object)
    except MISFIT as wrong:
        try:
            event, data, named = _event_loosely(body)
        except (msgspec.ValidationError, KeyError):
            return Unreadable(loose.told_id(body), f"no event: {wrong}")
        return _event(event, data, named)
    return _event(event, event.data, named)


def _event_loosely(body: Body) -> tuple[_EventHead, _EventData, _Named]:
    """The same of a body with text that the strict decoder refuses."""
    told = loose.members(body)
    data: Any = told["data"]
    if not isinstance(data, dict):
        raise KeyError("data")
    carried = cast("dict[str, Any]", data)
    return (
        msgspec.convert(told, _EventHead),
        _EventData(loose.raw(carried["object"]), loose.raw(carried.get("previous_attributes"))),
        msgspec.convert(carried["object"], _Named),
    )


def _event(event: _EventHead, data: _EventData, named: _Named) -> Event:
    return Event(
        id=event.id,
        type=event.type,
        created=event.created,
        api_version=event.api_version,
        account=event.account,
        livemode=event.livemode,
        object=data.object,
        object_type=named.object,
        object_id=named.id,
        previous_attributes=None if bytes(data.previous_attributes) == b"null" else data.previous_attributes,
    )
