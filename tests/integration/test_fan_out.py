"""A Connect platform: its accounts become connections with its key, come and go, and are let go of with it."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import text
from tests.support import queue
from tests.support.importing import connected, imported, stored
from tests.support.serving import serving

from tidegate.connections import accounts, problems, runs
from tidegate.connections.accounts import Account, Credentials
from tidegate.errors import (
    ConnectionDisconnected,
    ImportRunning,
    StripeBodyUnreadable,
    StripePermissionMissing,
    StripeRefused,
    UsageError,
)
from tidegate.mirror import inbox
from tidegate.mirror.inbox import Entry
from tidegate.sandbox.keys import Key
from tidegate.wiring import Hub
from tidegate.workflows import clock_tasks, connection_tasks
from tidegate.workflows.mirror.audit import audit
from tidegate.workflows.mirror.catch_up import catch_up
from tidegate.workflows.mirror.connect import ConnectRequest, connect
from tidegate.workflows.mirror.disconnect import count_for_purge, disconnect, purge
from tidegate.workflows.mirror.fan_out import FanOut, fan_out, look
from tidegate.workflows.mirror.ingest_events import drain
from tidegate.workflows.operation.status import status
from tidegate.workflows.task_context import TaskContext

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

pytestmark = pytest.mark.further

NEW = ["plat-blue-kiln", "plat-fernwood-studio"]


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


class Stripe:
    """A platform with two accounts, and what a test does to both sides."""

    def __init__(self, hub: Hub, sandbox: "Sandbox") -> None:
        self.hub, self.sandbox = hub, sandbox
        connected(hub, sandbox, "plat", webhook_secrets=("whsec_plat",))

    def fan_out(self, **options: Any) -> FanOut:
        account = self.hub.account("plat")
        with self.hub.stripe(account) as api:
            return fan_out(self.hub.engine, account, api, **options)

    def control(self, method: str, path: str, **body: Any) -> None:
        assert httpx.request(method, f"{self.sandbox.url}/__{path}", json=body or None).status_code == 200

    def named(self, name: str) -> Account:
        return self.hub.account(name)

    def company(self, name: str) -> Any:
        """What Stripe holds of the account of a connection."""
        assert self.sandbox.server is not None
        return self.sandbox.server.platform.connected[self.named(name).account].state

    def truth(self, name: str) -> dict[str, int]:
        headers = {"Stripe-Account": self.named(name).account}
        return httpx.get(f"{self.sandbox.url}/__truth", headers=headers).json()["counts"]

    def audit(self, name: str) -> dict[str, Any]:
        account = self.named(name)
        with self.hub.stripe(account) as api:
            return audit(self.hub.engine, account, api)

    def problems(self, name: str) -> list[str]:
        return [one["code"] for one in status(self.hub.engine, [name])["problems"]]

    def run(self, sql: str) -> list[Any]:
        with self.hub.engine.begin() as db:
            done = db.execute(text(sql))
            return list(done.scalars()) if done.returns_rows else []


@pytest.fixture
def platform(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> Stripe:
    return Stripe(hub, make_sandbox(customers=4, months=1, connected=2))


def names(hub: Hub, *, connected: bool = False) -> list[str]:
    with hub.engine.connect() as db:
        return [one.name for one in accounts.every(db, connected=connected)]


def test_every_account_becomes_a_connection_with_the_platforms_key(platform: Stripe) -> None:
    account = platform.named("plat")
    with platform.hub.stripe(account) as api:
        seen = look(platform.hub.engine, account, api)
    assert sorted(seen.names("new")) == NEW
    assert names(platform.hub) == ["plat"], "looking changes nothing"
    first = platform.fan_out()
    assert first == seen
    child = platform.named("plat-blue-kiln")
    assert (child.platform, child.display_name, child.livemode, child.sandbox) == ("plat", "Blue Kiln", False, True)
    assert (child.rate, child.api_base) == (account.rate, account.api_base)
    assert sorted(queue.jobs(platform.hub.engine)) == [("import_account", name, "todo") for name in NEW]
    assert platform.named("plat").fan_out_at is not None
    again = platform.fan_out()
    assert sorted(again.names("connected")) == NEW, "and keeps its name"
    assert [one["verdict"] for one in again.as_json()["accounts"]] == ["connected", "connected"]
    assert names(platform.hub) == ["plat", *NEW]


@pytest.mark.wide
def test_two_accounts_imported_at_once_are_each_a_mirror_of_its_own(platform: Stripe) -> None:
    platform.fan_out()
    with ThreadPoolExecutor(3) as side_by_side:
        done = list(side_by_side.map(lambda name: imported(platform.hub, platform.named(name)), ["plat", *NEW]))
    assert [one["state"] for one in done] == ["done"] * 3
    for name in NEW:
        kept, true = stored(platform.hub, name), platform.truth(name)
        assert {table: n for table, n in true.items() if kept.get(table, 0) != n} == {}
        assert kept["accounts"] == 1
    assert [platform.audit(name)["clean"] for name in ("plat", *NEW)] == [True] * 3
    ids = platform.run("select id from stripe.customers")
    assert len(ids) == len(set(ids)), "no customer of one in the mirror of another"


def test_an_accounts_own_events_are_caught_up(platform: Stripe) -> None:
    platform.fan_out()
    name = NEW[0]
    imported(platform.hub, platform.named(name))
    company = platform.company(name)
    changed = company.full("customers", company["customers"].ids[0]) | {"name": "Renamed"}
    platform.sandbox.call(lambda: company.put(changed, "customer.updated"))
    account = platform.named(name)
    with platform.hub.stripe(account) as api:
        assert catch_up(platform.hub.engine, account, api)["seen"] > 0
    assert platform.run("select name from stripe.customers where name = 'Renamed'") == ["Renamed"]
    assert platform.audit(name)["clean"]


def test_an_account_that_is_gone_is_disconnected_and_comes_back(platform: Stripe) -> None:
    platform.fan_out()
    name, other = NEW
    imported(platform.hub, platform.named(name), "customers")
    account = platform.named(name)
    platform.control("DELETE", f"connected/{account.account}")
    with platform.hub.stripe(account) as api, pytest.raises(StripeRefused):
        catch_up(platform.hub.engine, account, api)
    assert platform.fan_out().names("gone") == [name]
    assert platform.named(name).disconnected_at is not None
    assert platform.problems(name) == ["account_gone"]
    assert "account_gone" not in platform.problems(other)
    assert stored(platform.hub, name)["customers"] > 0, "its data stays"
    with pytest.raises(ConnectionDisconnected), platform.hub.stripe(account):
        pass
    assert platform.fan_out().names("gone") == [], "once is enough"
    platform.control("POST", f"connected/{account.account}")
    assert platform.fan_out().names("again") == [name]
    assert platform.named(name).disconnected_at is None
    assert not {"account_gone", "oauth_revoked"} & set(platform.problems(name))


def test_what_a_person_disconnected_stays_out_until_a_person_asks(platform: Stripe) -> None:
    platform.fan_out()
    assert disconnect(platform.hub.engine, NEW[0], "cli:test").left_out
    assert platform.problems(NEW[0]) == []
    assert platform.fan_out().names("left_out") == [NEW[0]]
    assert names(platform.hub, connected=True) == ["plat", NEW[1]]
    assert platform.fan_out(actor="cli:test").names("again") == [NEW[0]]
    assert not platform.named(NEW[0]).left_out


def test_an_account_with_a_key_of_its_own_is_left_as_it_is(platform: Stripe) -> None:
    assert platform.sandbox.server is not None
    (first, *_) = platform.sandbox.server.platform.connected
    values = {"name": "direct", "account": first, "livemode": False, "api_base": platform.sandbox.url}
    with platform.hub.engine.begin() as db:
        values |= {"rate": 0, "endpoint_rate": 0}
        accounts.save(db, values, Credentials("sk_test_1", "", ()), platform.hub.vault)
    done = platform.fan_out()
    assert done.names("elsewhere") == ["direct"]
    assert len(done.names("new")) == 1
    assert platform.named("direct").platform is None


def test_names_that_clash_get_a_number_and_odd_ones_are_spelt_plainly(platform: Stripe) -> None:
    assert platform.sandbox.server is not None
    companies = [one.state for one in platform.sandbox.server.platform.connected.values()]
    for company, called in zip(companies, ("Åé & Co. — 北京", "!!!"), strict=True):
        account = company.full("accounts", company["accounts"].ids[0])
        account["business_profile"]["name"] = called
        platform.sandbox.call(lambda company=company, account=account: company.put(account))
    queue.connect(platform.hub.engine, "plat-co")
    done = {one.display_name: one for one in platform.fan_out().accounts}
    assert done["Åé & Co. — 北京"].connection == "plat-co-2"
    assert done["!!!"].connection == f"plat-{done['!!!'].account.lower()}"


def test_a_disconnected_platform_takes_its_accounts_along_and_brings_them_back(platform: Stripe) -> None:
    platform.fan_out()
    disconnect(platform.hub.engine, NEW[0], "cli:test")
    disconnect(platform.hub.engine, "plat", "cli:test")
    assert names(platform.hub, connected=True) == []
    context = TaskContext(platform.hub.engine, platform.hub.stripe)
    assert connection_tasks.fan_out(context, "plat")["state"] == "no platform"
    connected(platform.hub, platform.sandbox, "plat")
    done = platform.fan_out()
    assert (done.names("again"), done.names("left_out")) == ([NEW[1]], [NEW[0]])


def test_a_purged_platform_takes_its_accounts_along(platform: Stripe) -> None:
    platform.fan_out()
    for name in NEW:
        imported(platform.hub, platform.named(name), "customers")
    counts = count_for_purge(platform.hub.engine, "plat")
    assert counts["stripe.customers"] == sum(platform.truth(name)["customers"] for name in NEW)
    with runs.exclusive(platform.hub.engine, NEW[1], "import"), pytest.raises(ImportRunning, match=NEW[1]):
        purge(platform.hub.engine, "plat", "cli:test")
    assert names(platform.hub) == ["plat", *NEW]
    assert purge(platform.hub.engine, "plat", "cli:test") == counts
    assert names(platform.hub) == []
    assert platform.run("select count(*) from stripe.customers") == [0]


def test_a_purge_forgets_the_budget_unless_another_connection_uses_it(platform: Stripe) -> None:
    connected(platform.hub, platform.sandbox, "twin", rate=500, endpoint_rate=500)
    connected(platform.hub, platform.sandbox, "plat", rate=900, endpoint_rate=900)
    with platform.hub.stripe(platform.named("plat")) as one, platform.hub.stripe(platform.named("twin")) as two:
        one.get("/v1/account")
        two.get("/v1/account")
    budgets = platform.run("select connection || ' ' || ceiling from rate_budget where endpoint = ''")
    assert budgets == [f"{platform.named('plat').budget} 500"], "one for both, and the lower of the two"
    purge(platform.hub.engine, "twin", "cli:test")
    assert platform.run("select count(*) from rate_budget") == [2]
    purge(platform.hub.engine, "plat", "cli:test")
    assert platform.run("select count(*) from rate_budget") == [0]


def test_a_new_key_and_base_of_the_platform_hold_for_its_accounts(platform: Stripe) -> None:
    platform.fan_out()
    for name in NEW:
        imported(platform.hub, platform.named(name), "customers")
        platform.run(f"insert into tidegate.problems (connection, code) values ('{name}', 'key_invalid')")
        assert "key_invalid" in platform.problems(name)
    connected(platform.hub, platform.sandbox, "plat", rate=40, endpoint_rate=20)
    for name in NEW:
        assert "key_invalid" not in platform.problems(name), "that was the key before"
        assert (platform.named(name).rate, platform.named(name).endpoint_rate) == (40, 20)


def test_an_account_that_gets_a_key_of_its_own_is_the_platforms_no_more(platform: Stripe) -> None:
    platform.fan_out()
    account = platform.named(NEW[0])
    base = platform.sandbox.url

    def opening(key: str, _base: str | None) -> Any:
        return platform.hub.stripe(account)

    connect(platform.hub.engine, platform.hub.vault, ConnectRequest("sk_test_own", api_base=base), opening, "cli:test")
    assert platform.named(NEW[0]).platform is None, "found by its account, and keeps its name and data"
    with platform.hub.engine.connect() as db:
        assert accounts.credentials(db, NEW[0], platform.hub.vault).api_key == "sk_test_own"
    assert platform.fan_out().names("elsewhere") == [NEW[0]]


def test_an_account_cannot_be_fanned_out(platform: Stripe) -> None:
    platform.fan_out()
    child = platform.named(NEW[0])
    with platform.hub.stripe(child) as api, pytest.raises(UsageError, match="account of the platform plat"):
        fan_out(platform.hub.engine, child, api)


def test_a_key_that_may_not_list_accounts_is_a_problem_and_tried_in_an_hour(platform: Stripe) -> None:
    platform.fan_out()
    assert platform.sandbox.server is not None
    ring = platform.sandbox.server.keys
    platform.sandbox.call(lambda: ring.add(Key(platform.sandbox.key, {"customers": "read"})))
    with pytest.raises(StripePermissionMissing):
        platform.fan_out()
    assert "permission_missing" in platform.problems("plat")
    soon = "select fan_out_at between now() and now() + interval '1 h' from connections where name = 'plat'"
    assert platform.run(soon) == [True]
    assert names(platform.hub, connected=True) == ["plat", *NEW], "nobody is taken for gone"
    platform.sandbox.call(lambda: ring.add(Key(platform.sandbox.key)))
    platform.fan_out()
    assert "permission_missing" not in platform.problems("plat")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"data": [{"id": "acct_1", "object": "account"}], "has_more": True}, "does not move on"),
        ({"data": [], "has_more": True}, "does not move on"),
        ({"data": [{"object": "account"}], "has_more": False}, "without an id"),
    ],
)
def test_a_list_from_which_nobody_can_tell_who_is_gone_changes_nothing(
    platform: Stripe, answer: dict[str, Any], told: str
) -> None:
    platform.fan_out()

    async def other(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    with serving(other) as url:
        platform.run(f"update connections set api_base = '{url}' where name = 'plat'")
        with pytest.raises(StripeBodyUnreadable, match=told):
            platform.fan_out()
    assert names(platform.hub, connected=True) == ["plat", *NEW]


@pytest.fixture
def context(platform: Stripe) -> TaskContext:
    return TaskContext(platform.hub.engine, platform.hub.stripe)


def rung(context: TaskContext) -> list[str]:
    return [one for one in clock_tasks.tick(context, 60) if one.startswith("fan_out")]


def test_a_worker_looks_once_a_day_and_when_an_event_says_so(platform: Stripe, context: TaskContext) -> None:
    assert rung(context) == [], "it is no platform yet"
    platform.fan_out()
    assert rung(context) == []
    platform.run("update connections set fan_out_at = now() - interval '1 s' where name = 'plat'")
    assert rung(context) == ["fan_out:plat"]
    platform.control("POST", "connected")
    assert len(connection_tasks.fan_out(context, "plat")["accounts"]) == 3
    assert len(names(platform.hub)) == 4
    queue.empty_jobs(platform.hub.engine)
    assert rung(context) == []
    _tell(platform.hub, "plat", "evt_auth", "account.application.deauthorized", account="acct_x")
    assert connection_tasks.drain(context, "plat")["handled"] == 1
    assert [job for job in queue.jobs(platform.hub.engine) if job[0] == "fan_out"] == [("fan_out", "plat", "todo")]
    queue.empty_jobs(platform.hub.engine)
    assert rung(context) == ["fan_out:plat"], "a lost ring costs a minute"
    with platform.hub.engine.begin() as db:
        problems.note(db, "plat", "key_invalid", "revoked")
    queue.empty_jobs(platform.hub.engine)
    assert rung(context) == []
    assert "fan_out:plat" in clock_tasks.tick(context, 3600)


def test_an_event_of_another_account_changes_nothing_of_this_one(platform: Stripe) -> None:
    body = {"id": "cus_theirs", "object": "customer", "created": 1_788_000_000}
    _tell(platform.hub, "plat", "evt_theirs", "customer.created", body, account="acct_theirs")
    account = platform.named("plat")
    with platform.hub.stripe(account) as api:
        drained = drain(platform.hub.engine, account, api)
    assert drained.skipped == {"about another account: acct_theirs": 1}
    assert platform.run("select count(*) from stripe.customers") == [0]


def _tell(hub: Hub, name: str, event: str, kind: str, body: dict[str, Any] | None = None, **facts: Any) -> None:
    told = {"id": event, "object": "event", "type": kind, "created": 1_788_000_000, "livemode": False}
    told |= {"data": {"object": body or {"id": "ca_1", "object": "application"}}} | facts
    with hub.engine.begin() as db:
        inbox.keep(db, [Entry(name, event, kind, 1_788_000_000, "webhook", json.dumps(told))])
