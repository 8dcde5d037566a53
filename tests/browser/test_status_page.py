"""The status page in a real browser: whole, quiet, live, usable on a phone and in both themes."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Route, expect
from sqlalchemy import text

from tidegate.connections import problems
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.limits import LocalBudget
from tidegate.wiring import Hub
from tidegate.workflows.mirror.connect import ConnectRequest, connect
from tidegate.workflows.mirror.import_account import ImportOptions, import_account

pytestmark = pytest.mark.browser

SOON = 15_000  # milliseconds; the page renews itself every 5 s


def imported(hub: Hub, sandbox: Any) -> None:
    """A connection to the simulated Stripe, its account imported."""
    request = ConnectRequest(sandbox.key, "acme", api_base=sandbox.url, rate=0, endpoint_rate=0)
    account = connect(
        hub.engine,
        hub.vault,
        request,
        lambda key, base: closing(StripeApi(key, base=base, budget=LocalBudget())),
        "cli:test",
    )
    with hub.stripe(account) as api:
        import_account(hub.engine, account, api, ImportOptions(readers=2))


def test_an_empty_hub_tells_the_next_step(site: str, look: Callable[..., Any]) -> None:
    page = look().page
    page.goto(f"{site}/status")
    expect(page.get_by_role("heading", name="Connect a Stripe account")).to_be_visible()
    expect(page.get_by_text("tidegate connect")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_an_imported_account_is_shown(
    hub: Hub, site: str, look: Callable[..., Any], make_sandbox: Callable[..., Any], width: int, scheme: str
) -> None:
    imported(hub, make_sandbox(customers=5, months=2))
    page = look(width=width, scheme=scheme).page
    page.goto(f"{site}/status")
    assert page.evaluate("document.documentElement.dataset.bsTheme") == scheme
    with hub.engine.connect() as db:
        customers = db.scalar(text("select count(*) from stripe.customers where deleted_at is null"))
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="Customers", exact=True))
    expect(row.get_by_role("cell").first).to_have_text(str(customers))
    expect(page.get_by_role("heading", name="Last import")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"


def test_the_page_renews_itself(
    hub: Hub, site: str, look: Callable[..., Any], make_sandbox: Callable[..., Any]
) -> None:
    imported(hub, make_sandbox(customers=2, months=1))
    page = look().page
    page.goto(f"{site}/status")
    with hub.engine.begin() as db:
        problems.note(db, "acme", "key_invalid", "Stripe does not accept the key.")
    expect(page.get_by_role("heading", name="Key invalid")).to_be_visible(timeout=SOON)
    with hub.engine.begin() as db:
        problems.clear(db, "acme", ["key_invalid"])
    expect(page.get_by_role("heading", name="Key invalid")).to_be_hidden(timeout=SOON)


def test_a_lost_connection_is_said_and_recovers(site: str, look: Callable[..., Any]) -> None:
    watched = look()
    page = watched.page
    page.goto(f"{site}/status")

    def cut(route: Route) -> None:
        route.abort()

    page.route("**/parts/status", cut)
    expect(page.get_by_text("Connection lost.")).to_be_visible(timeout=SOON)
    page.unroute("**/parts/status", cut)
    expect(page.get_by_text("Connection lost.")).to_be_hidden(timeout=SOON)
    forgiven(watched)


def test_what_failed_is_asked_again_by_itself(site: str, look: Callable[..., Any]) -> None:
    """On a page that does not renew itself: what one searched for comes once the server is there again."""
    watched = look()
    page = watched.page
    page.goto(f"{site}/status")

    def cut(route: Route) -> None:
        route.abort()

    for address in ("**/search?*", "**/healthz"):
        page.route(address, cut)
    page.locator("#finder").fill("nobody")
    expect(page.get_by_text("Connection lost.")).to_be_visible(timeout=SOON)
    for address in ("**/search?*", "**/healthz"):
        page.unroute(address, cut)
    expect(page.locator("#found")).to_contain_text("Nothing is called that", timeout=SOON)
    expect(page.get_by_text("Connection lost.")).to_be_hidden()
    forgiven(watched)


def test_a_form_that_nobody_takes_keeps_what_was_typed(site: str, look: Callable[..., Any]) -> None:
    watched = look()
    page = watched.page
    page.goto(f"{site}/login")

    def cut(route: Route) -> None:
        route.abort()

    page.route("**/healthz", cut)
    page.get_by_label("API token").fill("tg_typed")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("Connection lost.")).to_be_visible(timeout=SOON)
    expect(page.get_by_label("API token")).to_have_value("tg_typed")
    page.unroute("**/healthz", cut)
    expect(page.get_by_text("Connection lost.")).to_be_hidden(timeout=SOON)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("This token is unknown")).to_be_visible(timeout=SOON)
    forgiven(watched, "401")


def forgiven(watched: Any, *also: str) -> None:
    """Forgets what the browser says of requests that were cut."""
    expected = ("ERR_FAILED", "error: htmx:", *also)
    watched.complaints[:] = [one for one in watched.complaints if not any(words in one for words in expected)]


def test_the_chosen_theme_stays(site: str, look: Callable[..., Any]) -> None:
    page = look(scheme="light").page
    page.goto(f"{site}/status")
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
