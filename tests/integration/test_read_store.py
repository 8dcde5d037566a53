"""`tidegate sql` reaches neither writing nor secrets, whatever the statement; nor do roles given to BI tools."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, LargeBinary, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError
from tests.support import databases

import tidegate.connections.tables
import tidegate.delivery.tables
import tidegate.mirror.tables
import tidegate.outbound.tables
import tidegate.security.tables  # noqa: F401
from tidegate.errors import NotReadOnly, QueryRefused, TidegateError
from tidegate.store import reader
from tidegate.store.engine import open_engine
from tidegate.store.metadata import metadata
from tidegate.workflows.operation import doctor
from tidegate.workflows.operation.read_store import HIDDEN, read_store

SECRET = "\\x736563726574"
FILL = f"""
insert into tidegate.connections (name, account, livemode, rate, endpoint_rate, api_key, write_key, webhook_secrets)
values ('acme', 'acct_1', false, 0, 0, '{SECRET}', '{SECRET}', '{SECRET}');
insert into tidegate.tokens (name, digest, scopes) values ('monitoring', '{SECRET}', '{{read}}');
create view tidegate.behind_a_view as select api_key from tidegate.connections;
analyze tidegate.connections"""

WORDS = "ts_stat('select to_tsvector(encode(api_key, ''escape'')) from tidegate.connections')"
"""A function that runs a query which it is handed as text."""
SECRETS = [
    "select api_key from connections",
    "select * from connections",
    "select write_key, webhook_secrets from tidegate.connections",
    "select c from connections c",
    "select digest from tokens",
    "with all_of as (select * from tokens) select count(*) from all_of",
    "select name from connections where api_key > '\\x00'",
    "explain analyze select api_key from connections",
    f"select word from {WORDS}",
    f"select set_config('role', 'none', true), (select max(word) from {WORDS})",
    f"select n, case when n > 900 then (select max(word) from {WORDS}) end from generate_series(1, 1000) n",
    "select * from behind_a_view",
]
WRITES = [
    "with gone as (delete from connections returning name) select * from gone",
    "select set_config('transaction_read_only', 'off', true), nextval('tidegate.runs_id_seq')",
    "select nextval('tidegate.runs_id_seq')",
]


@pytest.fixture(scope="module")
def store(server_url: str) -> Iterator[str]:
    """A database with credentials in it."""
    with databases.scratch(server_url) as url:
        engine = open_engine(url)
        with engine.begin() as db:
            db.exec_driver_sql(FILL)
        engine.dispose()
        yield url


@pytest.fixture(scope="module")
def engine(store: str) -> Iterator[Engine]:
    engine = open_engine(store)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def plain(store: str, engine: Engine) -> Iterator[Engine]:
    """As an account that reads everything and may not create roles: a user's on a database that others administer."""
    name = f"plain_{make_url(store).database}"
    with engine.begin() as db:
        db.exec_driver_sql(f"create role {name} login password 'plain' in role pg_read_all_data")
    plain = open_engine(make_url(store).set(username=name, password="plain").render_as_string(hide_password=False))
    yield plain
    plain.dispose()
    with engine.begin() as db:
        db.exec_driver_sql(f"drop role {name}")


def asked(engine: Engine, statement: str, seconds: int = 30) -> tuple[list[Sequence[Any]], str]:
    """Every row, and what was lacking."""
    with read_store(engine, statement, seconds=seconds) as (answer, lacking):
        return list(answer.rows), lacking


def refused(engine: Engine, statement: str) -> TidegateError:
    """The error; not one row came before it that holds the secret."""
    seen: list[Sequence[Any]] = []

    def read() -> None:
        with read_store(engine, statement) as (answer, _):
            seen.extend(answer.rows)

    with pytest.raises(TidegateError) as caught:
        read()
    assert "secret" not in repr(seen)
    return caught.value


def test_what_is_no_secret_can_be_read(engine: Engine) -> None:
    rows, lacking = asked(engine, "select name, account from connections")
    assert (rows, lacking) == ([("acme", "acct_1")], "")
    assert asked(engine, "select name, scopes from tokens")[0] == [("monitoring", ["read"])]
    assert asked(engine, "select count(*) from stripe.customers")[0] == [(0,)]
    [(who, session)] = asked(engine, "select current_user, session_user")[0]
    assert who == session
    assert who.startswith("tidegate_sql_")


@pytest.mark.parametrize("statement", SECRETS)
def test_no_secret_can_be_read(engine: Engine, statement: str) -> None:
    error = refused(engine, statement)
    assert isinstance(error, QueryRefused)
    assert "permission denied" in str(error)


