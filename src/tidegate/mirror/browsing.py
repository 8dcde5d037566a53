"""The mirror for people who look: the objects of a resource page by page, and one of them with its versions."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.errors import ObjectUnknown
from tidegate.mirror.tables import NEWEST
from tidegate.mirror.versions import Version, known_versions
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Column, Resource

COLUMNS = 6
"""Of a table's typed columns the first so many are shown in a list."""
VERSIONS = 50
"""The newest versions of an object that are shown."""
_ABSENT = object()


class Objects(NamedTuple):
    """A page of objects: `columns` names what is shown of each in `rows` beside {id, parent, created, deleted_at}.

    `next`: what to give as `after` for the next page; empty: there is none.
    """

    columns: list[str]
    rows: list[dict[str, Any]]
    next: str


class Reference(NamedTuple):
    """What an object names: the column, and the resource and id of what it names."""

    column: str
    resource: Resource
    id: str


class Object(NamedTuple):
    """An object as it is stored; times are UTC. `updated_at`: Stripe's time of this version; `data`: its JSON."""

    id: str
    created: datetime | None
    updated_at: datetime
    deleted_at: datetime | None
    data: Any
    names: list[Reference]

    @property
    def customer(self) -> str:
        """The customer that it is, or names; empty: none."""
        return next((one.id for one in self.names if one.column == "customer"), "")


class Change(NamedTuple):
    """What one version changed of the one before: the path of a value, and the value on both sides (None: absent)."""

    path: str
    before: Any
    after: Any


class Told(NamedTuple):
    """A version and, from the second on, what it changed."""

    version: Version
    changes: list[Change]


def shown(resource: Resource) -> list[Column]:
    """The columns of a resource that a list shows."""
    return [one for one in resource.columns if one.type != "text[]" and one.name != resource.parent][:COLUMNS]


STATES: Mapping[str, str] = {
    "": "",
    "stored": "and deleted_at is null",
    "deleted": "and deleted_at is not null",
}
"""By what objects are narrowed down, as SQL."""


def objects(
    db: Connection, connection: str, resource: Resource, *, state: str = "", after: str = "", limit: int = 50
) -> Objects:
    """A page of a connection's objects, deleted ones too: the newest first; what comes inside others by their ids.
    `state`: only those of this one of STATES.
    """
    columns = [one.name for one in shown(resource)]
    first, wanted = _place(resource, after)
    order = f"{resource.parent} desc, id desc" if resource.parent else f"{NEWEST} desc, id desc"
    parent = resource.parent or "''"
    rows = db.execute(
        text(f"""
select id, {parent} as parent, created, deleted_at, {", ".join(columns)} from stripe.{resource.table}
where connection = :connection {STATES[state]} {first} order by {order} limit :limit"""),
        {"connection": connection, "limit": limit + 1, **wanted},
    ).mappings()
    found = [dict(row) for row in rows]
    following = _named(resource, found[limit - 1]) if len(found) > limit else ""
    return Objects(columns, found[:limit], following)


def unreadable(db: Connection, connection: str, resource: Resource, limit: int) -> list[dict[str, Any]]:
    """What of a resource's objects could not be read, by their ids: {id, field (empty: all of it), reason, at}."""
    given = {"connection": connection, "resource": resource.name, "limit": limit}
    return [dict(row) for row in db.execute(_UNREADABLE, given).mappings()]


_UNREADABLE = text("""
select object_id as id, field, reason, at from tidegate.unreadable
where connection = :connection and resource = :resource order by object_id, field limit :limit""")


def _named(resource: Resource, row: Mapping[str, Any]) -> str:
    """What names a row's place in the order."""
    created: datetime | None = row["created"]
    of = row["parent"] if resource.parent else str(int(created.timestamp())) if created else ""
    return f"{of}~{row['id']}"


def _place(resource: Resource, after: str) -> tuple[str, dict[str, Any]]:
    """The condition that rows come after a place, with its values; one that is none is the beginning."""
    of, found, object_id = after.partition("~")
    if not found:
        return "", {}
    if resource.parent:
        return f"and ({resource.parent}, id) < (:parent, :id)", {"parent": of, "id": object_id}
    created = datetime.fromtimestamp(int(of), UTC) if of.isdecimal() and len(of) < 12 else None
    condition = f"and ({NEWEST}, id) < (coalesce(cast(:created as timestamptz), '-infinity'), :id)"
    return condition, {"created": created, "id": object_id}


def one(db: Connection, connection: str, resource: Resource, object_id: str, parent: str = "") -> Object:
    """An object. `parent`: of what comes inside others, the id of that. Raises ObjectUnknown."""
    naming = [column for column in resource.columns if column.refers_to or column.name == resource.parent]
    inside = f"and {resource.parent} = :parent" if resource.parent else ""
    row = (
        db.execute(
            text(f"""
select {", ".join(["id", "created", "updated_at", "deleted_at", "data", *(one.name for one in naming)])}
from stripe.{resource.table}
where connection = :connection and id = :id {inside}"""),
            {"connection": connection, "id": object_id, "parent": parent},
        )
        .mappings()
        .first()
    )
    if row is None:
        raise ObjectUnknown(connection=connection, resource=resource.name, id=object_id)
    names = [
        Reference(column.name, RESOURCES[column.refers_to] if column.refers_to else inside_of(resource), id_)
        for column in naming
        for id_ in (row[column.name] if column.type == "text[]" else [row[column.name]])
        if id_
    ]
    return Object(row["id"], row["created"], row["updated_at"], row["deleted_at"], row["data"], names)


def inside_of(resource: Resource) -> Resource:
    """The resource inside whose objects those of this one come, which has a `parent`."""
    return next(one for one in RESOURCES.values() for inner in one.nested if inner.resource == resource.name)


def find(db: Connection, connection: str, object_id: str) -> str:
    """The name of the resource that has an object of this id; empty: none has. What comes inside others is left out."""
    parts = [
        f"select '{name}' as resource from stripe.{one.table} where connection = :connection and id = :id"
        for name, one in RESOURCES.items()
        if not one.parent
    ]
    statement = text(" union all ".join(parts) + " limit 1")
    return db.scalar(statement, {"connection": connection, "id": object_id}) or ""


def versions(db: Connection, connection: str, resource: Resource, object_id: str) -> list[Told]:
    """The newest versions of an object, the newest first, each with what it changed; none where none are kept."""
    if not resource.versions:
        return []
    known = known_versions(db, connection, resource, object_id)
    told = [
        Told(version, list(changes(known[place - 1].data, version.data)) if place else [])
        for place, version in enumerate(known)
    ]
    return told[: -VERSIONS - 1 : -1]


def changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """What differs between two JSON values, value by value, by their paths: `items.data[0].quantity`."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            yield from _of(before.get(name, _ABSENT), after.get(name, _ABSENT), f"{path}.{name}" if path else str(name))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):  # pyright: ignore[reportUnknownArgumentType]
        for place, (old, new) in enumerate(zip(before, after, strict=True)):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            yield from changes(old, new, f"{path}[{place}]")
    else:
        yield Change(path, before, after)


def _of(before: Any, after: Any, path: str) -> Iterator[Change]:
    old, new = (None if one is _ABSENT else one for one in (before, after))
    yield from changes(old, new, path)
