"""What tests of pages share: somebody at this machine with a browser, who may sign in as one who works."""

from collections.abc import Generator
from contextlib import contextmanager

from httpx import Client
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.security import tokens
from tidegate.web.app import create_pages
from tidegate.web.site import beside
from tidegate.wiring import Hub


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
