"""Connecting to a simulated Stripe and importing from it, in tests."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from tidegate.connections.accounts import Account
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.limits import LocalBudget
from tidegate.stripe_api.transport import Patience
from tidegate.wiring import Hub
from tidegate.workflows.mirror.connect import ConnectRequest, connect
from tidegate.workflows.mirror.import_account import ImportOptions, import_account

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

QUICK = Patience(sleep=lambda _seconds: None)
"""Retries without waiting."""
ONCE = Patience(tries=1)
"""No retries, for what heeds a worker's stop: that waits for it, whatever the patience."""


@contextmanager
def stripe(key: str, base: str | None, patience: Patience = QUICK) -> Generator[StripeApi]:
    """Stripe with a key and without limits."""
    api = StripeApi(key, base=base, budget=LocalBudget(0, 0), patience=patience)
    try:
        yield api
    finally:
        api.close()


def connected(hub: Hub, sandbox: "Sandbox", name: str = "acme", **request: Any) -> Account:
    """A connection to the sandbox, without limits of ours."""
    wanted = {"api_key": sandbox.key, "api_base": sandbox.url, "name": name, "rate": 0, "endpoint_rate": 0} | request
    return connect(hub.engine, hub.vault, ConnectRequest(**wanted), stripe, "cli:test")


def imported(hub: Hub, account: Account, *resources: str, key: str | None = None, **options: Any) -> dict[str, Any]:
    """The summary of an import of the connection; `stop` and `progress` go to the import, the rest to its options."""
    to_import = {name: options.pop(name) for name in ("stop", "progress") if name in options}
    with hub.stripe(account) if key is None else stripe(key, account.api_base) as api:
        chosen = ImportOptions(resources=resources, **options)
        return import_account(hub.engine, account, api, chosen, **to_import)


def stored(hub: Hub, name: str = "acme") -> dict[str, int]:
    """Live rows per table of schema `stripe`, with deleted customers under `customers_deleted`: named as the truth
    is.
    """
    from tidegate.mirror.tables import STRIPE_TABLES

    with hub.engine.connect() as db:
        counts = {
            table.name: db.scalar(
                text(f"select count(*) from stripe.{table.name} where connection = :c and deleted_at is null"),
                {"c": name},
            )
            for table in STRIPE_TABLES.values()
        }
        counts["customers_deleted"] = db.scalar(
            text("select count(*) from stripe.customers where connection = :c and deleted_at is not null"), {"c": name}
        )
    return {table: count or 0 for table, count in counts.items()}


def differences(hub: Hub, sandbox: "Sandbox", name: str = "acme") -> dict[str, tuple[int, int]]:
    """Where the mirror's counts differ from the sandbox's truth: (stored, true)."""
    have = stored(hub, name)
    return {table: (have.get(table, 0), n) for table, n in sandbox.truth().items() if have.get(table, 0) != n}
