"""Every page in a real browser, with the demo's data and without any: for everybody, quiet, no wider than a phone."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from sqlalchemy import text
from tests.support.accessibility import troubles, wider
from tests.support.demonstrated import Demo
from tests.support.visiting import enter
from tests.support.walking import Walk

from tidegate.web.navigation import SECTIONS
from tidegate.wiring import Hub
from tidegate.workflows.operation import users

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


def looked_at(walk: Walk) -> str:
    """Walks; what is wrong with each page, a line each."""
    wrong: list[str] = []
    for path in walk:
        if walk.page.locator("#mrr-chart").count():
            walk.page.locator("#mrr-chart canvas").wait_for()
        wrong += [f"{path}: {one}" for one in (*troubles(walk.page), *wider(walk.page))]
    return "\n".join(wrong)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_with_the_demos_data(demo: Demo, look: Callable[..., Any], width: int, scheme: str) -> None:
    page = look(width=width, scheme=scheme).page
    enter(demo.hub, page, demo.address)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with demo.hub.engine.connect() as db:
        event = db.scalar(text("select event_id from tidegate.inbox limit 1"))
    walk = Walk(demo.hub, page, demo.address, (f"/inbox/demo/{event}",))
    assert looked_at(walk) == ""
    assert walk.astray == []
    assert walk.missed() == set(), "pages that no link leads to"
    assert {url for url in asked if not url.startswith((f"{demo.address}/", "data:"))} == set()


def test_the_pictures_of_the_documentation_can_be_taken(
    demo: Demo, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("screenshots", Path(__file__).parents[2] / "tools/screenshots.py")
    assert spec is not None
    assert spec.loader is not None
    screenshots = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(screenshots)
    monkeypatch.setattr(screenshots, "IMAGES", tmp_path)
    screenshots.take(browser, demo)
    assert {file.name for file in tmp_path.iterdir()} == screenshots.PICTURES.keys()


def test_without_any_data(hub: Hub, site: str, look: Callable[..., Any]) -> None:
    """What somebody sees who has just installed it."""
    page = look(width=390, scheme="light").page
    enter(hub, page, site)
    walk = Walk(hub, page, site)
    assert looked_at(walk) == ""
    assert {entry.path for _, entries in SECTIONS for entry in entries} <= {*walk.seen}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_being_signed_in(hub: Hub, site: str, look: Callable[..., Any], scheme: str) -> None:
    watched = look(width=390, scheme=scheme)
    page = watched.page
    link = users.first_link(hub.engine)
    for path in ("/", f"/welcome?link={link}", "/welcome?link=spent", "/login", "/login?next=/users", "/nowhere"):
        page.goto(site + path)
        assert [*troubles(page), *wider(page)] == [], path
    users.invite(hub.engine, "ada@acme.example", "Ada", "admin", "cli:test")
    page.goto(f"{site}/login")
    page.get_by_label("E-mail address").fill("nobody@acme.example")
    page.get_by_label("Password").fill("wrong and long enough")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.locator(".is-invalid").wait_for()
    assert [*troubles(page), *wider(page)] == []
    expected = ("404", "410", "401", "422")  # Chromium tells of every refusal
    watched.complaints[:] = [one for one in watched.complaints if not any(status in one for status in expected)]
