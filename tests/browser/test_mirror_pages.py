"""Stories of the mirror in a real browser: from the overview down to one object, and a query that is mended."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.support.importing import connected, imported

from tidegate.contacts import policy
from tidegate.wiring import Hub
from tidegate.workflows import refresh

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_from_the_overview_to_one_object(
    hub: Hub, site: str, look: Callable[..., Any], make_sandbox: Callable[..., Any], width: int, scheme: str
) -> None:
    account = connected(hub, make_sandbox(customers=30, months=6))
    with hub.engine.begin() as db:
        policy.store(db, account.name, policy.checked({"create_missing": True}))
    imported(hub, account)
    refresh.refresh_all(hub.engine, account)
    watched = look(width=width, scheme=scheme)
    page = watched.page

    def no_wider() -> None:
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"

    page.goto(f"{site}/?days=365")
    expect(page.locator("#mrr-chart canvas")).to_be_visible()
    expect(page.get_by_text("Simulated:")).to_be_visible()
    no_wider()
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Mirror").click()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Resources").click()
    page.get_by_role("rowheader", name="Subscriptions", exact=True).get_by_role("link").click()
    no_wider()
    page.locator("tbody a").first.click()
    expect(page.get_by_role("heading", name="As Stripe has it")).to_be_visible()
    no_wider()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="SQL").click()
    page.get_by_label("One query").fill("select status, counts(*) from subscriptions group by 1")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert").filter(has_text="counts")).to_be_visible()
    watched.complaints[:] = [one for one in watched.complaints if "422" not in one]  # Chromium tells of every refusal
    page.get_by_label("One query").fill("select status, count(*) from subscriptions group by 1")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("region", name="row")).to_contain_text("active")
    no_wider()
