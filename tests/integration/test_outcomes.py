"""What stands between an account and its mirror: the rest is read, and status says what is missing."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.importing import imported
from tests.support.live import Live

from tidegate.sandbox.faults import Aimed
from tidegate.wiring import Hub
from tidegate.workflows.operation.status import status

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

pytestmark = pytest.mark.further

MakeSandbox = Callable[..., "Sandbox"]


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


def problems(live: Live) -> dict[str, Any]:
    """What status says is wrong with the connection, by code."""
    return {one["code"]: one for one in status(live.hub.engine)["connections"][0]["problems"]}


@pytest.mark.wide
def test_an_account_that_is_not_activated_is_imported_and_said_to_be(hub: Hub, make_sandbox: MakeSandbox) -> None:
    live = Live(hub, make_sandbox(customers=10, months=2, livemode=True, activated=False))
    assert imported(hub, live.account)["state"] == "done"
    assert live.audit()["clean"]
    (code,) = problems(live)
    assert code == "account_not_activated"
    assert "may not take payments" in problems(live)[code]["detail"]
    account = live.full("accounts") | {"charges_enabled": True, "details_submitted": True}
    live.put(account, "account.updated")
    live.sandbox.advance(120)
    live.catch_up()
    assert problems(live) == {}


@pytest.mark.parametrize(
    "path",
    ["/v1/customers", *(pytest.param(one, marks=pytest.mark.wide) for one in ("/v1/quotes", "/v1/subscriptions"))],
)
@pytest.mark.wide
def test_an_audit_of_a_list_that_never_ends_says_so_and_compares_the_rest(
    hub: Hub, make_sandbox: MakeSandbox, path: str
) -> None:
    live = Live(hub, make_sandbox(customers=160, months=2))
    imported(hub, live.account)
    assert live.sandbox.server is not None
    faults = live.sandbox.server.faults
    live.sandbox.call(lambda: faults.aimed.append(Aimed(path, "never_ending", None)))
    verdicts = {one["resource"]: one for one in live.audit()["resources"]}
    unlike = [name for name, one in verdicts.items() if one["verdict"] != "equal"]
    assert unlike == [path.removeprefix("/v1/")]
    one = verdicts[unlike[0]]
    assert (one["verdict"], sum(one["counts"].values())) == ("not_compared", 0)
    assert path in one["error"]
    live.sandbox.call(faults.aimed.clear)
    assert live.audit()["clean"]
