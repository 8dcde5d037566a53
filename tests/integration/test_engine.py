"""What every connection to PostgreSQL begins with."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError

from tidegate.store.driver import each, rows, run
from tidegate.store.engine import open_engine
from tidegate.store.planning import BY_INDEX, BY_SETS, SETTLED, planned
from tidegate.store.trouble import connection_lost, of_the_data


def test_a_connection_whose_other_end_vanished_is_given_up_within_half_a_minute(database_url: str) -> None:
    """A dropped packet cannot be had on loopback; what the system was told to do about one can be asked."""
    with _by_tcp(database_url) as url:
        engine = open_engine(url)
        with engine.connect() as db:
            raw = db.connection.driver_connection
            assert raw is not None
            with socket.socket(fileno=os.dup(raw.fileno())) as ours:
                assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
                idle, interval, count = (
                    ours.getsockopt(socket.IPPROTO_TCP, option)
                    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                )
        engine.dispose()
    assert idle + interval * count <= 30


def test_no_statement_is_compiled(database_url: str) -> None:
    engine = open_engine(database_url)
    with engine.connect() as db:
        assert db.execute(text("show jit")).scalar_one() == "off"
    engine.dispose()


def test_a_statement_of_the_driver_is_part_of_a_transaction_that_can_be_rolled_back(database_url: str) -> None:
    engine = open_engine(database_url)
    with engine.connect() as db:
        run(db, b"create temp table written as select %(n)s::int as n", {"n": 7})
        assert db.execute(text("select n from written")).scalar_one() == 7
        db.rollback()
        run(db, b"create temp table written (n int)", {})
        db.rollback()
    engine.dispose()


def test_rows_of_the_driver_are_named_and_part_of_the_transaction(database_url: str) -> None:
    engine = open_engine(database_url)
    written = text(
        "create temp table written as select cast(:n as int) as n, '50%' as share, cast('{}' as jsonb)::text"
    )
    with engine.connect() as db:
        assert rows(db, written, {"n": 7}) == []
        [row] = rows(db, text("select n, share from written where share like '5_%'"), {})
        assert (row.n, row.share) == (7, "50%")
        one_by_one = each(db, text("select n from generate_series(1, 3) n"), {})
        assert [(one.n, rows(db, text("select cast(:n as int) + 1 as n"), {"n": one.n})) for one in one_by_one] == [
            (1, [(2,)]), (2, [(3,)]), (3, [(4,)])
        ]  # fmt: skip
        db.rollback()
        with pytest.raises(ProgrammingError, match="written"):
            rows(db, text("select n from written"), {})
    engine.dispose()


def test_an_error_of_rows_is_told_as_ever_and_without_what_was_asked(database_url: str) -> None:
    engine = open_engine(database_url)
    with engine.connect() as db:
        with pytest.raises(DataError) as told:
            rows(db, text("select cast(:given as int)"), {"given": "ada@example.com"})
        assert of_the_data(told.value)
        assert (told.value.statement, told.value.params) == ("select cast(:given as int)", None)
        db.rollback()
        assert rows(db, text("select cast(:given as int) as n"), {"given": "5"})[0].n == 5
        other = text("select pg_terminate_backend(:pid)")
        [(pid,)] = rows(db, text("select pg_backend_pid()"), {})
        with engine.connect() as killer:
            assert rows(killer, other, {"pid": pid}) == [(True,)]
        with pytest.raises(OperationalError) as lost:
            rows(db, text("select 1"), {})
        assert connection_lost(lost.value)
        db.rollback()
        assert rows(db, text("select 1 as n"), {})[0].n == 1
    engine.dispose()


def test_statements_are_planned_by_index_for_a_while_however_small_a_table_is(database_url: str) -> None:
    engine = open_engine(database_url)
    plan = text("explain (costs off) select n from few where n = :n")

    def planned_now() -> str:
        return " ".join(row[0] for row in rows(db, plan, {"n": 1}))

    with engine.connect() as db:
        rows(db, text("create temp table few as select n from generate_series(1, 3) n"), {})
        rows(db, text("create unique index on few (n)"), {})
        rows(db, text("analyze few"), {})
        assert "Seq Scan" in planned_now()
        with planned(db, BY_INDEX):
            assert "Index" in planned_now()
            assert rows(db, text("show plan_cache_mode"), {}) == [("force_generic_plan",)]
            with planned(db, BY_SETS):
                assert "Seq Scan" in planned_now()
                assert rows(db, text("show enable_nestloop"), {}) == [("off",)]
            assert rows(db, text("show enable_nestloop"), {}) == [("on",)]
            assert "Index" in planned_now()
        assert "Seq Scan" in planned_now()
        assert rows(db, text("show plan_cache_mode"), {}) == [("force_custom_plan",)]
    engine.dispose()


def test_a_table_that_was_filled_is_settled_when_it_was_analysed(database_url: str) -> None:
    engine = open_engine(database_url)

    def settled(*tables: str) -> bool:
        return rows(db, text(f"select {SETTLED} as settled"), {"tables": list(tables)})[0].settled

    with engine.connect() as db:
        rows(db, text("create temp table filled as select repeat('x', 500) as x from generate_series(1, 10) n"), {})
        assert settled("filled")
        rows(db, text("insert into filled select repeat('x', 500) from generate_series(1, 1000)"), {})
        assert not settled("pg_class", "filled")
        rows(db, text("analyze filled"), {})
        assert settled("pg_class", "filled")
    engine.dispose()


def test_lists_arrive_as_they_were_sent(database_url: str) -> None:
    engine = open_engine(database_url)
    texts = ["", " ", "null", "NULL", 'a"b', "a\\b", '\\"', "{a,b}", "a,b", "é\u2003ß", "\n\t", "1"]
    numbers = [0, -1, 2**31, 2**63 - 1, -(2**63)]
    with engine.connect() as db:
        for sent, type_ in ((texts, "text"), ([*texts, None], "text"), (numbers, "bigint"), ([], "text")):
            assert db.scalar(text(f"select cast(:sent as {type_}[])"), {"sent": sent}) == sent
        assert db.scalar(text("select cast(:sent as jsonb[])"), {"sent": ['{"a": "b"}', "1"]}) == [{"a": "b"}, 1]
        assert db.scalar(text("select cast(:sent as boolean[])"), {"sent": [True, False]}) == [True, False]
        assert db.scalar(text("select 'b' = any(:sent)"), {"sent": ["a", "b"]})
        with pytest.raises(DataError):
            db.scalar(text("select cast(:sent as text[])"), {"sent": ["a", "\0"]})
    engine.dispose()


@contextmanager
def _by_tcp(database_url: str) -> Iterator[str]:
    """The database's URL by TCP: through a relay on loopback when its server listens on a socket file."""
    url = make_url(database_url)
    folder = str(url.query.get("host", ""))
    if not folder.startswith("/"):
        yield database_url
        return
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def relay() -> None:
            with listener.accept()[0] as near, socket.socket(socket.AF_UNIX) as far:
                far.connect(f"{folder}/.s.PGSQL.{url.query.get('port') or url.port or 5432}")
                back = threading.Thread(target=_pass_on, args=(far, near))
                back.start()
                _pass_on(near, far)
                back.join(20)

        thread = threading.Thread(target=relay)
        thread.start()
        port = listener.getsockname()[1]
        relayed = url.set(host="127.0.0.1", port=port, query={})
        yield relayed.render_as_string(hide_password=False)
        thread.join(20)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65_536):
        target.sendall(data)
    with suppress(OSError):  # the other end is closed already
        target.shutdown(socket.SHUT_WR)
