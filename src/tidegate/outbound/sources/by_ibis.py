"""Every other warehouse, through the back ends of Ibis that the extras bring."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow and sqlglot leave much without types.

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from tidegate.errors import ModelInvalid, SourceUnreachable
from tidegate.outbound.sources.batches import BATCH
from tidegate.outbound.sources.location import scheme, without_secret
from tidegate.outbound.specs import Model

EXTRAS = ("mysql", "bigquery", "snowflake", "databricks", "clickhouse")
"""Schemes that an extra of the same name serves."""


@contextmanager
def reading(url: str, model: Model, query: str) -> Generator[Any]:
    """The rows of a query, which is parsed first: what is no plain query never reaches the server."""
    import pyarrow

    kind = scheme(url)
    refuse_writes(model, query, kind)
    backend = _connected(url, kind, model)
    try:
        try:
            if kind == "mysql":
                backend.raw_sql("set session transaction read only").close()
            rows = backend.sql(query).to_pyarrow_batches(chunk_size=BATCH)
        except Exception as wrong:  # each back end has errors of its own
            raise ModelInvalid(model=model.key, problem=_first(wrong, url)) from wrong
        yield pyarrow.RecordBatchReader.from_batches(rows.schema, _batches(rows, model, url))
    finally:
        backend.disconnect()


def refuse_writes(model: Model, query: str, dialect: str) -> None:
    """Raises ModelInvalid for everything but one query without parts that write."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    queries = (exp.Select, exp.SetOperation, exp.Subquery)
    writes = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Copy, exp.Into, exp.Command, exp.Lock)
    try:
        statements = sqlglot.parse(query, dialect=dialect)
    except SqlglotError as wrong:
        raise ModelInvalid(model=model.key, problem=" ".join(str(wrong).split())[:300]) from wrong
    [first, *more] = statements or [None]
    if more or not isinstance(first, queries) or any(isinstance(one, writes) for one in first.walk()):
        raise ModelInvalid(model=model.key, problem="it is one query that reads: select …")


def _connected(url: str, kind: str, model: Model) -> Any:
    import ibis

    try:
        return ibis.connect(url)
    except (ImportError, AttributeError) as lacking:
        problem = f"the driver for {kind} is not installed; `pip install 'tidegate[{kind}]'` brings it ({lacking})"
        raise SourceUnreachable(source=model.source, problem=problem) from lacking
    except Exception as wrong:  # each back end has errors of its own
        raise SourceUnreachable(source=model.source, problem=_first(wrong, url)) from wrong


def _batches(rows: Any, model: Model, url: str) -> Iterator[Any]:
    try:
        yield from rows
    except Exception as wrong:  # each back end has errors of its own
        raise SourceUnreachable(source=model.source, problem=_first(wrong, url)) from wrong


def _first(wrong: Exception, url: str) -> str:
    """The first line of what it says, never with the URL's password."""
    said = next(iter(str(wrong).strip().splitlines()), type(wrong).__name__)
    return said.replace(url, without_secret(url))[:500]
