"""What a full reading of the lists saw and found unchanged, kept aside: the objects' own rows are not written for it.

Of a page one row is kept, until the reading ends. Then one row per resource says that everything stored of it was seen
again: with the same content, or it was written, or a look at it by id was asked for. That raises the time at which a
stored version is known to have held (`known_at`), as confirming each row would.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text


def known_at(resource: str) -> str:
    """SQL: the newest time at which the stored version of row `t` is known to have held; `:connection` is bound.

    Not for what an event told: it may have come after the reading, and tell of something before it.
    """
    return f"""greatest(t.updated_at, case when t.certainty > 0 and t.deleted_at is null then (
  select l.as_of from tidegate.listings l where l.connection = :connection and l.resource = '{resource}') end)"""


def keep(db: Connection, range_: int, ids: Sequence[str]) -> None:
    """Keeps what a page of a range showed unchanged."""
    if ids:
        db.execute(
            text("insert into tidegate.sightings (range, ids) values (:range, :ids)"),
            {"range": range_, "ids": list(ids)},
        )


def forget(db: Connection, account: str, kind: str) -> None:
    """Forgets what the connection's runs of that kind saw."""
    db.execute(
        text("""
delete from tidegate.sightings s using tidegate.import_ranges i join tidegate.runs r on r.id = i.run
where s.range = i.id and r.connection = :connection and r.kind = :kind"""),
        {"connection": account, "kind": kind},
    )


def note_whole(db: Connection, account: str, resource: str, as_of: int) -> None:
    """Notes that everything stored of a resource was seen again since `as_of` (epoch seconds, Stripe's clock)."""
    db.execute(
        text("""
insert into tidegate.listings (connection, resource, as_of) values (:connection, :resource, to_timestamp(:as_of))
on conflict (connection, resource) do update set as_of = greatest(listings.as_of, excluded.as_of)"""),
        {"connection": account, "resource": resource, "as_of": as_of},
    )