def test_statistics_show_none_either(engine: Engine) -> None:
    assert asked(engine, "select attname from pg_stats where attname in ('api_key', 'digest')")[0] == []


@pytest.mark.parametrize("statement", WRITES)
def test_nothing_can_be_written(engine: Engine, statement: str) -> None:
    assert isinstance(refused(engine, statement), NotReadOnly | QueryRefused)


def test_the_server_and_its_files_are_out_of_reach(engine: Engine) -> None:
    for statement in ("select pg_read_file('PG_VERSION')", "select pg_ls_dir('.')", "select pg_reload_conf()"):
        assert "permission denied" in str(refused(engine, statement))


def test_a_statement_is_given_up(engine: Engine) -> None:
    with pytest.raises(QueryRefused, match="longer than 1s"):
        asked(engine, "select pg_sleep(30)", seconds=1)


def test_no_log_in_is_left(engine: Engine) -> None:
    [(name,)] = asked(engine, "select session_user::text")[0]
    refused(engine, "select 1/0")
    with engine.begin() as db:
        db.exec_driver_sql("create role tidegate_sql_killed login valid until '2020-01-01' in role tidegate_reader")
    asked(engine, "select 1")
    with engine.connect() as db:
        # Other tests' databases are on the same server: what they use now is theirs.
        assert db.scalar(text("select count(*) from pg_roles where rolname = 'tidegate_sql_killed'")) == 0
        assert db.scalar(text("select count(*) from pg_roles where rolname = :name"), {"name": name}) == 0


def test_a_table_or_column_that_came_since_can_be_read(engine: Engine) -> None:
    with engine.begin() as db:
        db.exec_driver_sql("create table tidegate.added (n int)")
        db.exec_driver_sql("alter table tidegate.connections add column added int default 7")
    assert asked(engine, "select n from added")[0] == []
    assert asked(engine, "select added from connections")[0] == [(7,)]


def test_a_right_that_somebody_gave_is_taken_back(engine: Engine) -> None:
    with engine.begin() as db:
        db.exec_driver_sql("grant select on tidegate.tokens to tidegate_reader")
    assert "permission denied" in str(refused(engine, "select digest from tokens"))


def test_a_bi_tools_log_in_reads_the_mirror_and_no_secret(store: str, engine: Engine) -> None:
    reader.prepare(engine, HIDDEN)
    name = f"bi_{make_url(store).database}"
    with engine.begin() as db:
        db.exec_driver_sql(f"create role {name} login password 'bi' in role tidegate_reader")
    bi = open_engine(make_url(store).set(username=name, password="bi").render_as_string(hide_password=False))
    try:
        with bi.connect() as db:
            assert db.scalar(text("select count(*) from stripe.customers")) == 0
        for statement in ("select api_key from tidegate.connections", "delete from stripe.customers"):
            with bi.connect() as db, pytest.raises(ProgrammingError) as caught:
                db.execute(text(statement))
            assert isinstance(caught.value.orig, psycopg.errors.InsufficientPrivilege)
    finally:
        bi.dispose()
        with engine.begin() as db:
            db.exec_driver_sql(f"drop role {name}")


def test_an_account_that_may_make_no_role_is_told_and_still_reads(plain: Engine) -> None:
    rows, lacking = asked(plain, "select count(*) from stripe.customers")
    assert rows == [(0,)]
    assert "permission denied" in lacking
    [finding] = [one for one in doctor.reading(plain) if one.check == "reader"]
    assert (finding.state, "createrole" in finding.remedy) == ("warning", True)


@pytest.mark.parametrize("statement", [*SECRETS, "select * from pg_stats"])
def test_without_the_role_no_secret_can_be_read_either(plain: Engine, statement: str) -> None:
    assert "holds secrets" in str(refused(plain, statement))


@pytest.mark.parametrize("statement", WRITES)
def test_without_the_role_nothing_can_be_written_either(plain: Engine, statement: str) -> None:
    assert isinstance(refused(plain, statement), NotReadOnly | QueryRefused)


def test_every_column_of_bytes_is_hidden_or_known_to_be_no_secret() -> None:
    harmless = {("versions", "digest")}
    found = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    personal = {("requests", name) for name in ("params", "before", "wanted")}
    hidden = {(table, column) for table, columns in HIDDEN.items() for column in columns}
    texts = {("users", "password")}
    assert found - harmless == hidden - personal - texts
