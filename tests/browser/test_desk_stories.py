"""Stories of a day's work on the demo: an alert acknowledged, a token made, a viewer stopped."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect
from tests.support.accessibility import troubles, wider
from tests.support.demonstrated import Demo
from tests.support.visiting import enter, enter_as, show_token

from tidegate.security import sessions
from tidegate.wiring import Hub
from tidegate.workflows.operation import users

LOOKED_AT = ("/packages", "/mappings", "/stages", "/segments", "/alerts", "/actions", "/destinations", "/digests")

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


def test_an_alert_is_acknowledged(demo: Demo, look: Callable[..., Any]) -> None:
    page = look().page
    enter(demo.hub, page, demo.address, "operate")
    page.goto(demo.address)
    page.get_by_role("region", name="Open alerts").get_by_role("link", name="All").click()
    row = page.locator("tbody tr").first
    contact = row.get_by_role("link").first.inner_text()
    rule = row.locator("td").first.inner_text().splitlines()[0]
    with page.expect_navigation():  # a form looks whether somebody is there before it is sent
        row.get_by_role("button", name="Acknowledge").click()
    page.get_by_label("State").select_option("acknowledged")
    page.get_by_role("button", name="Show").click()
    taken = page.locator("tbody tr").filter(has_text=contact).filter(has_text=rule)
    expect(taken.locator(".badge")).to_have_text("acknowledged")
    expect(taken).to_contain_text("desk")
    taken.get_by_role("button", name="Reopen").click()
    expect(taken).to_have_count(0)


def test_a_token_is_shown_once_and_works_until_it_is_revoked(demo: Demo, look: Callable[..., Any]) -> None:
    page = look().page
    enter(demo.hub, page, demo.address)
    page.goto(demo.address)
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Settings").click()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Tokens").click()
    page.get_by_label("What it is for").fill("the product")
    page.get_by_label("Product code: check, consume").check()
    page.get_by_role("button", name="Make it").click()
    said = page.get_by_role("status")
    expect(said).to_contain_text("not shown again")
    assert troubles(page) == []
    token = said.locator("code").inner_text()
    asked = {"url": f"{demo.address}/api/features", "headers": {"Authorization": f"Bearer {token}"}}
    assert httpx.get(**asked).status_code == 403, "known, and for the product only"
    page.goto(f"{demo.address}/tokens")
    row = page.get_by_role("row").filter(has_text="the product")
    expect(row).to_be_visible()
    assert token not in page.content()
    row.get_by_text("Revoke", exact=True).click()
    row.get_by_role("button", name="Revoke for good: the product").click()
    expect(row).to_contain_text("revoked")
    assert httpx.get(**asked).status_code == 401


def test_a_viewer_who_may_not(demo: Demo, look: Callable[..., Any]) -> None:
    watched = look(width=390, scheme="dark")
    page = watched.page
    enter_as(demo.hub, page, demo.address, "viewer")
    page.goto(f"{demo.address}/contacts")
    page.locator("#contacts tbody a").first.click()
    expect(page.get_by_role("heading", name="What it may use")).to_be_visible()
    contact = page.url.removeprefix(demo.address)
    for path in (contact, *LOOKED_AT):
        page.goto(demo.address + path)
        expect(page.locator("main h1")).to_be_visible()
        expect(page.locator("main form[method=post]:not(#views form)")).to_have_count(0)
    expect(page.get_by_role("link", name="Tokens")).to_have_count(0)
    page.goto(f"{demo.address}/tokens")
    expect(page.get_by_role("heading", name="You may not see this")).to_be_visible()
    expect(page.get_by_text("This needs the role admin, which Viewer has not.")).to_be_visible()
    assert [*troubles(page), *wider(page)] == []
    page.get_by_role("link", name="To the overview").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    watched.complaints[:] = [one for one in watched.complaints if "403" not in one]  # Chromium tells of every refusal


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_form_outlives_its_session(demo: Demo, look: Callable[..., Any], width: int, scheme: str) -> None:
    """What was typed when the session ended stays; it is sent once one has signed in again, in another tab."""
    watched = look(width=width, scheme=scheme)
    page = watched.page
    users.invite(demo.hub.engine, f"{scheme}@acme.example", "Ada", "admin", "cli:test")  # so that nobody looks unknown
    token = enter(demo.hub, page, demo.address)
    page.goto(f"{demo.address}/segments/edit")
    page.get_by_label("Key").fill("large")
    with demo.hub.engine.begin() as db:
        sessions.end_everybodys(db)
    page.get_by_label("When").fill("{field: mrr, at_least: 200}")
    ended = page.get_by_role("alert").filter(has_text="Your session has ended.")
    expect(ended).to_be_visible()  # by the part that tells who would be in it, before anything was sent
    page.get_by_role("button", name="Preview who moves").click()
    expect(ended).to_be_visible()
    expect(page.get_by_label("Key")).to_have_value("large")
    assert [*troubles(page), *wider(page)] == []
    with page.expect_popup() as opened:
        ended.get_by_role("link").click()
    other = opened.value
    show_token(other, token)
    expect(other.get_by_role("heading", name="Signed in")).to_be_visible()
    other.close()
    page.bring_to_front()
    page.evaluate("window.dispatchEvent(new Event('focus'))")  # as a browser with a window tells it
    begun = page.get_by_role("alert").filter(has_text="Signed in again as the token desk.")
    expect(begun).to_be_visible()
    expect(ended).to_be_hidden()
    assert [*troubles(page), *wider(page)] == []
    page.get_by_role("button", name="Preview who moves").click()
    expect(page.get_by_role("button", name="Save")).to_be_visible()
    expect(page.get_by_label("Key")).to_have_value("large")
    expect(page.get_by_label("When")).to_have_value("{field: mrr, at_least: 200}")
    watched.complaints[:] = [one for one in watched.complaints if "401" not in one]  # Chromium tells of every refusal


def test_a_table_is_sorted_by_the_heads_of_its_columns(hub: Hub, site: str, look: Callable[..., Any]) -> None:
    page = look().page
    enter(hub, page, site)
    page.goto(f"{site}/sql")
    page.locator("#sql").fill(
        "select * from (values (1, 'b', 'usd 9'), (20, null, 'usd 10'), (3, 'a', 'eur 9')) as t(n, word, amount)"
    )
    page.get_by_role("button", name="Run").click()
    first = page.locator("tbody tr td:first-child")
    expect(first).to_have_text(["1", "20", "3"])

    def by(head: str) -> list[str]:
        page.get_by_role("columnheader", name=head, exact=True).get_by_role("button").click()
        return first.all_inner_texts()

    assert [by("n") for _ in range(3)] == [["20", "3", "1"], ["1", "3", "20"], ["1", "20", "3"]]
    assert [by("word") for _ in range(2)] == [["3", "1", "20"], ["1", "3", "20"]], "null is the last, either way"
    assert by("amount") == ["3", "1", "20"], "9 before 10, and euros before dollars"
    expect(page.get_by_role("columnheader", name="amount")).to_have_attribute("aria-sort", "ascending")
    assert troubles(page) == []
