"""Reads Stripe's report "MRR per subscriber per month", a CSV that the dashboard exports under Billing."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from tidegate.errors import ReportInvalid
from tidegate.money import exponent
from tidegate.revenue.periods import Period, read_month

CUSTOMER = ("customer id", "customer_id", "subscriber id", "subscriber_id", "customer")
EMAIL = ("customer email", "customer_email", "email")
CURRENCY = ("currency", "mrr currency", "mrr_currency")
MONTH = ("month", "date", "period", "month end", "month_end", "month start", "month_start")
MRR = ("mrr", "monthly recurring revenue", "monthly_recurring_revenue", "amount", "mrr amount")


CODE = re.compile(r"[a-z]{3}")
NUMBER = re.compile(r"-?(?:[0-9]{1,15}|[0-9]{1,3}(?:,[0-9]{3}){1,4})(?:\.[0-9]{1,12})?")
"""An amount: thousands may be parted by commas. A comma before decimals would be one of these with another meaning."""


class Told(NamedTuple):
    """What the report says of a customer in a month; `mrr` in minor units of `currency`, exact."""

    month: Period
    customer: str
    email: str
    currency: str
    mrr: Fraction


def read(body: bytes, where: str, currency: str = "") -> list[Told]:
    """The rows of the report, a month at a time, or with a column for each month (`2026-03`); headers in any case.

    `currency` of rows that name none. Raises ReportInvalid, which names the columns that there are, or the line.
    """
    rows = _rows(body, where)
    header = [name.strip() for name in rows[0]] if rows else []
    names = {name.lower(): place for place, name in reversed([*enumerate(header)])}
    customer = _column(names, CUSTOMER, header, where, "the customer's id")
    months = {place: month for place, name in enumerate(header) if (month := _month(name)) is not None}
    found: list[Told] = []
    for number, row in enumerate(rows[1:], 2):
        id_ = row[customer].strip() if len(row) > customer else ""
        if not id_.startswith("cus_"):
            continue  # totals, blank lines
        if any(cell.strip() for cell in row[len(header) :]):
            raise ReportInvalid(problem=f"{where}, line {number}: it has more cells than the header names.")
        cells = _cells(row, names, months, header, where, number)
        email = _cell(row, names, EMAIL)
        code = (_cell(row, names, CURRENCY) or currency).lower()
        if not code:
            raise ReportInvalid(problem=f"{where} names no currency; say which one it is in with --currency.")
        if not CODE.fullmatch(code):
            raise ReportInvalid(problem=f"{where}, line {number}: {code!r} is no currency, such as usd.")
        found += [Told(month, id_, email, code, _amount(said, code, where, number)) for month, said in cells if said]
    return found


def _rows(body: bytes, where: str) -> list[list[str]]:
    try:
        told = body.decode("utf-8-sig")
        if "\0" in told:
            raise ReportInvalid(problem=f"{where} is no CSV: it has bytes that are no text.")
        return list(csv.reader(io.StringIO(told, newline="")))
    except (UnicodeDecodeError, csv.Error) as wrong:
        raise ReportInvalid(problem=f"{where} is no CSV in UTF-8 ({wrong}).") from wrong


def _cells(
    row: Sequence[str], names: Mapping[str, int], months: Mapping[int, Period], header: Sequence[str], where: str,
    number: int,
) -> list[tuple[Period, str]]:  # fmt: skip
    if months:
        return [(month, row[place].strip()) for place, month in months.items() if place < len(row)]
    places = (
        _column(names, MONTH, header, where, "the month, nor one for each month (2026-03)"),
        _column(names, MRR, header, where, "the MRR"),
    )
    if max(places) >= len(row):
        raise ReportInvalid(problem=f"{where}, line {number}: it is cut short, without the month or the MRR.")
    said, amount = (row[place].strip() for place in places)
    month = _month(said)
    if month is None:
        raise ReportInvalid(problem=f"{where}, line {number}: {said!r} is no month.")
    return [(month, amount)]


def _column(names: Mapping[str, int], wanted: Sequence[str], header: Sequence[str], where: str, what: str) -> int:
    for name in wanted:
        if name in names:
            return names[name]
    told = ", ".join(header) or "none"
    raise ReportInvalid(
        problem=f"{where} has no column with {what}; it has {told}. It is Stripe's “MRR per subscriber per month”."
    )


def _cell(row: Sequence[str], names: Mapping[str, int], wanted: Sequence[str]) -> str:
    place = next((names[name] for name in wanted if name in names), None)
    return row[place].strip() if place is not None and place < len(row) else ""


def _month(said: str) -> Period | None:
    """The month of `2026-03`, `2026-03-31`, with or without a time, `Mar 2026`, `March 2026`; None: none."""
    told = re.match(r"(?:mrr[ _-]*)?(\d{4}-\d{2})(?:-\d{2}(?:[T ].*)?)?$", said.strip(), re.IGNORECASE)
    if told:
        try:
            return read_month(told.group(1))
        except ReportInvalid:
            return None
    for form in ("%b %Y", "%B %Y"):
        try:
            return read_month(f"{datetime.strptime(said.strip(), form):%Y-%m}")  # noqa: DTZ007  a month has no zone
        except ValueError:
            continue
    return None


def _amount(said: str, currency: str, where: str, line: int) -> Fraction:
    digits = re.sub(r"[\s$€£¥]", "", said)
    if not NUMBER.fullmatch(digits):
        known = "Decimals stand after a point, and commas only part thousands: 1234.56, 1,234.56."
        raise ReportInvalid(problem=f"{where}, line {line}: {said!r} is no amount. {known}")
    return Fraction(digits.replace(",", "")) * 10 ** exponent(currency)
