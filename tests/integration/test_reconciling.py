"""Why Stripe's report says something else, told by histories: what was past due then, discounts and tax apart."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from tests.support.bills import recurring
from tests.support.books import BEGUN, Books
from tests.support.builders import invoice, item, price, subscription
from tests.support.histories import MILLION, day
from tests.support.shop import opened

from tidegate.revenue import editions, stripe_report
from tidegate.revenue.periods import instant
from tidegate.revenue.reconciling import reconcile

TODAY = date(2026, 6, 15)
TAX = {"id": "txr_1", "object": "tax_rate", "percentage": 20.0, "inclusive": True, "created": 10}


@pytest.fixture(scope="module")
def books(database_url: str) -> Iterator[Books]:
    with opened(database_url) as shop:
        books = Books(shop)
        books.refresh()
        yield books


def causes(books: Books, who: str, month: str, theirs: str) -> list[tuple[str, int]]:
    """Why Stripe says so much of a customer at the end of a month."""
    told = stripe_report.read(f"Customer ID,Currency,{month}\n{who},usd,{theirs}\n".encode(), "f")
    with books.shop.engine.connect() as db:
        ledger = editions.begin(db, "acme")
        [found] = reconcile(db, ledger, told, instant(TODAY, ledger.zone))["months"]
    mine = [one for one in found["customers"] if one["customer"] == who]
    for one in mine:
        assert sum(part["amount"] for part in one["parts"]) == one["difference"]
    return [(part["cause"], part["amount"]) for one in mine for part in one["parts"]]


def test_past_due_is_what_it_was_at_the_end_of_the_month(books: Books) -> None:
    late, back = books.who("late", "back")
    books.pays(late, 1000)
    books.pays(late, 1000, day("2026-03-10"), f"sub_{late}", status="past_due")
    books.pays(back, 1000)
    books.pays(back, 1000, day("2026-02-20"), f"sub_{back}", status="past_due")
    books.pays(back, 1000, day("2026-03-05"), f"sub_{back}")
    books.refresh()
    assert causes(books, late, "2026-02", "0.00") == [("unexplained", -1000)], "it was paid for then"
    assert causes(books, late, "2026-03", "0.00") == [("past due", -1000)]
    assert causes(books, back, "2026-02", "0.00") == [("past due", -1000)], "it is paid for by now"
    assert causes(books, back, "2026-03", "0.00") == [("unexplained", -1000)]
    assert causes(books, late, "2026-06", "0.00") == [("past due", -1000)]


def bill(who: str, begins: str, ends: str, of: str = "price_1000", **more: Any) -> dict[str, Any]:
    """An invoice of a month of a customer's subscription, finalised as the month begins."""
    item = recurring(f"il_{who}_{begins}", 1000, of, f"sub_{who}")
    item["parent"]["subscription_item_details"]["subscription_item"] = f"si_sub_{who}"
    item["period"] = {"start": day(begins), "end": day(ends)}
    return invoice(
        f"in_{who}_{begins}", [item], customer=who, created=day(begins), billing_reason="subscription_cycle",
        status_transitions={"finalized_at": day(begins)}, **more,
    )  # fmt: skip


def test_what_became_past_due_as_the_month_ended_was_not_in_it(books: Books) -> None:
    [who] = books.who("edge")
    books.pays(who, 1000)
    books.pays(who, 1000, day("2026-03-01T05:00"), f"sub_{who}", status="past_due")
    books.refresh()
    assert causes(books, who, "2026-02", "0.00") == [("unexplained", -1000)]
    assert causes(books, who, "2026-03", "0.00") == [("past due", -1000)]


