"""Takes pictures of the page: runs the demo and looks at it with Chromium as an admin.

Run as `python -m tools.screenshots` after `make assets`; needs Chromium (CHROMIUM=/path names one). It writes
docs/images, which README and the documentation show. With `--all FOLDER` it writes every page there instead, whole, in
light, in dark and as wide as a phone, to be looked at.
"""

import os
import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from tests.support.demonstrated import Demo, demonstrated
from tests.support.visiting import enter
from tests.support.walking import Walk

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
PICTURES = {
    # file: path, what is clicked there one after another, theme, width and height in CSS pixels
    "overview.png": ("/", (), "light", 1180, 1060),
    "contact.png": ("/contacts?sort=mrr", ("#contacts tbody a", ".tile:has-text('MRR') a"), "dark", 1180, 900),
    "run.png": ("/syncs", ("tbody a", "[aria-labelledby='runs'] tr:last-child a"), "light", 1180, 760),
    "revenue.png": ("/revenue?currency=usd", (), "light", 1180, 860),
}
SETTLES, PATIENCE = 2_000, 120_000  # milliseconds
LOOKS = {"light": ("light", 1280), "dark": ("dark", 1280), "phone": ("light", 390), "phone-dark": ("dark", 390)}


def opened(browser: Browser, demo: Demo, theme: str, width: int, height: int) -> Page:
    """A page of a window of its own, signed in."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light"
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    enter(demo.hub, page, demo.address)
    return page


def take(browser: Browser, demo: Demo) -> None:
    """Writes what the documentation shows."""
    for name, (path, clicked, theme, width, height) in PICTURES.items():
        page = opened(browser, demo, theme, width, height)
        page.goto(demo.address + path)
        for one in clicked:
            page.locator(one).first.click()
            page.wait_for_timeout(SETTLES)  # a part of a page that is fetched is no load of one
        page.wait_for_load_state("networkidle")
        page.mouse.move(0, 0)
        page.screenshot(path=IMAGES / name)
        page.context.close()
        print(f"wrote docs/images/{name}")


def take_all(browser: Browser, demo: Demo, folder: Path) -> None:
    """Writes every page in every look."""
    folder.mkdir(parents=True, exist_ok=True)
    for look, (theme, width) in LOOKS.items():
        page = opened(browser, demo, theme, width, 900)
        walk = Walk(demo.hub, page, demo.address)
        for path in walk:
            kind = walk.kind(path)
            name = (re.sub(r"[^\w]+", "-", kind).strip("-") or "overview") + "-2" * (len(walk.seen[kind]) - 1)
            if page.locator("#mrr-chart").count():
                page.locator("#mrr-chart canvas").wait_for()
            page.screenshot(path=folder / f"{name}.{look}.png", full_page=True)
        page.context.close()
        print(f"wrote {len(walk.seen)} pages in {look}")


if __name__ == "__main__":
    chromium = os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)
    if chromium is None:
        raise SystemExit("The pictures need Chromium: on Debian `apt-get install chromium`.")
    with demonstrated() as demo, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        if sys.argv[1:2] == ["--all"]:
            take_all(browser, demo, Path(sys.argv[2]))
        else:
            take(browser, demo)
        browser.close()
