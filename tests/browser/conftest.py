"""What browser tests may ask for: Chromium, watched, and the site on a hub."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
from sqlalchemy import text
from tests.support.demonstrated import Demo, demonstrated
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.web.app import create_pages
from tidegate.web.site import beside
from tidegate.wiring import Hub

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Watched:
    """A page with everything that it said or asked for and should not have."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self._said(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", lambda request: self._asked(request.url))

    def _said(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        if urlsplit(url).scheme != "data" and urlsplit(url).hostname != "127.0.0.1":
            self.complaints.append(f"left the machine: {url}")


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    found = os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)
    assert found, "browser tests need Chromium: on Debian `apt-get install chromium`, or name one with CHROMIUM=/path"
    browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
    yield browser
    browser.close()


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Watched]]:
    """Opens a browser window; fails in the end if its page complained of anything."""
    opened: list[Watched] = []

    def window(width: int = 1280, height: int = 900, scheme: str = "light") -> Watched:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # pyright: ignore[reportArgumentType]
            reduced_motion="reduce",  # a colour that is on its way is no colour to judge
        )
        opened.append(Watched(context.new_page()))
        return opened[-1]

    yield window
    for one in opened:
        one.page.context.close()
    assert [complaint for one in opened for complaint in one.complaints] == []


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """A demo of a small company, for tests that leave as it is what others look at."""
    with demonstrated("--customers", "80", "--months", "14") as running:
        yield running


@pytest.fixture
def site(hub: Hub) -> Iterator[str]:
    """The page and the API on the module's hub, emptied, as on this machine."""
    with hub.engine.begin() as db:
        for table in ("connections", "runs", "problems", "users", "contacts"):
            db.execute(text(f"truncate tidegate.{table} cascade"))
    with serving(beside(create_app(hub), create_pages(hub, "127.0.0.1"))) as url:
        yield url
