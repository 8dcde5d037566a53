"""Exports of a ledger made of spans that a test says, and of random ones; and the rows that Parquet files hold."""

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ibis
import pyarrow
import pyarrow.parquet
from tests.support.moves import DAY, HOUR, MINUTE, Row, span

from tidegate.revenue import exported, expression
from tidegate.workflows.revenue.derive_ledger import derive

ZONE = "America/New_York"
POLICIES: list[dict[str, str]] = [
    {},
    {"zero": "contraction", "netting": "instant"},
    {"netting": "day"},
    {"netting": "period", "zero": "contraction"},
]
"""One for each way that movements are cut and counted."""


def by_chance(seed: int, units: int) -> list[Row]:
    """Spans of so many units: gaps, changes within minutes and in long chains, amounts from nothing to billions."""
    dice = random.Random(seed)
    rows: list[Row] = []
    for unit in range(units):
        for place in range(dice.randint(1, 4)):
            at = dice.randint(0, 400) * DAY + dice.choice([0, 4 * HOUR, 5 * HOUR])
            whose = {"unit": f"u{unit}", "customer": f"cus_{unit}_{place // 2}", "item": f"si_{unit}_{place}"}
            whose |= {"subscription": f"sub_{unit}_{place // 2}", "currency": dice.choice(["usd", "usd", "eur"])}
            for _ in range(dice.randint(1, 7)):
                start = at + dice.choice([0, 0, 15 * MINUTE, HOUR + 1])
                at = start + dice.choice([10 * MINUTE, 45 * MINUTE, HOUR, 9 * DAY, 31 * DAY])
                worth = dice.choice([0, 0, 5, 7, 0.01, 12_345.678901, 3e9])
                counts = bool(worth) or dice.random() < 0.5
                ends = at if dice.random() < 0.9 else None
                rows.append(span(start, ends, worth, **whose, counts=counts, price=f"price_{worth}"))
                if ends is None:
                    break
    return rows


def export(directory: Path, spans: Iterable[Row], zone: str = ZONE, **choices: str) -> None:
    """Writes what `tidegate export` would of a ledger with these spans, without its movements."""
    directory.mkdir(exist_ok=True)
    schema = ibis.schema(expression.SPANS).to_pyarrow()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(spans), schema=schema), directory / "spans.parquet")
    told: dict[str, Any] = {"connection": "acme", "policy": "default", "settings": choices}
    told |= {"base_currency": "", "time_zone": zone}
    (directory / exported.TERMS).write_text(json.dumps(told))


def derived(engine: str, source: Path, into: Path) -> list[Row]:
    """The rows that an engine derives of an export, by unit, currency, date and item."""
    told = derive(engine, source, into)
    found = rows(into / "movements.parquet")
    assert told["movements"] == len(found)
    return found


def rows(path: Path) -> list[Row]:
    """The rows of movements in a Parquet file, or in a directory of such, in an order that no engine decides."""
    told: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    return sorted(told, key=lambda one: (one["unit"], one["currency"], one["moved_at"], one["at"], one["item"]))
