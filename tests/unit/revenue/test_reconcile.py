"""Stripe's report is read in its forms; the causes of a difference sum to it."""

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import ReportInvalid
from tidegate.revenue import stripe_report
from tidegate.revenue.closing import differences
from tidegate.revenue.reconcile import Cause, Ours, Part, causes, fitted
from tidegate.revenue.rounding import UNIT

WIDE = """\ufeffCustomer ID,Customer,Customer Email,Currency,2026-01,2026-02
cus_1,"Ada, Inc.",ada@example.com,usd,"1,200.50",100.00
cus_2,,,JPY,,5000
Total,,,,1200.50,
"""


def told(body: str, **more: str) -> list[tuple[str, str, str, Fraction]]:
    return [
        (one.month.name, one.customer, one.currency, one.mrr) for one in stripe_report.read(body.encode(), "f", **more)
    ]


def test_a_report_with_a_column_for_each_month() -> None:
    assert told(WIDE) == [
        ("2026-01", "cus_1", "usd", Fraction(120_050)), ("2026-02", "cus_1", "usd", Fraction(10_000)),
        ("2026-02", "cus_2", "jpy", Fraction(5000)),
    ]  # fmt: skip


@pytest.mark.parametrize("month", ["2026-01", "2026-01-31", "2026-01-31 23:59:59", "Jan 2026", "January 2026"])
def test_a_report_with_a_row_for_each_month(month: str) -> None:
    assert told(f"month,customer_id,MRR\n{month},cus_1,$12.345\n", currency="USD") == [
        ("2026-01", "cus_1", "usd", Fraction(12_345, 10)),
    ]  # fmt: skip


def test_lines_may_end_in_any_way() -> None:
    assert told("Customer ID,Currency,2026-01\rcus_1,usd,-1.50\r\rTotal,,1\r") == [
        ("2026-01", "cus_1", "usd", Fraction(-150)),
    ]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "no column with the customer's id; it has none"),
        ("Name,2026-01\nAda,1\n", "no column with the customer's id; it has Name, 2026-01"),
        ("Customer ID,MRR,Currency\ncus_1,1,usd\n", "no column with the month"),
        ("Customer ID,Month,Currency\ncus_1,2026-01,usd\n", "no column with the MRR"),
        ("Customer ID,Month,MRR,Currency\ncus_1,soon,1,usd\n", "line 2: 'soon' is no month"),
        ("Customer ID,2026-01,Currency\ncus_1,x,usd\n", "line 2: 'x' is no amount"),
        ("Customer ID,2026-01\ncus_1,1\n", "names no currency"),
        ("Customer ID,Month,MRR,Currency\ncus_1\n", "line 2: it is cut short"),
        ("Customer ID,Currency,Month,MRR\ncus_1,usd,2026-01\n", "line 2: it is cut short"),
        ("Customer ID,Currency,2026-01\ncus_1,usd,Infinity\n", "line 2: 'Infinity' is no amount"),
        ("Customer ID,Currency,2026-01\ncus_1,usd,NaN\n", "line 2: 'NaN' is no amount"),
        ("Customer ID,Currency,2026-01\ncus_1,usd,1e99999\n", "line 2: '1e99999' is no amount"),
        ('Customer ID,Currency,2026-01\ncus_1,usd,"1.234,56"\n', "line 2: '1.234,56' is no amount"),
        ('Customer ID,Currency,2026-01\ncus_1,usd,"12,5"\n', "line 2: '12,5' is no amount"),
        ("Customer ID,Currency,2026-01\ncus_1,usd,1,200.50\n", "line 2: it has more cells"),
        ("Customer ID,Currency,2026-01\ncus_1,us dollars,1\n", "line 2: 'us dollars' is no currency"),
        ("Customer ID,Currency,2026-01\ncus_\0,usd,1\n", "is no CSV"),
        (f'Customer ID,Currency,2026-01\ncus_1,usd,"{"1" * 200_000}"\n', "is no CSV"),
    ],
)
def test_a_file_that_is_no_such_report_says_what_it_lacks(body: str, says: str) -> None:
    with pytest.raises(ReportInvalid, match=says):
        told(body)


