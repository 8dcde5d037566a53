"""Compares objects just read from Stripe with their rows in the mirror: content, typed columns, children."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, text
from sqlalchemy.exc import DataError

from tidegate.mirror import forgotten
from tidegate.mirror.arrivals import Arrival, text_of
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Nested, Resource
from tidegate.stripe_api.shapes.read import Reading, read


@dataclass(slots=True)
class Differences:
    """Ids by what is wrong with their rows; see `compare.Comparison`."""

    missing: list[str] = field(default_factory=list[str])
    stale: list[str] = field(default_factory=list[str])
    incomplete: list[str] = field(default_factory=list[str])
    columns: list[str] = field(default_factory=list[str])
    illegible: set[str] = field(default_factory=set[str])
    changed_meanwhile: int = 0


def compare_page(
    db: Connection, account: str, resource: Resource, arrivals: Sequence[Arrival], found: Differences
) -> None:
    """Adds to `found` how the rows differ from the objects. Children are compared where their parent's row is equal.

    An object that no jsonb holds (U+0000, half a surrogate pair) is found by halving, and is illegible. Of a customer
    that was forgotten, what Stripe shows is redacted as the mirror redacts it, and then compared.
    """
    arrivals, _ = forgotten.redact(db, account, resource, arrivals, ())
    try:
        with db.begin_nested():
            _compare(db, account, resource, arrivals, found)
    except DataError:
        if len(arrivals) == 1:
            found.illegible.add(arrivals[0].id)
            return
        middle = len(arrivals) // 2
        compare_page(db, account, resource, arrivals[:middle], found)
        compare_page(db, account, resource, arrivals[middle:], found)


def _compare(db: Connection, account: str, resource: Resource, arrivals: Sequence[Arrival], found: Differences) -> None:
    bodies = {arrival.id: arrival for arrival in arrivals}
    rows = db.execute(
        text(f"""
select o.id, t.id is null or t.deleted_at is not null as missing, t.data = cast(o.body as jsonb) as same,
       extract(epoch from t.updated_at)::bigint as at, {_columns(resource)}
from unnest(cast(:ids as text[]), cast(:bodies as text[])) as o(id, body)
left join stripe.{resource.table} t on t.connection = :connection and t.id = o.id"""),
        {"connection": account, "ids": list(bodies), "bodies": [a.body for a in bodies.values()]},
    )
    equal: list[Arrival] = []
    for row in rows.mappings().all():
        arrival = bodies[row["id"]]
        if row["same"] and not row["missing"]:
            equal.append(arrival)
            if _told(resource, row) != list(arrival.reading.values):
                found.columns.append(arrival.id)
        elif row["at"] is not None and row["at"] > arrival.at:
            found.changed_meanwhile += 1
        else:
            (found.missing if row["missing"] else found.stale).append(arrival.id)
    for nested in resource.nested:
        _compare_children(db, account, nested, equal, found)


def _columns(resource: Resource) -> str:
    """The typed columns as `read` gives their values, numbered: their names could be those of the envelope."""
    return ", ".join(
        [
            "null as none",
            *(
                f"extract(epoch from t.{column.name})::bigint as c{n}"
                if column.type == "timestamptz"
                else f"t.{column.name} as c{n}"
                for n, column in enumerate(resource.columns)
            ),
        ]
    )


def _told(resource: Resource, row: RowMapping) -> list[Any]:
    return [row[f"c{n}"] for n in range(len(resource.columns))]


def _compare_children(
    db: Connection, account: str, nested: Nested, parents: Sequence[Arrival], found: Differences
) -> None:
    """A parent is incomplete when its children are not as many as its list tells, or are not as the list tells them."""
    child = RESOURCES[nested.resource]
    wanted = {parent.id: _readings(child, nested, parent) for parent in parents}
    told = [(parent, reading, body) for parent, readings in wanted.items() for reading, body in readings]
    stored = db.execute(
        text(f"""
select {child.parent} as parent, count(*) as n from stripe.{child.table}
where connection = :connection and {child.parent} = any(:parents) group by 1"""),
        {"connection": account, "parents": list(wanted)},
    )
    have = {row.parent: row.n for row in stored}
    wrong = {parent for parent, readings in wanted.items() if have.get(parent, 0) != len(readings)}
    rows = db.execute(
        text(f"""
select o.n, coalesce(t.data = cast(o.body as jsonb), false) as same, {_columns(child)}
from unnest(cast(:parents as text[]), cast(:ids as text[]), cast(:bodies as text[])) with ordinality
  as o(parent, id, body, n)
left join stripe.{child.table} t on t.connection = :connection and t.{child.parent} = o.parent and t.id = o.id"""),
        {
            "connection": account,
            "parents": [parent for parent, _, _ in told],
            "ids": [reading.id for _, reading, _ in told],
            "bodies": [body for _, _, body in told],
        },
    )
    for row in rows.mappings():
        parent, reading, _ = told[int(row["n"]) - 1]
        if not row["same"]:
            wrong.add(parent)
        elif _told(child, row) != _values(child, reading, parent):
            found.columns.append(f"{parent}/{reading.id}")
    found.incomplete += sorted(wrong)


def _readings(child: Resource, nested: Nested, parent: Arrival) -> list[tuple[Reading, str]]:
    """The children that the parent's body tells, each with its JSON; the same child told twice counts once."""
    lists = (bodies for one, bodies, _ in parent.reading.nested if one.field == nested.field)
    readings = ((read(child, body), text_of(body)) for bodies in lists for body in bodies)
    return list({reading.id: (reading, body) for reading, body in readings if isinstance(reading, Reading)}.values())


def _values(child: Resource, reading: Reading, parent: str) -> list[Any]:
    return [
        parent if column.name == child.parent else value
        for column, value in zip(child.columns, reading.values, strict=True)
    ]
