"""Movements of exported spans on any engine that Ibis has: for a ledger that is too large for one machine.

The expression is the one that the hub itself runs; what Python has to say (days, long chains of changes) is worked out
of the spans first.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# ibis and pyarrow leave most of their functions without types.

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import ibis
from ibis import _
from ibis.backends import BaseBackend
from ibis.expr.schema import Schema
from ibis.expr.types import Table

from tidegate.errors import ExportUnreadable
from tidegate.pricing.policy import Policy
from tidegate.revenue import expression
from tidegate.revenue.netting import Window, windows
from tidegate.revenue.quarters import QUARTER, days_of

MOVEMENTS = ibis.schema(
    {
        "unit": "string", "connection": "string", "customer": "string", "subscription": "string", "item": "string",
        "currency": "string", "at": "int64", "moved_at": "int64", "day": "date", "kind": "string", "amount": "int64",
        "opening": "int64", "closing": "int64", "price": "string", "product": "string",
    }
)  # fmt: skip
"""What `write` writes and an export holds. Times are epoch seconds, amounts millionths of a minor unit."""


def read(db: BaseBackend, path: Path, wanted: Schema) -> Table:
    """The wanted columns of a Parquet file, or of a directory of such.

    Raises ExportUnreadable when it is not there, or has not those columns.
    """
    if not path.exists():
        raise ExportUnreadable(file=path, problem="there is no such file.")
    found = db.read_parquet(str(path / "*.parquet" if path.is_dir() else path))
    has = found.schema()
    wrong = [f"it has no column {name}" for name in wanted if name not in has]
    wrong += [
        f"{name} is {has[name]} and not {kind}"
        for name, kind in wanted.items()
        if name in has and _family(has[name]) != _family(kind)
    ]
    if wrong:
        raise ExportUnreadable(file=path, problem=f"{'; '.join(wrong)}.")
    return found.select(*wanted).cast(dict(wanted))


def write(db: BaseBackend, spans: Table, policy: Policy, zone: ZoneInfo, path: Path) -> None:
    """Writes the movements of spans (`expression.SPANS`) as Parquet: a file, or on Spark a directory of files."""
    with _once(expression.changes(spans, policy)) as changes:
        quarters, named = _quarters(db, changes, zone), _windows(db, changes, policy)
        db.to_parquet(expression.movements(changes, named, quarters, policy).select(*MOVEMENTS), str(path))


def count(db: BaseBackend, rows: Table) -> int:
    """How many rows there are."""
    [found] = _listed(db, rows.aggregate(number=rows.count()))
    return int(found["number"])


def sums(db: BaseBackend, movements: Table) -> list[dict[str, Any]]:
    """By currency and kind the sum of the movements (`amount`) and how many `rows` they are."""
    wide = movements.mutate(amount=_.amount.cast("decimal(38, 0)"))
    found = wide.group_by("currency", "kind").aggregate(amount=_.amount.sum(), rows=_.count())
    rows = [one | {"amount": int(one["amount"])} for one in _listed(db, found)]
    return sorted(rows, key=lambda one: (one["currency"], one["kind"]))


class Differences(NamedTuple):
    """Rows that only one of two ledgers has: how many each, and some of them, with `of`: first or second."""

    first: int
    second: int
    rows: list[dict[str, Any]]


def compare(db: BaseBackend, first: Table, second: Table, limit: int) -> Differences:
    """The rows of two ledgers that are not in both, and at most `limit` of them, by item and time."""
    both = first.mutate(more=ibis.literal(1, "int64")).union(second.mutate(more=ibis.literal(-1, "int64")))
    odd = both.group_by(*MOVEMENTS).aggregate(more=_.more.sum()).filter(_.more != 0)
    with _once(odd) as kept:
        counts = {
            bool(one["ours"]): abs(int(one["number"]))
            for one in _listed(db, kept.group_by(ours=_.more > 0).aggregate(number=_.more.sum()))
        }
        rows = _listed(db, kept.order_by("subscription", "item", "currency", "at", "more").limit(limit))
    told = [{"of": "first" if one["more"] > 0 else "second", **{name: one[name] for name in MOVEMENTS}} for one in rows]
    return Differences(counts.get(True, 0), counts.get(False, 0), told)


@contextmanager
def _once(rows: Table) -> Generator[Table]:
    """The rows, worked out only once."""
    cached: Any = rows.cache()
    with cached:
        yield cached


def _quarters(db: BaseBackend, changes: Table, zone: ZoneInfo) -> Table:
    found = changes.select(quarter=(_.at // QUARTER).cast("int64")).distinct()
    days = days_of((int(one["quarter"]) for one in _listed(db, found)), zone)
    return _given(expression.QUARTERS, {"quarter": list(days), "day": list(days.values())})


def _windows(db: BaseBackend, changes: Table, policy: Policy) -> Table:
    found = expression.chained(changes, policy).filter(_.long).select("unit", "currency", "at").distinct()
    chains = [(one["unit"], one["currency"], int(one["at"])) for one in _listed(db, found)]
    named = windows(chains, policy.netting_seconds or 0)
    return _given(
        expression.WINDOWS, {name: [one[place] for one in named] for place, name in enumerate(Window._fields)}
    )


def _given(schema: Schema, columns: Mapping[str, Any]) -> Table:
    import pyarrow

    return ibis.memtable(pyarrow.table(dict(columns), schema=schema.to_pyarrow()))


def _listed(db: BaseBackend, rows: Table) -> list[dict[str, Any]]:
    return db.to_pyarrow(rows).to_pylist()


def _family(kind: Any) -> str:
    """Which kind of value a column holds, however wide: engines differ in that."""
    told = {"text": kind.is_string(), "number": kind.is_integer(), "truth": kind.is_boolean(), "day": kind.is_date()}
    return next((name for name, holds in told.items() if holds), f"{kind}")
