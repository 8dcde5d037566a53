"""The demo's own folder: found or made, kept from being anything else's, and emptied before each run."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.errors import ConfigurationError

if TYPE_CHECKING:
    from tidegate.settings import Settings

LOCK = "demo.lock"
"""Lies in every demo's folder: the sign that it is one, and held by the demo that runs there."""
IN_USE = "demo.used"
"""Held by a demo and by its web process, which ends a little later when the demo is killed."""
PATIENCE = 60.0
"""Seconds for the web process of a killed demo to end."""


@dataclass(frozen=True, slots=True)
class DemoHome:
    """A demo's settings, the environment that gives other programs the same, and the lock that they are to inherit, so
    that the next demo waits for them.
    """

    settings: "Settings"
    environment: dict[str, str]
    lock: int


@contextmanager
def prepared(home: Path, config: "Settings") -> Generator[DemoHome]:
    """The folder, its database running and empty of what an earlier demo left.

    The environment's DATABASE_URL and secret key are put aside: a demo never touches another installation. Raises
    ConfigurationError when the folder belongs to one, or a demo runs in it.
    """
    from pydantic import SecretStr

    from tidegate.store.embedded import Embedded
    from tidegate.store.embedded_account import make_directory, server_account

    home = home.expanduser().resolve()
    if home.exists() and any(home.iterdir()) and not (home / LOCK).exists():
        raise ConfigurationError(
            problem=f"{home} is not a demo's folder, and a demo empties its own. Choose another --home."
        )
    make_directory(home, server_account(home / "pg", home))
    with _locked(home), _unused(home) as lock:
        server = Embedded(home).start()
        try:
            _empty(server.url())
            mine = {"home": home, "database_url": "", "secret_key": SecretStr("")}
            environment = {"TIDEGATE_HOME": str(home), "DATABASE_URL": "", "TIDEGATE_SECRET_KEY": ""}
            yield DemoHome(config.model_copy(update=mine), environment, lock)
        finally:
            server.stop()


@contextmanager
def _locked(home: Path) -> Generator[None]:
    """Holds the folder's lock. Raises ConfigurationError when another demo does."""
    from tidegate.store.embedded_locks import open_lock, release, try_exclusive
    from tidegate.store.embedded_process import lock_holders

    lock = open_lock(home / LOCK)
    try:
        if not try_exclusive(lock):
            pids = ", ".join(map(str, lock_holders(home / LOCK))) or "unknown"
            problem = f"A demo is running in {home} (process {pids})."
            raise ConfigurationError(problem=f"{problem} End it, or choose another --home.")
        yield
    finally:
        release(lock)


@contextmanager
def _unused(home: Path) -> Generator[int]:
    """Waits for what a killed demo left; the lock that this demo's web process is to inherit."""
    from tidegate.cli.show import remark
    from tidegate.store.embedded_locks import open_lock, release, try_exclusive

    lock = open_lock(home / IN_USE)
    try:
        deadline, said = time.monotonic() + PATIENCE, False
        while not try_exclusive(lock):
            if time.monotonic() > deadline:
                problem = f"The web process of an earlier demo still uses {home}."
                raise ConfigurationError(problem=f"{problem} End it, or choose another --home.")
            if not said:
                remark("Waiting for the web process of an earlier demo to end.")
                said = True
            time.sleep(0.1)
        yield lock
    finally:
        release(lock)


def _empty(url: str) -> None:
    """Drops what an earlier demo left."""
    from sqlalchemy import text

    from tidegate.store.engine import open_engine

    engine = open_engine(url, pool_size=1)
    try:
        with engine.begin() as db:
            db.execute(text("drop schema if exists stripe cascade"))
            db.execute(text("drop schema if exists tidegate cascade"))
    finally:
        engine.dispose()
