"""What most crash tests ask for: the process whose children are killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import killing


@pytest.fixture(scope="module")
def run() -> Iterator[killing.Run]:
    """A parent that has all of Tidegate imported; its children are the functions of `victims.py`."""
    with killing.parent(Path(__file__).with_name("victims.py")) as run:
        yield run
