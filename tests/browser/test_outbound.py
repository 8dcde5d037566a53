"""The story of a sync: made by the wizard, planned, run and watched live, with a row that Stripe refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from playwright.sync_api import expect
from tests.support.accessibility import troubles
from tests.support.followed import Run
from tests.support.importing import connected, imported
from tests.support.serving import serving
from tests.support.visiting import enter_as
from tests.support.warehouse import ready
from tests.support.working import worker

from tidegate.api.app import create_app
from tidegate.outbound import specs, syncs
from tidegate.web.app import create_pages
from tidegate.web.outbound import streams
from tidegate.web.site import beside
from tidegate.wiring import Hub

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

ROWS = 40
LONG = 60_000  # milliseconds: a process that plans, and a worker, come up first
ACCOUNTS = f"""
create table accounts as select n as id, 'Company ' || n as company, 'c' || n || '@new.example' as email,
  case when n = 7 then 'clock_of_nobody' end as clock from generate_series(1, {ROWS}) t(n)"""


def test_a_sync_is_made_planned_and_watched_live(
    hub: Hub, site: str, look: Callable[..., Any], make_sandbox: Callable[..., Any], tmp_path: Path
) -> None:
    sandbox = make_sandbox(customers=1, months=1, latency=0.3)
    imported(hub, connected(hub, sandbox, write_key=sandbox.key))
    with duckdb.connect(tmp_path / "warehouse.duckdb") as db:
        db.execute(ACCOUNTS)
    with hub.engine.begin() as db:
        syncs.define_source(db, "warehouse", sealed=None, env="", shown=f"duckdb://{tmp_path}/warehouse.duckdb")
        syncs.define_model(
            db, specs.model({"key": "accounts", "source": "warehouse", "table": "accounts", "primary_key": "id"})
        )
    page = look().page
    page.set_default_timeout(LONG)
    enter_as(hub, page, site, "admin")
    page.goto(f"{site}/syncs")
    page.get_by_role("link", name="New sync").first.click()
    page.get_by_label("What it is called").fill("people")
    page.get_by_role("button", name="Next", exact=True).last.click()
    page.get_by_label("the e-mail address, whatever its case").check()
    page.get_by_label("The column that holds it").fill("email")
    page.get_by_role("button", name="Next", exact=True).last.click()
    page.get_by_label("Find a field").fill("test_clock")
    expect(page.locator("#known-fields tbody tr:visible")).to_have_count(1)
    for number, name, column in ((2, "name", "company"), (3, "test_clock", "clock")):
        page.get_by_label(f"Field {number}", exact=True).fill(name)
        page.get_by_label(f"Column, value or template of field {number}", exact=True).fill(column)
    for step in ("When rows leave, and when Stripe was edited", "When it runs", "Review"):
        page.get_by_role("button", name="Next", exact=True).last.click()
        expect(page.get_by_role("heading", name=step)).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("wants a plan that somebody looked at")).to_be_visible()

    with worker(hub):
        page.get_by_role("button", name="Plan", exact=True).click()
        expect(page.get_by_role("heading", name="Plan of people")).to_be_visible(timeout=LONG)
        expect(page.get_by_text("Company 12")).to_be_visible()
        assert troubles(page) == []
        page.get_by_role("button", name=f"Send {ROWS} changes").click()
        page.wait_for_url("**/syncs/people/runs/*", timeout=LONG)
        expect(page.locator("#live-state")).to_be_visible()
        expect(page.locator("#tail tr").first).to_be_visible(timeout=LONG)
        expect(page.locator("#run").get_by_text("incomplete")).to_be_visible(timeout=LONG)
    expect(page.locator("#tail tr")).to_have_count(ROWS)
    expect(page.locator("#progress")).to_contain_text(f"{ROWS} of {ROWS} requests answered", timeout=LONG)
    expect(page.locator("#tail tr", has_text="clock_of_nobody")).to_have_count(1)
    expect(page.get_by_role("button", name="Try again: row 7")).to_be_visible()
    page.locator("#tail tr", has_text="clock_of_nobody").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="What Stripe answered")).to_be_visible()
    assert troubles(page) == []

    viewer = look(width=390, scheme="dark").page
    viewer.set_default_timeout(LONG)
    enter_as(hub, viewer, site, "viewer")
    for path in ("/syncs", "/syncs/people", "/models/accounts", "/sources", "/destinations"):
        viewer.goto(site + path)
        expect(viewer.locator("main h1")).to_be_visible()
        expect(viewer.locator("main form[method=post]")).to_have_count(0)
        assert viewer.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{path} scrolls sideways"


def test_a_run_is_followed_through_an_outage(
    hub: Hub, site: str, look: Callable[..., Any], make_sandbox: Callable[..., Any], tmp_path: Path
) -> None:
    """The server goes and comes back while the run goes on: that is said, and nothing is missing afterwards."""
    ready(hub, make_sandbox(customers=1, months=1), tmp_path)
    run = Run(hub)
    run.sent("before")
    watched = look()
    page = watched.page
    pages = beside(create_app(hub), create_pages(hub, "127.0.0.1"))
    with serving(pages) as address:
        page.goto(address + run.page)
        expect(page.locator("#tail tr")).to_have_count(1)
        run.sent("while it is up")
        expect(page.locator("#tail tr")).to_have_count(2)
        streams.CLOSING.set()
    streams.CLOSING.clear()
    expect(page.get_by_text("Connection lost.")).to_be_visible(timeout=LONG)
    run.sent("meanwhile")
    with serving(pages, int(address.rpartition(":")[2])):
        expect(page.get_by_text("Connection lost.")).to_be_hidden(timeout=LONG)
        expect(page.locator("#tail tr")).to_have_count(3)
        run.sent("afterwards")
        expect(page.locator("#tail tr").first).to_contain_text("afterwards")
        run.end()
        expect(page.locator("#live-state")).to_have_text("done")
        expect(page.locator("#run .badge").first).to_have_text("done")
        page.close()
    watched.complaints[:] = [one for one in watched.complaints if "ERR_" not in one]
