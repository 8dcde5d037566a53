"""PostgreSQL and what speaks its protocol, in a transaction that can only read."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow leaves its functions without types.

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tidegate.errors import ModelInvalid, SourceUnreachable
from tidegate.outbound.specs import Model

if TYPE_CHECKING:
    from pyarrow import RecordBatch

BATCH = 10_000
# fmt: off
KINDS = {
    "bool": "bool", "int2": "int64", "int4": "int64", "int8": "int64", "oid": "int64", "float4": "float64",
    "float8": "float64", "date": "date32", "timestamp": "timestamp", "timestamptz": "timestamptz", "numeric": "decimal",
    "bytea": "binary",
}
# fmt: on
"""How types arrive; any other as text, and what is no text as JSON."""


@contextmanager
def reading(url: str, model: Model, query: str) -> Generator[Any]:
    """The rows of a query, by a cursor of the server's."""
    import psycopg
    import pyarrow

    try:
        db = psycopg.connect(url.replace("postgres://", "postgresql://", 1), connect_timeout=10)
    except psycopg.OperationalError as wrong:
        raise SourceUnreachable(source=model.source, problem=str(wrong).strip().splitlines()[0]) from wrong
    with db:
        db.read_only = True
        try:
            cursor = db.cursor(name="tidegate_model")
            cursor.itersize = BATCH
            cursor.execute(query.encode())
            described = cursor.description or []
        except psycopg.Error as wrong:
            raise ModelInvalid(model=model.key, problem=str(wrong).strip().splitlines()[0]) from wrong
        names = [_kind(db, column.type_code) for column in described]
        schema = pyarrow.schema([(c.name, _type(kind)) for c, kind in zip(described, names, strict=True)])
        yield pyarrow.RecordBatchReader.from_batches(schema, _batches(cursor, schema))


def _kind(db: Any, oid: int) -> str:
    known = db.adapters.types.get(oid)
    return KINDS.get(known.name, "text") if known else "text"


def _type(kind: str) -> Any:
    import pyarrow

    return {
        "bool": pyarrow.bool_(), "int64": pyarrow.int64(), "float64": pyarrow.float64(), "date32": pyarrow.date32(),
        "timestamp": pyarrow.timestamp("us"), "timestamptz": pyarrow.timestamp("us", "UTC"),
        "decimal": pyarrow.decimal128(38, 12), "binary": pyarrow.binary(),
    }.get(kind, pyarrow.string())  # fmt: skip


def _batches(cursor: Any, schema: Any) -> "Iterator[RecordBatch]":
    import pyarrow

    while some := cursor.fetchmany(BATCH):
        columns = [
            pyarrow.array([_as(value, field.type) for value in column], field.type)
            for column, field in zip(zip(*some, strict=True), schema, strict=True)
        ]
        yield pyarrow.RecordBatch.from_arrays(columns, schema=schema)


def _as(value: Any, kind: Any) -> Any:
    import json

    if value is None or str(kind) != "string" or isinstance(value, str):
        return value
    return json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)
