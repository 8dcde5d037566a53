"""Which lines of an item are those of its last period."""

import pytest
from tests.support.histories import bill, billed, day, prorated

from tidegate.revenue.history.last_lines import Lines

JANUARY, FEBRUARY, MARCH = "2025-01-10", "2025-02-10", "2025-03-10"
BILLS = [
    *bill("in_2", FEBRUARY, billed(FEBRUARY, MARCH, 200), prorated("2025-02-12", MARCH, 70, unit=100)),
    *bill("in_1", JANUARY, billed(JANUARY, FEBRUARY, 100)),
    *bill("in_3", FEBRUARY, billed(FEBRUARY, MARCH, 9), status="void"),
    *bill("in_4", FEBRUARY, billed(FEBRUARY, MARCH, 9), status="draft"),
]


def amounts(at: str, *metered: str) -> list[int | None]:
    return [line.amount for line in Lines(BILLS, set(metered)).at(day(at)).get("si_1", ())]


@pytest.mark.parametrize(
    ("at", "amount"), [("2025-01-09", []), (JANUARY, [100]), ("2025-02-09", [100]), (FEBRUARY, [200]), (MARCH, [200])]
)
def test_what_is_billed_ahead_is_told_as_its_period_begins(at: str, amount: list[int]) -> None:
    assert amounts(at) == amount


@pytest.mark.parametrize(
    ("at", "amount"), [(JANUARY, []), ("2025-02-09", []), (FEBRUARY, [100]), ("2025-03-09", [100]), (MARCH, [200])]
)
def test_usage_is_told_when_its_period_is_over(at: str, amount: list[int]) -> None:
    """Else the usage of a period that runs would be what the last closed one came to, once its invoice is there."""
    assert amounts(at, "price_1") == amount
    assert amounts(at, "price_2") == amounts(at)


def test_each_item_has_its_own() -> None:
    several = bill("in_1", JANUARY, billed(JANUARY, MARCH, 1), billed(JANUARY, MARCH, 2, of="si_2"))
    assert {item: [line.amount for line in lines] for item, lines in Lines(several, set()).at(day(MARCH)).items()} == {
        "si_1": [1],
        "si_2": [2],
    }
