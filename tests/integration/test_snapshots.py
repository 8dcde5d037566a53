"""Connections that read beside a transaction see what it sees, or are not used at all."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from tidegate.store import snapshots


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


FILL = """
insert into tidegate.links (connection, customer, method, evidence)
select 'beside', 'cus_' || n, 'manual', '{}' from generate_series(1, 5000) n"""


def read(db: Connection, seen: str) -> list[str]:
    selects = snapshots.parts(db, "tidegate.links", "customer", "connection = 'beside'", 3, "tidegate.links")
    with snapshots.readers(db, seen, selects) as found:
        assert found is not None
        parts = [reader.read_all()["customer"].to_pylist() for reader in found]
    assert all(parts), "each reads a part"
    return [one for part in parts for one in part]


def test_all_parts_together_are_what_the_transaction_sees(engine: Engine) -> None:
    with engine.begin() as db:
        db.execute(text(FILL))
    engine.dispose()  # what a connection wrote a moment ago counts as the transaction's own
    with engine.connect() as db, engine.connect() as other:
        seen = snapshots.exported(db, ["links"])
        assert seen
        other.execute(text("delete from tidegate.links where customer < 'cus_2'"))
        other.commit()
        assert sorted(read(db, seen)) == sorted(f"cus_{n}" for n in range(1, 5001))


def test_what_only_the_transaction_sees_is_for_nobody_else_to_read(engine: Engine) -> None:
    for write in (FILL, "update tidegate.links set method = 'email'", "delete from tidegate.links"):
        with engine.connect() as db:
            db.execute(text(FILL))
            db.commit()
            db.execute(text(write.replace("'beside'", "'own'")))
            assert snapshots.exported(db, ["spans", "links"]) is None, write
            assert snapshots.exported(db, ["spans"]) is not None, write
            db.rollback()
            db.execute(text("delete from tidegate.links"))
            db.commit()


def test_a_savepoint_and_a_server_that_counts_no_writes_share_nothing(engine: Engine) -> None:
    with engine.connect() as db:
        with db.begin_nested():
            assert snapshots.exported(db, ["links"]) is None
        db.execute(text("set local track_counts = off"))
        assert snapshots.exported(db, ["links"]) is None


def test_where_no_connection_sees_the_same_there_is_none(engine: Engine) -> None:
    with engine.connect() as db:
        assert snapshots.exported(db, [])
        with snapshots.readers(db, "00000003-00000F1B-1", ["select 1 as one"]) as found:
            assert found is None


def take(db: Connection, select: str, meanwhile: Callable[[], object]) -> None:
    """Lets DuckDB take what a connection beside selects, after something has happened."""
    import duckdb

    seen = snapshots.exported(db, [])
    assert seen
    with duckdb.connect() as into, snapshots.readers(db, seen, [select]) as found:
        assert found
        into.register("given", found[0])
        meanwhile()
        into.execute("create table taken as select * from given")


def test_a_connection_that_breaks_off_is_trouble_of_the_database(engine: Engine) -> None:
    def end() -> None:
        ended = (
            "select pg_terminate_backend(pid) from pg_stat_activity where query like 'COPY (select generate_series%'"
        )
        with engine.connect() as other:
            assert other.scalars(text(ended)).all() == [True]

    with engine.connect() as db, pytest.raises(OperationalError, match="terminat"):
        take(db, "select generate_series(1, 5000000) as n", end)


def test_what_goes_wrong_elsewhere_stays_what_it_is(engine: Engine) -> None:
    with engine.connect() as db, pytest.raises(ZeroDivisionError):
        take(db, "select 1 as one", lambda: 1 / 0)
