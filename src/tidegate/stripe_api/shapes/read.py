"""Reads Stripe's bodies into rows: objects by their registry row, pages of a list, events. Errors are values here."""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec

from tidegate.stripe_api.resources.resource import Nested, Resource
from tidegate.stripe_api.shapes.base import Body, Seconds, Shape
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
        decode=msgspec.json.Decoder(resource.shape).decode,
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
    faults: tuple[Fault, ...] = ()
    try:
        shape = plan.decode(body)
    except MISFIT:
        try:
            shape, found = salvage(body, resource.shape)
        except MISFIT as wrong:
            return Unreadable(None, f"no JSON object: {wrong}")
        faults = tuple(found)
    key = shape.identity
    if not key or "\0" in key:
        return Unreadable(None, next((f"id: {fault.reason}" for fault in faults if fault.field == "id"), "no id"))
    values = plan.values(shape)
    if _NUL in (body if type(body) is bytes else bytes(body)):
        values, faults = _without_nul(resource, values, faults)
    return Reading(
        id=key,
        created=shape.created,
        deleted=shape.deleted is True,
        object=shape.object or resource.object,
        values=values,
        nested=tuple(
            (nested, listing.data, listing.has_more is True)
            for nested, listed in plan.nested
            if (listing := listed(shape)) is not None and listing.data is not None
        ),
        faults=faults,
        livemode=shape.livemode,
    )


_NUL = b"\\u0000"


def _without_nul(
    resource: Resource, values: tuple[Any, ...], faults: tuple[Fault, ...]
) -> tuple[tuple[Any, ...], tuple[Fault, ...]]:
    """The values with None for each text that holds U+0000, which PostgreSQL's text cannot hold."""
    kept, found = list(values), list(faults)
    for place, column in enumerate(resource.columns):
        if isinstance(kept[place], str | list) and any("\0" in text for text in kept[place]):
            kept[place] = None
            found.append(Fault(column.name, "holds the character U+0000"))
    return tuple(kept), tuple(found)


class _PageBody(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool = False


class _EventData(msgspec.Struct):
    object: msgspec.Raw
    previous_attributes: msgspec.Raw | None = None


class _EventBody(msgspec.Struct):
    id: str
    type: str
    created: Seconds
    data: _EventData
    api_version: str | None = None
    account: str | None = None
    livemode: bool | None = None


class _Named(msgspec.Struct):
    id: str | None = None
    object: str | None = None


_decode_page = msgspec.json.Decoder(_PageBody).decode
_decode_event = msgspec.json.Decoder(_EventBody).decode
_decode_named = msgspec.json.Decoder(_Named).decode


def read_page(body: bytes) -> Page | Unreadable:
    """Reads the envelope of a list; its objects stay raw, so one bad object costs no other."""
    try:
        page = _decode_page(body)
    except MISFIT as wrong:
        return Unreadable(None, f"no list: {wrong}")
    return Page(page.data, page.has_more)


def read_event(body: Body) -> Event | Unreadable:
    """Reads the envelope of an event; `data.object` and `data.previous_attributes` stay raw."""
    try:
        event = _decode_event(body)
        named = _decode_named(event.data.object)
    except MISFIT as wrong:
        return Unreadable(None, f"no event: {wrong}")
    return Event(
        id=event.id,
        type=event.type,
        created=event.created,
        api_version=event.api_version,
        account=event.account,
        livemode=event.livemode,
        object=event.data.object,
        object_type=named.object,
        object_id=named.id,
        previous_attributes=event.data.previous_attributes,
    )
