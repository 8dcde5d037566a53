"""What many integration tests ask for beside tests/conftest.py."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support import post as posts
from tests.support.live import Live
from tests.support.post import Post
from tests.support.receiver import Receiver, receiving

from tidegate.wiring import Hub

if TYPE_CHECKING:
    from tests.support.desk import Desk

    from tidegate.sandbox.server import Sandbox


HERE = Path(__file__).parent
CASES = 1
"""Cases of a parametrised test that `make test` shows; those after them are marked `further`."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks before pytest leaves out what its option -m does not name."""
    seen = Counter[tuple[Path, str]]()
    for item in items:
        several = isinstance(item, pytest.Function) and hasattr(item, "callspec")
        if several and item.path.parent == HERE and not any(item.iter_markers("wide")):
            seen[item.path, item.originalname] += 1
            if seen[item.path, item.originalname] > CASES:
                item.add_marker("further")


@pytest.fixture(scope="module")
def desk(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Desk"]:
    """A desk that knows what its sandbox has, shared by the tests of a module."""
    from tests.support.desk import opened  # half a second, for those that ask for it

    with opened(database_url, secret_key, tmp_path_factory.mktemp("desk")) as desk:
        desk.learn()
        yield desk


@pytest.fixture
def live(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> Live:
    """A connection to a very small company, with nothing imported."""
    return Live(hub, make_sandbox(customers=3, months=1))


@pytest.fixture
def post(fresh_database_url: str) -> Iterator[Post]:
    """Destinations, and what is sent to them, in a database of the test's own."""
    with posts.opened(fresh_database_url) as post:
        yield post


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server on this machine that destinations are sent to."""
    with receiving() as receiver:
        yield receiver
