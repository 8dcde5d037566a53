"""An installation of its own: a home with an embedded server that writes through to the disk, and its commands."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.fernet import Fernet
from sqlalchemy import text

from tidegate.settings import Settings
from tidegate.store.embedded import Embedded
from tidegate.store.engine import open_engine
from tidegate.wiring import Hub
from tidegate.workflows.operation.migrate import migrate

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

SOURCE = Path(__file__).parents[2] / "src"


class Installation(NamedTuple):
    """The server of a home, and a hub on it that shares the home's secret key with the commands."""

    server: Embedded
    hub: Hub

    def command(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Starts a command of tidegate in a process of its own."""
        inherited = {name: v for name, v in os.environ.items() if not name.startswith(("DATABASE_", "STRIPE_"))}
        ours = {
            "TIDEGATE_HOME": str(self.server.home),
            "TIDEGATE_SECRET_KEY": self.hub.settings.secret_key.get_secret_value(),
            "PYTHONPATH": str(SOURCE),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "tidegate", *arguments],
            env=inherited | ours | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill_server(self) -> None:
        """SIGKILL to the server's first process and to all that it forked; `server.start()` heals it."""
        self.hub.engine.dispose()
        postmaster = self.server.status().pid
        assert postmaster
        for pid in [postmaster, *_children(postmaster)]:
            with suppress(ProcessLookupError):  # a backend may end by itself just now
                os.kill(pid, signal.SIGKILL)


@contextmanager
def installed(within: Path | None = None) -> Iterator[Installation]:
    """A migrated installation in a new home; its server runs, unless it is killed, until the block ends.

    The home is made in the folder `within`, else in the temporary one.
    """
    ground = Path(tempfile.mkdtemp(prefix="tidegate-", dir=within))
    ground.chmod(0o755)  # pytest's own folders are closed to the account that runs the server for root
    server = Embedded(ground / "home").start()
    engine = open_engine(server.url(), pool_size=2)
    try:
        migrate(engine)
        with engine.connect() as db:
            assert db.scalar(text("show fsync")) == "on"
        secret = Fernet.generate_key().decode()
        settings = Settings(home=server.home, database_url="", secret_key=secret)  # pyright: ignore[reportArgumentType]
        hub = Hub(settings, engine)
        yield Installation(server, hub)
        hub.close()
    finally:
        engine.dispose()
        server.stop()
        shutil.rmtree(ground)


class Company(NamedTuple):
    """A simulated Stripe, and an installation for it."""

    sandbox: "Sandbox"
    own: Installation


@contextmanager
def company(**config: Any) -> Iterator[Company]:
    """Both, for tests with real processes; `config` are fields of `SandboxConfig`."""
    from tidegate.sandbox.config import SandboxConfig
    from tidegate.sandbox.server import Sandbox

    with Sandbox.start(SandboxConfig(**config)) as sandbox, installed() as own:
        yield Company(sandbox, own)


def _children(parent: int) -> list[int]:
    found: list[int] = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):  # it has ended meanwhile
            if f"PPid:\t{parent}" in status.read_text().splitlines():
                found.append(int(status.parent.name))
    return found
