"""Derives the ledger of an export on any engine, and holds it against the exported one."""

import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tidegate.errors import UsageError
from tidegate.revenue.exported import MOVEMENTS, SPANS, TERMS, read_terms

SHOWN = 20
"""Differences that are listed."""


def derive(engine: str, source: Path, into: Path, shown: int = SHOWN) -> dict[str, Any]:
    """Reads the exported spans of `source`, derives their movements on the engine of an Ibis URL and writes them to
    `into` as Parquet, which must be new or empty. Where `source` has movements, too, both are compared row for row.

    Returns {engine, connection, from, to, seconds, spans, movements, sums: [{currency, kind, amount, rows}], compared:
    null or {exported, equal, only_derived, only_exported, rows}}; amounts are millionths of a minor unit, times epoch
    seconds. Raises UsageError, EngineInvalid, EngineFailed, ExportUnreadable, Unreachable.
    """
    from tidegate.revenue import elsewhere, engines, expression  # ibis costs half a second

    began = time.monotonic()
    kept = read_terms(source / TERMS)
    _make_room(into)
    with engines.opened(engine) as db, _draft(into, f"{MOVEMENTS}.parquet") as draft:
        spans = elsewhere.read(db, source / f"{SPANS}.parquet", expression.SPANS)
        exported = None
        if (source / f"{MOVEMENTS}.parquet").exists():
            exported = elsewhere.read(db, source / f"{MOVEMENTS}.parquet", elsewhere.MOVEMENTS)
        elsewhere.write(db, spans, kept.policy, kept.zone, draft)
        derived = elsewhere.read(db, draft, elsewhere.MOVEMENTS)
        sums = elsewhere.sums(db, derived)
        told = {
            "engine": engines.named(engine),
            "connection": kept.connection,
            "from": str(source),
            "to": str(into),
            "spans": elsewhere.count(db, spans),
            "movements": sum(one["rows"] for one in sums),
            "sums": sums,
            "compared": None if exported is None else _compared(db, derived, exported, shown),
        }
    return told | {"seconds": round(time.monotonic() - began, 3)}


def _compared(db: Any, derived: Any, exported: Any, shown: int) -> dict[str, Any]:
    from tidegate.revenue import elsewhere

    found = elsewhere.compare(db, derived, exported, shown)
    names = {"first": "derived", "second": "exported"}
    return {
        "exported": elsewhere.count(db, exported),
        "equal": not (found.first or found.second),
        "only_derived": found.first,
        "only_exported": found.second,
        "rows": [one | {"of": names[one["of"]], "day": one["day"].isoformat()} for one in found.rows],
    }


def _make_room(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise UsageError(problem=f"{directory} is not empty; name a directory that is, or that is not there yet.")
    except OSError as error:
        raise UsageError(problem=f"{directory} cannot be written: {error.strerror or error}.") from error


@contextmanager
def _draft(directory: Path, name: str) -> Generator[Path]:
    """Where to write what gets its name only when it is whole; an engine may make it a directory."""
    draft = directory / f"{name}.part"
    try:
        yield draft
        draft.rename(directory / name)
    finally:
        if draft.is_dir():
            shutil.rmtree(draft)
        else:
            draft.unlink(missing_ok=True)
