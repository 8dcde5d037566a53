"""Spans made in a line, and the movements that DuckDB derives of them."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import ibis
import pyarrow

from tidegate.pricing.policy import policy
from tidegate.revenue import duck, expression

Row = dict[str, Any]
DOLLAR = 100_000_000
"""A dollar in millionths of a cent."""
T0 = 1_767_225_600
"""2026-01-01T00:00:00Z."""
MINUTE, HOUR, DAY = 60, 3_600, 86_400


def span(start: int, end: int | None, dollars: float, **other: Any) -> Row:
    """What an item of unit `u` was worth from one instant to another, in seconds after T0."""
    mrr = round(dollars * DOLLAR)
    base = {"unit": "u", "connection": "acme", "customer": "cus_1", "subscription": "sub_1", "item": "si_1"}
    base |= {"currency": "usd", "mrr": mrr, "counts": True, "price": "price_1", "product": "prod_1"}
    return base | {"starts_at": T0 + start, "ends_at": None if end is None else T0 + end} | other


class Move(NamedTuple):
    """A movement: dated in seconds after T0, amounts in dollars."""

    kind: str
    at: int
    amount: float
    opening: float
    closing: float


def rows(spans: Iterable[Row], zone: str = "UTC", **choices: str) -> list[Row]:
    """The rows of movements, by unit, currency, date and item."""
    given = pyarrow.Table.from_pylist(list(spans), schema=ibis.schema(expression.SPANS).to_pyarrow())
    db = _duckdb()
    db.register("given", given)
    db.execute("create or replace table ledger_spans as from given")
    duck.derive(db, policy("default", choices), ZoneInfo(zone))
    told: list[Row] = db.sql("from ledger_movements").to_arrow_table().to_pylist()
    return sorted(told, key=lambda one: (one["unit"], one["currency"], one["moved_at"], one["at"], one["item"]))


@lru_cache(1)
def _duckdb() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def moves(spans: Iterable[Row], zone: str = "UTC", **choices: str) -> list[Move]:
    """The movements, each once, by date; of whatever units there are."""
    found: dict[tuple[Any, ...], int] = {}
    for one in rows(spans, zone, **choices):
        key = (one["moved_at"], one["unit"], one["currency"], one["kind"], one["opening"], one["closing"])
        found[key] = found.get(key, 0) + one["amount"]
    return [
        Move(kind, at - T0, amount / DOLLAR, opening / DOLLAR, closing / DOLLAR)
        for (at, _, _, kind, opening, closing), amount in sorted(found.items())
    ]
