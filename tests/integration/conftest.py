"""What many integration tests ask for beside tests/conftest.py."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.support.live import Live

from tidegate.wiring import Hub

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox


@pytest.fixture
def live(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> Live:
    """A connection to a very small company, with nothing imported."""
    return Live(hub, make_sandbox(customers=3, months=1))
