"""The formulas of revenue, with their worked examples."""

from fractions import Fraction

import pytest

from tidegate.revenue.bridge import KINDS, Line
from tidegate.revenue.formulas import Counts, metrics, stripes
from tidegate.revenue.periods import period_of, read_day
from tidegate.revenue.rounding import UNIT, minor

PERIOD = period_of("month", read_day("2026-02-01"))


def line(opening: float, closing: float, **moved: float) -> Line:
    """In dollars."""
    told: dict[str, int | None] = {kind: round(moved.get(kind, 0) * 100 * UNIT) for kind in KINDS}
    fx = closing - opening - sum(moved.values())
    return Line(PERIOD, "usd", "", *(_told(opening), told, _told(fx), _told(closing)))


def _told(dollars: float) -> int:
    return round(dollars * 100 * UNIT)


def counted(*contacts: tuple[float, float], known: bool = False) -> Counts:
    """Contacts by their MRR at the opening and at the closing, in dollars."""
    found = Counts()
    for before, after in contacts:
        found.add(_told(before), _told(after), known=known)
    return found


def test_the_bridge_of_the_worked_example() -> None:
    """Opening 1,000, new 100, expansion 50, contraction 40, churn 60, fx −5 is 1,045."""
    contacts = [(60, 0), (100, 60), (840, 890), (0, 100)]
    february = line(1000, 1045, new=100, expansion=50, contraction=-40, churn=-60)
    found = metrics(february, counted(*contacts), "month")
    assert february.fx == _told(-5)
    assert minor(found.arr) == 1_254_000
    assert minor(found.net_new) == 4_500
    assert found.growth == Fraction(45, 1000)
    assert found.gross_churn == Fraction(100, 1000)
    assert found.net_churn == Fraction(50, 1000)
    assert found.customer_churn == Fraction(1, 3)
    assert found.nrr == Fraction(950, 1000)
    assert found.grr == Fraction(900, 1000)
    assert found.quick_ratio == Fraction(150, 100)
    assert minor(found.arpa) == 34_833
    assert minor(found.ltv) == 104_500


def test_arpa_is_over_contacts_with_mrr() -> None:
    """100 × $100 a month and 50 × $600 a year are 12,500."""
    contacts = [(100.0, 100.0)] * 100 + [(50.0, 50.0)] * 50 + [(0.0, 0.0)]
    found = metrics(line(12_500, 12_500), counted(*contacts), "month")
    assert minor(found.arr) == 15_000_000
    assert minor(found.arpa) == 8_333
    assert found.ltv is None
    assert found.quick_ratio is None


def test_a_contact_counts_net_over_the_period_and_loses_no_more_than_it_had() -> None:
    """It went from 100 to 40 and on to 130: that is an expansion by 30, and no contraction."""
    found = metrics(line(100, 130, expansion=90, contraction=-60), counted((100, 130)), "month")
    assert (found.gross_churn, found.net_churn, found.nrr, found.grr) == (0, Fraction(-30, 100), Fraction(130, 100), 1)


def test_what_came_during_the_period_is_in_no_retention() -> None:
    """Came with 70 and left again: the opening's contacts lost nothing."""
    found = metrics(line(100, 100, new=70, churn=-70), counted((100, 100)), "month")
    assert (found.gross_churn, found.customer_churn, found.nrr, found.grr) == (0, 0, 1, 1)
    assert found.quick_ratio == 1


def test_a_return_lowers_net_churn_but_is_no_retention() -> None:
    counts = counted((100, 0), (100, 100))
    counts.plus(counted((0, 50), known=True))
    found = metrics(line(200, 150, churn=-100, reactivation=50), counts, "month")
    assert (found.gross_churn, found.net_churn) == (Fraction(1, 2), Fraction(1, 4))
    assert (found.nrr, found.grr) == (Fraction(1, 2), Fraction(1, 2))
    assert (counts.new, counts.returned, counts.lost) == (0, 1, 1)


def test_out_of_nothing_there_is_no_ratio() -> None:
    found = metrics(line(0, 100, new=100), counted((0, 100)), "month")
    assert (found.growth, found.gross_churn, found.net_churn, found.customer_churn) == (None,) * 4
    assert (found.nrr, found.grr, found.ltv, found.quick_ratio) == (None,) * 4


@pytest.mark.parametrize(("by", "months"), [("month", 1), ("week", Fraction(12, 52)), ("day", Fraction(12, 365))])
def test_ltv_is_arpa_over_the_churn_of_a_month(by: str, months: Fraction) -> None:
    found = metrics(line(400, 300, churn=-100), counted((100, 0), *[(100.0, 100.0)] * 3), by)
    assert found.ltv == 100 * 100 * UNIT / Fraction(1, 4) * months


def test_a_missing_rate_makes_ratios_unknown_but_no_count() -> None:
    told = line(1000, 900, churn=-100)
    found = metrics(told._replace(opening=None, moved={"churn": None}, fx=None), counted((100, 0), (900, 900)), "month")
    assert (found.growth, found.gross_churn, found.nrr, found.grr, found.quick_ratio) == (None,) * 5
    assert found.customer_churn == Fraction(1, 2)


def test_stripes_churn_is_of_thirty_days_with_those_who_came_in_the_denominator() -> None:
    """20 of 100 subscribers left and one of 25 new ones: 21 of 125."""
    month = Counts(opening=100, movements={"new": 20, "reactivation": 5, "churn": 21})
    over_30_days = line(1000, 900, new=50, expansion=30, contraction=-50, churn=-130)
    found = stripes(line(1000, 900), Counts(opening=90, closing=104), over_30_days, month, "month")
    assert found.customer_churn == Fraction(21, 125)
    assert found.gross_churn == Fraction(180, 1000)
    assert found.net_churn == Fraction(150, 1000)


def test_what_stripe_calls_net_churn_is_unknown_where_a_rate_of_what_was_gained_is_missing() -> None:
    moved = line(1000, 900, churn=-100)
    month = moved._replace(moved={**moved.moved, "expansion": None})
    found = stripes(line(1000, 900), Counts(opening=10, closing=9), month, Counts(opening=10), "month")
    assert (found.gross_churn, found.net_churn) == (Fraction(1, 10), None)


def test_where_the_closing_is_unknown_so_is_what_is_made_of_it() -> None:
    told = line(1000, 900, churn=-100)._replace(closing=None)
    found = metrics(told, counted((100, 0), (900, 900), (0, 50)), "month")
    assert (found.arr, found.arpa, found.ltv, found.net_new) == (None,) * 4


def test_each_contact_counts_once() -> None:
    found = counted((0, 100), (0, 50), (100, 100))
    assert (found.opening, found.new, found.closing) == (1, 2, 3)


def test_numbers_of_movements_add_up_by_kind() -> None:
    found = Counts(movements={"new": 2})
    found.plus(Counts(movements={"new": 3, "churn": 1}))
    assert found.movements == {"new": 5, "churn": 1}
