"""Reports of revenue over a small ledger: by period and group, in the currencies there are and in one."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from tests.support import earning
from tests.support.earning import Books, at

from tidegate.errors import LedgerMissing, RatesInvalid
from tidegate.pricing.policy import policy
from tidegate.revenue import metrics, rate_files, reports, units
from tidegate.revenue.bridge import SWITCHED
from tidegate.revenue.formulas import Counts
from tidegate.revenue.periods import By, periods
from tidegate.revenue.reports import Report
from tidegate.revenue.rounding import UNIT, minor
from tidegate.revenue.source import Window, group

NOW = at("2026-05-20 12:00")
FIRST, LAST = date(2026, 1, 1), date(2026, 5, 31)
YEAR = periods("month", FIRST, LAST)


@pytest.fixture(scope="module")
def books(database_url: str) -> Iterator[Books]:
    with earning.opened(database_url) as books:
        basic, pro = {"price": "price_basic", "product": "prod_basic"}, {"price": "price_pro", "product": "prod_pro"}
        books.span("cus_a", 10_000, "2026-01-05", "2026-02-10", **basic)
        books.span("cus_a", 15_000, "2026-02-10", **pro)
        books.span("cus_b", 6_000, "2025-12-10", "2026-03-15", **basic)
        books.span("cus_b", 6_000, "2026-05-01", **basic)
        books.span("cus_c", 8_000, "2026-02-20", currency="eur", **pro)
        books.span("cus_d", 99_900, "2026-01-01", **pro)
        books.span("cus_e", 0, "2026-03-01", "2026-03-15", trial=5_000_000_000, why_not="it is trialing", **basic)
        books.span("cus_e", 5_000, "2026-03-15", **basic)
        books.span("cus_f", 2_000, "2026-03-05", "2026-04-30 23:40", currency="eur", **basic)
        books.span("cus_f", 2_500, "2026-04-30 23:40", "2026-05-01 00:10", currency="eur", **pro)
        books.span("cus_f", 3_000, "2026-05-01 00:10", currency="eur", **basic)
        books.link("acme", "cus_a", "cus_f", tier="gold")
        books.link("berlin", "cus_b", tier="silver")
        books.execute(
            "insert into tidegate.exclusions (connection, customer, reason, by) values ('acme', 'cus_d', 'test', 'me')"
        )
        books.execute("insert into tidegate.packages (key) values ('pro')")
        books.execute("""
insert into tidegate.mappings (connection, price, package, per_quantity) values ('acme', 'price_pro', 'pro', false)""")
        books.execute("""
insert into stripe.customers (connection, id, data, updated_at, certainty, country)
values ('acme', 'cus_b', '{}', now(), 1, 'DE')""")
        books.keep()
        with books.engine.begin() as db:
            every = {day: Decimal("1.20") + Decimal(day.month) / 100 for day in Window.of(YEAR, daily=True).thresholds}
            rate_files.store(db, {"usd": every}, "test")
        yield books


def told(books: Books, by: By = "month", **more: Any) -> list[dict[str, Any]]:
    """The report's rows, from January to May unless it says otherwise."""
    with books.engine.connect() as db:
        report = reports.opened(db, "acme", NOW, by=by, group=group(more.get("group")), currency=more.get("currency"))
        over = reports.window(report, more.get("first", FIRST), more.get("last", LAST))
        return reports.rows_of(report, reports.lines(db, report, over))


def series(rows: list[dict[str, Any]], name: str = "mrr", **where: Any) -> list[Any]:
    return [row[name] for row in rows if all(row[key] == value for key, value in where.items())]


def test_mrr_by_month_in_each_currency(books: Books) -> None:
    rows = told(books)
    assert series(rows, currency="usd") == [16_000, 21_000, 20_000, 20_000, 26_000]
    assert series(rows, currency="eur") == [0, 8_000, 10_000, 10_000, 11_000]
    assert series(rows, "new", currency="usd") == [10_000, 0, 5_000, 0, 0]
    assert series(rows, "expansion", currency="usd") == [0, 5_000, 0, 0, 0]
    assert series(rows, "churn", currency="usd") == [0, 0, -6_000, 0, 0]
    assert series(rows, "reactivation", currency="usd") == [0, 0, 0, 0, 6_000]
    assert series(rows, "running", currency="usd") == [False, False, False, False, True]
    assert rows[0]["opening"] == 6_000


