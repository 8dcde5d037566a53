"""Reads a query from a source, whatever it is: batches of rows, never the whole, and nothing is written there."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow leaves its functions without types.

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tidegate.errors import ModelInvalid, SourceUnreachable, TidegateError
from tidegate.outbound.sources import by_ibis, duck, postgres, sqlite
from tidegate.outbound.sources.location import scheme
from tidegate.outbound.specs import Model

POSTGRES = frozenset({"postgres", "postgresql", "redshift"})
FILES = frozenset({"file", "duckdb", ""})
OWN = "tidegate"
"""The scheme of the hub's own tables; whoever reads them gives their URL (`workflows.outbound.source_reading`)."""


@contextmanager
def reading(
    url: str, model: Model, *, schemas: str = "", progress: Callable[[int], None] | None = None
) -> Generator[Any]:
    """The rows of a model, as a pyarrow.RecordBatchReader. `progress`: is told how many rows came so far.

    Raises SourceUnreachable, and ModelInvalid for a query that the source refuses; within the block as well, where
    reading fails in the middle, whatever the reader's consumer made of it.
    """
    kind = scheme(url)
    query = model.sql.strip().rstrip(";").strip() if model.sql else f"select * from {_table(kind, model.table)}"
    if kind in POSTGRES:
        opened = postgres.reading(url, model, query, schemas)
    elif kind in FILES:
        opened = duck.reading(url, model, query)
    elif kind == "sqlite":
        opened = sqlite.reading(url, model, query)
    elif kind in by_ibis.EXTRAS:
        opened = by_ibis.reading(url, model, query)
    else:
        known = ", ".join(sorted({*POSTGRES, *FILES, "sqlite", OWN, *by_ibis.EXTRAS} - {""}))
        raise SourceUnreachable(source=model.source, problem=f"there is no sort of source {kind}; there are {known}")
    failures: list[Exception] = []
    with opened as rows:
        _refuse_names(model, rows.schema.names)
        try:
            yield _watched(rows, failures, progress or (lambda _: None))
        except Exception as wrong:
            if not failures:
                raise
            [failure, *_] = failures
            if isinstance(failure, TidegateError):
                raise failure from wrong
            said = " ".join(str(failure).split())[:500] or type(failure).__name__
            raise SourceUnreachable(source=model.source, problem=said) from failure


def _table(kind: str, name: str) -> str:
    quote = "`" if kind in {"mysql", "bigquery", "databricks"} else '"'
    return ".".join(f"{quote}{part.replace(quote, 2 * quote)}{quote}" for part in name.split("."))


def _refuse_names(model: Model, names: Sequence[str]) -> None:
    """Raises ModelInvalid where columns cannot be told apart, or would be taken for ours."""
    twice = sorted(name for name, count in Counter(name.lower() for name in names).items() if count > 1)
    if twice:
        raise ModelInvalid(model=model.key, problem=f"several columns are called {', '.join(twice)}: name each (as …)")
    ours = sorted({"_key", "_null", "_hash", "_what", "_twins", "_wrong"} & {name.lower() for name in names})
    if ours:
        raise ModelInvalid(model=model.key, problem=f"no column can be called {', '.join(ours)}: name it otherwise")


def _watched(rows: Any, failures: list[Exception], progress: Callable[[int], None]) -> Any:
    """The same rows; what goes wrong while they come is remembered, since DuckDB tells only a text of it."""
    import pyarrow

    def batches() -> Iterator[Any]:
        count = 0
        try:
            for batch in rows:
                yield batch
                count += batch.num_rows
                progress(count)
        except Exception as wrong:
            failures.append(wrong)
            raise

    return pyarrow.RecordBatchReader.from_batches(rows.schema, batches())
