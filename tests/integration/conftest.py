"""What many integration tests ask for beside tests/conftest.py."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from tests.support import post as posts
from tests.support.live import Live
from tests.support.post import Post
from tests.support.receiver import Receiver, receiving

from tidegate.wiring import Hub

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox


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