def test_past_due_before_it_was_seen_follows_from_what_it_owes(books: Books) -> None:
    owes, fresh = books.who("owes", "fresh")
    for who, begins, ends in ((owes, "2026-04-10", "2026-05-10"), (fresh, "2026-05-02", "2026-06-02")):
        books.pays(who, 1000, day("2026-05-05"), status="past_due")
        books.shop.has(bill(who, begins, ends, status="open", attempt_count=2), at=day("2026-05-05"))
    books.shop.has(bill(fresh, "2026-04-02", "2026-05-02"), at=day("2026-05-05"))
    [untried] = books.who("untried")
    books.pays(untried, 1000, day("2026-05-05"), status="past_due")
    books.shop.has(bill(untried, "2026-04-10", "2026-05-10", status="open"), at=day("2026-05-05"))
    books.refresh()
    assert causes(books, untried, "2026-04", "0.00") == [("unexplained", -1000)], "nobody had tried to charge it"
    assert causes(books, owes, "2026-04", "0.00") == [("past due", -1000)]
    assert causes(books, fresh, "2026-04", "0.00") == [("unexplained", -1000)], "the invoice it owes came later"
    assert causes(books, fresh, "2026-05", "0.00") == [("past due", -1000)]


def test_metered_usage_is_kept_beside_what_counts(books: Books) -> None:
    [who] = books.who("meter")
    interval = {"interval": "month", "interval_count": 1, "usage_type": "metered"}
    calls = price("price_calls", unit_amount=1, unit_amount_decimal="1", recurring=interval)
    of = {"id": f"sub_{who}", "items": [item(f"si_sub_{who}", f"sub_{who}", None, price=calls)]}
    books.shop.told(subscription(**of, customer=who, created=BEGUN, start_date=BEGUN), at=BEGUN)
    told = f"select mrr, usage from tidegate.spans where customer = '{who}' order by starts_at"
    for begins, ends in (("2026-01-10", "2026-02-10"), ("2026-02-10", "2026-03-10")):
        books.shop.has(bill(who, begins, ends, "price_calls", status="paid"), at=day(ends))
        books.shop.told(subscription(**of, customer=who, created=BEGUN, start_date=BEGUN), at=day(ends))
        books.refresh()
        assert books.shop.rows(told) == [(0, 0), (0, 1000 * MILLION)], "what runs is not what the last period came to"
    assert books.refresh() == (0, 0)


def test_discounts_and_inclusive_tax_are_told_apart(books: Books) -> None:
    [who] = books.who("taxed")
    off = {"id": "c_25", "object": "coupon", "created": 10, "duration": "forever", "percent_off": 25.0}
    given = {"id": "di_1", "object": "discount", "coupon": off, "start": day("2026-01-10"), "customer": who}
    books.pays(who, 1200, discounts=[given], default_tax_rates=[TAX])
    books.refresh()
    assert causes(books, who, "2026-03", "7.50") == []
    assert causes(books, who, "2026-03", "9.00") == [("tax", 150)]
    assert causes(books, who, "2026-03", "10.00") == [("coupon", 250)]
    assert causes(books, who, "2026-03", "12.00") == [("coupon", 250), ("tax", 200)]


def test_what_is_free_by_a_discount_is_one(books: Books) -> None:
    [who] = books.who("free")
    off = {"id": "c_100", "object": "coupon", "created": 10, "duration": "forever", "percent_off": 100.0}
    books.pays(who, 1000, discounts=[{"id": "di_2", "object": "discount", "coupon": off, "customer": who}])
    books.refresh()
    assert causes(books, who, "2026-03", "10.00") == [("coupon", 1000)]
    assert causes(books, who, "2026-03", "0.00") == []


def test_what_begins_as_the_month_ends_is_the_next_ones(books: Books) -> None:
    """The month of New York; two days on, the report's other side is no matter of timing any more."""
    [who] = books.who("next")
    begun = day("2026-05-01T04:00")
    books.pays(who, 1000, begun, created=begun, start_date=begun)
    books.refresh()
    assert causes(books, who, "2026-04", "0.00") == []
    assert causes(books, who, "2026-04", "10.00") == [("timing", 1000)]
    assert causes(books, who, "2026-05", "0.00") == [("unexplained", -1000)]
