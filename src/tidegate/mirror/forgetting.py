"""Takes personal data of customers out of everything that is stored of Stripe: rows, versions, events, odd bodies."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.mirror.forgotten import BY_CHARGE, clean_event
from tidegate.mirror.redaction import redacted
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Resource
from tidegate.stripe_api.shapes.read import Reading, read

BATCH = 500
KEPT_TYPES = ("timestamptz", "text[]")
"""Types of columns that nothing personal stands in."""


def forget(db: Connection, account: str, customers: Sequence[str]) -> Counter[str]:
    """Notes that these customers (Stripe ids) are forgotten and redacts what is stored of them; returns how many rows
    changed, by table.

    In the caller's transaction, which has locked the connection's row against everything that applies. Amounts, times,
    states and ids stay.
    """
    values = {"connection": account, "customers": list(customers)}
    db.execute(_NOTE, values)
    changed: Counter[str] = Counter()
    for resource in RESOURCES.values():
        if (whose := _whose(resource)) is None:
            continue
        ids = db.scalars(text(f"select t.id from stripe.{resource.table} t where {whose}"), values).all()
        for some in _batches(ids):
            changed[f"stripe.{resource.table}"] += _redact_rows(db, account, resource, "id", some)
            for nested in resource.nested:
                child = RESOURCES[nested.resource]
                changed[f"stripe.{child.table}"] += _redact_rows(db, account, child, child.parent, some)
            changed["tidegate.versions"] += _redact_versions(db, account, resource, some)
            changed["tidegate.unreadable"] += db.execute(
                _HIDE_BODIES, {"connection": account, "resource": resource.name, "ids": list(some)}
            ).rowcount
    changed["tidegate.unreadable"] += _redact_unreadable(db, account, customers)
    changed["tidegate.inbox"] += _redact_inbox(db, account, customers)
    return Counter({table: count for table, count in changed.items() if count})


def _whose(resource: Resource) -> str | None:
    """The condition that finds the rows `t` of the customers; None for what belongs to nobody or to a parent."""
    if resource.parent:
        return None
    mine = "t.connection = :connection and"
    if resource.name == "customers":
        return f"{mine} t.id = any(:customers)"
    if resource.name in BY_CHARGE:
        return f"""{mine} t.charge in (
  select c.id from stripe.charges c where c.connection = :connection and c.customer = any(:customers))"""
    column = next((column.name for column in resource.columns if column.refers_to == "customers"), None)
    return f"{mine} t.{column} = any(:customers)" if column else None


def _redact_rows(db: Connection, account: str, resource: Resource, key: str, ids: Sequence[str]) -> int:
    """Redacts the rows whose `key` is one of the ids, with the columns that say what the JSON says."""
    columns = [c for c in resource.columns if c.type not in KEPT_TYPES and c.name != resource.parent]
    sets = ", ".join(f"{c.name} = cast(:c_{c.name} as {c.type})" for c in columns)
    update = text(f"""
update stripe.{resource.table} set data = cast(:data as jsonb){", " if sets else ""}{sets}
where connection = :connection and id = :id and {key} = :key""")
    rows = db.execute(
        text(f"select id, {key} as key, data::text as data from stripe.{resource.table} "
             f"where connection = :connection and {key} = any(cast(:ids as text[]))"),
        {"connection": account, "ids": list(ids)},
    ).all()  # fmt: skip
    changed: list[dict[str, Any]] = []
    for row in rows:
        body = redacted(row.data)
        reading = read(resource, body.encode())
        assert isinstance(reading, Reading)  # it was read before, and its id stays
        values = dict(zip((c.name for c in resource.columns), reading.values, strict=True))
        told = {f"c_{c.name}": values[c.name] for c in columns}
        changed.append({"connection": account, "id": row.id, "key": row.key, "data": body, **told})
    if changed:
        db.execute(update, changed)
    return len(changed)


def _redact_versions(db: Connection, account: str, resource: Resource, ids: Sequence[str]) -> int:
    """Redacts every version that is kept; of two that differ in nothing else one stays."""
    if not resource.versions:
        return 0
    values = {"connection": account, "resource": resource.name, "ids": list(ids)}
    rows = db.execute(_VERSIONS, values).mappings().all()
    db.execute(_DROP_VERSIONS, values)
    for row in rows:
        previous = None if row["previous"] is None else redacted(row["previous"])
        db.execute(_KEEP_VERSION, dict(row) | {"data": redacted(row["data"]), "previous": previous})
    return len(rows)


def _redact_unreadable(db: Connection, account: str, customers: Sequence[str]) -> int:
    """Of an object that could not be read nothing can be redacted: where it names a customer its body goes."""
    rows = db.execute(_BODIES, {"connection": account, "pattern": _pattern(customers)}).all()
    for row in rows:
        values = {"connection": account, "resource": row.resource, "ids": [row.object_id]}
        db.execute(_HIDE_BODIES, values)
    return len(rows)


def _redact_inbox(db: Connection, account: str, customers: Sequence[str]) -> int:
    rows = db.execute(_EVENTS, {"connection": account, "pattern": _pattern(customers)}).all()
    for row in rows:
        db.execute(_PUT_EVENT, {"connection": account, "id": row.event_id, "body": clean_event(row.body)})
    return len(rows)


def _pattern(customers: Sequence[str]) -> str:
    """A regular expression of PostgreSQL's that finds any of the ids as a whole word."""
    ids = ("".join(c if c.isalnum() or c == "_" else f"\\{c}" for c in id_) for id_ in customers)
    return rf"\y({'|'.join(sorted(ids))})\y"


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[at : at + BATCH] for at in range(0, len(ids), BATCH))


_NOTE = text("""
insert into tidegate.forgotten (connection, customer, account)
select c.name, o.customer, c.account from tidegate.connections c, unnest(cast(:customers as text[])) as o(customer)
where c.name = :connection on conflict do nothing""")

_VERSIONS = text("""
select connection, resource, object_id, at, certainty, event, previous::text as previous, data::text as data, kept_at
from tidegate.versions
where connection = :connection and resource = :resource and object_id = any(cast(:ids as text[]))
order by object_id, at, event""")

_DROP_VERSIONS = text("""
delete from tidegate.versions
where connection = :connection and resource = :resource and object_id = any(cast(:ids as text[]))""")

_KEEP_VERSION = text("""
insert into tidegate.versions
  (connection, resource, object_id, at, certainty, digest, event, previous, data, kept_at)
values (:connection, :resource, :object_id, :at, :certainty,
  sha256(convert_to(cast(cast(:data as jsonb) as text), 'UTF8')), :event, cast(:previous as jsonb),
  cast(:data as jsonb), :kept_at)
on conflict do nothing""")

_HIDE_BODIES = text("""
update tidegate.unreadable set body = null
where connection = :connection and resource = :resource and body is not null
  and split_part(object_id, '/', 1) = any(cast(:ids as text[]))""")

_BODIES = text("""
select resource, split_part(object_id, '/', 1) as object_id, body from tidegate.unreadable
where connection = :connection and body ~ :pattern""")

_EVENTS = text("""
select event_id, body from tidegate.inbox where connection = :connection and body ~ :pattern""")

_PUT_EVENT = text("update tidegate.inbox set body = :body where connection = :connection and event_id = :id")
