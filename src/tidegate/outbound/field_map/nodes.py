"""The parts of a field map, and which columns each reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union

Nulls = Literal["skip", "clear", ""]
"""What a null does: leaves the field out, takes away what Stripe has, or as the field accepts it."""


@dataclass(frozen=True, slots=True)
class Column:
    """The value of a column."""

    name: str
    nulls: Nulls = ""


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value for every row."""

    value: Any


@dataclass(frozen=True, slots=True)
class Template:
    """A Liquid template over the row's columns; `columns` are those that it reads."""

    source: str
    columns: tuple[str, ...]
    nulls: Nulls = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """The id of another object, found by what a column says: by its `email`, your own id, a `lookup_key`, …

    `name`: the metadata key, or the sync whose row it is; else empty.
    """

    resource: str
    way: str
    name: str
    column: str


@dataclass(frozen=True, slots=True)
class Nested:
    """An object whose fields are filled in turn."""

    fields: Mapping[str, "Node"]


@dataclass(frozen=True, slots=True)
class Array:
    """A list whose entries are filled in turn."""

    entries: Sequence["Node"]


Node = Union[Column, Constant, Template, Reference, Nested, Array]  # noqa: UP007


def columns(node: Node) -> Iterator[str]:
    """The columns that a part reads, each as often as it does."""
    match node:
        case Column(name):
            yield name
        case Template(columns=names):
            yield from names
        case Reference(column=name):
            yield name
        case Nested(fields):
            for one in fields.values():
                yield from columns(one)
        case Array(entries):
            for one in entries:
                yield from columns(one)
        case Constant():
            return


def references(node: Node) -> Iterator[Reference]:
    """The references in a part."""
    match node:
        case Reference():
            yield node
        case Nested(fields):
            for one in fields.values():
                yield from references(one)
        case Array(entries):
            for one in entries:
                yield from references(one)
        case _:
            return
