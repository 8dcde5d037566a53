"""Columns of Arrow copied into PostgreSQL: what arrives is what was given."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pyarrow
import pytest
from sqlalchemy import Connection, Engine, text

from tidegate.store import bulk, columns

TABLE = "create temp table given (whose text, edition int, name text, at timestamptz, day date, amount bigint)"
NAMES = ["Ada", "", 'a "quoted", one\n', "Ünï ✓", "x" * 5000]


def batch(names: list[str], amounts: list[int]) -> Any:
    at, day = [bulk.moment(1_700_000_000 + n) for n in range(len(names))], [n - 2 for n in range(len(names))]
    return pyarrow.record_batch(
        {"name": names, "at": at, "day": pyarrow.array(day, "int32"), "amount": pyarrow.array(amounts, "int64")}
    )


def copied(db: Connection, *batches: Any) -> int:
    db.execute(text(TABLE))
    return columns.copy_batches(db, "pg_temp.given", {"whose": "ours", "edition": 7}, batches)


def test_what_arrives_is_what_was_given_batch_by_batch(engine: Engine) -> None:
    first, second = batch(NAMES, [0, -1, 1, 2**63 - 1, -(2**63)]), batch(NAMES[::-1], [5, 4, 3, 2, 1])
    with engine.connect() as db:
        assert copied(db, first, first.slice(0, 0), second.slice(1, 3)) == 8
        rows = [tuple(row) for row in db.execute(text("select * from given"))]
    assert {row[:2] for row in rows} == {("ours", 7)}
    assert [row[2] for row in rows] == [*NAMES, *NAMES[::-1][1:4]]
    assert [row[5] for row in rows] == [0, -1, 1, 2**63 - 1, -(2**63), 4, 3, 2]
    assert rows[0][3:5] == (datetime.fromtimestamp(1_700_000_000, UTC), date(1999, 12, 30))
    assert rows[4][3:5] == (datetime.fromtimestamp(1_700_000_004, UTC), date(2000, 1, 3))


def test_nothing_is_nothing(engine: Engine) -> None:
    with engine.connect() as db:
        assert copied(db) == 0
        assert db.scalar(text("select count(*) from given")) == 0


@pytest.mark.parametrize(
    ("column", "said"),
    [(pyarrow.array(["a", None]), "column name has nulls"), (pyarrow.array([1.5, 2.0]), "is of type double")],
    ids=["null", "float"],
)
def test_what_cannot_be_sent_is_refused_and_named(engine: Engine, column: Any, said: str) -> None:
    with engine.connect() as db, pytest.raises(ValueError, match=said):
        copied(db, pyarrow.record_batch({"name": column}))


def test_what_postgresql_refuses_is_its_own_error(engine: Engine) -> None:
    given = pyarrow.record_batch({"day": pyarrow.array([1], "int64")})
    with engine.connect() as db:
        db.execute(text(TABLE))
        with pytest.raises(psycopg.DataError, match="incorrect binary data format"):
            columns.copy_batches(db, "pg_temp.given", {}, [given])
