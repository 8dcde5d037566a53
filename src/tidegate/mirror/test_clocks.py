"""What becomes of the mirror when a test clock goes: Stripe takes along what is on it, and need not tell."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from tidegate.mirror import refetches
from tidegate.stripe_api.resources import RESOURCES


def ask_for_rows_on(db: Connection, account: str, clocks: Sequence[str]) -> int:
    """Queues a look at every live object that is on one of these test clocks; returns how many there are."""
    asked = 0
    for resource in RESOURCES.values():
        if not resource.retrievable or all(column.name != "test_clock" for column in resource.columns):
            continue
        ids = db.scalars(
            text(
                f"select id from stripe.{resource.table} "
                "where connection = :connection and deleted_at is null and test_clock = any(:clocks) order by id"
            ),
            {"connection": account, "clocks": list(clocks)},
        ).all()
        refetches.ask(db, account, resource, [refetches.Ask(id_, "doubt") for id_ in ids])
        asked += len(ids)
    return asked
