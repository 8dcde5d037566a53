"""Hubs on copies of a prepared database, for tests whose works are killed, and what a mirror then differs by."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text
from tests.support import databases

from tidegate.settings import Settings
from tidegate.store.engine import open_engine
from tidegate.wiring import Hub
from tidegate.workflows.mirror.audit import audit

ALONE = """
select count(*) = 0 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"""
"""Whether nobody else is connected."""


SILENT = {"invoice_payments", "invoiceitems"}
"""Events do not tell all of these: a payment that is open (catching up reads it), an item that is put on an invoice. A
sweep finds them.
"""


def unlike_stripe(hub: Hub) -> dict[str, Any]:
    """What an audit finds wrong, by resource."""
    account = hub.account("acme")
    with hub.stripe(account) as api:
        verdicts = audit(hub.engine, account, api)["resources"]
    return {one["resource"]: one for one in verdicts if one["verdict"] != "equal" and one["resource"] not in SILENT}


def waits_for_a_row(db: Connection) -> bool:
    """Whether anybody waits for a row that another transaction, such as this one, has locked."""
    sql = "select exists (select from pg_locks l where not l.granted and l.locktype in ('transactionid', 'tuple'))"
    return bool(db.scalar(text(sql)))


@contextmanager
def copied(server_url: str, template: str) -> Iterator[str]:
    """The URL of a copy of a database that nobody is connected to, dropped afterwards."""
    name = f"tidegate_test_{uuid.uuid4().hex[:16]}"
    databases.create(server_url, name, template=template)
    try:
        yield databases.at(server_url, name)
    finally:
        databases.drop(server_url, name)


@contextmanager
def opened(url: str, secret_key: str) -> Iterator[Hub]:
    """A hub on a database."""
    engine = open_engine(url, pool_size=10)
    hub = Hub(Settings(database_url=url, secret_key=secret_key), engine)  # pyright: ignore[reportArgumentType]
    try:
        yield hub
    finally:
        hub.close()
        engine.dispose()
