"""Finds what the mirror holds and no list of Stripe shows any more, once all lists of a resource were read anew."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, Engine, text

from tidegate.mirror import refetches, sightings
from tidegate.mirror.apply import apply
from tidegate.mirror.arrivals import arrive
from tidegate.mirror.decide import Certainty
from tidegate.store.trouble import repeated
from tidegate.stripe_api.resources.resource import Resource

BATCH = 500
COUNTED_AT_ONCE = 10_000
SINCE = "t.deleted_at is null and t.updated_at < to_timestamp(:before)"
ROUNDING = 5
"""Seconds by which what was read may seem older than the reading: Stripe's times are whole seconds, rounded down."""


def look_for_unlisted(engine: Engine, account: str, resource: Resource, run: int, began: int) -> list[str]:
    """Queues a look at every object that the run's reading, which began then (epoch seconds, Stripe's clock), did not
    show; then everything stored of the resource counts as seen.

    Inline prices are in no list and exist; what Stripe has no more is buried when it is looked at. Objects that cannot
    be fetched by id exist only in their list and are buried here. Returns the ids of all of these objects.
    """
    before = began - ROUNDING
    with engine.connect() as db:
        unseen = _unseen(db, account, resource, run, before)
    for start in range(0, len(unseen), BATCH):
        ids = unseen[start : start + BATCH]
        repeated(partial(_look, engine, account, resource, ids, began), f"what vanished of {resource.name}")
    with engine.begin() as db:
        sightings.note_whole(db, account, resource.name, began)
    return unseen


def _look(engine: Engine, account: str, resource: Resource, ids: Sequence[str], began: int) -> None:
    """Queues or buries a batch."""
    with engine.begin() as db:
        if resource.retrievable:
            refetches.ask(db, account, resource, [refetches.Ask(id_, "unlisted") for id_ in ids])
        else:
            _bury(db, account, resource, ids, began, began - ROUNDING)


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


def _unseen(db: Connection, account: str, resource: Resource, run: int, before: int) -> list[str]:
    """Live rows whose version was neither told nor read since; what was read and could not be taken was seen too."""
    return list(
        db.scalars(
            text(f"""
with sighted as materialized (
  select unnest(s.ids) as id from tidegate.sightings s join tidegate.import_ranges i on i.id = s.range
  where i.run = :run and i.resource = :resource)
select t.id from stripe.{resource.table} t
where t.connection = :connection and {SINCE} and not exists (select from sighted s where s.id = t.id)
  and not exists (select from tidegate.unreadable u where u.connection = t.connection and u.resource = :resource
                  and u.object_id = t.id and u.field = '')
order by t.id"""),
            {"connection": account, "resource": resource.name, "run": run, "before": before},
        )
    )


def _bury(db: Connection, account: str, resource: Resource, ids: Sequence[str], at: int, before: int) -> None:
    """Buries what is still as it was found."""
    rows = db.scalars(
        text(f"""
select t.data::text from stripe.{resource.table} t
where t.connection = :connection and t.id = any(:ids) and {SINCE} order by t.id"""),
        {"connection": account, "ids": list(ids), "before": before},
    )
    arrivals, _ = arrive(resource, [row.encode() for row in rows], at, Certainty.READ)
    for arrival in arrivals:
        arrival.deleted = True
    apply(db, account, resource, arrivals)