def ours(mrr: float, **more: float | bool | tuple[Fraction, ...]) -> Ours:
    exact = {name: Fraction(value) if isinstance(value, float) else value for name, value in more.items()}
    return Ours(mrr=Fraction(mrr), **exact)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("theirs", "known", "expected"),
    [
        (1000, ours(1000), []),
        (1000, ours(0, excluded=1000.0, items=1), [("excluded", 1000)]),
        (0, ours(1000, past_due=1000.0, items=1), [("past due", -1000)]),
        (600, ours(1000, past_due=400.0, items=2), [("past due", -400)]),
        (1000, ours(800, discounts=200.0, items=1), [("coupon", 200)]),
        (900, ours(750, discounts=250.0, tax=150.0, listed_tax=200.0, items=1), [("tax", 150)]),
        (1000, ours(750, discounts=250.0, tax=150.0, listed_tax=200.0, items=1), [("coupon", 250)]),
        (1200, ours(750, discounts=250.0, tax=150.0, listed_tax=200.0, items=1), [("coupon", 250), ("tax", 200)]),
        (800, ours(0, lacking=True), [("fx (rate missing)", 800)]),
        (1500, ours(1000, nearby=(Fraction(0), Fraction(1500)), items=1), [("timing", 500)]),
        (500, ours(0, trial=500.0), [("trial", 500)]),
        (1500, ours(1000, discounts=499.0, trial=500.0, items=1), [("trial", 500)]),
        (1001, ours(1000, items=1), [("rounding", 1)]),
        (1002, ours(1000, items=1, converted=True), [("fx", 2)]),
        (1001, ours(1000, items=1, converted=True), [("rounding", 1)]),
        (1005, ours(1000, items=1), [("unexplained", 5)]),
        (1003, ours(1000, items=3), [("rounding", 3)]),
        (1004, ours(1000, items=3), [("unexplained", 4)]),
        (
            801,
            ours(1000, past_due=400.0, discounts=200.0, items=2),
            [("past due", -400), ("coupon", 200), ("rounding", 1)],
        ),
        (1020, ours(1000, converted=True, items=1), [("fx", 20)]),
        (1200, ours(1000, converted=True, items=1), [("unexplained", 200)]),
        (1224, ours(1000, discounts=200.0, converted=True, items=1), [("coupon", 200), ("fx", 24)]),
    ],
)
def test_a_difference_has_causes(theirs: int, known: Ours, expected: Sequence[tuple[Cause, int]]) -> None:
    assert [(part.cause, part.amount) for part in causes(Fraction(theirs), known)] == list(expected)


AMOUNT = st.fractions(min_value=0, max_value=10**6, max_denominator=1000)


@given(
    theirs=AMOUNT,
    known=st.builds(
        Ours, mrr=AMOUNT, excluded=AMOUNT, discounts=AMOUNT, past_due=AMOUNT, trial=AMOUNT, tax=AMOUNT,
        listed_tax=AMOUNT, nearby=st.lists(AMOUNT, max_size=2).map(tuple), items=st.integers(0, 5),
        converted=st.booleans(),
    ),
)  # fmt: skip
def test_causes_sum_to_the_whole_difference(theirs: Fraction, known: Ours) -> None:
    parts = causes(theirs, known)
    assert sum(part.amount for part in parts) == theirs - known.mrr
    whole = round(theirs) - round(known.mrr)
    assert sum(amount for _, amount in fitted(parts, whole)) == whole


def test_a_closed_month_differs_where_a_kind_or_the_end_does() -> None:
    then = {("cus_1", "usd"): {"opening": 100 * UNIT, "closing": 100 * UNIT}, ("cus_2", "usd"): {"closing": UNIT}}
    now = {
        ("cus_1", "usd"): {"opening": 100 * UNIT, "closing": 100 * UNIT},
        ("cus_2", "usd"): {"closing": 3 * UNIT, "new": 2 * UNIT},
        ("cus_3", "eur"): {"closing": 9 * UNIT, "new": 9 * UNIT},
    }
    assert differences(then, now) == [
        {
            "customer": "cus_3", "currency": "eur", "closed": 0, "now": 9, "difference": 9,
            "changes": {"closing": {"closed": 0, "now": 9}, "new": {"closed": 0, "now": 9}},
        },
        {
            "customer": "cus_2", "currency": "usd", "closed": 1, "now": 3, "difference": 2,
            "changes": {"closing": {"closed": 1, "now": 3}, "new": {"closed": 0, "now": 2}},
        },
    ]  # fmt: skip


def test_what_rounding_leaves_goes_to_the_largest_part() -> None:
    parts = [Part("coupon", Fraction(1, 3)), Part("past due", Fraction(-1001, 3)), Part("tax", Fraction(1, 3))]
    assert fitted(parts, -333) == [("past due", -333)]
    assert fitted(parts, -335) == [("past due", -335)]
