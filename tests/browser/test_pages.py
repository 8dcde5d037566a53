"""Stories told in a real browser: becoming the first admin, finding a contact, and why MRR moved."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.support.importing import connected, imported

from tidegate.contacts import policy
from tidegate.wiring import Hub
from tidegate.workflows import refresh
from tidegate.workflows.operation import users

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery staple"


def test_the_first_admin_invites_somebody(hub: Hub, site: str, look: Callable[..., Any]) -> None:
    page = look().page
    page.goto(f"{site}/welcome?link={users.first_link(hub.engine)}")
    for label, value in (("Your name", "Ada"), ("E-mail address", "ada@acme.example"), ("Password", PASSWORD)):
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_label("The password again").fill(PASSWORD)
    page.get_by_role("button", name="Set password").click()
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Settings").click()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Users").click()
    page.get_by_label("Name", exact=True).fill("Bob")
    page.get_by_label("E-mail address", exact=True).fill("bob@acme.example")
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_role("status").locator("code").inner_text()
    page.get_by_role("button", name="Sign out").click()
    page.goto(link)
    expect(page.get_by_role("heading", name="Welcome, Bob")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_contact_is_found_and_mrr_explained(
    hub: Hub, site: str, look: Callable[..., Any], make_sandbox: Callable[..., Any], width: int, scheme: str
) -> None:
    account = connected(hub, make_sandbox(customers=30, months=6))
    with hub.engine.begin() as db:
        policy.store(db, account.name, policy.checked({"create_missing": True}))
    imported(hub, account)
    refresh.refresh_all(hub.engine, account)
    page = look(width=width, scheme=scheme).page
    page.goto(f"{site}/contacts")
    first = page.locator("#contacts tbody a").first
    name = first.inner_text()
    page.get_by_label("Search by name, e-mail or id").press_sequentially(name[:6])
    expect(page.locator("#contacts tbody a").first).to_contain_text(name[:6])
    page.locator("#contacts tbody a").first.click()
    expect(page.get_by_role("heading", name="What it may use")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Revenue").click()
    expect(page.locator("#mrr-chart canvas")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"
    page.locator("table a.text-green").first.click()
    expect(page.get_by_role("heading", name="Movements of MRR")).to_be_visible()
    page.get_by_role("link", name="sub_").first.click()
    expect(page.get_by_role("heading", name="How the MRR comes about")).to_be_visible()
    expect(page.locator("table.working").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_why_did_mrr_fall(
    hub: Hub, site: str, look: Callable[..., Any], make_sandbox: Callable[..., Any], width: int, scheme: str
) -> None:
    """From the churn of a month to the movement, to the contact, and to the steps of the price that it lost."""
    account = connected(hub, make_sandbox(customers=40, months=9))
    with hub.engine.begin() as db:
        policy.store(db, account.name, policy.checked({"create_missing": True}))
    imported(hub, account)
    refresh.refresh_all(hub.engine, account)
    page = look(width=width, scheme=scheme).page
    page.goto(f"{site}/revenue/retention")
    expect(page.locator("#mrr-chart canvas")).to_be_visible()
    page.locator("table a.text-red").first.click()
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("Churn")
    row.get_by_role("link", name="sub_").first.click()
    expect(page.get_by_text("Nothing a month").or_(page.get_by_text("a month of")).first).to_be_visible()
    page.go_back()
    row.locator("a").first.click()
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    for path in ("cohorts", "groups", "trials", "renewals", "renewals/at-risk", "quality", "reconcile", "policy"):
        page.goto(f"{site}/revenue/{path}")
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{path} scrolls sideways"
