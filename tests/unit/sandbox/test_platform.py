"""The sandbox as a Connect platform: connected accounts are listed, reached by header, limited and told apart."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.sdk_schema import problems

from tidegate.errors import ConfigurationError
from tidegate.sandbox.config import SandboxConfig


@pytest.fixture
def platform(make_api: Callable[..., Any]) -> Any:
    return make_api(customers=5, months=1, connected=3)


def connected(platform: Any) -> list[str]:
    return [one["id"] for one in platform.get("/v1/accounts?limit=100")["data"]]


def test_accounts_are_listed_in_pages_without_the_platforms_own(platform: Any) -> None:
    page = platform.get("/v1/accounts?limit=2")
    assert problems(page) == []
    assert (len(page["data"]), page["has_more"]) == (2, True)
    rest = platform.get(f"/v1/accounts?limit=2&starting_after={page['data'][-1]['id']}")
    assert (len(rest["data"]), rest["has_more"]) == (1, False)
    own = platform.get("/v1/account")["id"]
    found = connected(platform)
    assert len(set(found)) == 3
    assert own not in found
    names = {platform.get(f"/v1/accounts/{one}")["business_profile"]["name"] for one in found}
    assert len(names) == 3
    assert platform.get("/__truth")["counts"]["accounts"] == 1


def test_the_header_leads_to_a_company_of_its_own(platform: Any) -> None:
    own, *others = [platform.get("/v1/account")["id"], *connected(platform)]
    seen = {one["id"] for one in platform.get("/v1/customers?limit=100")["data"]}
    for account in others:
        assert platform.get("/v1/account", account=account)["id"] == account
        customers = {one["id"] for one in platform.get("/v1/customers?limit=100", account=account)["data"]}
        assert customers
        assert not customers & seen
        seen |= customers
        assert platform.get("/v1/accounts", account=account)["data"] == []
        assert platform.get("/__truth", account=account)["counts"]["customers"] == len(customers)
    assert platform.get("/v1/account", account=own)["id"] == own


def test_an_account_that_is_not_connected_is_refused_as_stripe_does(platform: Any) -> None:
    for asked in (platform.ask("/v1/customers", account="acct_x"), platform.ask("/v1/accounts/acct_x")):
        assert asked.status == 403
        assert asked.json["error"]["code"] == "account_invalid"
        assert "does not have access to account 'acct_x'" in asked.json["error"]["message"]
        assert platform.server.config.key not in asked.json["error"]["message"]
    assert platform.ask("/v1/customers", account="acct_x", key="sk_test_nobodyknows9876").status == 401
    assert platform.ask("/__truth", account="acct_x").status == 403


def test_every_account_has_limits_of_its_own(make_api: Callable[..., Any]) -> None:
    platform = make_api(customers=3, months=1, connected=1, rate=2)
    (account,) = platform.server.platform.connected
    assert [platform.ask("/v1/customers").status for _ in range(3)] == [200, 200, 429]
    assert [platform.ask("/v1/customers", account=account).status for _ in range(3)] == [200, 200, 429]
    assert platform.get("/__stats")["total"] == 3
    stats = platform.get("/__stats", account=account)
    assert (stats["total"], stats["limited"]["global-rate"], stats["statuses"]) == (3, 1, {"200": 2, "429": 1})


def test_all_accounts_keep_one_time(platform: Any) -> None:
    account = connected(platform)[0]
    for whose in ("", account):
        platform.ask("/__clock", method="POST", json={"advance_seconds": 86_400}, account=whose)
        times = {platform.get("/__clock", account=one)["now"] for one in ("", *connected(platform))}
        assert len(times) == 1
    start = SandboxConfig().as_of
    assert times == {start + 2 * 86_400}


def test_access_is_revoked_and_given_again(platform: Any) -> None:
    account = connected(platform)[0]
    assert platform.ask(f"/__connected/{account}", method="DELETE").json == {"id": account, "connected": False}
    assert platform.ask("/v1/customers", account=account).status == 403
    assert account not in connected(platform)
    platform.ask("/__clock", method="POST", json={"advance_seconds": 60})
    assert platform.ask(f"/__connected/{account}", method="POST").json["connected"] is True
    assert platform.get("/__clock", account=account) == platform.get("/__clock")
    told = [event["type"] for event in platform.get("/v1/events?limit=100", account=account)["data"]]
    assert {"account.application.authorized", "account.application.deauthorized"} <= set(told)
    new = platform.ask("/__connected", method="POST").json["id"]
    assert len(platform.ask("/__connected").json) == len(connected(platform)) == 4
    assert platform.get("/v1/account", account=new)["id"] == new
    for method in ("DELETE", "POST"):
        assert platform.ask("/__connected/acct_x", method=method).status == 404
    assert platform.ask("/__connected/acct_x", method="PUT").status == 404


def test_a_negative_number_of_accounts_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="connected"):
        SandboxConfig(connected=-1)
