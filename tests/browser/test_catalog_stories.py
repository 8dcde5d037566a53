"""Stories of the catalog in a real browser: mapping a price that waits, and why a contact may not use something."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import text
from tests.support.accessibility import troubles
from tests.support.builders import customer, subscription
from tests.support.importing import connected, imported
from tests.support.shop import Shop
from tests.support.visiting import enter

from tidegate.catalog import features, packages
from tidegate.contacts import policy
from tidegate.wiring import Hub
from tidegate.workflows import refresh

pytestmark = pytest.mark.browser


def sold(hub: Hub, sandbox: Any) -> None:
    """An imported account whose customers are contacts, and a package pro with SSO that nothing is mapped to."""
    account = connected(hub, sandbox)
    with hub.engine.begin() as db:
        for table in ("mappings", "packages", "features", "unmapped_prices"):
            db.execute(text(f"truncate tidegate.{table} cascade"))
        policy.store(db, account.name, policy.checked({"create_missing": True}))
        features.define(db, "sso", "boolean", name="Single sign-on")
        packages.define(db, "pro", name="Pro")
        packages.draft(db, "pro", {"sso": True})
        packages.publish(db, "pro")
    imported(hub, account)
    refresh.refresh_all(hub.engine, account)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_price_that_waits_is_mapped_and_explains_who_may_use_what(
    hub: Hub, site: str, look: Callable[..., Any], make_sandbox: Callable[..., Any], width: int, scheme: str
) -> None:
    sold(hub, make_sandbox(customers=12, months=3))
    page = look(width=width, scheme=scheme).page
    enter(hub, page, site)
    waits = "select price from tidegate.unmapped_prices order by 1 limit 1"
    holder = """
select c.kind || ':' || c.external_id from stripe.subscription_items i
join stripe.subscriptions s on s.connection = i.connection and s.id = i.subscription and s.status = 'active'
join tidegate.links l on l.connection = s.connection and l.customer = s.customer
join tidegate.contacts c on c.key = l.contact order by i.price, 1 limit 1"""
    price_of = """
select i.price from stripe.subscription_items i
join stripe.subscriptions s on s.connection = i.connection and s.id = i.subscription
join tidegate.links l on l.connection = s.connection and l.customer = s.customer
join tidegate.contacts c on c.key = l.contact
where s.status = 'active' and c.kind || ':' || c.external_id = :ref order by i.price limit 1"""
    with hub.engine.connect() as db:
        assert db.scalar(text(waits)), "something waits"
        ref = str(db.scalar(text(holder)))
        price = str(db.scalar(text(price_of), {"ref": ref}))

    page.keyboard.press("/")
    expect(page.get_by_label("Search contacts, and ids of Stripe")).to_be_focused()
    page.keyboard.type(ref)
    expect(page.locator("#found a").first).to_contain_text(ref)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_text("Nothing that it has or had gives the other 1").click()
    page.locator("#others").get_by_role("link", name="why?").click()
    expect(page.locator("#others .answer")).to_contain_text("gives it, or ever gave it")

    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Catalog").click()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Mappings").click()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"
    page.get_by_role("row").filter(has_text=price).get_by_role("link", name="Map…").click()
    page.get_by_label("It means").select_option(label="Pro")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="Who may use what")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="sso").get_by_role("link", name=ref)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"
    assert troubles(page) == []
    page.get_by_role("button", name="Map it").click()
    expect(page.get_by_role("heading", name="What prices and products mean")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text=price)).to_contain_text("pro")

    page.goto(f"{site}/contacts/{ref}")
    row = page.get_by_role("row").filter(has_text="sso")
    expect(row).to_contain_text("yes, by the package pro")
    row.get_by_role("link", name="why?").click()
    expect(row.locator(".answer")).to_contain_text(price)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"


def test_why_has_acme_no_sso(hub: Hub, site: str, look: Callable[..., Any]) -> None:
    """Acme had the package that gives it, and its subscription ended."""
    with hub.engine.begin() as db:
        for table in ("mappings", "packages", "features", "unmapped_prices"):
            db.execute(text(f"truncate tidegate.{table} cascade"))
    shop = Shop(hub.engine)
    shop.settings(create_missing=True)
    shop.catalog()
    shop.has({"id": "prod_1", "object": "product", "created": 10, "name": "Pro", "active": True})
    shop.has(
        customer(name="Acme Ltd", email="it@acme.example"), subscription(status="canceled", ended_at=1_750_000_000)
    )
    refresh.refresh_all(hub.engine, shop.account)
    page = look().page
    page.goto(site)
    page.keyboard.press("/")
    page.keyboard.type("acme")
    page.locator("#found").get_by_role("link", name="Acme Ltd").click()
    row = page.get_by_role("row").filter(has_text="sso")
    expect(row.locator(".badge")).to_have_text("no")
    expect(row).to_contain_text("the package pro gave it, but")
    row.get_by_role("link", name="why?").click()
    why = row.locator(".answer")
    expect(why).to_contain_text("sub_1")
    expect(why).to_contain_text("canceled")
    assert troubles(page) == []
