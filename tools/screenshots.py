"""Takes the pictures of the page that README shows: runs the demo, looks at it with Chromium, writes docs/images.

Run as `python tools/screenshots.py` after `make assets`; needs Chromium (CHROMIUM=/path names one).
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
PICTURES = {
    # file: path, theme, width and height in CSS pixels
    "overview.png": ("/", "light", 1180, 1060),
    "overview-dark.png": ("/", "dark", 1180, 1060),
    "overview-phone.png": ("/", "light", 390, 1500),
    "sql.png": ("/sql", "light", 1180, 760),
    "status.png": ("/status", "light", 1180, 760),
    "status-dark.png": ("/status", "dark", 1180, 760),
    "status-phone.png": ("/status", "light", 390, 800),
    "revenue.png": ("/revenue?currency=usd", "light", 1180, 860),
    "contacts.png": ("/contacts", "light", 1180, 760),
}


@contextmanager
def demo() -> Iterator[str]:
    """The address of a demo that runs until the block ends."""
    with tempfile.TemporaryDirectory(prefix="tidegate-pictures-") as home:
        Path(home).chmod(0o711)  # the account that runs PostgreSQL for root must pass through
        command = [sys.executable, "-m", "tidegate", "demo", "--home", f"{home}/demo"]
        process = subprocess.Popen(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            for line in process.stderr:
                sys.stderr.write(line)
                if line.startswith("The page is at "):
                    yield line.split()[4]
                    return
            raise SystemExit(f"the demo ended before it served the page (exit code {process.wait()})")
        finally:
            process.terminate()
            process.communicate()


def take(browser: Browser, address: str) -> None:
    """Writes every picture."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, (path, theme, width, height) in PICTURES.items():
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light"
        )
        page = context.new_page()
        page.goto(address + path)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=IMAGES / name)
        context.close()
        print(f"wrote docs/images/{name}")


if __name__ == "__main__":
    chromium = os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)
    if chromium is None:
        raise SystemExit("The pictures need Chromium: on Debian `apt-get install chromium`.")
    with demo() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        take(browser, address)
        browser.close()
