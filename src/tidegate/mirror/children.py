"""Rows that come and go with their parents: items of subscriptions, lines of invoices, credit notes and quotes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection

from tidegate.mirror.arrivals import Arrival, Lost, text_of
from tidegate.mirror.rows import layout
from tidegate.mirror.statements import ChildStatements, child_statements
from tidegate.store.bulk import copy_sound_rows, open_stage
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Resource
from tidegate.stripe_api.shapes.read import Unreadable, read


@dataclass(slots=True)
class Children:
    """The rows of one nested list of some parents, and what of it could not be taken.

    `parents` are those whose body has the list at all: where it is absent nothing is said of the children.
    """

    resource: Resource
    parents: list[str] = field(default_factory=list[str])
    rows: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    keys: list[str] = field(default_factory=list[str])  # parent/child, per row
    lost: list[Lost] = field(default_factory=list[Lost])

    @property
    def sql(self) -> ChildStatements:
        return child_statements(self.resource)


def gather(account: str, resource: Resource, parents: Iterable[Arrival]) -> list[Children]:
    """The children of parents whose content is to be written, under the parents' versions."""
    gathered = {nested: Children(RESOURCES[nested.resource]) for nested in resource.nested}
    for parent in parents:
        for nested, bodies, _ in parent.reading.nested:
            gathered[nested].parents.append(parent.id)
            _gather(account, parent, bodies, gathered[nested])
    return [children for children in gathered.values() if children.parents]


def replace(db: Connection, account: str, batch: int, children: Children, won: set[str]) -> int:
    """Writes the children; those that parents of `won` had and have no more go. Returns how many were written."""
    sql = children.sql
    open_stage(db, sql.stage, sql.definition)
    refused = copy_sound_rows(db, sql.staged, [(batch, *row) for row in children.rows])
    children.lost += [Lost(children.keys[one.place], "", one.reason) for one in refused]
    values = {"connection": account, "batch": batch}
    if had := [id_ for id_ in children.parents if id_ in won]:
        db.execute(sql.drop, {**values, "parents": had})
    db.execute(sql.put, values)
    return len(children.rows) - len(refused)


def bury(
    db: Connection, account: str, resource: Resource, arrivals: Mapping[str, Arrival], parents: Sequence[str]
) -> None:
    """Marks the children of deleted parents as deleted."""
    times = [arrivals[id_].at for id_ in parents]
    for nested in resource.nested:
        sql = child_statements(RESOURCES[nested.resource])
        db.execute(sql.bury, {"connection": account, "parents": list(parents), "times": times})


def _gather(account: str, parent: Arrival, bodies: Sequence[msgspec.Raw], into: Children) -> None:
    child_row = layout(into.resource).child_row
    at, certainty, seen = parent.at, int(parent.certainty), set[str]()
    for position, raw in enumerate(bodies):
        body = bytes(raw)
        reading = read(into.resource, body)
        if isinstance(reading, Unreadable):
            into.lost.append(_lost(parent, reading.id or str(position), reading.reason, body))
        elif reading.id in seen:
            into.lost.append(_lost(parent, f"{reading.id}#{position}", "an id that stands twice in the list", body))
        else:
            seen.add(reading.id)
            text = text_of(body)
            into.rows.append(child_row(account, reading, at, certainty, text, position=position, parent=parent.id))
            into.keys.append(f"{parent.id}/{reading.id}")
            if reading.faults:
                into.lost += [Lost(f"{parent.id}/{reading.id}", fault.field, fault.reason) for fault in reading.faults]


def _lost(parent: Arrival, id_: str, reason: str, body: bytes) -> Lost:
    return Lost(f"{parent.id}/{id_}", "", reason, text_of(body))
