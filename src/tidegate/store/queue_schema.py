"""Procrastinate's tables in schema `tidegate`: installed once, then brought along when the package is upgraded."""

from importlib.metadata import version as installed_version
from typing import Any, LiteralString, cast

from packaging.version import Version
from sqlalchemy import Connection, Engine, text

from tidegate.store import migrate

FACT = "procrastinate"

# Rows of the queue live for seconds: a vacuum at the usual 20 % of the table would come far too late.
SETTINGS = """
alter table tidegate.procrastinate_jobs set (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
alter table tidegate.procrastinate_events set (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
alter table tidegate.procrastinate_periodic_defers set (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
"""


def is_current(engine: Engine) -> bool:
    """Whether the queue's tables are those of the installed Procrastinate, or of a newer one."""
    with engine.connect() as connection:
        return _stored(connection) >= _installed()


def reconcile(connection: Connection) -> bool:
    """Installs the queue's tables, or runs the migrations that Procrastinate's package brought since; true if it did.

    A database knows the version of the package that changed it last (`schema_facts`), and Procrastinate names a
    migration after the version that needs it. The caller holds the schema lock and commits.
    """
    before, now = _stored(connection), _installed()
    if before >= now:
        return False
    connection.execute(text("set local search_path = tidegate"))
    if before == Version("0"):
        from procrastinate.schema import SchemaManager

        run_script(connection, SchemaManager.get_schema())
        run_script(connection, SETTINGS)
    else:
        for script in _migrations_after(before):
            run_script(connection, script)
    migrate.set_fact(connection, FACT, str(now))
    return True


def run_script(connection: Connection, script: str) -> None:
    """Runs SQL statements as they stand, in the connection's transaction: no word of them is taken for a parameter."""
    driver: Any = connection.connection.driver_connection
    driver.execute(cast(LiteralString, script))


def _installed() -> Version:
    return Version(installed_version("procrastinate"))


def _stored(connection: Connection) -> Version:
    return Version(migrate.fact(connection, FACT) or "0")


def _migrations_after(before: Version) -> list[str]:
    """The package's migration scripts that are newer than `before`, oldest first."""
    from procrastinate.schema import migrations_path

    scripts = sorted(migrations_path.glob("*.sql"))
    return [path.read_text(encoding="utf-8") for path in scripts if Version(path.name.split("_")[0]) > before]