def test_a_movement_counts_on_the_day_of_its_last_change(books: Books) -> None:
    """What changes at 23:40 and again at 0:10 is one expansion, of the first of May."""
    rows = told(books, by="day", first=date(2026, 4, 30), last=date(2026, 5, 1))
    assert series(rows, currency="eur") == [10_000, 11_000]
    assert series(rows, "expansion", currency="eur") == [0, 1_000]


@pytest.mark.parametrize("by", ["month", "week", "day"])
@pytest.mark.parametrize(
    "name", ["package", "product", "price", "interval", "currency", "country", "contact", "property:tier"]
)
def test_groups_add_up_to_the_whole_and_each_to_itself(books: Books, by: By, name: str) -> None:
    columns = ("opening", "new", "reactivation", "expansion", "churn", "mrr", SWITCHED)
    sums = defaultdict[tuple[Any, ...], int](int)
    for row in told(books, by=by, group=name):
        parts = sum(row[kind] for kind in ("new", "reactivation", "expansion", "contraction", "churn", "fx", SWITCHED))
        assert row["opening"] + parts == row["mrr"]
        for column in columns:
            sums[row["period"], row["currency"], column] += row[column]
    for row in told(books, by=by):
        for column in columns:
            assert sums[row["period"], row["currency"], column] == row.get(column, 0), (row["period"], column)


def test_an_upgrade_takes_its_mrr_along_to_another_package(books: Books) -> None:
    rows = told(books, group="package")
    assert series(rows, group="pro", currency="usd") == [0, 15_000, 15_000, 15_000, 15_000]
    assert series(rows, SWITCHED, group="pro", currency="usd") == [0, 10_000, 0, 0, 0]
    assert series(rows, SWITCHED, group="", currency="usd") == [0, -10_000, 0, 0, 0]
    assert series(rows, group="pro", currency="eur") == [0, 8_000, 8_000, 8_000, 8_000]


def test_groups_of_customers(books: Books) -> None:
    assert series(told(books, group="country"), group="DE") == [6_000, 6_000, 0, 0, 6_000]
    gold = told(books, group="property:tier")
    assert series(gold, group="gold", currency="eur") == [0, 0, 2_000, 2_000, 3_000]
    assert series(told(books, group="contact"), group="account:acme", currency="usd")[-1] == 15_000
    assert series(told(books, group="interval"), group="") == series(told(books), "mrr")


def test_in_one_currency_the_bridge_adds_up_with_fx(books: Books) -> None:
    rows = told(books, currency="USD")
    assert series(rows) == [16_000, 21_000 + 9_760, 20_000 + 12_300, 20_000 + 12_400, 26_000 + 13_750]
    assert series(rows, "new") == [10_000, 9_760, 7_460, 0, 0]
    assert series(rows, "fx") == [0, 0, 80, 100, 100]
    assert series(rows, "expansion") == [0, 5_000, 0, 0, 1_250]
    for row in rows:
        assert row["opening"] + sum(row[k] for k in ("new", "reactivation", "expansion", "churn", "fx")) == row["mrr"]
    assert {row["currency"] for row in rows} == {"usd"}


def test_missing_rates_are_said(books: Books) -> None:
    with books.engine.connect() as db:
        report = reports.opened(db, "acme", NOW, currency="jpy")
        found = reports.lines(db, report, reports.window(report, None, LAST))
    assert found[0].closing == 0
    assert all(one.currency in {"usd", "jpy"} for one in report.rates.lacking.values()) if report.rates else False
    with books.engine.connect() as db, pytest.raises(RatesInvalid, match="no rates of that currency"):
        reports.opened(db, "acme", NOW, currency="xyz")
    with books.engine.connect() as db, pytest.raises(LedgerMissing, match="tidegate refresh"):
        reports.opened(db, "elsewhere", NOW)


