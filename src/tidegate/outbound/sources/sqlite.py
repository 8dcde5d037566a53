"""SQLite's files. Its columns hold anything, so what a column holds is looked at first."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow leaves its functions without types.

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tidegate.errors import ModelInvalid, SourceUnreachable, TidegateError
from tidegate.outbound.sources.batches import batches
from tidegate.outbound.sources.location import path as path_of
from tidegate.outbound.specs import Model

if TYPE_CHECKING:
    from pyarrow import DataType

BEYOND_REACH = ("not a database", "malformed", "disk i/o", "unable to open", "locked")
"""What SQLite says of a file that cannot be read; anything else is about the query."""


@contextmanager
def reading(url: str, model: Model, query: str) -> Generator[Any]:
    """The rows of a query over a file (`sqlite:///data.db`), which is opened for reading only."""
    import pyarrow

    path = path_of(url)
    if not path.is_file():
        raise SourceUnreachable(source=model.source, problem=f"{path} is not there")
    try:
        where = f"file:{quote(str(path))}?mode=ro"
        # Whoever consumes the rows may do so in another thread, and does nothing else meanwhile.
        db = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as wrong:
        raise SourceUnreachable(source=model.source, problem=f"{path}: {wrong}") from wrong
    with closing(db):
        try:
            db.execute("begin")  # what is looked at, and what is read then, is one state
            told = [column[0] for column in db.execute(f"select * from (\n{query}\n) limit 0").description]
            types = _types(db, query, told)
            found = db.execute(query)
            names = [column[0] for column in found.description]
            schema = pyarrow.schema(list(zip(names, types, strict=True)))
        except sqlite3.Error as wrong:
            raise _told(model, wrong) from wrong
        yield pyarrow.RecordBatchReader.from_batches(
            schema, batches(found, schema, _column, sqlite3.Error, partial(_told, model))
        )


def _told(model: Model, wrong: Exception) -> TidegateError:
    said = str(wrong)
    if any(one in said.lower() for one in BEYOND_REACH):
        return SourceUnreachable(source=model.source, problem=said)
    if "one statement" in said:
        said = "it is one query that reads: select …"
    return ModelInvalid(model=model.key, problem=said)


def _types(db: sqlite3.Connection, query: str, names: Sequence[str]) -> "list[DataType]":
    """What each column holds: whole numbers, numbers, bytes, or else text."""
    import pyarrow

    quoted = [f'"{name.replace(chr(34), 2 * chr(34))}"' for name in names]
    asked = ", ".join(f"group_concat(distinct typeof({name}))" for name in quoted)
    kinds = {
        "integer": pyarrow.int64(),
        "integer,real": pyarrow.float64(),
        "real": pyarrow.float64(),
        "blob": pyarrow.binary(),
    }
    [found] = db.execute(f"select {asked} from (\n{query}\n)")
    held = [",".join(sorted(set((one or "null").split(",")) - {"null"})) for one in found]
    return [kinds.get(one, pyarrow.string()) for one in held]


def _column(field: Any, values: Sequence[Any]) -> Any:
    import pyarrow

    return pyarrow.array([_as(value, field.type) for value in values], field.type)


def _as(value: Any, kind: Any) -> Any:
    return str(value) if value is not None and str(kind) == "string" and not isinstance(value, str) else value
