"""An import while the account changes under its reading, is stopped, or shows only a part: what it says is so."""

import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from sqlalchemy import text
from tests.support.importing import QUICK, connected, differences, imported

from tidegate.connections.accounts import Account
from tidegate.stripe_api.calls import Answer
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.limits import LocalBudget
from tidegate.wiring import Hub
from tidegate.workflows.import_account import ImportOptions, import_account

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

MakeSandbox = Callable[..., "Sandbox"]
Before = Callable[[str, Mapping[str, Any]], None]
T = TypeVar("T")


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module imports into a database of its own."""
    return fresh_database_url


class Watched(StripeApi):
    """Stripe, with something done before each request (path, parameters)."""

    before: Before

    def get(self, path: str, params: Mapping[str, Any] | None = None, *, interactive: bool = False) -> Answer:
        self.before(path, params or {})
        return super().get(path, params, interactive=interactive)

    def read(
        self,
        path: str,
        decode: Callable[[bytes], T],
        params: Mapping[str, Any] | None = None,
        *,
        interactive: bool = False,
    ) -> tuple[T, Answer]:
        self.before(path, params or {})
        return super().read(path, decode, params, interactive=interactive)


def imported_while(hub: Hub, account: Account, key: str, before: Before, *resources: str) -> dict[str, Any]:
    """The summary of an import with few readers during which `before` is called before each request."""
    with closing(Watched(key, base=account.api_base, budget=LocalBudget(), patience=QUICK)) as api:
        api.before = before
        return import_account(hub.engine, account, api, ImportOptions(resources=resources, readers=2))


def requests_of(hub: Hub, account: Account, key: str) -> tuple[dict[str, Any], list[str]]:
    paths: list[str] = []
    return imported_while(hub, account, key, lambda path, _: paths.append(path)), paths


def names_missing_prices(hub: Hub) -> int:
    with hub.engine.connect() as db:
        query = "select count(*) from stripe.subscription_items i left join stripe.prices p on p.id = i.price"
        return db.scalar(text(f"{query} where p.id is null")) or 0


def test_a_stop_after_the_last_page_leaves_an_import_that_goes_on(hub: Hub, make_sandbox: MakeSandbox) -> None:
    account = connected(hub, make_sandbox(customers=30))
    stop = threading.Event()
    first = imported(hub, account, "subscriptions", stop=stop, progress=lambda told: stop.set() if told.done else None)
    assert first["state"] == "interrupted"
    assert names_missing_prices(hub) > 0
    second = imported(hub, account, "subscriptions")
    assert (second["state"], second["resumed"], second["pages"]) == ("done", True, first["pages"])
    assert names_missing_prices(hub) == 0


def test_what_a_key_may_not_list_is_not_asked_for_one_by_one(hub: Hub, make_sandbox: MakeSandbox) -> None:
    from tidegate.sandbox.keys import Key

    sandbox = make_sandbox(customers=40)
    assert sandbox.server is not None
    ring = sandbox.server.keys
    names = [resource for resource in sandbox.state.collections if resource not in {"customers", "products"}]
    sandbox.call(lambda: ring.add(Key("rk_test_some", dict.fromkeys(names, "read"))))
    summary, paths = requests_of(hub, connected(hub, sandbox, api_key="rk_test_some"), "rk_test_some")
    assert summary["state"] == "incomplete"
    assert set(summary["problems"]) == {"customers", "products"}
    assert {path for path in paths if path.startswith(("/v1/customers", "/v1/products"))} == {
        "/v1/customers",
        "/v1/products",
    }
    assert set(differences(hub, sandbox)) <= {"customers", "customers_deleted", "products", "product_features"}
