"""What an export holds of a ledger: spans that count, movements that stand, and by what they were made.

Times are seconds since 1970, amounts millionths of a minor unit: what `expression` takes and gives, so that any engine
that reads Parquet can derive the one of the other.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Boolean, Column, Connection, Date, Text

from tidegate.errors import ExportUnreadable, PolicyInvalid
from tidegate.pricing.policy import Policy
from tidegate.revenue import editions
from tidegate.revenue.editions import Terms
from tidegate.revenue.movements import spans_sql
from tidegate.revenue.tables import spans

TERMS = "ledger.json"
"""The file that says by what the ledger is kept."""
SPANS = "spans"
MOVEMENTS = "movements"


class Part(NamedTuple):
    """A file of the export: its name without ending, its columns in order, and the SELECT that fills it; the
    connection's name stands in it as `:connection`.
    """

    name: str
    columns: list[Column[Any]]
    sql: str


def parts(db: Connection, connection: str) -> list[Part]:
    """Spans and movements of the ledger in force; none where there is no ledger."""
    ledger = editions.current(db, connection)
    if ledger is None:
        return []
    told = spans_sql(ledger.policy, "is not null", [one.name for one in _MORE])
    stand = f"""
select {", ".join(_seconds(one.name) for one in _MOVEMENTS)} from tidegate.movements
where connection = :connection and edition = {ledger.edition} and superseded_at is null
order by subscription, item, currency, at"""
    return [
        Part(SPANS, [*_SPANS, *_MORE], f"{told}\norder by s.subscription, s.item, s.starts_at"),
        Part(MOVEMENTS, _MOVEMENTS, stand),
    ]


def write_terms(db: Connection, connection: str, path: Path) -> None:
    """Says by what the ledger in force is kept. Raises OSError."""
    told = {"connection": connection, **editions.terms(db, connection).as_entry()}
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")


class Kept(NamedTuple):
    """By what an exported ledger is kept."""

    connection: str
    policy: Policy
    zone: ZoneInfo


def read_terms(path: Path) -> Kept:
    """What `write_terms` wrote. Raises ExportUnreadable."""
    try:
        told = json.loads(path.read_bytes())
        terms = Terms(told["policy"], told["settings"], told["base_currency"], told["time_zone"]).checked()
        return Kept(str(told["connection"]), terms.policy, ZoneInfo(terms.time_zone))
    except FileNotFoundError as error:
        problem = "there is no such file. `tidegate export` writes it where there is a ledger."
        raise ExportUnreadable(file=path, problem=problem) from error
    except OSError as error:
        raise ExportUnreadable(file=path, problem=f"{error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, PolicyInvalid) as error:
        raise ExportUnreadable(file=path, problem=f"it does not say how the ledger is kept ({error}).") from error


def _column(name: str, kind: Any = Text, *, nullable: bool = False) -> Column[Any]:
    return Column(name, kind, nullable=nullable)


def _seconds(name: str) -> str:
    return f"extract(epoch from {name})::bigint as {name}" if name in {"at", "moved_at"} else name


_SPANS = [
    *map(_column, ("unit", "connection", "customer", "subscription", "item", "currency")),
    _column("starts_at", BigInteger),
    _column("ends_at", BigInteger, nullable=True),
    _column("mrr", BigInteger),
    _column("counts", Boolean),
    *map(_column, ("price", "product")),
]
_MORE: list[Column[Any]] = [
    spans.c[name]
    for name in (
        *("listed", "trial", "why_not", "quantity", "interval", "interval_count", "metered", "provenance", "source"),
    )
]
_MOVEMENTS = [
    *map(_column, ("unit", "connection", "customer", "subscription", "item", "currency")),
    _column("at", BigInteger),
    _column("moved_at", BigInteger),
    _column("day", Date),
    _column("kind"),
    *(_column(name, BigInteger) for name in ("amount", "opening", "closing")),
    *map(_column, ("price", "product")),
]