def test_mrr_at_a_day(books: Books) -> None:
    with books.engine.connect() as db:
        native = reports.standing(db, reports.opened(db, "acme", NOW), date(2026, 2, 28))
        report = reports.opened(db, "acme", NOW, currency="eur", group=group("product"))
        one = reports.standing(db, report, date(2026, 2, 28))
    assert {key: minor(amount) for key, amount in native.items()} == {("", "eur"): 8_000, ("", "usd"): 21_000}
    assert {key[0]: minor(amount) for key, amount in one.items()} == {"prod_basic": 4_918, "prod_pro": 8_000 + 12_295}


def counted(books: Books, name: str = "", currency: str | None = None) -> tuple[Report, dict[Any, Counts]]:
    with books.engine.connect() as db:
        report = reports.opened(db, "acme", NOW, currency=currency, group=group(name))
        window = Window.of(reports.window(report, FIRST, LAST))
        return report, units.counts(db, report.ledger, window, report.group, report.rates)


def column(found: dict[Any, Counts], name: str, currency: str, of: str = "") -> list[Any]:
    return [getattr(found[bucket, currency, of], name) for bucket in range(1, 6)]


def test_contacts_are_counted_at_both_ends_of_each_period(books: Books) -> None:
    _, found = counted(books)
    assert column(found, "opening", "usd") == [1, 2, 2, 2, 2]
    assert column(found, "closing", "usd") == [2, 2, 2, 2, 3]
    assert column(found, "new", "usd") == [1, 0, 1, 0, 0]
    assert column(found, "returned", "usd") == [0, 0, 0, 0, 1]
    assert column(found, "lost", "usd") == [0, 0, 1, 0, 0]
    assert [minor(one) for one in column(found, "expanded_mrr", "usd")] == [0, 5_000, 0, 0, 0]
    assert column(found, "subscriptions", "usd") == [2, 2, 2, 2, 3]
    assert [minor(one) for one in column(found, "trial_mrr", "usd")] == [0, 0, 0, 0, 0]
    assert [one.get("new", 0) for one in column(found, "movements", "usd")] == [1, 0, 1, 0, 0]


def test_a_contact_that_pays_in_two_currencies_is_one_in_one(books: Books) -> None:
    _, usd = counted(books, currency="usd")
    assert column(usd, "closing", "usd") == [2, 3, 3, 3, 4]
    assert column(usd, "new", "usd") == [1, 1, 1, 0, 0]
    assert [minor(one) for one in column(usd, "expanded_mrr", "usd")] == [0, 5_000, 2_440, 0, 1_240]
    assert column(usd, "lost", "usd") == [0, 0, 1, 0, 0]


def test_under_stripes_policy_churn_is_that_of_thirty_days(books: Books) -> None:
    """On 31 March one of the two contacts of the first, and of the one who came since, has left; on 30 April none."""
    with books.engine.connect() as db:
        report = reports.opened(db, "acme", NOW)
        stripes = replace(report, ledger=replace(report.ledger, policy=policy("stripe")))
        rows = metrics.rows(db, stripes, reports.window(report, date(2026, 3, 1), date(2026, 4, 30)))
    assert series(rows, "customer_churn", currency="usd") == [round(1 / 3, 6), 0.0]
    assert series(rows, "gross_churn", currency="usd") == [round(6 / 21, 6), 0.0]


@pytest.mark.parametrize(("today", "churn"), [("2026-04-10", 1 / 3), ("2026-04-13", 1 / 3), ("2026-04-14", 0)])
def test_of_a_month_that_runs_the_thirty_days_end_today(books: Books, today: str, churn: float) -> None:
    """Who left on 15 March did so within the thirty days that end on 13 April, and not in those of the 14th."""
    with books.engine.connect() as db:
        report = reports.opened(db, "acme", at(today))
        stripes = replace(report, ledger=replace(report.ledger, policy=policy("stripe")))
        rows = metrics.rows(db, stripes, reports.window(report, date(2026, 4, 1), date(2026, 4, 30)))
    assert series(rows, "customer_churn", currency="usd") == [round(churn, 6)]


