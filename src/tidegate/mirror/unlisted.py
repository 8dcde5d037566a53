"""Finds what the mirror holds and no list of Stripe shows any more, once all lists of a resource were read anew."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, Engine, RowMapping, text

from tidegate.mirror import refetches
from tidegate.mirror.apply import apply
from tidegate.mirror.arrivals import arrive
from tidegate.mirror.decide import Certainty
from tidegate.store.trouble import repeated
from tidegate.stripe_api.resources.resource import Resource

BATCH = 500
COUNTED_AT_ONCE = 10_000
ROUNDING = 5
"""Seconds by which what was read may seem older than the reading: Stripe's times are whole seconds, rounded down."""


def look_for_unlisted(engine: Engine, account: str, resource: Resource, began: int) -> list[str]:
    """Queues a look at every object that the reading which began then (epoch seconds, Stripe's clock) did not show.

    Inline prices are in no list and exist; what Stripe has no more is buried when it is looked at. Objects that cannot
    be fetched by id exist only in their list and are buried here. Returns the ids of all of these objects.
    """
    found: list[str] = []
    while True:
        after = found[-1] if found else ""
        batch = repeated(partial(_look, engine, account, resource, began, after), f"what vanished of {resource.name}")
        if not batch:
            return found
        found += batch


def _look(engine: Engine, account: str, resource: Resource, began: int, after: str) -> list[str]:
    """Queues or buries the next batch; returns its ids."""
    with engine.begin() as db:
        rows = _unseen(db, account, resource, began - ROUNDING, after)
        if resource.retrievable:
            refetches.ask(db, account, resource, [refetches.Ask(row["id"], "unlisted") for row in rows])
        elif rows:
            _bury(db, account, resource, rows, began)
    return [row["id"] for row in rows]


def vanished(engine: Engine, account: str, resource: Resource, ids: Sequence[str]) -> int:
    """How many of these objects have a tombstone by now, whoever looked at them."""
    with engine.connect() as db:
        return sum(
            int(
                db.scalar(
                    text(f"""
select count(*) from stripe.{resource.table}
where connection = :connection and id = any(:ids) and deleted_at is not null"""),
                    {"connection": account, "ids": list(ids[start : start + COUNTED_AT_ONCE])},
                )
                or 0
            )
            for start in range(0, len(ids), COUNTED_AT_ONCE)
        )


def _unseen(db: Connection, account: str, resource: Resource, before: int, after: str) -> Sequence[RowMapping]:
    """Live rows whose version was neither told nor read since; what was read and could not be taken was seen too."""
    return (
        db.execute(
            text(f"""
select t.id, t.data::text as data from stripe.{resource.table} t
where t.connection = :connection and t.id > :after and t.deleted_at is null and t.updated_at < to_timestamp(:before)
  and not exists (select from tidegate.unreadable u where u.connection = t.connection and u.resource = :resource
                  and u.object_id = t.id and u.field = '')
order by t.id limit :limit"""),
            {"connection": account, "resource": resource.name, "after": after, "before": before, "limit": BATCH},
        )
        .mappings()
        .all()
    )


def _bury(db: Connection, account: str, resource: Resource, rows: Sequence[RowMapping], at: int) -> None:
    arrivals, _ = arrive(resource, [row["data"].encode() for row in rows], at, Certainty.READ)
    for arrival in arrivals:
        arrival.deleted = True
    apply(db, account, resource, arrivals)
