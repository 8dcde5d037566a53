"""A story told in a real browser: from no account to contacts, by key; and by OAuth."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from pydantic import SecretStr
from tests.support.visiting import enter_as
from tests.support.working import worker

from tidegate.sandbox.oauth import APP
from tidegate.wiring import Hub

pytestmark = pytest.mark.browser


def test_an_account_is_connected_and_imported(
    hub: Hub, site: str, look: Callable[..., Any], make_sandbox: Callable[..., Any]
) -> None:
    sandbox = make_sandbox(customers=12, months=3)
    page = look().page
    enter_as(hub, page, site, "admin", "/connections")
    page.get_by_role("link", name="Connect an account").click()
    page.get_by_label("Key to read with").fill(sandbox.key)
    page.get_by_label("Name, if you like").fill("acme")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Another server than Stripe's").fill(sandbox.url)
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_text("Whose key it is").first).to_be_visible()
    page.get_by_role("button", name="Set it up at Stripe").click()
    expect(page.get_by_text("A signing secret is stored.")).to_be_visible()
    page.get_by_role("link", name="Go on: what it holds").click()
    page.get_by_role("button", name="Look what is there").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    with worker(hub):
        expect(page.get_by_role("heading", name="What prices mean")).to_be_visible(timeout=60_000)
        page.get_by_role("button", name="Show what this does").click()
        page.get_by_role("button", name="Make it so").click()
        page.get_by_label("Make a contact of whoever matches none").check()
        page.get_by_role("button", name="Show what this does").click()
        expect(page.get_by_text("Contacts made")).to_be_visible()
        page.get_by_role("button", name="Match them like this").click()
        page.get_by_role("button", name="Import everything").click()
        expect(page.get_by_role("heading", name="Result")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("link", name="See who is who")).to_be_visible()


def test_an_owner_installs_the_app(
    hub: Hub, site: str, look: Callable[..., Any], make_sandbox: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = make_sandbox(customers=2, months=1)
    for name, value in (("stripe_api_base", sandbox.url), ("stripe_app_client_id", APP)):
        monkeypatch.setattr(hub.settings, name, value)
    monkeypatch.setattr(hub.settings, "stripe_app_key", SecretStr(sandbox.key))
    page = look().page
    enter_as(hub, page, site, "admin", "/connections")
    page.goto(f"{site}/connect")
    page.get_by_role("link", name="Install the Stripe App").click()
    page.get_by_role("link", name="Give access").click()
    expect(page).to_have_url(re.compile("/connections/test/import$"), timeout=10_000)
    expect(page.get_by_role("button", name="Look what is there")).to_be_visible()
