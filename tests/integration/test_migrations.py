"""The revisions make exactly the tables that the code declares, once, whoever runs them."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, text
from tests.support.builders import arrival, customer
from tests.support.waiting import until

from tidegate.catalog import tables as catalog_tables
from tidegate.connections import runs
from tidegate.connections import tables as connections_tables
from tidegate.contacts import tables as contacts_tables
from tidegate.delivery import tables as delivery_tables
from tidegate.entitlements import tables as entitlements_tables
from tidegate.errors import ConfigurationError, MigrationNeeded, SchemaTooNew
from tidegate.lifecycle import tables as lifecycle_tables
from tidegate.lifecycle import team_tables
from tidegate.mirror import refill
from tidegate.mirror import tables as mirror_tables
from tidegate.mirror.apply import apply
from tidegate.mirror.tables import stripe_metadata
from tidegate.outbound import tables as outbound_tables
from tidegate.revenue import tables as revenue_tables
from tidegate.security import tables as security_tables
from tidegate.store import migrate as revisions
from tidegate.store import queue_schema
from tidegate.store.engine import open_engine
from tidegate.store.metadata import metadata
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.tables import metadata as budget_metadata
from tidegate.workflows.operation.migrate import is_current, migrate

pytestmark = pytest.mark.further

DECLARING = (
    connections_tables,
    security_tables,
    mirror_tables,
    delivery_tables,
    contacts_tables,
    catalog_tables,
    entitlements_tables,
    revenue_tables,
    outbound_tables,
    lifecycle_tables,
    team_tables,
)
"""Modules whose import declares tables in `metadata`."""


@pytest.fixture
def empty_engine(empty_database_url: str) -> Iterator[Engine]:
    engine = open_engine(empty_database_url)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("schema", "declared"), [("tidegate", [metadata, budget_metadata]), ("stripe", [stripe_metadata])]
)
def test_the_migrated_database_is_what_the_code_declares(engine: Engine, schema: str, declared: list[MetaData]) -> None:
    def ours(name: str | None, kind: str, parents: Any) -> bool:
        if kind == "schema":
            return name == schema
        return kind != "table" or not (name or "").startswith(("procrastinate_", "alembic_version", "schema_facts"))

    with engine.connect() as connection:
        # On the search path the schema's name would be left out, and every table would seem to be another one.
        connection.execute(text("set search_path = public"))
        options: dict[str, Any] = {
            "include_schemas": True,
            "include_name": ours,
            "compare_type": True,
            "compare_server_default": True,
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, declared) == []  # pyright: ignore[reportArgumentType]


def test_the_named_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(revisions.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == revisions.HEAD


def test_several_processes_migrate_an_empty_database_once(empty_database_url: str) -> None:
    engines = [open_engine(empty_database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(migrate, engines))
    assert sorted(one.before for one in done) == ["", revisions.HEAD, revisions.HEAD, revisions.HEAD]
    assert all(is_current(engine) for engine in engines)
    for engine in engines:
        engine.dispose()


def test_a_database_without_our_schema_is_not_current(empty_engine: Engine) -> None:
    assert not is_current(empty_engine)
    with pytest.raises(MigrationNeeded, match="tidegate migrate"):
        revisions.require_current(empty_engine)


@pytest.mark.parametrize(("oldest_code", "fits"), [("0.1.0", True), ("99.0", False)])
def test_a_newer_schema_says_which_code_it_still_serves(
    empty_engine: Engine, oldest_code: str, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revisions, "__version__", "0.1.0")
    migrate(empty_engine)
    with empty_engine.begin() as connection:
        connection.execute(text("update tidegate.alembic_version set version_num = '9999'"))
        revisions.set_fact(connection, "oldest_code", oldest_code)
    if fits:
        assert revisions.is_current(empty_engine)
    else:
        with pytest.raises(SchemaTooNew, match=r"99\.0"):
            revisions.is_current(empty_engine)


def test_the_queue_follows_the_installed_package(
    empty_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(empty_engine)
    assert is_current(empty_engine)
    (tmp_path / "99.00.00_01_pre_add.sql").write_text("create table procrastinate_news (share text default '100 %');")
    (tmp_path / "99.00.00_50_post_add.sql").write_text("insert into procrastinate_news values (':all');")
    (tmp_path / "03.00.00_01_pre_old.sql").write_text("select 1 / 0;")
    monkeypatch.setattr("procrastinate.schema.migrations_path", tmp_path)
    monkeypatch.setattr(queue_schema, "installed_version", lambda package: "99.0.1")
    assert not queue_schema.is_current(empty_engine)
    with empty_engine.begin() as connection:
        assert queue_schema.reconcile(connection)
        assert not queue_schema.reconcile(connection)
        assert connection.scalar(text("select share from tidegate.procrastinate_news")) == ":all"
    monkeypatch.undo()
    assert queue_schema.is_current(empty_engine), "an older package may run beside a newer one"


def with_customers(engine: Engine, number: int) -> None:
    """A migrated database of a time when customers had no column `email`."""
    migrate(engine)
    with engine.begin() as db:
        for n in range(0, number, 100):
            bodies = [customer(f"cus_{i:05}", email=f"{i}@example.com") for i in range(n, min(n + 100, number))]
            apply(db, "acme", RESOURCES["customers"], [arrival("customers", body, at=100) for body in bodies])
        db.execute(text("alter table stripe.customers drop column email"))
        revisions.set_fact(db, "mirror_registry", "that of the time")


UNFILLED = text("select count(*) from stripe.customers where email is distinct from data ->> 'email'")


def test_a_new_column_is_filled_from_the_stored_json(empty_engine: Engine) -> None:
    with_customers(empty_engine, 3)
    assert not is_current(empty_engine)
    assert migrate(empty_engine).refilled == {"customers": 3}
    assert is_current(empty_engine)
    with empty_engine.connect() as db:
        assert db.scalar(UNFILLED) == 0
        indexes = "select count(*) from pg_indexes where schemaname = 'stripe' and indexname = 'customers_email'"
        assert db.scalar(text(indexes)) == 1


def test_filling_that_was_killed_is_done_by_whoever_comes_next(
    empty_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_customers(empty_engine, 3)
    with monkeypatch.context() as killed:
        killed.setattr(refill, "refill", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            migrate(empty_engine)
    assert not is_current(empty_engine)
    with runs.exclusive(empty_engine, "", "refill"):
        assert migrate(empty_engine).refilled == {}, "another process fills them"
    assert migrate(empty_engine).refilled == {"customers": 3}
    assert is_current(empty_engine)
    with empty_engine.connect() as db:
        assert db.scalar(UNFILLED) == 0


def test_a_version_that_comes_while_columns_are_filled_keeps_its_own(
    empty_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_customers(empty_engine, 1)
    reading = refill.read
    newer = arrival("customers", customer("cus_00000", email="new@example.com"), at=200)
    late: list[Thread] = []

    def store() -> None:
        with empty_engine.begin() as db:
            apply(db, "acme", RESOURCES["customers"], [newer])

    def read_while_another_stores(*given: Any) -> Any:
        late.append(Thread(target=store))
        late[0].start()
        late[0].join(0.3)  # it waits for the row, or has stored it
        return reading(*given)

    monkeypatch.setattr(refill, "read", read_while_another_stores)
    migrate(empty_engine)
    late[0].join()
    with empty_engine.connect() as db:
        assert db.scalar(text("select email from stripe.customers")) == "new@example.com"


def test_columns_that_are_read_differently_now_are_filled_anew(
    empty_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_customers(empty_engine, 2)
    migrate(empty_engine)
    with empty_engine.begin() as db:
        db.execute(text("update stripe.customers set email = null"))
    assert is_current(empty_engine)
    monkeypatch.setitem(RESOURCES, "customers", replace(RESOURCES["customers"], reading=2))
    assert not is_current(empty_engine)
    assert migrate(empty_engine).refilled == {"customers": 2}
    assert is_current(empty_engine)
    with empty_engine.connect() as db:
        assert db.scalar(text("select count(*) from stripe.customers where email is null")) == 0


def test_a_user_who_may_not_make_schemas_is_told_what_to_grant(empty_database_url: str) -> None:
    role = f"poor_{uuid.uuid4().hex[:8]}"
    owner = open_engine(empty_database_url)
    poor = open_engine(owner.url.set(username=role, password="poor").render_as_string(hide_password=False))
    with owner.begin() as db:
        db.execute(text(f"create role {role} login password 'poor'"))
    try:
        with pytest.raises(ConfigurationError, match=f'grant create on database "{owner.url.database}" to "{role}"'):
            migrate(poor)
        with owner.begin() as db:
            db.execute(text(f'grant create on database "{owner.url.database}" to {role}'))
        assert migrate(poor).before == ""
    finally:
        poor.dispose()
        with owner.begin() as db:
            db.execute(text(f"drop owned by {role} cascade"))
            db.execute(text(f"drop role {role}"))
        owner.dispose()


def test_an_index_whose_building_was_broken_off_is_built_anew(empty_engine: Engine) -> None:
    with revisions.alone(empty_engine) as connection:
        revisions.upgrade(connection, to="0005")
    valid = text("select indisvalid from pg_index where indexrelid = 'tidegate.inbox_polled'::regclass")
    with empty_engine.begin() as db:
        db.execute(text("update tidegate.alembic_version set version_num = '0004'"))
        db.execute(text("update pg_index set indisvalid = false where indexrelid = 'tidegate.inbox_polled'::regclass"))
    with empty_engine.connect() as reading, ThreadPoolExecutor(1) as pool:
        # As a backup would: the index waits for it, however long the lock_timeout of a session is.
        reading.execute(text("set transaction isolation level repeatable read"))
        reading.scalar(text("select count(*) from tidegate.inbox"))
        migrating = pool.submit(migrate, empty_engine)
        building = """
select count(*) from pg_stat_activity where query like '%index concurrently%inbox_polled%' and pid <> pg_backend_pid()
and wait_event_type = 'Lock'"""

        def waits() -> int | None:
            with empty_engine.connect() as looking:
                return looking.scalar(text(building))

        until(waits, "it waits for the reader")
        assert not migrating.done()
        reading.rollback()
        assert migrating.result(60).after == revisions.HEAD
    with empty_engine.connect() as db:
        assert db.scalar(valid) is True
        assert db.scalar(text("show lock_timeout")) == "5s"
