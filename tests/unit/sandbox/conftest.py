"""A simulated account to ask, without a socket in between."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from tests.support.writing import Account, account

from tidegate.sandbox.answers import Request
from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.generator import make_world
from tidegate.sandbox.server import Server


@dataclass
class Asked:
    """What came back: the status, the headers by lower-case name and the decoded body."""

    status: int
    headers: dict[str, str]
    json: dict[str, Any]


@dataclass
class Api:
    """Asks a server as a client would."""

    server: Server

    def ask(
        self, target: str, *, method: str = "GET", key: str | None = None, json: Any = None, account: str = ""
    ) -> Asked:
        path, _, query = target.partition("?")
        secret = self.server.config.key if key is None else key
        headers = {b"authorization": f"Bearer {secret}".encode()} if secret else {}
        if account:
            headers[b"stripe-account"] = account.encode()
        body = b"" if json is None else msgspec.json.encode(json)
        reply = self.server.respond(Request(method, path, parse_qsl(query, keep_blank_values=True), headers, body))
        first, *lines = reply.head.decode().rstrip("\r\n").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return Asked(
            int(first.split()[1]), {name.lower(): value for name, value in pairs}, msgspec.json.decode(reply.body)
        )

    def get(self, target: str, *, account: str = "") -> dict[str, Any]:
        asked = self.ask(target, account=account)
        assert asked.status == 200, asked
        return asked.json

    def every(self, path: str, query: str = "") -> list[dict[str, Any]]:
        """All objects of a list, by cursor."""
        found: list[dict[str, Any]] = []
        while True:
            after = f"&starting_after={found[-1]['id']}" if found else ""
            page = self.get(f"{path}?limit=100{query}{after}")
            found += page["data"]
            if not page["has_more"]:
                return found

    def clocks(self) -> list[str]:
        """The ids of the test clocks."""
        return [one["id"] for one in self.every("/v1/test_helpers/test_clocks")]


def new_api(**config: Any) -> Api:
    made = SandboxConfig(**config)
    return Api(Server(made, make_world(made)))


@pytest.fixture(scope="session")
def api() -> Api:
    """A company of 150 customers that the tests only read."""
    return new_api(customers=150)


@pytest.fixture
def make_api() -> Callable[..., Api]:
    """Makes an account of one's own; takes the fields of `SandboxConfig`."""
    return new_api


@pytest.fixture(scope="module")
def running() -> Iterator[Account]:
    """An account without customers, for the tests of one module to write to."""
    with account() as made:
        yield made


@pytest.fixture
def own(running: Account) -> Account:
    """The module's account, its earlier events forgotten."""
    return running.skip()
