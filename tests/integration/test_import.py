"""Importing a simulated company over HTTP: complete, resumable, quiet the second time, clear when something fails."""

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from tests.support.importing import connected, differences, imported, stored

from tidegate.connections import problems, runs
from tidegate.errors import ImportRunning, StripeKeyInvalid, StripeUnreachable
from tidegate.mirror.backfill import Progress
from tidegate.wiring import Hub
from tidegate.workflows.mirror.audit import audit

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

MakeSandbox = Callable[..., "Sandbox"]


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module imports into a database of its own."""
    return fresh_database_url


@pytest.fixture(scope="module")
def company() -> Iterator["Sandbox"]:
    """A small company that no test changes."""
    from tidegate.sandbox.config import SandboxConfig
    from tidegate.sandbox.server import Sandbox

    with Sandbox.start(SandboxConfig(customers=120)) as sandbox:
        yield sandbox


def scalar(hub: Hub, sql: str) -> Any:
    with hub.engine.connect() as db:
        return db.scalar(text(sql))


def test_an_import_equals_the_truth_and_the_second_stores_nothing_new(hub: Hub, company: "Sandbox") -> None:
    account = connected(hub, company)
    first = imported(hub, account)
    assert (first["state"], first["problems"]) == ("done", {})
    assert differences(hub, company) == {}
    second = imported(hub, account)
    assert second["state"] == "done"
    assert sum(counts["stored"] for counts in second["resources"].values()) == 0
    assert sum(counts["unchanged"] for counts in second["resources"].values()) > 1_000
    assert differences(hub, company) == {}
    with hub.stripe(account) as api:
        verdicts = audit(hub.engine, account, api)
    assert {one["resource"]: one["verdict"] for one in verdicts["resources"] if one["verdict"] != "equal"} == {}


@pytest.mark.further
def test_nothing_that_stripe_hides_by_default_is_missing(hub: Hub, company: "Sandbox") -> None:
    imported(hub, connected(hub, company))
    most_items = "select max(n) from (select count(*) n from stripe.subscription_items group by subscription) x"
    most_lines = "select max(n) from (select count(*) n from stripe.invoice_lines group by invoice) x"
    assert scalar(hub, most_items) == 20
    assert scalar(hub, most_lines) >= 23
    assert scalar(hub, "select count(*) from stripe.subscriptions where status = 'canceled'") > 0
    assert scalar(hub, "select count(*) from stripe.prices where not active") > 0
    assert scalar(hub, "select count(*) from stripe.products where not active") > 0
    assert scalar(hub, "select count(*) from stripe.prices where data ? 'tiers'") > 0
    assert scalar(hub, "select count(*) from stripe.customers where deleted_at is not null") > 0
    cut = "select count(*) from stripe.subscriptions where (data -> 'items' ->> 'has_more')::bool"
    assert scalar(hub, cut) == 0, "the whole list stands in the parent's JSON too"


def test_typed_columns_are_filled(hub: Hub, company: "Sandbox") -> None:
    imported(hub, connected(hub, company))
    assert scalar(hub, "select count(*) from stripe.subscriptions where current_period_end is null") == 0
    assert scalar(hub, "select count(*) from stripe.subscription_items where price is null") == 0
    billed = "select count(*) from stripe.invoices where billing_reason like 'subscription%' and subscription is null"
    assert scalar(hub, billed) == 0


def test_an_interrupted_import_goes_on_from_its_checkpoints(hub: Hub, company: "Sandbox") -> None:
    account = connected(hub, company)
    stop = threading.Event()
    seen: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) > 20:
            stop.set()

    first = imported(hub, account, stop=stop, progress=interrupt, readers=2)
    assert first["state"] == "interrupted"
    assert differences(hub, company)
    second = imported(hub, account, readers=2)
    assert (second["state"], second["resumed"], second["run"]) == ("done", True, first["run"])
    assert differences(hub, company) == {}
    assert second["pages"] < first["pages"] + imported(hub, account)["pages"], "what was read is not read again"


def test_a_full_import_begins_anew(hub: Hub, company: "Sandbox") -> None:
    account = connected(hub, company)
    stop = threading.Event()
    first = imported(hub, account, stop=stop, progress=lambda _: stop.set())
    again = imported(hub, account, full=True)
    assert again["run"] != first["run"]
    assert again["resumed"] is False


def test_chosen_resources_alone_are_read_but_what_they_name_is_fetched(hub: Hub, company: "Sandbox") -> None:
    summary = imported(hub, connected(hub, company), "subscriptions")
    have = stored(hub)
    assert summary["state"] == "done"
    assert have["subscriptions"] == company.truth()["subscriptions"]
    assert have["invoices"] == 0 or summary["resources"]["invoices"]["read"] < company.truth()["invoices"]
    assert scalar(hub, "select count(*) from stripe.subscription_items i where not exists "
                       "(select from stripe.prices p where p.id = i.price)") == 0  # fmt: skip


@pytest.mark.parametrize(
    "faults",
    ["429=0.05", "truncate=0.03", *(pytest.param(one, marks=pytest.mark.wide) for one in ("500=0.05", "reset=0.03"))],
)
def test_faults_of_stripe_cost_nothing(hub: Hub, make_sandbox: MakeSandbox, faults: str) -> None:
    sandbox = make_sandbox(customers=60, faults=faults)
    from tests.support.importing import stripe

    with stripe(sandbox.key, sandbox.url) as api:
        from tidegate.workflows.mirror.import_account import ImportOptions, import_account

        account = connected(hub, sandbox)
        summary = import_account(hub.engine, account, api, ImportOptions())
    assert (summary["state"], summary["problems"]) == ("done", {})
    assert differences(hub, sandbox) == {}


def test_a_permission_that_is_missing_is_named_and_the_rest_is_imported(hub: Hub, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(customers=30)
    names = [resource for resource in sandbox.state.collections if resource not in {"disputes", "events"}]
    _put_key(sandbox, "rk_test_readonly", dict.fromkeys(names, "read"))
    account = connected(hub, sandbox, api_key="rk_test_readonly")
    summary = imported(hub, account)
    assert summary["state"] == "done"
    assert summary["left_out"] == {"disputes": "permission_missing"}
    assert list(summary["problems"]) == ["disputes"]
    assert "permission" in summary["problems"]["disputes"]
    assert set(differences(hub, sandbox)) <= {"disputes"}
    assert _noted(hub) == [("permission_missing", "GET /v1/disputes")]
    _put_key(sandbox, "rk_test_readonly", dict.fromkeys([*names, "disputes"], "read"))
    assert imported(hub, account)["state"] == "done"
    assert _noted(hub) == []


def _noted(hub: Hub) -> list[tuple[str, str]]:
    with hub.engine.connect() as db:
        return [(one["code"], one["subject"]) for one in problems.listing(db, "acme")]


def _put_key(
    sandbox: "Sandbox", secret: str, permissions: dict[str, str] | None = None, *, revoked: bool = False
) -> None:
    from tidegate.sandbox.keys import Key

    assert sandbox.server is not None
    ring = sandbox.server.keys
    sandbox.call(lambda: ring.add(Key(secret, permissions, revoked)))


@pytest.mark.further
def test_a_revoked_key_ends_the_import_and_is_a_problem_until_it_works_again(
    hub: Hub, make_sandbox: MakeSandbox
) -> None:
    sandbox = make_sandbox(customers=10)
    account = connected(hub, sandbox)
    _put_key(sandbox, sandbox.key, revoked=True)
    with pytest.raises(StripeKeyInvalid, match="new key"):
        imported(hub, account)
    with hub.engine.connect() as db:
        assert [one["code"] for one in problems.listing(db, "acme")] == ["key_invalid"]
    assert sum(stored(hub).values()) == 0
    _put_key(sandbox, sandbox.key)
    imported(hub, account)
    with hub.engine.connect() as db:
        assert problems.listing(db, "acme") == []


def test_a_host_that_does_not_answer_is_said(hub: Hub, make_sandbox: MakeSandbox) -> None:
    sandbox = make_sandbox(customers=10)
    account = connected(hub, sandbox)
    from tests.support.importing import stripe

    from tidegate.workflows.mirror.import_account import ImportOptions, import_account

    with stripe(sandbox.key, "http://127.0.0.1:9") as api, pytest.raises(StripeUnreachable, match=r"127\.0\.0\.1:9"):
        import_account(hub.engine, account, api, ImportOptions())


def test_two_imports_of_one_connection_do_not_run_side_by_side(hub: Hub, company: "Sandbox") -> None:
    account = connected(hub, company)
    with runs.exclusive(hub.engine, "acme", "import") as alone:
        assert alone
        with pytest.raises(ImportRunning, match="acme"):
            imported(hub, account)


@pytest.mark.wide
def test_two_connections_live_side_by_side(hub: Hub, company: "Sandbox", make_sandbox: MakeSandbox) -> None:
    other = make_sandbox(customers=20, seed=7)
    first, second = connected(hub, company, "acme"), connected(hub, other, "beta")
    imported(hub, first)
    imported(hub, second)
    assert differences(hub, company, "acme") == {}
    assert differences(hub, other, "beta") == {}
