"""How a row of a resource's table is laid out, and its values as binary COPY takes them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tidegate.store.bulk import EPOCH, jsonb, moment, texts
from tidegate.stripe_api.resources.resource import Resource
from tidegate.stripe_api.shapes.read import Reading

LONGEST_ID, LONGEST_INDEXED = 1000, 2000
"""Bytes. PostgreSQL refuses an entry of an index above 2,704 and with it the whole statement; the staging table refuses
the one row before.
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that are written, with their SQL types, and where among a reading's values the times and lists are.

    `bounds`: per column of an index how many bytes it may have. `owner`: the place of the parent's id among the values
    of a child.
    """

    columns: dict[str, str]
    bounds: dict[str, int]
    versions: bool
    bounded: tuple[tuple[int, int], ...]
    times: tuple[int, ...]
    lists: tuple[int, ...]
    owner: int | None

    def row(
        self, account: str, reading: Reading, at: int, certainty: int, body: str, *, deleted: bool = False
    ) -> tuple[Any, ...]:
        """A row of an object that stands for itself; `at` is the version's time in epoch seconds."""
        time = moment(at)
        created = None if reading.created is None else moment(reading.created)
        values = self._values(reading)
        told = (time,) if self.versions else ()
        return (account, reading.id, created, time, certainty, time if deleted else None, *told, *values, jsonb(body))

    def child_row(
        self, account: str, reading: Reading, at: int, certainty: int, body: str, *, position: int, parent: str
    ) -> tuple[Any, ...]:
        """A row of a parent's list; the parent's id stands in its column whatever the body says."""
        assert self.owner is not None
        created = None if reading.created is None else moment(reading.created)
        values = self._values(reading)
        values[self.owner] = parent
        return (account, reading.id, created, moment(at), certainty, None, position, *values, jsonb(body))

    def surely_fit(self, rows: Iterable[tuple[Any, ...]]) -> bool:
        """Whether no bound can be passed, however many bytes each character takes."""
        bounded = [(place, most // 4) for place, most in self.bounded]
        return all(row[place] is None or len(row[place]) <= most for row in rows for place, most in bounded)

    def _values(self, reading: Reading) -> list[Any]:
        values = list(reading.values)
        for place in self.times:
            if (seconds := values[place]) is not None:
                values[place] = (seconds - EPOCH) * 1_000_000  # `moment`, a call less for each
        for place in self.lists:
            if (list_ := values[place]) is not None:
                values[place] = texts(list_)
        return values


@cache
def layout(resource: Resource) -> Layout:
    """The layout of a resource's table: connection, envelope, typed columns, JSON."""
    columns = {"connection": "text", "id": "text", "created": "timestamptz", "updated_at": "timestamptz"}
    columns |= {"certainty": "smallint", "deleted_at": "timestamptz"}
    columns |= {"position": "int"} if resource.parent else {}
    columns |= {"told_at": "timestamptz"} if resource.versions else {}
    columns |= {column.name: column.type for column in resource.columns}
    types = [column.type for column in resource.columns]
    names = [column.name for column in resource.columns]
    indexed = [column.name for column in resource.columns if column.indexed and column.type == "text"]
    bounds = {"id": LONGEST_ID, **dict.fromkeys(indexed, LONGEST_INDEXED)}
    return Layout(
        columns | {"data": "jsonb"},
        bounds,
        versions=resource.versions,
        bounded=tuple((list(columns).index(name), most) for name, most in bounds.items()),
        times=tuple(place for place, type_ in enumerate(types) if type_ == "timestamptz"),
        lists=tuple(place for place, type_ in enumerate(types) if type_ == "text[]"),
        owner=names.index(resource.parent) if resource.parent else None,
    )
