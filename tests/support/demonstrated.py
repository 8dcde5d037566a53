"""A demo that is up: real processes over a simulated company, and whom its page lets in."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import databases
from tests.support.waiting import until

from tidegate.security import tokens
from tidegate.settings import Settings
from tidegate.wiring import Hub, open_hub
from tidegate.workflows.operation import users

PASSWORD = "correct horse battery staple"
SAID = "The page is at "
WITHIN = 300.0
"""Seconds for all of it to come up."""


@dataclass(frozen=True, slots=True)
class Demo:
    """Where its page is, and a hub of this process on its database."""

    address: str
    hub: Hub

    def enter(self, page: Any, scope: str = "admin") -> str:
        """Signs a browser's page in as one who may do everything that the scope is for; returns the token."""
        with self.hub.engine.begin() as db:
            _, token = tokens.create(db, "desk", [scope])
        page.goto(f"{self.address}/login")
        show_token(page, token)
        page.get_by_role("button", name="Sign out").wait_for()
        return token

    def enter_as(self, page: Any, role: str) -> None:
        """Signs a browser's page in as a new user of this role."""
        email = f"{role}@acme.example"
        secret = users.invite(self.hub.engine, email, role.title(), role, "cli:test")[1]
        users.set_password(self.hub.engine, secret, PASSWORD)
        page.goto(f"{self.address}/login")
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("button", name="Sign out").wait_for()


def show_token(page: Any, token: str) -> None:
    """Signs in with a token, on the page that asks who it is."""
    if not page.get_by_label("API token").is_visible():
        page.get_by_text("With an API token").click()
    page.get_by_label("API token").fill(token)
    page.get_by_role("button", name="Sign in", exact=True).click()


@contextmanager
def demonstrated(*options: str) -> Iterator[Demo]:
    """A demo with these options of the command, until the block ends; nothing of it stays."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-demo-", dir=databases.memory()))
    folder.chmod(0o755)  # the account that runs the server for root must pass through
    home = folder / "demo"
    command = [sys.executable, "-m", "tidegate", "demo", "--home", str(home), *options]
    log = folder / "demo.log"  # a pipe that nobody reads would fill up
    with log.open("w") as into:
        process = subprocess.Popen(command, env={"PATH": os.environ["PATH"]}, stdout=subprocess.DEVNULL, stderr=into)
    try:
        address = _address(process, log)
        with open_hub(Settings(home=home, database_url="", secret_key="")) as hub:  # pyright: ignore[reportArgumentType]
            yield Demo(address, hub)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """What the demo says when its page is up."""

    def said() -> str:
        assert process.poll() is None, f"the demo ended with exit code {process.returncode}:\n{log.read_text()}"
        return next((line for line in log.read_text().split("\n")[:-1] if line.startswith(SAID)), "")

    return until(said, "the demo's page is up", seconds=WITHIN).removeprefix(SAID).split()[0]
