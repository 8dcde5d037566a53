"""Closed months, data quality, reconciliation with Stripe's report, and why a customer's MRR is what it is."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from tests.support import earning
from tests.support.builders import arrival, customer, item, price, subscription
from tests.support.earning import Books, at

from tidegate.errors import ClosingRefused, ContactUnknown, CustomerUnknown, MonthOpen
from tidegate.mirror.apply import apply
from tidegate.revenue import closing, rate_files, reconciling, stripe_report
from tidegate.revenue.periods import read_month
from tidegate.revenue.quality import ABOUTS
from tidegate.stripe_api.resources import RESOURCES
from tidegate.workflows.revenue.data_quality import data_quality
from tidegate.workflows.revenue.explain_mrr import explain_mrr

NOW = at("2026-05-20 12:00")
TODAY = date(2026, 5, 20)
OVER = 80
MARCH = read_month("2026-03")


def has(books: Books, *bodies: dict[str, Any]) -> None:
    with books.engine.begin() as db:
        for body in bodies:
            resource = next(r for r in RESOURCES.values() if r.object == body["object"])
            apply(db, "acme", resource, [arrival(resource.name, body, 100)])


@pytest.fixture(scope="module")
def books(database_url: str) -> Iterator[Books]:
    with earning.opened(database_url) as books:
        books.span("cus_a", 10_000, "2026-01-05")
        books.span("cus_b", 6_000, "2026-01-10", listed=8_000_000_000)
        books.span("cus_c", 2_000, "2026-01-10")
        books.span("cus_d", 9_000, "2026-03-31 12:00")
        books.span("cus_x", 5_000, "2026-01-10")
        books.span("cus_e", 8_000, "2026-02-20", currency="eur")
        books.link("acme", "cus_a")
        books.link("empty")
        books.execute(
            "insert into tidegate.exclusions (connection, customer, reason, by) values ('acme', 'cus_x', 'staff', 'me')"
        )
        with books.engine.begin() as db:
            rate_files.store(db, {"usd": {MARCH.last: Decimal("1.25")}}, "test")
        yield books.keep()


def test_a_closed_month_is_kept_and_what_is_said_later_is_listed(books: Books) -> None:
    with books.engine.begin() as db:
        with pytest.raises(ClosingRefused, match="runs until 2026-05-31"):
            closing.close(db, books.ledger, read_month("2026-05"), "cli:me", TODAY)
        with pytest.raises(ClosingRefused, match="runs until 2026-03-31"):
            closing.close(db, books.ledger, MARCH, "cli:me", MARCH.last)
        with pytest.raises(MonthOpen, match="2026-03 is not closed"):
            closing.difference(db, books.ledger, MARCH)
        assert closing.close(db, books.ledger, MARCH, "cli:me", TODAY) == 5
        assert closing.difference(db, books.ledger, MARCH) == []
        with pytest.raises(ClosingRefused, match="by cli:me"):
            closing.close(db, books.ledger, MARCH, "cli:you", TODAY)
    books.execute("update tidegate.spans set mrr = mrr / 2 where customer = 'cus_c'")
    books.keep()
    with books.engine.begin() as db:
        [one] = closing.difference(db, books.ledger, MARCH)
        [month] = closing.closed(db, books.ledger)
    assert (one["customer"], one["closed"], one["now"], one["difference"]) == ("cus_c", 2_000, 1_000, -1_000)
    halved = {"closed": 2_000, "now": 1_000}
    assert one["changes"] == {"opening": halved, "closing": halved}
    assert month["mrr"] == [{"currency": "eur", "mrr": 8_000}, {"currency": "usd", "mrr": 27_000}]
    books.execute("update tidegate.spans set mrr = mrr * 2 where customer = 'cus_c'")
    books.execute("update tidegate.spans set mrr = mrr / 3 where customer = 'cus_d'")
    books.keep()
    with books.engine.begin() as db:
        [one] = closing.difference(db, books.ledger, MARCH)
    third = {"closed": 9_000, "now": 3_000}
    assert one["changes"] == {"closing": third, "new": third}
    books.execute("update tidegate.spans set mrr = mrr * 3 where customer = 'cus_d'")
    books.keep()


REPORT = b"""Customer ID,Currency,2026-03
cus_a,usd,100.00
cus_b,usd,80.00
cus_c,usd,20.01
cus_x,usd,50.00
cus_y,usd,7.00
"""


def reconciling_of(books: Books, report: bytes) -> dict[str, Any]:
    with books.engine.connect() as db:
        return reconciling.reconcile(db, books.ledger, stripe_report.read(report, "f"), NOW)


def reconciled(books: Books, report: bytes) -> dict[str, Any]:
    """The month of a report in dollars."""
    [usd] = [one for one in reconciling_of(books, report)["months"] if one["currency"] == "usd"]
    return usd


def test_every_difference_to_stripes_report_has_a_cause(books: Books) -> None:
    usd = reconciled(books, REPORT)
    assert (usd["theirs"], usd["ours"], usd["difference"], usd["equal"]) == (25_701, 37_000, -11_299, 1)
    why = {one["customer"]: [(part["cause"], part["amount"]) for part in one["parts"]] for one in usd["customers"]}
    assert why == {
        "cus_b": [("coupon", 2_000)], "cus_c": [("rounding", 1)], "cus_d": [("timing", -9_000)],
        "cus_x": [("excluded", 5_000)], "cus_y": [("unexplained", 700)], "cus_e": [("unexplained", -10_000)],
    }  # fmt: skip
    assert sum(usd["causes"].values()) == usd["difference"]


def test_a_missing_rate_is_said_and_counts_for_nothing(books: Books) -> None:
    books.span("cus_m", 9_000, "2026-02-20", currency="xag")
    books.keep()
    try:
        found = reconciling_of(books, REPORT + b"cus_m,usd,95.00\n")
        without = reconciled(books, REPORT)
    finally:
        books.execute("delete from tidegate.spans where customer = 'cus_m'")
        books.keep()
    [usd] = found["months"]
    [one] = [row for row in usd["customers"] if row["customer"] == "cus_m"]
    assert (one["theirs"], one["ours"], one["difference"]) == (9_500, None, 9_500)
    assert one["parts"] == [{"cause": "fx (rate missing)", "amount": 9_500}]
    assert usd["difference"] == usd["theirs"] - usd["ours"] == sum(usd["causes"].values())
    assert [(lack["currency"], lack["day"], lack["newest"]) for lack in found["missing_rates"]] == [
        ("xag", MARCH.last, None)
    ]
    [one] = [row for row in without["customers"] if row["customer"] == "cus_m"]
    assert (one["ours"], one["difference"], one["parts"]) == (None, 0, [{"cause": "fx (rate missing)", "amount": 0}])


def test_each_currency_of_a_report_has_its_rates(books: Books) -> None:
    with books.engine.begin() as db:
        rate_files.store(db, {"gbp": {MARCH.last: Decimal("0.5")}}, "test")
    found = reconciling_of(books, REPORT + b"cus_e,gbp,40.00\ncus_p,gbp,1.00\n")
    gbp, usd = found["months"]
    assert (gbp["currency"], gbp["theirs"], gbp["ours"], gbp["equal"]) == ("gbp", 4_100, 4_000, 1)
    assert "cus_e" not in {one["customer"] for one in usd["customers"]}
    assert found["missing_rates"] == []


def test_of_a_month_that_runs_it_is_today(books: Books) -> None:
    with books.engine.begin() as db:
        rate_files.store(db, {"usd": {TODAY: Decimal("1.25")}}, "test")
    report = b"Customer ID,Currency,2026-05\ncus_e,usd,100.00\ncus_r,usd,9.00\n"
    books.span("cus_r", 900, "2026-05-01", "2026-05-19")
    books.keep()
    try:
        found = reconciling_of(books, report)
    finally:
        books.execute("delete from tidegate.spans where customer = 'cus_r'")
        books.keep()
    [usd] = found["months"]
    assert found["missing_rates"] == []
    why = {one["customer"]: [(part["cause"], part["amount"]) for part in one["parts"]] for one in usd["customers"]}
    assert "cus_e" not in why
    assert why["cus_r"] == [("timing", 900)], "the last two days are those before now"


TIERED = {"unit_amount": None, "unit_amount_decimal": None, "billing_scheme": "tiered", "tiers_mode": "volume"}


def test_what_makes_figures_doubtful_is_named_with_its_page(books: Books) -> None:
    yearly = {"recurring": {"interval": "year", "interval_count": 1, "usage_type": "licensed"}}
    prices = [
        price("price_tiers", **TIERED, nickname="tiers"), price("price_1"),
        price("price_2", unit_amount=2000, unit_amount_decimal="2000"),
        price("price_same", nickname="same"), price("price_annual", nickname="Annual"),
        price("price_tax", product="prod_2", tax_behavior="inclusive", nickname="tax"), price("price_year", **yearly),
    ]  # fmt: skip
    items = [item("si_1", "sub_q", price=prices[0]), item("si_2", "sub_q", price=prices[6])]
    taxed = [item("si_3", "sub_t", price=prices[5])]
    has(books, *prices, customer("cus_q", email=None), customer("cus_t"),
        subscription("sub_q", items, customer="cus_q"), subscription("sub_t", taxed, customer="cus_t"))  # fmt: skip
    books.execute("insert into tidegate.unmapped_prices (connection, price) values ('acme', 'price_tiers')")
    books.execute("""
