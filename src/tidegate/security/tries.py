"""Tries to sign in that failed, counted for all web processes together: by the address they came from, and by whom they
were for. Who that is is kept as a digest by the hub's secret key only, and for a minute.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, delete, func, insert, select, text

from tidegate.security.tables import failed_tries

TRIES = 10
"""Failures that an address, or whoever is tried, may have within `WINDOW`."""
WINDOW = timedelta(seconds=60)
FORGOTTEN = 100
"""Older ones that go with each new one, so that the table stays as small as a minute."""


def begin(db: Connection, whose: Sequence[bytes]) -> list[int] | None:
    """Notes a try as failed, until `succeeded` takes that back; None: one of these, digests of an address and of whom
    is tried, has failed too often of late, and nothing is noted. The caller commits before it looks at what was given:
    so of many tries at once, in whichever processes, no more than `TRIES` are looked at.
    """
    for one in sorted(set(whose)):
        db.execute(_TURN, {"whom": f"tidegate tries {one.hex()}"})
    since = func.clock_timestamp() - WINDOW
    counted = select(func.count()).where(failed_tries.c.at > since)
    if any((db.scalar(counted.where(failed_tries.c.whom == one)) or 0) >= TRIES for one in whose):
        return None
    db.execute(_FORGET, {"window": WINDOW, "batch": FORGOTTEN})
    rows = [{"whom": one} for one in whose]
    return list(db.scalars(insert(failed_tries).returning(failed_tries.c.id), rows))


def succeeded(db: Connection, noted: Sequence[int]) -> None:
    """Takes back that a try failed."""
    db.execute(delete(failed_tries).where(failed_tries.c.id.in_(noted)))


_TURN = text("select pg_advisory_xact_lock(hashtextextended(:whom, 0))")
_FORGET = text("""
delete from tidegate.failed_tries where id = any(array(
  select id from tidegate.failed_tries where at < clock_timestamp() - :window
  order by id limit :batch for update skip locked))""")
