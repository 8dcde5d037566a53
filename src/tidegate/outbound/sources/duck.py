"""DuckDB's own files, and folders of Parquet, CSV and JSON through DuckDB."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow leaves its functions without types.

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tidegate.errors import ModelInvalid, SourceUnreachable, TidegateError
from tidegate.outbound.sources import csv_types
from tidegate.outbound.sources.batches import BATCH, UTC
from tidegate.outbound.sources.location import path as path_of
from tidegate.outbound.specs import Model

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from pyarrow import RecordBatch

READERS = {
    ".parquet": "read_parquet", ".csv": "read_csv", ".tsv": "read_csv", ".json": "read_json", ".jsonl": "read_json",
    ".ndjson": "read_json",
}  # fmt: skip
MEMORY = "1GB"
CLOSED = f"{UTC}; set enable_external_access = false; set lock_configuration = true"
"""Shuts what a query could reach beside its source, for good."""


@contextmanager
def reading(url: str, model: Model, query: str) -> Generator[Any]:
    """The rows of a query over a DuckDB file (`duckdb:///data.duckdb`), or over files (`file:///data`), each of which
    is a table by its name without the ending. Nothing else of the disk is read, and nothing written.
    """
    import duckdb
    import pyarrow

    path = path_of(url)
    if (not str(url).partition("://")[2].strip("/") and "://" in url) or not path.exists():
        raise SourceUnreachable(source=model.source, problem=f"{path} is not there")
    with TemporaryDirectory(prefix="tidegate-source-") as spill:
        try:
            db = _opened(path.resolve(), query, model, spill)
        except duckdb.Error as wrong:
            raise SourceUnreachable(source=model.source, problem=_said(wrong)) from wrong
        with db:
            try:
                statements = db.extract_statements(query)
                if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                    raise ModelInvalid(model=model.key, problem="it is one query that reads: select …")
                rows = db.sql(query).to_arrow_reader(BATCH)
            except duckdb.Error as wrong:
                raise _told(model, wrong) from wrong
            yield pyarrow.RecordBatchReader.from_batches(rows.schema, _batches(rows, model))


def _batches(rows: Any, model: Model) -> "Iterator[RecordBatch]":
    try:
        yield from rows
    except Exception as wrong:  # DuckDB's, or Arrow's that tells of it
        raise _told(model, wrong) from wrong


def _opened(path: Path, query: str, model: Model, spill: str) -> "DuckDBPyConnection":
    import duckdb

    settings: dict[str, Any] = {"memory_limit": MEMORY, "temp_directory": spill}
    if path.is_file() and path.suffix.lower() not in READERS:
        return _attached(path, settings)
    db = duckdb.connect(config=settings)
    for name, file in _named(path, query, model):
        table, where = name.replace('"', '""'), str(file).replace("'", "''")
        try:
            read = READERS[file.suffix.lower()]
            more = csv_types.kept_as_text(db, where) if read == "read_csv" else ""
            db.execute(f"""create view "{table}" as select * from {read}('{where}'{more})""")
        except duckdb.Error as wrong:
            db.close()
            raise SourceUnreachable(source=model.source, problem=f"{file}: {_said(wrong)}") from wrong
    folder = str(path if path.is_dir() else path.parent).replace("'", "''")
    db.execute(f"set allowed_directories = ['{folder}']; {CLOSED}")
    return db


def _attached(path: Path, settings: Mapping[str, Any]) -> "DuckDBPyConnection":
    """A DuckDB file beside a database in memory, since two readers of one process would have to share its settings."""
    import duckdb

    name = path.stem.replace('"', '""') if path.stem.lower() not in {"memory", "temp", "system"} else "source"
    where = str(path).replace("'", "''")
    db = duckdb.connect(config=dict(settings))
    try:
        db.execute(f"""attach '{where}' as "{name}" (type duckdb, read_only); use "{name}"; {CLOSED}""")
    except duckdb.Error:
        db.close()
        raise
    return db


def _named(path: Path, query: str, model: Model) -> Sequence[tuple[str, Path]]:
    """The files that a query names, by their tables. Raises ModelInvalid where one name is two files."""
    files = [path] if path.is_file() else sorted(one for one in path.iterdir() if one.suffix.lower() in READERS)
    found: dict[str, Path] = {}
    for one in files:
        if one.stem.lower() not in query.lower():
            continue
        if other := found.get(one.stem.lower()):
            problem = f"{other.name} and {one.name} are both the table {one.stem}"
            raise ModelInvalid(model=model.key, problem=problem)
        found[one.stem.lower()] = one
    return [(one.stem, one) for one in found.values()]


def _told(model: Model, wrong: Exception) -> TidegateError:
    said = _said(wrong)
    if "IO Error" in said:
        return SourceUnreachable(source=model.source, problem=said)
    return ModelInvalid(model=model.key, problem=said)


def _said(wrong: Exception) -> str:
    return " ".join(str(wrong).split())[:500]
