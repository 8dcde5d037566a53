"""What every test may ask for: a database of its own, an engine on it, a hub, a simulated Stripe."""

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx._transports.default as transports
import pytest
import typer.testing
from cryptography.fernet import Fernet
from fastapi import routing
from hypothesis import settings as hypothesis_settings
from tests.support import databases

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tidegate.sandbox.server import Sandbox
    from tidegate.wiring import Hub

hypothesis_settings.register_profile("tests", deadline=None, max_examples=40)
hypothesis_settings.register_profile("wide", deadline=None, max_examples=400)
hypothesis_settings.load_profile("tests")

# Made once: the certificates that an HTTP client trusts, the tree of commands, and what FastAPI makes of each route at
# the first request of each application, which is the same for all of ours. Each takes as long as a short test.
transports.create_ssl_context = cache(transports.create_ssl_context)  # pyright: ignore[reportPrivateImportUsage]
typer.testing._get_command = cache(typer.testing._get_command)  # pyright: ignore
_of_route = routing._EffectiveRouteContext.from_api_route  # pyright: ignore
_made: dict[int, Any] = {}


def _made_once(*, original_route: routing.APIRoute, include_context: Any) -> Any:
    """By the route, which what is made of it keeps alive."""
    if id(original_route) not in _made:
        _made[id(original_route)] = _of_route(original_route=original_route, include_context=include_context)
    return _made[id(original_route)]


routing._EffectiveRouteContext.from_api_route = _made_once  # pyright: ignore


def pytest_configure(config: pytest.Config) -> None:
    """The controlling process makes the run's folder; xdist's workers inherit it."""
    if not hasattr(config, "workerinput"):
        databases.begin_run()


def pytest_unconfigure(config: pytest.Config) -> None:
    """The controlling process ends last and clears up."""
    if not hasattr(config, "workerinput"):
        databases.end_run()


def pytest_collection_finish() -> None:
    """What is loaded by now stays loaded: looking through it for garbage again and again takes a twentieth of a run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 20)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The PostgreSQL server of the run, as the URL of its maintenance database."""
    with databases.serve() as url:
        yield url


@pytest.fixture(scope="module")
def database_url(server_url: str) -> Iterator[str]:
    """A migrated database for the tests of one module; they share its contents."""
    with databases.scratch(server_url) as url:
        yield url


@pytest.fixture
def fresh_database_url(server_url: str) -> Iterator[str]:
    """A migrated database for one test alone."""
    with databases.scratch(server_url) as url:
        yield url


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """A database for one test alone, without any schema of ours."""
    with databases.scratch(server_url, migrated=False) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator["Engine"]:
    """An engine on the module's database."""
    from tidegate.store.engine import open_engine

    engine = open_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def secret_key() -> str:
    """The key that every hub seals with, so that a copy of a database can be read."""
    return Fernet.generate_key().decode()


@pytest.fixture
def hub(database_url: str, engine: "Engine", tmp_path: Path, secret_key: str) -> Iterator["Hub"]:
    """The hub on the module's database, with a home of its own."""
    from tidegate.settings import Settings
    from tidegate.wiring import Hub

    config = Settings(home=tmp_path, database_url=database_url, secret_key=secret_key)  # pyright: ignore[reportArgumentType]
    hub = Hub(config, engine)
    yield hub
    hub.close()


@pytest.fixture
def make_sandbox() -> Iterator[Callable[..., "Sandbox"]]:
    """Starts simulated Stripes in threads, on free ports; takes the fields of `SandboxConfig`. Ended after the test."""
    from tidegate.sandbox.config import SandboxConfig
    from tidegate.sandbox.server import Sandbox

    with ExitStack() as running:

        def start(**config: Any) -> "Sandbox":
            sandbox: AbstractContextManager[Sandbox] = Sandbox.start(SandboxConfig(**config))
            return running.enter_context(sandbox)

        yield start
