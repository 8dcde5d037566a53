"""Runs of syncs, what they sent, and the rows that they could not send, as commands and routes answer them."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow leaves its functions without types.

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, text

from tidegate.catalog import journal
from tidegate.connections import runs
from tidegate.contacts import directory
from tidegate.errors import RunUnknown, SyncInvalid, UsageError
from tidegate.outbound import followups, syncs
from tidegate.outbound.push import history
from tidegate.outbound.push.history import Which
from tidegate.outbound.rows import OPEN
from tidegate.workflows.selling import sell_sending

KIND = "sync"
FORMATS = (".parquet", ".csv", ".json", ".jsonl", ".ndjson")
BATCH = 5_000


def listing(db: Connection, key: str, limit: int = 20, *, before: int | None = None) -> list[dict[str, Any]]:
    """The runs of a sync, newest first, older than the run `before`. Raises SyncUnknown."""
    syncs.sync(db, key)
    older = "and r.id < :before" if before is not None else ""
    statement = text(
        f"{runs.AS_IT_STANDS} where r.connection = :c and r.kind = :kind {older} order by r.id desc limit :limit"
    )
    rows = db.execute(statement, {"c": f"sync:{key}", "kind": KIND, "limit": limit, "before": before})
    return [shown(row) for row in rows.mappings()]


def brief(db: Connection) -> list[dict[str, Any]]:
    """Every sync with its last run, its rows but the sent by state, and since when and what for a run is due (null:
    none is): {key, model, connection, resource, …, rows, last, due_at, due_for}. Nothing is counted that could be
    millions.
    """
    rows = history.open_counts(db)
    due = {row.key: row for row in db.execute(text("select key, due_at, due_for from tidegate.syncs"))}
    found: list[dict[str, Any]] = []
    for row in syncs.every(db, "syncs"):
        last, owed = runs.last(db, f"sync:{row['key']}", KIND), due[row["key"]]
        beside = {"last": shown(last) if last else None, "due_at": owed.due_at, "due_for": owed.due_for}
        found.append({**row, "rows": rows.get(row["key"], {}), **beside})
    return found


def standing(db: Connection) -> list[dict[str, Any]]:
    """Every sync with its last run, its rows by state, and the drafts that wait to be finished (null: none do):
    {key, model, connection, resource, …, rows, last, unfinished: {drafts, since, why}}.
    """
    counted: dict[str, dict[str, int]] = {}
    for row in db.execute(
        text("select sync, state, count(*) as n from tidegate.sync_rows group by 1, 2 order by 1, 2")
    ):
        counted.setdefault(row.sync, {})[row.state] = row.n
    every = syncs.every(db, "syncs")
    waiting: dict[str, followups.Unfinished] = {}
    for connection in sorted({row["connection"] for row in every}):
        waiting |= followups.unfinished(db, connection)
    found: list[dict[str, Any]] = []
    for row in every:
        last, drafts = runs.last(db, f"sync:{row['key']}", KIND), waiting.get(row["key"])
        beside = {"last": shown(last) if last else None, "unfinished": drafts._asdict() if drafts else None}
        found.append({**row, "rows": counted.get(row["key"], {}), **beside})
    return found


def of(db: Connection, said: str) -> dict[str, Any]:
    """A run by its number, or the last one of a sync; of one that sold something with {contact, action, package}.

    Raises RunUnknown and SyncUnknown.
    """
    if not said.isdecimal():
        syncs.sync(db, said)
        row = runs.last(db, f"sync:{said}", KIND)
        if row is None:
            raise UsageError(problem=f"The sync {said} has not run yet.")
        return shown(row)
    row = runs.find(db, int(said)) if int(said) < 2**63 else None
    if row is None or row["kind"] not in (KIND, sell_sending.KIND):
        raise RunUnknown(id=said)
    if row["kind"] == KIND:
        return shown(row)
    key = str(row["connection"]).removeprefix("contact:")
    return shown(row) | {"contact": directory.of_key(db, int(key)).ref, **row["options"]}


def shown(row: RowMapping) -> dict[str, Any]:
    """A run as it is answered: {run, sync, state, started_at, finished_at, process, counts, sent, failed, error, …}."""
    summary: Mapping[str, Any] = row["summary"] or {}
    return {
        "run": row["id"],
        "sync": str(row["connection"]).removeprefix("sync:"),
        "state": row["state"],
        "started_at": row["started_at"],
        "finished_at": row["finished_at"],
        "process": row["process"],
        "counts": summary.get("counts", {}),
        "sent": summary.get("sent", {}),
        "failed": summary.get("failed", 0),
        "error": row["error"],
    }


def to_retry(engine: Engine, key: str) -> tuple[str, ...]:
    """The keys of the rows that failed, are invalid, held or in conflict. Raises SyncUnknown."""
    with engine.connect() as db:
        syncs.sync(db, key)
        return tuple(history.keys_in(db, key, OPEN))


def reset(engine: Engine, key: str, by: str) -> int:
    """Forgets what a sync remembers of its rows, so that all are matched anew; returns how many. Objects and journal
    stay. Raises SyncUnknown, and SyncInvalid while a run is under way.
    """
    with runs.exclusive(engine, f"sync:{key}", KIND) as alone, engine.begin() as db:
        syncs.sync(db, key)
        if not alone:
            raise SyncInvalid(what="sync", key=key, problem="a run is under way; `tidegate sync cancel` stops it")
        count = db.execute(text("delete from tidegate.sync_rows where sync = :key"), {"key": key}).rowcount
        db.execute(text("update tidegate.syncs set ended_with = '' where key = :key"), {"key": key})
        db.execute(text("delete from tidegate.sync_associations where sync = :key"), {"key": key})
        journal.note(db, by, "sync.reset", key, rows=count)
    return count


def export(engine: Engine, which: Which, file: Path) -> int:
    """Writes requests as a table, whole: Parquet, CSV, or JSON by line, as the name ends; returns how many. Documents
    are JSON text. Raises UsageError for another ending.
    """
    if file.suffix.lower() not in FORMATS:
        raise UsageError(problem=f"{file}: its name says the format by its end: {', '.join(FORMATS)}.")
    with engine.connect() as db:
        rows = history.whole(db, which)
        match file.suffix.lower():
            case ".parquet":
                return _parquet(rows, file)
            case ".csv":
                return _csv(rows, file)
            case _:
                return _lines(rows, file)


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while some := list(islice(rows, BATCH)):
        yield some


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A request as a line of a table: documents as JSON text."""
    return {
        name: json.dumps(value, ensure_ascii=False) if name in history.REDACTED and value is not None else value
        for name, value in row.items()
    }


def _csv(rows: Iterator[dict[str, Any]], file: Path) -> int:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, (*history.SHOWN, *history.REDACTED), lineterminator="\n")
        writer.writeheader()
        count = 0
        for row in rows:
            writer.writerow(flat(row))
            count += 1
    return count


def _lines(rows: Iterator[dict[str, Any]], file: Path) -> int:
    count = 0
    with file.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, default=_text, ensure_ascii=False) + "\n")
            count += 1
    return count


def _text(value: Any) -> str:
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else str(value)


def _parquet(rows: Iterator[dict[str, Any]], file: Path) -> int:
    import pyarrow
    from pyarrow import parquet

    kinds: dict[str, Any] = dict.fromkeys(("id", "run", "status", "generation"), pyarrow.int64())
    kinds |= dict.fromkeys(("intended_at", "sent_at", "answered_at"), pyarrow.timestamp("us", "UTC"))
    names: Sequence[str] = (*history.SHOWN, *history.REDACTED)
    schema: Any = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in names])
    count = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for some in _batches(rows):
            writer.write_table(pyarrow.Table.from_pylist([flat(row) for row in some], schema))
            count += len(some)
    return count
