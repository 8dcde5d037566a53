"""What every shape is made of: the envelope, bounded numbers, expandable ids and lists of raw children.

Every field is optional and null means the default, so that one odd field never costs an object. Unknown fields are
ignored and enums are plain strings, since Stripe adds both within an API version.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Self, TypeVar, overload

import msgspec

from tidegate.stripe_api.shapes.decoders import decoder

Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer that PostgreSQL's bigint holds: amounts in minor units, quantities, counts."""

Seconds = Annotated[int, msgspec.Meta(ge=-62_135_596_800, le=253_402_300_799)]
"""Epoch seconds, UTC, between the years 1 and 9999."""

Body = bytes | msgspec.Raw
T = TypeVar("T", bound=msgspec.Struct)


class Part(msgspec.Struct, kw_only=True, gc=False):
    """An object inside another that Stripe gives no id."""


class Shape(Part):
    """The envelope of a Stripe object."""

    id: str | None = None
    object: str | None = None
    created: Seconds | None = None
    deleted: bool | None = None
    livemode: bool | None = None

    @property
    def identity(self) -> str | None:
        """The id, or what stands for it where an API version gave none; None: the object cannot be told from others."""
        return self.id


class Ref(Part):
    """An expanded object of which only the identity matters."""

    id: str | None = None
    deleted: bool | None = None


class Listing(Part):
    """A nested list whose objects stay raw; `data` is None when the list was not told."""

    data: list[msgspec.Raw] | None = None
    has_more: bool | None = None

    def read(self, shape: type[T]) -> list[T]:
        """The listed objects as shapes; raises msgspec.ValidationError for one that does not fit."""
        decode = decoder(shape).decode
        return [decode(raw) for raw in self.data or ()]


def id_of(value: str | Shape | Ref | None) -> str | None:
    """The id of an expandable field, whether Stripe sent the id or the object."""
    if value is None or isinstance(value, str):
        return value
    return value.id


class IdOf:
    """An attribute that is the id of an expandable field of the same struct."""

    def __init__(self, field: str) -> None:
        self.field = field

    @overload
    def __get__(self, shape: None, owner: type) -> Self: ...
    @overload
    def __get__(self, shape: Any, owner: type) -> str | None: ...
    def __get__(self, shape: Any, owner: type) -> Self | str | None:
        if shape is None:
            return self
        value = getattr(shape, self.field)
        return value if value is None or type(value) is str else value.id


def first(values: Sequence[str | None]) -> str | None:
    """The first value that is there."""
    return next((value for value in values if value is not None), None)


def total(amounts: "Sequence[Amount] | None") -> int | None:
    """The sum of amounts in minor units; None when the list was not told."""
    return sum(each.amount or 0 for each in amounts) if amounts else None if amounts is None else 0


class Amount(Part):
    """An entry of Stripe's lists of amounts (taxes, discounts), in minor units."""

    amount: Whole | None = None
