"""PostgreSQL and what speaks its protocol, in a transaction that can only read."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow leaves its functions without types.

from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager, suppress
from decimal import Context, Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from tidegate.errors import ModelInvalid, SourceUnreachable, TidegateError
from tidegate.outbound.cells import DIGITS, NO_NUMBER
from tidegate.outbound.sources.batches import batches
from tidegate.outbound.specs import Model

if TYPE_CHECKING:
    from pyarrow import DataType

# fmt: off
KINDS = {
    "bool": "bool", "int2": "int64", "int4": "int64", "int8": "int64", "oid": "int64", "float4": "float64",
    "float8": "float64", "date": "date32", "timestamp": "timestamp", "timestamptz": "timestamptz", "numeric": "decimal",
    "bytea": "binary",
}
# fmt: on
"""How types arrive; any other as text, and what is no text as JSON."""
FAR = -1
"""Stands for a time that Python has none for: an infinite one, or one after the year 9999 or before 1."""
INFINITE = {32: 2**31 - 1, 64: 2**63 - 1}
"""The date (of 32 bits) and the time (of 64) that are infinite in DuckDB."""
PLACES = 12
"""Decimal places of a numeric that says none, and of its digits those before the point are the rest."""


@contextmanager
def reading(url: str, model: Model, query: str, schemas: str = "") -> Generator[Any]:
    """The rows of a query, by a cursor of the server's. `schemas`: the search path, if not the account's own."""
    import psycopg

    with closing(_connected(url, model)) as db:  # the transaction ends with it
        try:
            db.read_only = True
            _let_times_be_infinite(db)
            if schemas:
                db.execute(f"set local search_path = {schemas}".encode())
            _refuse_what_is_no_query(db, model, query)
        except psycopg.Error as wrong:
            raise _told(model, wrong) from wrong
        cursor = db.cursor(name="tidegate_model")
        try:
            yield _rows(db, cursor, model, query)
        finally:
            with suppress(psycopg.Error):  # the server is away, and whoever read was told so
                cursor.close()


def _rows(db: Any, cursor: Any, model: Model, query: str) -> Any:
    import psycopg
    import pyarrow

    try:
        cursor.execute(query.encode())
    except psycopg.Error as wrong:
        raise _told(model, wrong) from wrong
    described = cursor.description or []
    schema = pyarrow.schema([(column.name, _type(db, column)) for column in described])
    return pyarrow.RecordBatchReader.from_batches(
        schema, batches(cursor, schema, partial(_column, model), psycopg.Error, partial(_told, model))
    )


def _let_times_be_infinite(db: Any) -> None:
    """Has the driver read as `FAR` what it would end the whole query for."""
    import psycopg
    from psycopg.adapt import Loader

    for kind in ("date", "timestamp", "timestamptz"):
        oid = psycopg.adapters.types[kind].oid
        reader = db.adapters.get_loader(oid, psycopg.pq.Format.TEXT)

        class Far(Loader):
            def __init__(self, oid: int, context: Any = None, reader: Any = reader) -> None:
                super().__init__(oid, context)
                self._read = reader(oid, context).load

            def load(self, data: Any) -> Any:
                try:
                    return self._read(data)
                except psycopg.DataError:
                    return FAR

        db.adapters.register_loader(oid, Far)


def _connected(url: str, model: Model) -> Any:
    import psycopg

    said = url.partition("://")[2]
    try:
        return psycopg.connect(f"postgresql://{said}", connect_timeout=10, client_encoding="utf8")
    except psycopg.Error as wrong:
        raise SourceUnreachable(source=model.source, problem=str(wrong).strip().splitlines()[0]) from wrong


def _refuse_what_is_no_query(db: Any, model: Model, query: str) -> None:
    """Lets the server take the statement as it is written: several in one could end the read-only transaction.

    Raises ModelInvalid, and psycopg's errors.
    """
    import psycopg
    from psycopg.pq import ExecStatus

    db.execute("select 1")  # begins the transaction
    prepared = db.pgconn.prepare(b"", query.encode())
    if prepared.status != ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(prepared)
    if not db.pgconn.describe_prepared(b"").nfields:
        raise ModelInvalid(model=model.key, problem="it is one query that reads: select …")


def _told(model: Model, wrong: Any) -> TidegateError:
    """What the server said; without a code of its own, or with one of a lost connection, it is out of reach."""
    said = str(wrong).strip().splitlines()[0]
    code = getattr(wrong, "sqlstate", None)
    if code is None or code.startswith(("08", "57P", "53", "58")):
        return SourceUnreachable(source=model.source, problem=said)
    if "multiple commands" in said:
        said = "it is one query that reads: select …; several statements are none"
    elif code == "42601" and "cursor" in said.lower():
        said = "it is one query that reads: select …"
    return ModelInvalid(model=model.key, problem=said)


def _type(db: Any, column: Any) -> "DataType":
    import pyarrow

    known = db.adapters.types.get(column.type_code)
    kind = KINDS.get(known.name, "text") if known and known.oid == column.type_code else "text"  # else an array of it
    if kind == "decimal":
        digits, places = column.precision, column.scale
        fits = digits and digits <= DIGITS and places is not None and 0 <= places <= digits
        return pyarrow.decimal128(DIGITS, places if fits else PLACES)  # also of few digits: `NO_NUMBER` has all of them
    return {
        "bool": pyarrow.bool_(), "int64": pyarrow.int64(), "float64": pyarrow.float64(), "date32": pyarrow.date32(),
        "timestamp": pyarrow.timestamp("us"), "timestamptz": pyarrow.timestamp("us", "UTC"),
        "binary": pyarrow.binary(),
    }.get(kind, pyarrow.string())  # fmt: skip


def _column(model: Model, field: Any, values: Sequence[Any]) -> Any:
    import pyarrow

    as_text = str(field.type) == "string"
    if pyarrow.types.is_temporal(field.type) and FAR in values:
        return _times(field.type, values)
    try:
        return pyarrow.array([_as_text(one) for one in values] if as_text else values, field.type)
    except (pyarrow.ArrowInvalid, OverflowError) as wrong:
        unfit = [one for one in values if isinstance(one, Decimal) and not _fits(one, field.type.scale)]
        if unfit and field.name not in model.primary_key:
            return _numbers(field.type, values)
        what = f"the column {field.name} has the value {unfit[0]}" if unfit else f"the column {field.name}"
        problem = f"{what}, which is no {field.type} ({wrong}): cast it, such as {field.name}::text"
        raise ModelInvalid(model=model.key, problem=problem) from wrong


def _numbers(type_: Any, values: Sequence[Any]) -> Any:
    """Numbers of which some are none that Arrow has, such as NaN, as `NO_NUMBER`: their rows are told, and others go
    on.
    """
    import pyarrow

    fit = [None if one is None or not _fits(one, type_.scale) else one for one in values]
    known = pyarrow.array(fit, type_).view(pyarrow.binary(16)).to_pylist()
    told = [NO_NUMBER if one is None and said is not None else one for said, one in zip(values, known, strict=True)]
    return pyarrow.array(told, pyarrow.binary(16)).view(type_)


def _times(type_: Any, values: Sequence[Any]) -> Any:
    """Times of which some are `FAR`, as infinite ones: their rows are told, and others go on."""
    import pyarrow

    whole = pyarrow.int32() if type_.bit_width == 32 else pyarrow.int64()
    known = pyarrow.array([None if one == FAR else one for one in values], type_).view(whole).to_pylist()
    far = [INFINITE[type_.bit_width] if said == FAR else one for said, one in zip(values, known, strict=True)]
    return pyarrow.array(far, whole).view(type_)


def _fits(value: Decimal, places: int) -> bool:
    if not value.is_finite():
        return False
    _, digits, exponent = value.normalize(Context(prec=len(value.as_tuple().digits))).as_tuple()
    return -int(exponent) <= places and len(digits) + int(exponent) <= DIGITS - places


def _as_text(value: Any) -> Any:
    """Text as it is; of JSON and arrays the JSON; of anything else what it is written as."""
    import json

    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list | bool | int | float):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)
