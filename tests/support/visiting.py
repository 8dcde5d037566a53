"""What tests of pages share: somebody at this machine with a browser, who may sign in as one who works."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from httpx import Client
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.security import tokens
from tidegate.web.app import create_pages
from tidegate.web.site import beside
from tidegate.wiring import Hub
from tidegate.workflows.operation import users

PASSWORD = "correct horse battery staple"


@contextmanager
def visited(hub: Hub) -> Generator[Client]:
    """A client of the hub's site, which says what a browser says of where a form came from."""
    with (
        serving(beside(create_app(hub), create_pages(hub, "127.0.0.1"))) as url,
        Client(base_url=url, headers={"Sec-Fetch-Site": "same-origin"}, timeout=60) as client,
    ):
        yield client


def sign_in(hub: Hub, client: Client, scope: str = "operate") -> None:
    """Signs the client in with a token of this scope, by a header: it would keep a secure cookie back over HTTP."""
    with hub.engine.begin() as db:
        _, token = tokens.create(db, "desk", [scope])
    answer = client.post("/login", data={"token": token})
    client.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]


def enter(hub: Hub, page: Any, site: str, scope: str = "admin") -> str:
    """Signs a browser's page in as one who may do everything that the scope is for; returns the token."""
    with hub.engine.begin() as db:
        _, token = tokens.create(db, "desk", [scope])
    page.goto(f"{site}/login")
    show_token(page, token)
    _signed_in(page)
    return token


def show_token(page: Any, token: str) -> None:
    """Signs in with a token, on the page that asks who it is."""
    if not page.get_by_label("API token").is_visible():
        page.get_by_text("With an API token").click()
    page.get_by_label("API token").fill(token)
    page.get_by_role("button", name="Sign in", exact=True).click()


def enter_as(hub: Hub, page: Any, site: str, role: str, path: str = "/") -> None:
    """Signs a browser's page in as a new user of this role, and shows the page at the path."""
    email = f"{role}@acme.example"
    users.set_password(hub.engine, users.invite(hub.engine, email, role.title(), role, "cli:test")[1], PASSWORD)
    page.goto(f"{site}/login?next={path}")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    _signed_in(page)


def _signed_in(page: Any) -> None:
    page.get_by_role("button", name="Sign out").wait_for()  # who leaves before the answer breaks the signing in off
