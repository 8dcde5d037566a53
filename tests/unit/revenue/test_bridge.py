"""A bridge adds up in every currency and in one, with what exchange rates did on a line of its own."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tidegate.revenue.bridge import KINDS, SWITCHED, Line, Row, converted, native, stock
from tidegate.revenue.periods import periods, place
from tidegate.revenue.rates import Rates
from tidegate.revenue.rounding import UNIT, fitted, minor

JANUARY, MARCH = date(2026, 1, 1), date(2026, 3, 31)
MONTHS = periods("month", JANUARY, MARCH)
DAYS = [JANUARY + timedelta(days=n) for n in range((MARCH - JANUARY).days + 1)]


def row(bucket: int, kind: str, dollars: float, currency: str = "usd", group: str = "") -> Row:
    return Row(bucket, currency, group, kind, round(dollars * 100 * UNIT))


def cents(line: Line) -> dict[str, int | None]:
    told = {"opening": line.opening, **line.moved, "fx": line.fx, "closing": line.closing}
    return {name: minor(amount) for name, amount in told.items()}


def test_a_month_goes_from_its_opening_to_its_closing() -> None:
    rows = [row(0, "new", 1000), row(2, "new", 100), row(2, "expansion", 50), row(2, "contraction", -40)]
    january, february, march = native([*rows, row(2, "churn", -60)], MONTHS)
    assert cents(january)["closing"] == 100_000
    assert cents(february) == {
        "opening": 100_000, "new": 10_000, "reactivation": 0, "expansion": 5_000, "contraction": -4_000,
        "churn": -6_000, "fx": 0, "closing": 105_000,
    }  # fmt: skip
    assert march.opening == march.closing == february.closing


def test_the_worked_example_with_fx_is_1045() -> None:
    """Opening 1,000, new 100, expansion 50, contraction 40, churn 60, fx −5 is 1,045: the euro falls over February."""
    on = {date(2025, 12, 31): "1.25", date(2026, 1, 31): "1.25", date(2026, 2, 10): "1.25", date(2026, 2, 28): "1.2375"}
    rates = Rates.of("usd", {"usd": {day: Decimal(rate) for day, rate in on.items()}})
    euros = [row(0, "new", 320, "eur"), row(place(DAYS, date(2026, 2, 10)), "new", 80, "eur")]
    dollars = [
        row(0, "new", 600), row(place(DAYS, date(2026, 2, 20)), "expansion", 50),
        row(place(DAYS, date(2026, 2, 21)), "contraction", -40), row(place(DAYS, date(2026, 2, 22)), "churn", -60),
    ]  # fmt: skip
    february = converted([*euros, *dollars], DAYS, MONTHS, rates, date(2026, 2, 28))[1]
    assert cents(february) == {
        "opening": 100_000, "new": 10_000, "reactivation": 0, "expansion": 5_000, "contraction": -4_000,
        "churn": -6_000, "fx": -500, "closing": 104_500,
    }  # fmt: skip
    assert not rates.lacking


def test_the_stock_of_a_running_month_stands_on_today() -> None:
    rates = Rates.of("usd", {"usd": {date(2026, 3, 5): Decimal("1.5"), date(2026, 3, 31): Decimal(9)}})
    march = converted([row(0, "new", 10, "eur")], DAYS, MONTHS, rates, date(2026, 3, 6))[2]
    assert minor(march.closing) == 1_500


def test_a_missing_rate_leaves_unknown_what_it_is_needed_for() -> None:
    rates = Rates.of("usd", {"usd": {date(2026, 2, 27): Decimal("1.25")}})
    january, february, march = converted([row(40, "new", 10, "eur"), row(41, "churn", -1)], DAYS, MONTHS, rates, MARCH)
    assert january.closing == 0
    assert (february.moved["new"], february.moved["churn"], february.fx) == (None, -100 * UNIT, None)
    assert minor(february.closing) == 1_150
    assert march.closing is None
    assert march.net_new is None
    assert {(one.currency, one.day, one.newest) for one in rates.lacking.values()} == {
        ("usd", date(2026, 2, 9), None), ("usd", MARCH, date(2026, 2, 27)),
    }  # fmt: skip


def test_groups_have_bridges_of_their_own_and_what_goes_between_them_is_a_switch() -> None:
    rows = [row(0, "new", 100, group="basic"), row(1, "expansion", 50, group="pro")]
    rows += [row(1, SWITCHED, -100, group="basic"), row(1, SWITCHED, 100, group="pro")]
    basic, pro = native(rows, MONTHS[:1])
    assert (basic.opening, basic.moved[SWITCHED], basic.closing) == (100 * 100 * UNIT, -100 * 100 * UNIT, 0)
    assert (pro.opening, pro.moved["expansion"], pro.closing) == (0, 50 * 100 * UNIT, 150 * 100 * UNIT)


def test_a_transfer_between_groups_is_a_switch_too() -> None:
    germany, france = native([row(1, "transfer", 5, group="DE"), row(1, "transfer", -5, group="FR")], MONTHS[:1])
    assert (germany.moved[SWITCHED], france.moved[SWITCHED]) == (500 * UNIT, -500 * UNIT)


def test_what_is_left_of_a_stock_is_by_group_and_currency() -> None:
    assert stock([row(0, "new", 5), row(3, "churn", -5), row(1, "new", 2, "eur", "DE")]) == {("DE", "eur"): 200 * UNIT}


AMOUNTS = st.integers(-(10**12), 10**12)
ROWS = st.lists(
    st.builds(
        Row,
        bucket=st.integers(0, len(DAYS)),
        currency=st.sampled_from(["usd", "eur", "jpy"]),
        group=st.just(""),
        kind=st.sampled_from(KINDS),
        amount=AMOUNTS,
    ),
    max_size=20,
)


@given(rows=ROWS, seed=st.lists(st.integers(1, 10**6), min_size=4, max_size=4))
def test_every_bridge_adds_up_and_the_next_begins_where_it_ends(rows: Sequence[Row], seed: Sequence[int]) -> None:
    every = {day: Decimal(seed[number % 4]) / 1000 for number, day in enumerate([date(2025, 12, 31), *DAYS])}
    rates = Rates.of("usd", {"usd": every, "jpy": {day: value * 7 for day, value in every.items()}})
    lines = converted(rows, DAYS, MONTHS, rates, MARCH)
    for line in lines:
        told = cents(line)
        parts = fitted({**line.moved, "fx": line.fx}, (told["closing"] or 0) - (told["opening"] or 0))
        assert (line.opening or 0) + sum(amount or 0 for amount in line.moved.values()) + (line.fx or 0) == line.closing
        assert (told["opening"] or 0) + sum(amount or 0 for amount in parts.values()) == told["closing"]
    for before, after in pairwise(lines):
        assert before.closing == after.opening


@given(amounts=st.lists(AMOUNTS, min_size=1, max_size=8))
def test_fitted_parts_sum_to_the_rounded_total_and_none_is_a_unit_off(amounts: Sequence[int]) -> None:
    parts = {str(number): amount for number, amount in enumerate(amounts)}
    total = minor(sum(amounts))
    found = fitted(dict(parts), total)
    assert sum(amount or 0 for amount in found.values()) == total
    assert all(abs((found[name] or 0) * UNIT - amount) < UNIT for name, amount in parts.items())


def test_an_unknown_part_leaves_the_others_as_they_are() -> None:
    assert fitted({"new": None, "churn": -5 * UNIT}, 3) == {"new": None, "churn": -5}


def test_a_movement_of_the_last_day_is_one_of_its_period_in_the_base_currency_too() -> None:
    rates = Rates.of("usd", {"usd": {date(2026, 1, 30): Decimal("1.5"), date(2026, 2, 28): Decimal("1.5")}})
    last = [row(place(DAYS, date(2026, 1, 31)), "new", 10, "eur"), row(place(DAYS, date(2026, 2, 28)), "new", 4, "eur")]
    january, february, _ = converted(last, DAYS, MONTHS, rates, date(2026, 3, 1))
    assert [cents(one)["new"] for one in (january, february)] == [1_500, 600]
    assert [cents(one)["fx"] for one in (january, february)] == [0, 0]


def test_of_fitted_parts_those_nearest_to_the_other_side_give_way() -> None:
    assert fitted({"new": 400_000, "expansion": 450_000, "churn": 150_000}, 1) == {"new": 0, "expansion": 1, "churn": 0}
    assert fitted({"new": 5_400_000, "expansion": 1_450_000}, 7) == {"new": 5, "expansion": 2}
    assert fitted({"new": 1_600_000, "expansion": 1_550_000}, 3) == {"new": 2, "expansion": 1}
