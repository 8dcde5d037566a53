"""The works that crash tests kill: children that import, sweep or audit an account, drain an inbox, run a task, adopt a
policy of revenue, count usage or fire actions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi  # noqa: F401  (loaded here, so that no child has to)
import duckdb  # noqa: F401
import pyarrow  # noqa: F401
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401
from tests.support import killed_syncs, killing

from tidegate.outbound.selling.wish import Wish
from tidegate.revenue import expression  # noqa: F401  (as above)
from tidegate.settings import Settings
from tidegate.store.engine import open_engine
from tidegate.stripe_api import transport  # noqa: F401  (as above)
from tidegate.wiring import Hub
from tidegate.workflows import tasks
from tidegate.workflows.delivery.deliver import deliver
from tidegate.workflows.entitlements.entitlements import Use, use
from tidegate.workflows.lifecycle import lifecycle
from tidegate.workflows.mirror.audit import audit
from tidegate.workflows.mirror.import_account import ImportOptions, import_account
from tidegate.workflows.mirror.ingest_events import drain
from tidegate.workflows.mirror.sweep import sweep
from tidegate.workflows.operation.rotate_secrets import rotate_secrets
from tidegate.workflows.revenue import ledger_policy
from tidegate.workflows.selling import sell


@contextmanager
def opened(database_url: str, secret_key: str) -> Iterator[Hub]:
    engine = open_engine(database_url)
    hub = Hub(Settings(database_url=database_url, secret_key=secret_key), engine)  # pyright: ignore[reportArgumentType]
    yield hub
    hub.close()
    engine.dispose()


def import_(database_url: str, secret_key: str, connection: str, readers: int) -> None:
    with opened(database_url, secret_key) as hub:
        account = hub.account(connection)
        with hub.stripe(account) as api:
            summary = import_account(hub.engine, account, api, ImportOptions(readers=readers))
    assert summary["state"] == "done", summary


def drain_(database_url: str, secret_key: str, connection: str) -> None:
    with opened(database_url, secret_key) as hub:
        account = hub.account(connection)
        with hub.stripe(account) as api:
            drained = drain(hub.engine, account, api)
    assert not drained.failed, drained.failed
    assert not drained.refetch_error, drained.refetch_error


def sweep_(database_url: str, secret_key: str, connection: str, readers: int) -> None:
    with opened(database_url, secret_key) as hub:
        account = hub.account(connection)
        with hub.stripe(account) as api:
            summary = sweep(hub.engine, account, api, readers=readers)
    assert summary["state"] == "done", summary


def audit_(database_url: str, secret_key: str, connection: str) -> None:
    with opened(database_url, secret_key) as hub:
        account = hub.account(connection)
        with hub.stripe(account) as api:
            assert audit(hub.engine, account, api)["clean"]


def rotate_(database_url: str, secret_key: str, home: str) -> None:
    with opened(database_url, secret_key) as hub:
        rotate_secrets(hub.engine, secret_key, Path(home), "cli:test")


def sync_(database_url: str, secret_key: str, sync: str) -> None:
    with opened(database_url, secret_key) as hub:
        done = killed_syncs.send(hub, sync)
    assert done["failed"] == 0, done


def sell_(database_url: str, secret_key: str, contact: str, wish: dict[str, Any]) -> None:
    with opened(database_url, secret_key) as hub:
        doors = sell.Doors(hub.engine, hub.stripe, hub.stripe_writing)
        done = sell.carry_out(doors, hub.account("acme"), contact, Wish(**wish), "cli:ada", anyway=True)
    assert done["state"] == "done", done


def task(database_url: str, secret_key: str, name: str, arguments: dict[str, Any]) -> None:
    with opened(database_url, secret_key) as hub:
        tasks.TASKS[name](killed_syncs.context_of(hub), **arguments)


def adopt(database_url: str, secret_key: str, connection: str, choices: dict[str, str]) -> None:
    with opened(database_url, secret_key) as hub:
        ledger_policy.adopt(hub.engine, hub.account(connection), {"choices": choices}, "me")


def deliver_(database_url: str, secret_key: str) -> None:
    with opened(database_url, secret_key) as hub:
        deliver(hub.engine, hub.destination)


def act(database_url: str, secret_key: str, as_of: str) -> None:
    with opened(database_url, secret_key) as hub:
        lifecycle.keep(hub.engine, as_of=datetime.fromisoformat(as_of))


def consume(database_url: str, contact: str, key: str, amount: int) -> None:
    engine = open_engine(database_url, pool_size=1)
    [done] = use(engine, [Use(False, contact, "calls", "consume", amount, key)])
    assert isinstance(done, dict), done
    assert done["allowed"]
    engine.dispose()


WORKS = {
    "import": import_,
    "drain": drain_,
    "sweep": sweep_,
    "audit": audit_,
    "rotate": rotate_,
    "sync": sync_,
    "sell": sell_,
    "task": task,
    "adopt": adopt,
    "consume": consume,
    "deliver": deliver_,
    "act": act,
}

if __name__ == "__main__":
    killing.serve(WORKS)