insert into tidegate.unreadable (connection, resource, object_id, field, reason)
values ('acme', 'invoice_lines', 'in_1/il_1', 'amount', 'Expected `int`')""")
    with books.engine.connect() as db:
        found = data_quality(db, books.account, NOW)
    told: dict[str, list[str]] = {}
    for one in found["objects"]:
        told.setdefault(one["check"], []).append(one["id"])
    assert told == {
        "price_without_amount": ["price_tiers"],
        "price_without_name": ["price_year", "price_1", "price_2"],
        "duplicate_prices": ["price_1", "price_annual", "price_same"],
        "interval_misnamed": ["price_annual"],
        "mixed_intervals": ["sub_q"],
        "customer_without_email": ["cus_q"],
        "item_without_mapping": ["price_tiers"],
        "inclusive_tax_without_rate": ["sub_t"],
        "unreadable": ["in_1"],
    }
    assert {one["check"] for one in found["checks"]} == set(ABOUTS)
    links = {one["id"]: one["link"] for one in found["objects"]}
    assert links["price_1"].endswith("/test/prices/price_1")
    assert links["in_1"].startswith("https://dashboard.stripe.com/acct_")
    with books.engine.connect() as db:
        simulated = data_quality(db, replace(books.account, sandbox=True), NOW)
    assert {one["link"] for one in simulated["objects"]} == {None}, "what is simulated is not at Stripe"


def test_why_a_contact_has_its_mrr_and_why_a_zero_is_one(books: Books) -> None:
    off = {
        "id": "di_1",
        "object": "discount",
        "start": 10,
        "coupon": {"id": "c", "percent_off": 25.0, "duration": "forever"},
    }
    discounted = subscription("sub_w", [item("si_w", "sub_w")], customer="cus_w", discounts=[off])
    has(
        books,
        customer("cus_w"),
        discounted,
        subscription("sub_z", [item("si_z", "sub_z")], customer="cus_w", status="unpaid"),
        subscription("sub_y", [item("si_y", "sub_y")], customer="cus_w", status="canceled", ended_at=OVER, created=1),
    )
    books.link("globex", "cus_w")
    with books.engine.connect() as db:
        found = explain_mrr(db, books.account, "globex", NOW)
        left_out = explain_mrr(db, books.account, "cus_w", NOW)
        with pytest.raises(CustomerUnknown):
            explain_mrr(db, books.account, "cus_none", NOW)
        with pytest.raises(ContactUnknown):
            explain_mrr(db, books.account, "nobody", NOW)
        assert "no Stripe customer" in explain_mrr(db, books.account, "empty", NOW)["reason"]
    assert (found["contact"], found["mrr"]) == ("account:globex", [{"currency": "usd", "mrr": 750}])
    assert found["reason"] is None
    counts, over, zero = found["subscriptions"]
    assert [step["kind"] for step in counts["items"][0]["steps"]] == ["price", "discount"]
    assert (counts["items"][0]["provenance"], counts["items"][0]["source"]) == ("observed", "read")
    assert (over["mrr"], over["why_not"], over["items"][0]["since"]) == (0, "it is canceled", "1970-01-01T00:01:20Z")
    assert (zero["mrr"], zero["why_not"]) == (0, "it is unpaid")
    assert left_out["contact"] is None


def test_what_is_in_order_is_not_named_and_what_was_archived_is_while_somebody_has_it(fresh_database_url: str) -> None:
    every = {"usage_type": "licensed", "interval": "month"}
    prices = [
        price("price_dollars", product="prod_a", nickname="a"),
        price("price_euros", product="prod_a", nickname="b", currency="eur"),
        price("price_one", product="prod_b", nickname="c"), price("price_two", product="prod_b", nickname="d"),
        price("price_held", **TIERED, product="prod_c", nickname="e", active=False),
        price("price_left", **TIERED, product="prod_d", nickname="f", active=False),
        price("price_twelve", product="prod_e", nickname="Annual", recurring={**every, "interval_count": 12}),
        price("price_quarter", product="prod_f", nickname="g", recurring={**every, "interval_count": 3}),
        price("price_bare", product="prod_g"), price("price_named", product="prod_h"),
    ]  # fmt: skip
    named = {"id": "prod_h", "object": "product", "name": "Support", "created": 10}
    items = [item(f"si_{n}", "sub_q", price=prices[place]) for n, place in enumerate((0, 4, 7))]
    with earning.opened(fresh_database_url) as books:
        has(books, *prices, named, customer("cus_q", email="ada@example.com"))
        has(books, subscription("sub_q", items, customer="cus_q", status="trialing"))
        with books.engine.connect() as db:
            found = data_quality(db, books.account, NOW)["objects"]
    assert sorted((one["check"], one["id"]) for one in found) == [
        ("duplicate_prices", "price_one"), ("duplicate_prices", "price_two"), ("mixed_intervals", "sub_q"),
        ("price_without_amount", "price_held"), ("price_without_name", "price_bare"),
    ]  # fmt: skip


def test_an_excluded_customer_has_no_other_cause_and_another_rate_is_one(fresh_database_url: str) -> None:
    with earning.opened(fresh_database_url) as books:
        books.span("cus_x", 5_000, "2026-01-10")
        books.span("cus_e", 8_000, "2026-02-20", currency="eur")
        books.execute(
            "insert into tidegate.exclusions (connection, customer, reason, by) values ('acme', 'cus_x', 'staff', 'me')"
        )
        has(books, customer("cus_x"), subscription("sub_cus_x", [], customer="cus_x", status="past_due"))
        with books.engine.begin() as db:
            rate_files.store(db, {"usd": {MARCH.last: Decimal("1.25")}}, "test")
        found = reconciled(books.keep(), b"Customer ID,Currency,2026-03\ncus_x,usd,0.00\ncus_e,usd,101.00\n")
    assert [(one["customer"], one["parts"]) for one in found["customers"]] == [
        ("cus_e", [{"cause": "fx", "amount": 100}])
    ]
