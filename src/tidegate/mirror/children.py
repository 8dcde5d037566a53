"""Rows that come and go with their parents: items of subscriptions, lines of invoices, credit notes and quotes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection

from tidegate.mirror.arrivals import Arrival, Lost, text_of
from tidegate.mirror.statements import ChildStatements, child_statements, copied
from tidegate.store.bulk import copy_sound_rows, open_stage
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Nested, Resource
from tidegate.stripe_api.shapes.read import Unreadable, read

Arrivals = Mapping[str, Arrival]


@dataclass(slots=True)
class Replaced:
    """How many rows were written per resource, and what of them could not be taken."""

    written: Counter[str] = field(default_factory=Counter[str])
    lost: list[Lost] = field(default_factory=list[Lost])


def replace(
    db: Connection,
    account: str,
    batch: int,
    resource: Resource,
    arrivals: Arrivals,
    fresh: Sequence[str],
    won: set[str],
) -> Replaced:
    """Writes the children of the parents whose content is now what came in, under the parents' versions.

    The parents' bodies must be staged under `batch`: the children's JSON is taken from there, so that it is sent and
    read only once. `fresh` parents are new and have no children yet; those of `won` replace the ones they had.
    """
    done = Replaced()
    for nested in resource.nested:
        parents = [id_ for id_ in [*fresh, *won] if _tells(arrivals[id_], nested)]
        if not parents:
            continue
        child = RESOURCES[nested.resource]
        sql = child_statements(child, resource, nested.field)
        rows: list[tuple[Any, ...]] = []
        for id_ in parents:
            for row in _rows(child, sql, batch, arrivals[id_], nested):
                (done.lost if isinstance(row, Lost) else rows).append(row)  # pyright: ignore[reportArgumentType]
        open_stage(db, sql.stage, sql.definition)
        done.lost += [
            Lost(f"{rows[refusal.place][-1]}/{rows[refusal.place][1]}", "", refusal.reason)
            for refusal in copy_sound_rows(db, sql.copy, rows)
        ]
        values = {"connection": account, "batch": batch}
        if had := [id_ for id_ in parents if id_ in won]:
            db.execute(sql.drop, {**values, "parents": had})
        db.execute(sql.put, values)
        done.written[child.name] += len(rows)
    return done


def bury(db: Connection, account: str, resource: Resource, arrivals: Arrivals, parents: Sequence[str]) -> None:
    """Marks the children of deleted parents as deleted."""
    times = [arrivals[id_].at for id_ in parents]
    for nested in resource.nested:
        sql = child_statements(RESOURCES[nested.resource], resource, nested.field)
        db.execute(sql.bury, {"connection": account, "parents": list(parents), "times": times})


def _tells(arrival: Arrival, nested: Nested) -> bool:
    """Whether the body has the list at all; where it is absent nothing is said of the children."""
    return not arrival.deleted and any(told is nested for told, _, _ in arrival.reading.nested)


def _rows(
    child: Resource, sql: ChildStatements, batch: int, parent: Arrival, nested: Nested
) -> list[tuple[Any, ...] | Lost]:
    """The staging rows of a parent's children; the parent's id stands in its column whatever the bodies say."""
    bodies = next(bodies for told, bodies, _ in parent.reading.nested if told is nested)
    rows: list[tuple[Any, ...] | Lost] = []
    seen: set[str] = set()
    for position, body in enumerate(bodies):
        reading = read(child, body)
        if isinstance(reading, Unreadable):
            rows.append(_lost(parent, reading.id or str(position), reading.reason, body))
        elif reading.id in seen:
            rows.append(_lost(parent, f"{reading.id}#{position}", "an id that stands twice in the list", body))
        else:
            seen.add(reading.id)
            values = copied(reading.values, sql.lists)
            values[sql.owner] = parent.id
            rows.append((batch, reading.id, reading.created, parent.at, int(parent.certainty), position, *values))
            rows += [Lost(f"{parent.id}/{reading.id}", fault.field, fault.reason) for fault in reading.faults]
    return rows


def _lost(parent: Arrival, id_: str, reason: str, body: msgspec.Raw) -> Lost:
    return Lost(f"{parent.id}/{id_}", "", reason, text_of(body))