def test_a_period_runs_on_its_last_day_and_of_days_to_come_stands_what_does_today(books: Books) -> None:
    with books.engine.connect() as db:
        report = reports.opened(db, "acme", at("2026-04-30 12:00"))
        over = reports.window(report, date(2026, 3, 1), date(2026, 4, 30))
        rows = reports.rows_of(report, reports.lines(db, report, over))
        report = reports.opened(db, "acme", NOW, currency="usd")
        now, later = (reports.standing(db, report, day) for day in (date(2026, 5, 20), date(2026, 6, 30)))
    assert series(rows, "running", currency="usd") == [False, True]
    assert now == later != {}


def test_within_a_group_who_switches_comes_and_goes(books: Books) -> None:
    _, found = counted(books, "package")
    assert column(found, "closing", "usd", "pro") == [0, 1, 1, 1, 1]
    assert column(found, "closing", "usd") == [2, 1, 1, 1, 2]
    assert column(found, "lost", "usd") == [0, 1, 1, 0, 0]


def test_trials_are_shown_apart(books: Books) -> None:
    with books.engine.connect() as db:
        report = reports.opened(db, "acme", NOW, by="day")
        window = Window.of(reports.window(report, date(2026, 3, 14), date(2026, 3, 15)))
        found = units.counts(db, report.ledger, window, report.group)
    assert [minor(found[bucket, "usd", ""].trial_mrr) for bucket in (1, 2)] == [5_000, 0]


def test_metered_usage_is_shown_apart(fresh_database_url: str) -> None:
    with earning.opened(fresh_database_url) as books:
        books.span("cus_a", 1_000, "2026-01-05")
        books.span("cus_m", 0, "2026-01-05", "2026-02-05", item="si_m", usage=300 * UNIT, metered=True)
        books.span("cus_m", 0, "2026-02-05", item="si_m", usage=500 * UNIT, metered=True)
        books.span("cus_e", 0, "2026-02-05", currency="eur", usage=100 * UNIT, metered=True)
        books.keep()
        with books.engine.connect() as db:
            report = reports.opened(db, "acme", NOW)
            rows = metrics.rows(db, report, reports.window(report, date(2026, 1, 1), date(2026, 3, 1)))
            rate_files.store(db, {"usd": {date(2026, 2, 28): Decimal(2)}}, "test")
            report = reports.opened(db, "acme", at("2026-02-28 12:00"), currency="usd")
            [one] = metrics.rows(db, report, reports.window(report, date(2026, 2, 1), date(2026, 2, 28)))
    assert [(row["usage"], row["mrr"]) for row in rows] == [(300, 1_000), (500, 1_000), (500, 1_000)]
    assert (one["usage"], one["mrr"]) == (700, 1_000)


def test_a_years_price_shows_as_its_twelfth_and_totals_are_rounded_last(fresh_database_url: str) -> None:
    """4 × $500 a year is new 166.67; + 2 × $30 a month, expansion 60."""
    with earning.opened(fresh_database_url) as books:
        books.span("cus_1", 4 * 50_000 / 12, "2026-01-10", interval="year")
        books.span("cus_1", 6_000, "2026-02-10", item="si_2")
        january, february = told(books.keep(), last=date(2026, 2, 28))
    assert (january["new"], january["mrr"]) == (16_667, 16_667)
    assert (february["expansion"], february["mrr"]) == (6_000, 22_667)


