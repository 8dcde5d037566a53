"""How many objects of each resource a connection has: counted where they are few, estimated where they are many."""

import json
from typing import Any

from sqlalchemy import Connection, Table, text

from tidegate.mirror.tables import STRIPE_TABLES

COUNTED = 20_000
"""Above so many rows of one resource the number is the planner's, which ANALYZE keeps within a few per cent: counting
millions of rows would take status seconds."""


def sizes(db: Connection, connection: str) -> list[dict[str, Any]]:
    """Per resource {resource, stored, deleted, newest, estimated}, in the registry's order.

    `stored` are live rows; `newest` (UTC) is the newest version's time, None where the numbers are estimated.
    """
    expected = {
        name: (_expected(db, table, connection, ""), _expected(db, table, connection, "not"))
        for name, table in STRIPE_TABLES.items()
    }
    counted = _counted(db, connection, [name for name, rows in expected.items() if sum(rows) <= COUNTED])
    return [counted.get(name) or _estimate(name, *expected[name]) for name in STRIPE_TABLES]


def _expected(db: Connection, table: Table, connection: str, deleted: str) -> int:
    """The planner's estimate of a connection's live rows, or with `not` of its deleted ones."""
    plan: Any = db.scalar(
        text(
            f"explain (format json) select from stripe.{table.name} "
            f"where connection = :connection and deleted_at is {deleted} null"
        ),
        {"connection": connection},
    )
    plan = json.loads(plan) if isinstance(plan, str) else plan
    return int(plan[0]["Plan"]["Plan Rows"])


def _counted(db: Connection, connection: str, names: list[str]) -> dict[str, dict[str, Any]]:
    """Exact numbers; a resource that has more rows than the planner thought is left out."""
    if not names:
        return {}
    parts = [
        f"select '{name}' as resource, count(*) filter (where deleted_at is null) as stored, "
        f"count(*) filter (where deleted_at is not null) as deleted, max(updated_at) as newest, false as estimated "
        f"from (select deleted_at, updated_at from stripe.{STRIPE_TABLES[name].name} where connection = :connection "
        f"limit {COUNTED + 1}) few"
        for name in names
    ]
    rows = db.execute(text(" union all ".join(parts)), {"connection": connection}).mappings()
    return {row["resource"]: dict(row) for row in rows if row["stored"] + row["deleted"] <= COUNTED}


def _estimate(name: str, stored: int, deleted: int) -> dict[str, Any]:
    # The planner never says none: one deleted row among so many may be none at all.
    return {
        "resource": name,
        "stored": stored,
        "deleted": deleted if deleted > 1 else 0,
        "newest": None,
        "estimated": True,
    }
