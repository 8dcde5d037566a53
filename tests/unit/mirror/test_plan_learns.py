"""What an import learns of a list's size from one of its pages."""

import pytest

from tidegate.mirror.plan import Load
from tidegate.mirror.ranges import Range
from tidegate.stripe_api.resources import RESOURCES


@pytest.mark.parametrize(
    ("newest", "reached", "objects", "density"),
    [
        (2_000, 1_000, 100, 0.1),
        (2_000, 2_000, 100, None),  # all within one second
        (1_000, 2_000, 100, None),  # the oldest first: nothing follows from it
        (None, 2_000, 100, None),
        (2_000, None, 0, None),
    ],
)
def test_density_comes_from_a_page_that_goes_back_in_time(
    newest: int | None, reached: int | None, objects: int, density: float | None
) -> None:
    load = Load(Range(1, RESOURCES["invoices"], reached=reached))
    load.learn(newest, objects)
    assert load.density == density
