"""DuckDB's own files, and folders of Parquet, CSV and JSON through DuckDB."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow leaves its functions without types.

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tidegate.errors import ModelInvalid, SourceUnreachable
from tidegate.outbound.specs import Model

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

READERS = {
    ".parquet": "read_parquet", ".csv": "read_csv", ".tsv": "read_csv", ".json": "read_json", ".jsonl": "read_json",
    ".ndjson": "read_json",
}  # fmt: skip
BATCH = 10_000


@contextmanager
def reading(url: str, model: Model, query: str) -> Generator[Any]:
    """The rows of a query over a DuckDB file (`duckdb:///data.duckdb`), or over files (`file:///data`), each of which
    is a table by its name without the ending.
    """
    import duckdb

    path = Path(unquote(urlsplit(url).path if "://" in url else url)).expanduser()
    if not path.exists():
        raise SourceUnreachable(source=model.source, problem=f"{path} is not there")
    try:
        db = _opened(path)
    except duckdb.Error as wrong:
        raise SourceUnreachable(source=model.source, problem=str(wrong).splitlines()[0]) from wrong
    with db:
        try:
            statements = db.extract_statements(query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise ModelInvalid(model=model.key, problem="it is one query that reads: select …")
            rows = db.sql(query).to_arrow_reader(BATCH)
        except duckdb.Error as wrong:
            raise ModelInvalid(model=model.key, problem=_said(wrong)) from wrong
        try:
            yield rows
        except duckdb.Error as wrong:
            raise SourceUnreachable(source=model.source, problem=_said(wrong)) from wrong


def _opened(path: Path) -> "DuckDBPyConnection":
    import duckdb

    if path.is_file() and path.suffix.lower() not in READERS:
        return duckdb.connect(path, read_only=True, config={"enable_external_access": "false"})
    db = duckdb.connect()
    files = [path] if path.is_file() else sorted(one for one in path.iterdir() if one.suffix.lower() in READERS)
    for one in files:
        name, where = one.stem.replace('"', '""'), str(one).replace("'", "''")
        db.execute(f"""create or replace view "{name}" as select * from {READERS[one.suffix.lower()]}('{where}')""")
    folder = str(path if path.is_dir() else path.parent).replace("'", "''")
    db.execute(
        f"set allowed_directories = ['{folder}']; set enable_external_access = false; set lock_configuration = true"
    )
    return db


def _said(wrong: Exception) -> str:
    return " ".join(str(wrong).split())[:500]
