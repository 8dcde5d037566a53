"""An import while the account changes under its reading, is stopped, or shows only a part: what it says is so."""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from sqlalchemy import text
from tests.support.hubs import waits_for_a_row
from tests.support.importing import QUICK, connected, differences, imported, stored
from tests.support.replies import changed
from tests.support.waiting import until

from tidegate.connections import runs
from tidegate.connections.accounts import Account
from tidegate.errors import ImportTakenOver, StripeCursorGone, StripeRefused
from tidegate.mirror import refetches
from tidegate.mirror.forgetting import forget
from tidegate.mirror.settle import settle
from tidegate.stripe_api.calls import Answer, Patience
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.limits import LocalBudget
from tidegate.stripe_api.resources import RESOURCES
from tidegate.wiring import Hub
from tidegate.workflows.mirror.audit import audit
from tidegate.workflows.mirror.import_account import ImportOptions, import_account

if TYPE_CHECKING:
    from tidegate.sandbox.answers import Request
    from tidegate.sandbox.http import Reply
    from tidegate.sandbox.server import Sandbox

pytestmark = pytest.mark.further

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
    sandbox = make_sandbox(customers=30)
    account, stop = connected(hub, sandbox), threading.Event()

    def stop_at_the_first_look(request: "Request", _reply: "Reply") -> None:
        if request.path.startswith("/v1/prices/"):
            stop.set()

    restore = changed(sandbox, stop_at_the_first_look)
    first = imported(hub, account, "subscriptions", stop=stop)
    restore()
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
    assert summary["state"] == "done"
    assert set(summary["problems"]) == {"customers", "products"}
    assert set(summary["left_out"]) == {"customers", "products", "product_features"}
    assert {path for path in paths if path.startswith(("/v1/customers", "/v1/products"))} == {
        "/v1/customers",
        "/v1/products",
    }
    assert set(differences(hub, sandbox)) <= {"customers", "customers_deleted", "products", "product_features"}


def deleting(sandbox: "Sandbox", resource: str, which: Callable[[str, Mapping[str, Any]], str | None]) -> Before:
    """Deletes, without an event, the first object that `which` names for a request (path, parameters)."""
    gone: list[str] = []

    def before(path: str, params: Mapping[str, Any]) -> None:
        if not gone and (id_ := which(path, params)):
            gone.append(id_)
            sandbox.call(lambda: sandbox.state.delete(resource, id_, None))

    return before


def cursor_of(list_: str) -> Callable[[str, Mapping[str, Any]], str | None]:
    return lambda path, params: params.get("starting_after") if path == list_ else None


@pytest.mark.parametrize("resource", ["payment_methods", "invoices"])
def test_a_list_whose_cursor_was_deleted_is_read_on(hub: Hub, make_sandbox: MakeSandbox, resource: str) -> None:
    sandbox = make_sandbox(customers=150)
    account = connected(hub, sandbox)
    before = deleting(sandbox, resource, cursor_of(f"/v1/{resource}"))
    summary = imported_while(hub, account, sandbox.key, before, resource)
    assert (summary["state"], summary["problems"]) == ("done", {})
    have, truth = differences(hub, sandbox)[resource]
    assert have == truth + 1, "the deleted one was read before, and only an event or an audit can tell"


