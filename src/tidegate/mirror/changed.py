"""The queue of customers whose mirrored facts changed: written by `apply` in its transaction, read by the refresh."""

from collections.abc import Collection

from sqlalchemy import Connection, text

from tidegate.store.bulk import Texts
from tidegate.store.driver import run

_NOTE = b"insert into tidegate.changed_customers (connection, customers) values (%(connection)s, %(customers)s)"


def note(db: Connection, connection: str, customers: Collection[str]) -> None:
    """Queues customers (Stripe ids). A row holds many, so that an import's page costs one."""
    if customers:
        run(db, _NOTE, {"connection": connection, "customers": Texts(sorted(customers))})


def note_all(db: Connection, connection: str, size: int) -> None:
    """Queues every customer of the connection, oldest first, so many in a row of the queue."""
    db.execute(
        text("""
insert into tidegate.changed_customers (connection, customers)
select :connection, array_agg(id order by place) from (
  select id, row_number() over (order by created nulls last, id) - 1 as place
  from stripe.customers where connection = :connection) every
group by place / :size order by place / :size"""),
        {"connection": connection, "size": size},
    )


def take(db: Connection, connection: str, rows: int) -> list[str]:
    """Takes the oldest rows off the queue, in the caller's transaction, and returns their customers, each once.

    Rows that another transaction takes are passed over; a rollback puts them back.
    """
    taken = db.scalars(
        text("""
with taken as (
  delete from tidegate.changed_customers where id in (
    select id from tidegate.changed_customers where connection = :connection
    order by id limit :rows for update skip locked)
  returning customers)
select distinct unnest(customers) as customer from taken order by customer"""),
        {"connection": connection, "rows": rows},
    )
    return list(taken)


def patience_left(db: Connection, connection: str, seconds: int) -> bool:
    """Whether customers wait, and none of them for longer than so many seconds."""
    statement = text("""
select clock_timestamp() - min(at) < make_interval(secs => :seconds)
from tidegate.changed_customers where connection = :connection""")
    return bool(db.scalar(statement, {"connection": connection, "seconds": seconds}))


def waiting(db: Connection, connection: str) -> bool:
    """Whether customers of the connection wait for a refresh."""
    found = db.scalar(
        text("select exists(select from tidegate.changed_customers where connection = :connection)"),
        {"connection": connection},
    )
    return bool(found)
