"""The queues of what changed in the mirror: customers with facts of their own, and objects that many have in common;
and of customers of whom something can be told only once everything that happened before an instant is known.

`apply` writes them in its transaction, the refresh reads them.
"""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, text

from tidegate.store.bulk import Texts
from tidegate.store.driver import run

_NOTE = b"insert into tidegate.changed_customers (connection, customers) values (%(connection)s, %(customers)s)"

KNOWN_UNTIL = """(
  select case when c.complete_as_of is not null then least(c.complete_as_of, (
    select min(n.created) from tidegate.inbox n where n.connection = c.name and n.state = 'waiting')) end
  from tidegate.connections c where c.name = :connection)"""
"""SQL: everything that Stripe did before then is in the mirror, null: nobody knows; `:connection` is bound."""


def note(db: Connection, connection: str, customers: Collection[str]) -> None:
    """Queues customers (Stripe ids). A row holds many, so that an import's page costs one."""
    if customers:
        run(db, _NOTE, {"connection": connection, "customers": Texts(sorted(customers))})


def note_all(db: Connection, connection: str, size: int, *, by_rules: bool = False) -> None:
    """Queues every customer of the connection, oldest first, so many in a row of the queue. `by_rules`: because what is
    derived of them is derived by other rules; nothing happened to them.
    """
    db.execute(
        text("""
insert into tidegate.changed_customers (connection, customers, by_rules)
select :connection, array_agg(id order by place), :by_rules from (
  select id, row_number() over (order by created nulls last, id) - 1 as place
  from stripe.customers where connection = :connection) every
group by place / :size order by place / :size"""),
        {"connection": connection, "size": size, "by_rules": by_rules},
    )


def take(db: Connection, connection: str, rows: int) -> dict[str, bool]:
    """Takes the oldest rows off the queue, in the caller's transaction, and returns their customers in order, each with
    whether other rules alone queued it.

    Rows that another transaction takes are passed over; a rollback puts them back.
    """
    taken = db.execute(
        text("""
with taken as (
  delete from tidegate.changed_customers where id in (
    select id from tidegate.changed_customers where connection = :connection
    order by id limit :rows for update skip locked)
  returning customers, by_rules)
select customer, bool_and(by_rules) as by_rules from taken, unnest(customers) as customer
group by customer order by customer"""),
        {"connection": connection, "rows": rows},
    )
    return {row.customer: row.by_rules for row in taken}


def is_history(db: Connection, connection: str) -> bool:
    """Whether the oldest that waits was noted before the first whole import of the connection had ended."""
    return bool(db.scalar(_IS_HISTORY, {"connection": connection}))


def take_history(db: Connection, connection: str, rows: int) -> dict[str, bool] | None:
    """As `take`, of rows that were noted before that; without the customers that something happened to since, who wait
    for that. None: there is no such row.
    """
    row = db.execute(_TAKE_HISTORY, {"connection": connection, "rows": rows}).one()
    return dict(zip(row.customers, row.by_rules, strict=True)) if row.taken else None


def patience_left(db: Connection, connection: str, seconds: int) -> bool:
    """Whether customers wait, and none of them for longer than so many seconds."""
    statement = text("""
select clock_timestamp() - min(at) < make_interval(secs => :seconds)
from tidegate.changed_customers where connection = :connection""")
    return bool(db.scalar(statement, {"connection": connection, "seconds": seconds}))


def waiting(db: Connection, connection: str) -> bool:
    """Whether customers of the connection, or objects that they have in common, wait for a refresh."""
    found = db.scalar(
        text("""
select exists(select from tidegate.changed_customers where connection = :connection)
  or exists(select from tidegate.changed_objects where connection = :connection)"""),
        {"connection": connection},
    )
    return bool(found) or bool(db.scalar(_ANY_KNOWN, {"connection": connection}))


def await_(db: Connection, connection: str, until: Mapping[str, int]) -> None:
    """Has customers (Stripe ids) looked at again once everything before an instant (epoch seconds) is known."""
    if until:
        customers = sorted(until)
        given = {"customers": customers, "untils": [until[one] for one in customers]}
        db.execute(_AWAIT, {"connection": connection, **given})


def note_known(db: Connection, connection: str) -> None:
    """Queues the customers of whom by now everything is known that was waited for."""
    note(db, connection, db.scalars(_TAKE_KNOWN, {"connection": connection}).all())


def note_objects(db: Connection, connection: str, resource: str, ids: Collection[str]) -> None:
    """Queues objects that customers have in common, such as prices."""
    if ids:
        given = {"connection": connection, "resource": resource, "objects": Texts(sorted(ids))}
        db.execute(_NOTE_OBJECTS, given)


def take_objects(db: Connection, connection: str) -> dict[str, Sequence[str]]:
    """Takes all such objects off, in the caller's transaction: their ids by resource."""
    rows = db.execute(_TAKE_OBJECTS, {"connection": connection})
    return {row.resource: row.objects for row in rows}


_NOTE_OBJECTS = text("""
insert into tidegate.changed_objects (connection, resource, objects) values (:connection, :resource, :objects)""")

_TAKE_OBJECTS = text("""
with taken as (
  delete from tidegate.changed_objects where id in (
    select id from tidegate.changed_objects where connection = :connection for update skip locked)
  returning resource, objects)
select resource, array_agg(distinct id order by id) as objects from taken, unnest(objects) as id group by resource""")

_IMPORTED_AT = """coalesce((
  select min(r.finished_at) from tidegate.runs r
  where r.connection = :connection and r.kind = 'import' and r.state = 'done'
    and coalesce(r.options -> 'resources', '[]') = '[]'), 'infinity')"""

_IS_HISTORY = text(f"""
select exists (
  select from tidegate.changed_customers w where w.connection = :connection and w.at <= {_IMPORTED_AT}
  order by w.id limit 1)""")

_TAKE_HISTORY = text(f"""
with taken as (
  delete from tidegate.changed_customers where id in (
    select id from tidegate.changed_customers where connection = :connection and at <= {_IMPORTED_AT}
    order by id limit :rows for update skip locked)
  returning customers, by_rules),
since as materialized (
  select unnest(customers) as customer from tidegate.changed_customers
  where connection = :connection and at > {_IMPORTED_AT} and not by_rules),
them as (
  select customer, bool_and(by_rules) as by_rules from taken, unnest(customers) as customer
  where customer not in (select customer from since) group by customer)
select (select count(*) from taken) as taken, coalesce(array_agg(customer order by customer), '{{}}') as customers,
  coalesce(array_agg(by_rules order by customer), '{{}}') as by_rules from them""")

_AWAIT = text("""
insert into tidegate.awaited (connection, customer, until)
select :connection, w.customer, to_timestamp(w.until)
from unnest(cast(:customers as text[]), cast(:untils as bigint[])) as w(customer, until) order by 1, 2
on conflict (connection, customer) do update set until = excluded.until where awaited.until < excluded.until""")

# Whose invoice's payments are just being asked for is looked at when they are there.
_KNOWN = f"""
from tidegate.awaited w where w.connection = :connection and w.until < {KNOWN_UNTIL} and not exists (
  select from tidegate.refetches r join stripe.invoices i on i.connection = r.connection and i.id = r.object_id
  where r.connection = w.connection and r.resource = 'invoice_payments' and r.next_try_at < 'infinity'
    and i.customer = w.customer)"""
_ANY_KNOWN = text(f"select exists(select {_KNOWN})")
_TAKE_KNOWN = text(f"""
delete from tidegate.awaited where (connection, customer) in (
  select w.connection, w.customer {_KNOWN} for update of w skip locked)
returning customer""")
