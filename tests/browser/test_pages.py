"""Stories told in a real browser: becoming the first admin, finding a contact, and why MRR moved."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.support.builders import customer, price, subscription
from tests.support.importing import connected, imported
from tests.support.shop import Shop

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
    page.get_by_role("button", name="Sign out").wait_for()
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Settings").click()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Users").click()
    page.get_by_label("Name", exact=True).fill("Bob")
    page.get_by_label("E-mail address", exact=True).fill("bob@acme.example")
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_role("status").locator("code").inner_text()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in", exact=True).wait_for()
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
    page.wait_for_url("**search=**")  # what was found is shown then; before, a click may be on what goes
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


def test_why_did_mrr_fall_in_march(hub: Hub, site: str, look: Callable[..., Any]) -> None:
    """From the month to what was lost in it, to the contact whose that was, and to what its price had come to."""
    now = datetime.now(UTC)
    march = datetime(now.year - (now.month < 3), 3, 1, tzinfo=UTC)
    began, ended = int((march - timedelta(days=70)).timestamp()), int((march + timedelta(days=9)).timestamp())
    shop = Shop(hub.engine)
    shop.settings(create_missing=True)
    shop.has({"id": "prod_1", "object": "product", "created": 10, "name": "Pro", "active": True}, price())
    shop.has(customer(name="Acme Ltd", email="it@acme.example", created=began))
    shop.told(subscription(created=began, start_date=began), at=began)
    over = {"status": "canceled", "canceled_at": ended, "ended_at": ended}
    shop.told(subscription(created=began, start_date=began, **over), at=ended)
    refresh.refresh_all(hub.engine, shop.account)
    page = look().page
    page.goto(f"{site}/revenue")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=f"{march:%Y-%m}", exact=True))
    row.get_by_role("link", name="-10.00 USD").click()
    moved = page.locator("tbody tr").first
    expect(moved).to_contain_text("Churn")
    expect(moved).to_contain_text(f"{march:%Y-%m}-10")
    moved.get_by_role("link", name="sub_1").click()
    expect(page.locator(".answer")).to_contain_text("counts for nothing: it is canceled")
    page.go_back()
    moved.get_by_role("link", name="Acme Ltd").click()
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    expect(page.locator(".timeline-list")).to_contain_text("10.00 USD → 0.00 USD")