def test_who_left_has_not_contracted_and_who_came_makes_up_for_no_churn(fresh_database_url: str) -> None:
    with earning.opened(fresh_database_url) as books:
        books.span("cus_left", 10_000, "2026-01-05", "2026-03-10")
        books.span("cus_less", 20_000, "2026-01-05", "2026-03-12")
        books.span("cus_less", 15_000, "2026-03-12")
        books.span("cus_new", 4_000, "2026-03-14")
        books.span("cus_new", 3_000, "2026-03-14", item="si_new_2")
        books.span("cus_back", 3_000, "2026-01-05", "2026-02-10")
        books.span("cus_back", 3_000, "2026-03-20")
        books.keep()
        with books.engine.connect() as db:
            report = reports.opened(db, "acme", NOW)
            [march] = metrics.rows(db, report, reports.window(report, date(2026, 3, 1), date(2026, 3, 31)))
    contacts = {"opening": 2, "new": 1, "returned": 1, "contracted": 1, "lost": 1, "closing": 3}
    assert march["contacts"] == contacts
    assert (march["gross_churn"], march["net_churn"], march["nrr"], march["customer_churn"]) == (0.5, 0.4, 0.5, 0.5)
    assert march["movements"] == {"churn": 1, "contraction": 1, "new": 1, "reactivation": 1}


def test_what_is_shown_apart_has_todays_rate_while_the_month_runs(fresh_database_url: str) -> None:
    with earning.opened(fresh_database_url) as books:
        books.span("cus_m", 0, "2026-03-01", currency="eur", item="si_m", usage=300 * UNIT, metered=True)
        books.span("cus_e", 1_000, "2026-03-01", currency="eur")
        books.keep()
        with books.engine.begin() as db:
            rate_files.store(db, {"usd": {date(2026, 3, 12): Decimal(2), date(2026, 3, 31): Decimal(3)}}, "test")
            report = reports.opened(db, "acme", at("2026-03-12 12:00"), currency="usd")
            [march] = metrics.rows(db, report, reports.window(report, date(2026, 3, 1), date(2026, 3, 12)))
    assert (march["usage"], march["mrr"]) == (600, 2_000)


def test_a_contact_of_two_currencies_that_comes_back_is_not_new(fresh_database_url: str) -> None:
    """It left before the report begins, or came and left within its first period."""
    with earning.opened(fresh_database_url) as books:
        for name, begins, ends in (("old", "2025-11-05", "2025-12-10"), ("short", "2026-01-05", "2026-01-20")):
            books.span(f"cus_{name}_usd", 5_000, begins, ends)
            books.span(f"cus_{name}_eur", 5_000, begins, ends, currency="eur")
            books.span(f"cus_{name}_usd", 5_000, "2026-02-10")
            books.link(name, f"cus_{name}_usd", f"cus_{name}_eur")
        books.keep()
        with books.engine.begin() as db:
            days = Window.of(periods("month", date(2025, 12, 1), LAST), daily=True).thresholds
            rate_files.store(db, {"usd": dict.fromkeys(days, Decimal(1))}, "test")
        _, found = counted(books, currency="usd")
    assert column(found, "new", "usd") == [0, 0, 0, 0, 0]
    assert column(found, "returned", "usd") == [0, 2, 0, 0, 0]
    assert column(found, "closing", "usd") == [0, 2, 2, 2, 2]


def test_a_movement_that_ends_after_the_last_day_is_no_part_of_the_report(books: Books) -> None:
    """Of cus_f, which changed its package twice around the end of April, once on either side."""
    april = date(2026, 4, 1), date(2026, 4, 30)
    with books.engine.connect() as db:
        report = reports.opened(db, "acme", NOW, group=group("package"))
        rows = metrics.rows(db, report, reports.window(report, *april))
    euros = {row["group"]: (row["mrr"], row["contacts"]["closing"]) for row in rows if row["currency"] == "eur"}
    assert euros == {"": (2_000, 1), "pro": (8_000, 1)}


def test_intervals_of_several_months_are_told_apart(books: Books) -> None:
    with books.engine.begin() as db:
        db.execute(
            text("""
insert into stripe.prices (connection, id, data, updated_at, certainty, "interval", interval_count)
values ('acme', 'price_basic', '{}', now(), 1, 'month', 3), ('acme', 'price_pro', '{}', now(), 1, 'month', 1)""")
        )
        report = reports.opened(db, "acme", NOW, group=group("interval"))
        found = reports.standing(db, report, date(2026, 5, 20))
        db.rollback()
    assert {name: minor(amount) for (name, currency), amount in found.items() if currency == "usd"} == {
        "3 months": 11_000, "month": 15_000,
    }  # fmt: skip
