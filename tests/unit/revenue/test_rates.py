"""Rates: the last one published on or before a day, at most seven days old, else none; files of two forms."""

import io
import zipfile
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from tidegate.errors import RatesInvalid
from tidegate.revenue import rate_files
from tidegate.revenue.rates import Lacking, Rates

FRIDAY = date(2026, 1, 2)
DOLLARS = {FRIDAY: Decimal("1.25")}


def test_a_weekend_has_fridays_rate_and_the_eighth_day_has_none() -> None:
    rates = Rates.of("usd", {"usd": DOLLARS})
    assert rates.factor("eur", date(2026, 1, 4)) == Fraction(5, 4)
    assert rates.factor("eur", date(2026, 1, 9)) == Fraction(5, 4)
    assert rates.factor("eur", date(2026, 1, 10)) is None
    assert rates.factor("eur", date(2026, 1, 1)) is None
    assert list(rates.lacking.values()) == [
        Lacking("usd", date(2026, 1, 10), FRIDAY), Lacking("usd", date(2026, 1, 1), None),
    ]  # fmt: skip


def test_a_currency_without_decimals_is_converted_in_its_own_minor_units() -> None:
    rates = Rates.of("usd", {"usd": DOLLARS, "jpy": {FRIDAY: Decimal(150)}})
    assert rates.convert(12_000, "jpy", FRIDAY) == 10_000
    assert Rates.of("jpy", {"usd": DOLLARS, "jpy": {FRIDAY: Decimal(150)}}).convert(10_000, "usd", FRIDAY) == 12_000
    assert Rates.of("usd", {"usd": DOLLARS, "kwd": {FRIDAY: Decimal("0.5")}}).convert(1000, "kwd", FRIDAY) == 250


def test_halves_go_away_from_zero_and_nothing_needs_no_rate() -> None:
    rates = Rates.of("eur", {"usd": {FRIDAY: Decimal(2)}})
    assert (rates.convert(3, "usd", FRIDAY), rates.convert(-3, "usd", FRIDAY)) == (2, -2)
    assert rates.convert(0, "gbp", FRIDAY) == 0
    assert rates.total([("usd", 4), ("gbp", 1)], FRIDAY) is None


def test_your_rates_stand_over_the_shipped_ones() -> None:
    rates = Rates.of("eur", {"usd": DOLLARS}, {"usd": {FRIDAY: Decimal(2)}})
    assert rates.factor("usd", FRIDAY) == Fraction(1, 2)


def test_the_history_of_the_bank_comes_along() -> None:
    assert rate_files.shipped("usd")[date(1999, 1, 4)] == Decimal("1.1789")
    assert rate_files.shipped("xyz") == {}


def test_the_banks_own_file_is_read_plain_and_zipped() -> None:
    body = b"Date,USD,JPY,CYP,\n2026-01-05,1.25,150,N/A,\n2026-01-02,1.2,,N/A,\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("eurofxref-hist.csv", body)
    told = rate_files.read(body, "f")
    assert told == rate_files.read(body.replace(b"\n", b"\r\n") + b"\r\n", "f")
    assert told == rate_files.read(packed.getvalue(), "f")
    assert told == {
        "usd": {date(2026, 1, 5): Decimal("1.25"), FRIDAY: Decimal("1.2")}, "jpy": {date(2026, 1, 5): Decimal(150)},
    }  # fmt: skip


def test_a_rate_holds_for_a_week_and_one_into_another_currency_as_long_as_both() -> None:
    days = {"usd": {FRIDAY: Decimal("1.25")}, "gbp": {date(2026, 1, 5): Decimal("0.8")}}
    rates = Rates.of("usd", days)
    assert rates.holds_until("eur", date(2026, 1, 7)) == date(2026, 1, 9)
    assert rates.holds_until("gbp", date(2026, 1, 9)) == date(2026, 1, 9)
    assert Rates.of("eur", days).holds_until("gbp", date(2026, 1, 9)) == date(2026, 1, 12)
    assert rates.factor("gbp", date(2026, 1, 10)) is None
    assert rates.holds_until("gbp", date(2026, 1, 10)) is None
    assert rates.holds_until("usd", date(2026, 1, 10)) is None


def test_a_row_for_each_rate_and_rates_for_one_dollar() -> None:
    told = rate_files.read(b"date,currency,rate\n2026-01-02,EUR,0.8\n2026-01-02,GBP,0.6\n", "f", per="usd")
    assert told == {"usd": {FRIDAY: Decimal("1.25")}, "gbp": {FRIDAY: Decimal("0.75")}}


@pytest.mark.parametrize(
    ("body", "per", "says"),
    [
        (b"", "eur", "no rows"),
        (b"day,USD\n2026-01-02,1\n", "eur", "no column `date`"),
        (b"date,USD\n02/01/2026,1\n", "eur", "line 2: '02/01/2026' is no day"),
        (b"date,USD\n2026-01-02,-1\n", "eur", "line 2: '-1' is no rate"),
        (b"date,USD\n2026-01-02,x\n", "eur", "line 2: 'x' is no rate"),
        (b"date,GBP\n2026-01-02,1\n", "usd", "need the euro's"),
        (b"date,currency,rate\n2026-11-01,usd\n", "eur", "line 2: it is cut short"),
        (b"USD,date\n1.2\n", "eur", "line 2: '' is no day"),
        (b"date,currency,rate\n2026-01-02,us dollars,1\n", "eur", "line 2: 'us dollars' is no currency"),
        (b"date,us dollars\n2026-01-02,1\n", "eur", "line 2: 'us dollars' is no currency"),
        (b"date,EUR\n2026-01-02,1\n", "us dollars", "'us dollars' is no currency"),
        (b"date,USD\n2026-01-02,1e99999\n", "eur", "line 2: '1e99999' is no rate"),
        (b"date,USD\n2026-01-02,Infinity\n", "eur", "line 2: 'Infinity' is no rate"),
        (b"date,currency,rate\n2026-01-02,usd,1,25\n", "eur", "line 2: it has more cells"),
        (b'date,USD\n2026-01-02,"1.234,56"\n', "eur", "line 2: '1.234,56' is no rate"),
        (b'date,USD\n2026-01-02,"' + b"1" * 200_000 + b'"\n', "eur", "it is no CSV"),
        (b"PK nothing", "eur", "neither CSV nor a zipped one"),
    ],
)
def test_a_file_that_cannot_be_taken_says_where_and_why(body: bytes, per: str, says: str) -> None:
    with pytest.raises(RatesInvalid, match=says):
        rate_files.read(body, "rates.csv", per)


def test_of_the_base_itself_one_is_one() -> None:
    assert Rates.of("usd", {}).factor("usd", FRIDAY) == 1