@pytest.mark.wide
def test_an_object_that_goes_while_its_list_is_followed_is_no_problem(hub: Hub, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(customers=100)
    account = connected(hub, sandbox)

    def parent(path: str, _: Mapping[str, Any]) -> str | None:
        return path.split("/")[3] if path.endswith("/lines") else None

    summary = imported_while(hub, account, sandbox.key, deleting(sandbox, "invoices", parent), "invoices")
    assert (summary["state"], summary["problems"]) == ("done", {})
    assert "invoices" not in differences(hub, sandbox), "looked at once more and buried"


@pytest.mark.wide
def test_an_item_that_goes_while_its_list_is_followed_is_no_problem(hub: Hub, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(customers=100)
    account = connected(hub, sandbox)
    gone = StripeCursorGone(
        endpoint="GET /v1/subscription_items", status=400, code="resource_missing", param="starting_after",
        message="No such subscription item.", request_id="req_1", tries=1,
    )  # fmt: skip
    raised: list[bool] = []

    def before(path: str, _: Mapping[str, Any]) -> None:
        if path == "/v1/subscription_items" and not raised:
            raised.append(True)
            raise gone

    summary = imported_while(hub, account, sandbox.key, before, "subscriptions")
    assert raised
    assert (summary["state"], summary["problems"]) == ("done", {})
    assert differences(hub, sandbox).keys().isdisjoint({"subscriptions", "subscription_items"})


def test_a_parent_that_goes_before_its_list_is_read_is_buried(hub: Hub, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(customers=20)
    account = connected(hub, sandbox)

    def product(path: str, _: Mapping[str, Any]) -> str | None:
        return path.split("/")[3] if path.endswith("/features") and path.startswith("/v1/products/") else None

    summary = imported_while(hub, account, sandbox.key, deleting(sandbox, "products", product))
    assert (summary["state"], summary["problems"]) == ("done", {})
    assert "products" not in differences(hub, sandbox)


def test_ids_that_people_chose_may_hold_anything(hub: Hub, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(customers=20)
    account = connected(hub, sandbox)
    for id_ in ("pro/1", "50% off?", "a b#c", "{parent}", "ü"):
        product = {"id": id_, "object": "product", "created": 1_780_000_000, "name": id_, "active": True}
        sandbox.call(lambda product=product: sandbox.state.put(product))
    summary, paths = requests_of(hub, account, sandbox.key)
    assert (summary["state"], summary["problems"]) == ("done", {})
    assert "/v1/products/50%25%20off%3F/features" in paths
    assert differences(hub, sandbox) == {}
    with hub.stripe(account) as api:
        assert audit(hub.engine, account, api, ["products", "product_features"])["clean"]


def later(sandbox: "Sandbox") -> None:
    """A minute passes in which nothing happens."""
    sandbox.state.clock.now += 60


def test_a_full_import_buries_what_went_without_an_event(hub: Hub, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(customers=40)
    account = connected(hub, sandbox)
    imported(hub, account)
    gone: dict[str, str] = {}
    with hub.engine.connect() as db:
        for resource in ("product_features", "coupons", "payment_methods"):
            gone[resource] = db.scalar(text(f"select min(id) from stripe.{resource} where deleted_at is null")) or ""
    for resource, id_ in gone.items():
        sandbox.call(lambda resource=resource, id_=id_: sandbox.state.delete(resource, id_, None))
    later(sandbox)
    assert imported(hub, account)["state"] == "done"
    assert differences(hub, sandbox).keys() == gone.keys(), "what no list shows may exist: only a full import looks"
    assert imported(hub, account, full=True)["state"] == "done"
    assert differences(hub, sandbox) == {}
    with hub.stripe(account) as api:
        assert audit(hub.engine, account, api)["clean"]


@pytest.mark.wide
def test_a_full_import_keeps_what_exists_in_no_list(
    hub: Hub, make_sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = make_sandbox(customers=40)
    account = connected(hub, sandbox)
    imported(hub, account)
    before = stored(hub)
    only_active = replace(RESOURCES["prices"], variants=({"active": "true"},))
    monkeypatch.setitem(RESOURCES, "prices", only_active)  # archived ones are in no list, as inline ones at Stripe
    later(sandbox)
    _, paths = requests_of(hub, account, sandbox.key)
    assert not any(path.startswith("/v1/prices/") for path in paths), "a plain import reads lists alone"
    later(sandbox)
    full = imported(hub, account, full=True)
    archived = sandbox.truth()["prices"] - len(active_prices(hub))
    assert archived > 0
    assert full["resources"]["prices"]["read"] == sandbox.truth()["prices"], "the archived ones by id"
    assert sum(counts["deleted"] for counts in full["resources"].values()) == 0
    assert stored(hub) == before


def active_prices(hub: Hub) -> list[str]:
    with hub.engine.connect() as db:
        return list(db.scalars(text("select id from stripe.prices where active")))


def test_an_import_that_another_process_took_up_ends_and_leaves_it_alone(hub: Hub, make_sandbox: MakeSandbox) -> None:
    """Its lock is a database session's: lost with that session, while its other sessions go on."""
    sandbox = make_sandbox(customers=150)
    account = connected(hub, sandbox)

    def taken_over(path: str, params: Mapping[str, Any]) -> None:
        if "starting_after" in params:
            with hub.engine.begin() as db:
                db.execute(text("update tidegate.runs set process = 'elsewhere:1'"))

    with pytest.raises(ImportTakenOver, match="acme"):
        imported_while(hub, account, sandbox.key, taken_over, "customers")
    with hub.engine.connect() as db:
        run = db.execute(text("select state, process from tidegate.runs")).one()
        mine = "resource = 'customers' and variant = 0"
        query = f"select sum(pages), bool_or(done) from tidegate.import_ranges where {mine}"
        kept = db.execute(text(query)).one()
    assert tuple(run) == ("running", "elsewhere:1")
    assert tuple(kept) == (1, False), "no page was stored after it was taken over"


def test_the_loss_of_the_lock_s_session_at_the_end_is_no_failure_of_the_work(hub: Hub) -> None:
    with runs.exclusive(hub.engine, "acme", "import") as alone, hub.engine.begin() as db:
        assert alone
        here = "database = (select oid from pg_database where datname = current_database())"
        held = f"select pid from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid() and {here}"
        assert db.scalars(text(f"select pg_terminate_backend(pid) from ({held}) l")).all() == [True]
    with runs.exclusive(hub.engine, "acme", "import") as alone:
        assert alone


def test_what_fails_for_a_while_is_told_from_what_is_refused(hub: Hub, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(customers=5)
    account = connected(hub, sandbox)

    def failing(error: StripeRefused) -> dict[str, Any]:
        def before(path: str, params: Mapping[str, Any]) -> None:
            if path == "/v1/coupons":
                raise error

        return imported_while(hub, account, sandbox.key, before, "coupons", "products")

    facts = {"endpoint": "GET /v1/coupons", "code": "-", "param": "", "message": "no", "request_id": "-", "tries": 8}
    for status, state in ((500, "incomplete"), (403, "done"), (404, "done")):
        summary = failing(StripeRefused(status=status, **facts))
        assert (summary["state"], set(summary["problems"])) == (state, {"coupons"})
        assert summary["left_out"] == ({} if state == "incomplete" else {"coupons": "refused"})
        assert summary["passing"] is True


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/quotes"])
def test_a_list_that_never_ends_is_a_failed_part(hub: Hub, make_sandbox: MakeSandbox, path: str) -> None:
    from tidegate.sandbox.faults import Aimed

    sandbox = make_sandbox(customers=160, months=3)
    assert sandbox.server is not None
    faults = sandbox.server.faults
    sandbox.call(lambda: faults.aimed.append(Aimed(path, "never_ending", None)))
    account = connected(hub, sandbox)
    summary = imported(hub, account)
    assert summary["state"] == "incomplete"
    assert list(summary["problems"]) == [path.removeprefix("/v1/")]
    sandbox.call(faults.aimed.clear)
    assert imported(hub, account)["state"] == "done"
    assert differences(hub, sandbox) == {}


def test_a_live_account_is_imported_whole_and_not_asked_for_test_clocks(hub: Hub, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(customers=45, months=3, livemode=True)
    account = connected(hub, sandbox)
    assert account.livemode
    assert imported(hub, account)["state"] == "done"
    assert differences(hub, sandbox) == {}
    assert not [endpoint for endpoint in sandbox.stats()["requests"] if "test_clocks" in endpoint]


def test_a_stop_gives_back_what_was_to_be_fetched(hub: Hub, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(customers=30, months=2)
    account = connected(hub, sandbox)
    imported(hub, account)
    stop = threading.Event()
    fetched: list[str] = []

    def before(path: str, _: Mapping[str, Any]) -> None:
        fetched.append(path)
        if len(fetched) == 3:
            stop.set()

    customers = [refetches.Ask(id_, "event") for id_ in sandbox.state["customers"].ids[:20]]
    with hub.engine.begin() as db:
        refetches.ask(db, account.name, RESOURCES["customers"], customers)
    with closing(Watched(sandbox.key, base=account.api_base, budget=LocalBudget(), patience=QUICK)) as api:
        api.before = before
        settled = settle(hub.engine, account.name, api, readers=1, stop=stop)
    assert (len(fetched), settled.failed, settled.counts["customers"].read) == (3, {}, 3)
    with hub.engine.connect() as db:
        waiting = db.execute(text("select next_try_at <= now() as due, attempts, error from tidegate.refetches")).all()
    assert [tuple(row) for row in waiting] == [(True, 0, "")] * (len(customers) - 3)


def test_an_import_that_is_to_stop_does_not_wait_for_a_server_that_hangs(hub: Hub, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(customers=20)
    account = connected(hub, sandbox)
    stop = threading.Event()

    def hang(request: "Request", reply: "Reply") -> "Reply | None":
        if request.path != "/v1/invoices":
            return None
        stop.set()
        return replace(reply, delay=3600.0)

    restore = changed(sandbox, hang)
    api = StripeApi(sandbox.key, base=sandbox.url, budget=LocalBudget(), patience=Patience(stop_seconds=0))
    with closing(api), api.heeding(stop):
        first = import_account(hub.engine, account, api, ImportOptions(), stop=stop)
    assert (first["state"], first["problems"]) == ("interrupted", {})
    restore()
    second = imported(hub, account)
    assert (second["state"], second["resumed"]) == ("done", True)
    assert differences(hub, sandbox) == {}


def test_who_is_forgotten_while_a_page_waits_to_be_stored_is_stored_redacted(
    hub: Hub, make_sandbox: MakeSandbox
) -> None:
    sandbox = make_sandbox(customers=5)
    account = connected(hub, sandbox)
    asked, locked = threading.Event(), threading.Event()

    def before(path: str, _: Mapping[str, Any]) -> None:
        if path == "/v1/customers" and not asked.is_set():
            asked.set()
            assert locked.wait(20)

    arguments = (hub, account, sandbox.key, before, "customers")
    importing = threading.Thread(target=imported_while, args=arguments, daemon=True)
    importing.start()
    assert asked.wait(20)
    with hub.engine.begin() as db:  # as forgetting does: the lock first, then who is forgotten
        db.execute(text("select name from tidegate.connections for update"))
        locked.set()
        until(lambda: waits_for_a_row(db), "the page waits")
        with hub.stripe(account) as api:
            customer = json.loads(api.get("/v1/customers").body)["data"][0]["id"]
        forget(db, "acme", [customer])
    importing.join(20)
    with hub.engine.connect() as db:
        nameless = db.scalars(text("select id from stripe.customers where data ->> 'name' is null")).all()
    assert nameless == [customer]
