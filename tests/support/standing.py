"""An account as it stands after an import, had again by each test without importing it again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from tests.support import databases
from tests.support.hubs import opened
from tests.support.importing import imported
from tests.support.live import Live

from tidegate.wiring import Hub

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox


@dataclass(frozen=True, slots=True)
class Standing:
    """A database to be copied (`hubs.copied`), and what makes the simulated Stripe that it is the mirror of."""

    database: str
    seconds: int
    config: dict[str, Any]

    def live(self, hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> Live:
        """The connection in a copy, which the hub is on, and a Stripe of its own: the same every time it is made."""
        sandbox = make_sandbox(**self.config)
        sandbox.advance(self.seconds)
        with hub.engine.begin() as db:
            db.execute(text("update tidegate.connections set api_base = :url"), {"url": sandbox.url})
        return Live(hub, sandbox, account=hub.account("acme"))


@contextmanager
def standing(server_url: str, secret_key: str, *, seconds: int = 0, **config: Any) -> Iterator[Standing]:
    """Imports the company, lets so many seconds pass and reads the events; `config` are fields of `SandboxConfig`."""
    from tidegate.sandbox.config import SandboxConfig
    from tidegate.sandbox.server import Sandbox

    with databases.scratch(server_url) as url:
        with Sandbox.start(SandboxConfig(**config)) as sandbox, opened(url, secret_key) as hub:
            live = Live(hub, sandbox)
            imported(hub, live.account)
            sandbox.advance(seconds)
            live.catch_up()
        yield Standing(databases.named(url), seconds, config)
