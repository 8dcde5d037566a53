"""What a paid invoice billed; the five shortcomings that KISSmetrics's own integration admitted (with those of
test_changes); and the sum that every invoice has to come to.
"""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.bills import (
    CATALOG,
    bill,
    by_id,
    derived,
    events,
    noted,
    off,
    once,
    recurring,
    refund,
    refused,
    shape,
    summed,
    taxed,
)

from tidegate.revenue.billing.event import BILLED, PURCHASE, REFUNDED
from tidegate.revenue.billing.given import Bill, Catalog, Who
from tidegate.revenue.billing.sharing import share
from tidegate.stripe_api.shapes.invoices import Invoice


def test_one_event_when_it_is_paid() -> None:
    [event] = events(bill([recurring("il_1", 4900)]))
    assert (event.id, event.name, event.amount, event.currency) == ("billed:in_1:sub_1:month", BILLED, 4900, "usd")
    assert (event.subscription, event.invoice, event.customer) == ("sub_1", "in_1", "cus_1")
    assert event.properties == {
        "Subscription Billing Amount": Decimal("49.00"),
        "Recurring Amount": Decimal("49.00"),
        "Proration Amount": Decimal("0.00"),
        "Usage Amount": Decimal("0.00"),
        "Amount Paid": Decimal("49.00"),
        "Subscription Billing Length": Decimal(1),
        "Subscription Plan Level": "Pro",
        "Currency": "USD",
    }


@pytest.mark.parametrize("status", ["draft", "open", "uncollectible", "void"])
def test_nothing_before_it_is_paid(status: str) -> None:
    assert events(bill([recurring("il_1", 4900)], status=status)) == []


def test_not_only_the_first_subscription() -> None:
    found = by_id(
        bill(
            [
                recurring("il_1", 1000, subscription="sub_1"),
                recurring("il_2", 2000, subscription="sub_2"),
                recurring("il_3", 3000, subscription="sub_3"),
                once("il_4", 500),
                once("il_5", 250),
            ]
        )
    )
    assert {id_: event.amount for id_, event in found.items()} == {
        "billed:in_1:sub_1:month": 1000,
        "billed:in_1:sub_2:month": 2000,
        "billed:in_1:sub_3:month": 3000,
        "purchase:in_1:ii_il_4": 500,
        "purchase:in_1:ii_il_5": 250,
    }


def test_prorated_amounts() -> None:
    [event] = events(
        bill(
            [
                recurring("il_1", -364, proration=True),
                recurring("il_2", 910, price="price_seats", proration=True),
                recurring("il_3", 1000, price="price_seats"),
            ]
        )
    )
    assert event.amount == 1546
    assert event.properties["Proration Amount"] == Decimal("5.46")
    assert event.properties["Recurring Amount"] == Decimal("10.00")


def test_one_time_purchases() -> None:
    found = events(bill([recurring("il_1", 1000), once("il_2", 25_000, quantity=2)]))
    [purchase] = [event for event in found if event.name == PURCHASE]
    assert purchase.amount == 25_000
    assert purchase.properties == {
        "Purchase Amount": Decimal("250.00"),
        "Amount Paid": Decimal("250.00"),
        "Product Name": "Set-up",
        "Quantity": 2,
        "Currency": "USD",
    }


def test_a_one_time_line_of_a_subscription_is_no_part_of_what_it_bills() -> None:
    found = by_id(bill([recurring("il_1", 1000), once("il_2", 300, subscription="sub_1")]))
    assert found["billed:in_1:sub_1:month"].amount == 1000
    assert found["purchase:in_1:ii_il_2"].subscription == "sub_1"


def test_invoices_are_revisited() -> None:
    lines = [recurring("il_1", 4900)]
    attempts = [refused("ch_0", 1_050, 4900), refused("ch_1", 1_060, 4900)]
    late = {"finalized_at": 950, "marked_uncollectible_at": 1_500, "paid_at": 90_000_000}
    before = events(bill(lines, status="open", failures=attempts[:1]))
    given_up = events(bill(lines, status="uncollectible", failures=attempts))
    paid = events(bill(lines, failures=attempts, status_transitions=late))
    assert [event.id for event in before] == ["failed:ch_0"]
    assert [event.id for event in given_up] == ["failed:ch_0", "failed:ch_1"]
    assert [event.id for event in paid] == ["billed:in_1:sub_1:month", "failed:ch_0", "failed:ch_1"]
    assert (paid[0].at, paid[0].came_at) == (1_000, 90_000_000), "dated as it is effective, though it came late"


@pytest.mark.parametrize(
    ("told", "at"),
    [
        ({}, 1_000),
        ({"effective_at": None}, 950),
        ({"effective_at": None, "status_transitions": {"paid_at": 1_100}}, 900),
    ],
)
def test_its_date(told: dict[str, object], at: int) -> None:
    [event] = events(bill([recurring("il_1", 4900)], **told))
    assert event.at == at


def test_one_for_each_interval() -> None:
    found = by_id(bill([recurring("il_1", 1000), recurring("il_2", 9000, price="price_year")]))
    lengths = {id_: event.properties["Subscription Billing Length"] for id_, event in found.items()}
    assert lengths == {"billed:in_1:sub_1:month": 1, "billed:in_1:sub_1:year": 12}


def test_a_week_is_a_fraction_of_a_month() -> None:
    [event] = events(bill([recurring("il_1", 1000, price="price_week")]))
    assert event.details["months"] == "3/13"
    assert event.properties["Subscription Billing Length"] == Decimal("0.230769")


def test_usage_stands_apart() -> None:
    [event] = events(bill([recurring("il_1", 1000), recurring("il_2", 377, price="price_calls")]))
    assert event.amount == 1377
    assert event.properties["Usage Amount"] == Decimal("3.77")


def test_discounts_and_tax_are_no_part_of_it() -> None:
    [event] = events(bill([recurring("il_1", 10_000, **off(2_000), **taxed(1_520))]))
    assert (event.amount, event.details["tax"]) == (8_000, 1_520)
    [event] = events(bill([recurring("il_1", 11_900, **taxed(1_900, "inclusive"))]))
    assert (event.amount, event.details["tax"], event.details["paid"]) == (10_000, 1_900, 11_900)


def test_discounts_and_tax_that_only_the_whole_invoice_tells() -> None:
    lines = [recurring("il_1", 6_000), once("il_2", 4_000)]
    found = by_id(bill(lines, total=10_710, tax=1_710))
    assert {event.amount for event in found.values()} == {5_400, 3_600}
    assert sum(event.details["tax"] for event in found.values()) == 1_710


def test_balance_does_not_reduce_it() -> None:
    [event] = events(bill([recurring("il_1", 4900)], balance=-5000))
    assert (event.amount, event.details["paid"]) == (4900, 0)
    [event] = events(bill([recurring("il_1", 4900)], balance=700))
    assert (event.amount, event.details["paid"]) == (4900, 5600)


def test_credit_grants_do_not_reduce_it() -> None:
    granted = [{"amount": 1_500, "type": "credit_balance_transaction"}, {"amount": 10, "type": "discount"}]
    [event] = events(bill([recurring("il_1", 4900, pretax_credit_amounts=granted)], total=3_400))
    assert event.amount == 4900


def test_out_of_band() -> None:
    [event] = events(bill([recurring("il_1", 4900)], paid_out_of_band=True))
    assert (event.amount, event.details["paid"]) == (4900, 4900)


def test_partial_payments() -> None:
    lines = [recurring("il_1", 4900)]
    assert events(bill(lines, status="open", amount_paid=2000, amount_remaining=2900)) == []
    [event] = events(bill(lines))
    assert event.amount == 4900


def test_none_when_it_comes_to_nothing() -> None:
    assert events(bill([recurring("il_1", 0)])) == []
    assert events(bill([recurring("il_1", 1000, **off(1000))])) == []


def test_a_negative_amount_is_a_refund() -> None:
    lines = [recurring("il_1", -5_000, proration=True), recurring("il_2", 1_000)]
    whole = bill(lines)
    [event] = events(whole)
    assert (event.id, event.name, event.amount) == ("billed:in_1:sub_1:month", REFUNDED, 4_000)
    assert event.properties["Refund Reason"] == "proration_credit"
    assert event.properties["Subscription Refund Amount"] == Decimal("40.00")
    assert summed([event]) == -4_000


def test_the_lines_of_tiers_are_one() -> None:
    lines = [
        recurring("il_1", 3_500, quantity=5),
        recurring("il_2", 3_250, quantity=5),
        recurring("il_3", 2_000, quantity=0),
        recurring("il_4", 6_000, quantity=10),
    ]
    [event] = events(bill(lines))
    [told] = event.details["lines"]
    assert (event.amount, told["quantity"], told["amount"]) == (14_750, 20, 14_750)


def test_a_credit_note_before_payment_lowers_it() -> None:
    lines = [recurring("il_1", 3_000), once("il_2", 1_000)]
    found = by_id(bill(lines, notes=[noted(1_200, {"il_1": 1_200})]))
    assert {event.amount for event in found.values()} == {1_800, 1_000}


def test_a_credit_note_to_zero() -> None:
    whole = bill(
        [recurring("il_1", 3_000, **taxed(570))], notes=[noted(3_570, {"il_1": 3_000}, total_taxes=[{"amount": 570}])]
    )
    assert whole.invoice.amount_paid == 0
    assert events(whole) == []


def test_nothing_is_told_before_enough_is_known() -> None:
    cut = bill([recurring("il_1", 1000)], whole=False)
    unknown = bill([recurring("il_1", 1000)], id="in_2", pre_payment_credit_notes_amount=300)
    found = derived(cut, unknown)
    assert (found.events, found.unsettled) == ([], {"in_1", "in_2"})


def test_shipping_is_sold_once() -> None:
    costs = {"amount_subtotal": 500, "amount_tax": 95, "amount_total": 595}
    found = by_id(bill([recurring("il_1", 1000)], total=1_595, shipping_cost=costs))
    assert found["purchase:in_1:shipping"].amount == 500
    assert found["billed:in_1:sub_1:month"].amount == 1000


def test_what_an_old_version_says() -> None:
    old = {
        "id": "il_1", "object": "line_item", "type": "subscription", "amount": 1000, "currency": "usd", "quantity": 1,
        "subscription": "sub_1", "subscription_item": "si_1", "proration": False,
        "price": {"id": "price_old", "product": "prod_pro", "currency": "usd", "unit_amount": 1000,
                  "recurring": {"interval": "month", "interval_count": 3, "usage_type": "licensed"}},
    }  # fmt: skip
    extra = {"id": "il_2", "object": "line_item", "type": "invoiceitem", "invoice_item": "ii_2", "amount": 250,
             "currency": "usd", "subscription": "sub_1", "proration": False}  # fmt: skip
    found = by_id(bill([old, extra], subscription="sub_1", starting_balance=0))
    assert {id_: event.amount for id_, event in found.items()} == {
        "billed:in_1:sub_1:month-3": 1000,
        "purchase:in_1:ii_2": 250,
    }


def test_plan_level_is_the_base_package() -> None:
    lines = [recurring("il_1", 5_000, price="price_seats"), recurring("il_2", 1_000)]
    [event] = events(bill(lines))
    assert event.properties["Subscription Plan Level"] == "Seats", "the product of the largest line"
    mapped = Catalog(CATALOG.prices, CATALOG.products, {"prod_pro": "pro", "prod_seats": ""})
    [event] = events(bill(lines), catalog=mapped)
    assert event.properties["Subscription Plan Level"] == "pro"
    several = Catalog(CATALOG.prices, CATALOG.products, {"price_pro": "pro", "price_seats": "team"})
    [event] = events(bill(lines), catalog=several)
    assert event.properties["Subscription Plan Level"] == "team, pro"


@pytest.mark.parametrize(
    ("who", "identity"),
    [
        (Who("cus_1", "ada@example.com", subscribed=True), "billing@example.com"),
        (Who("cus_1", "ada@example.com", "acme", subscribed=True), "acme"),
        (Who("cus_1", "ada@example.com", "acme"), "cus_1"),
    ],
)
def test_identity(who: Who, identity: str) -> None:
    [event] = events(bill([recurring("il_1", 1000)]), who=who)
    assert event.identity == identity


def test_without_any_e_mail_it_is_the_customer() -> None:
    [event] = events(bill([recurring("il_1", 1000)], customer_email=None), who=Who("cus_1", subscribed=True))
    assert event.identity == "cus_1"


def test_zero_decimal_currencies() -> None:
    lines = [recurring("il_1", 4900, currency="jpy")]
    [event] = events(bill(lines, currency="jpy"))
    assert str(event.properties["Subscription Billing Amount"]) == "4900"


_LINE = st.builds(
    lambda kind, amount, discount, tax, subscription: (kind, amount, discount, tax, subscription),
    st.sampled_from(["recurring", "proration", "usage", "once"]),
    st.integers(-20_000, 50_000),
    st.integers(0, 30),
    st.integers(0, 25),
    st.sampled_from(["sub_1", "sub_2"]),
)


@given(st.lists(_LINE, min_size=1, max_size=8), st.integers(-30_000, 30_000), st.booleans())
def test_billed_and_one_time_and_tax_less_balance_and_credits_are_the_payments(
    drawn: list[tuple[str, int, int, int, str]], balance: int, inclusive: bool
) -> None:
    lines = []
    for n, (kind, amount, discount, rate, subscription) in enumerate(drawn):
        taken = max(amount, 0) * discount // 100
        behavior = "inclusive" if inclusive else "exclusive"
        told = {**off(taken), **taxed((amount - taken) * rate // 100, behavior)}
        price = "price_calls" if kind == "usage" else "price_pro"
        made = (
            once(f"il_{n}", amount, **told)
            if kind == "once"
            else recurring(f"il_{n}", amount, price, subscription, proration=kind == "proration", **told)
        )
        lines.append(made)
    whole = bill(lines, balance=balance)
    invoice = whole.invoice
    tax = sum(tax["amount"] for one in lines for tax in one["taxes"])
    applied = (invoice.total or 0) - (invoice.amount_due or 0)
    assert summed(events(whole)) + tax - applied == invoice.amount_paid


@given(st.integers(-10_000, 10_000), st.lists(st.integers(-50, 500), min_size=1, max_size=9))
def test_shares_add_up(amount: int, weights: list[int]) -> None:
    assert sum(share(amount, weights)) == amount


def test_a_deleted_invoice_tells_nothing() -> None:
    whole = bill([recurring("il_1", 1000)], refunds=[refund(100)])
    gone = Bill(shape(Invoice, {"id": "in_1", "object": "invoice", "deleted": True}), whole.lines)
    assert events(gone) == []


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        (10, [26, 25, 49], [3, 2, 5]),
        (100, [1, 1, 1], [34, 33, 33]),
        (-10, [26, 25, 49], [-3, -2, -5]),
        (7, [0, 0], [7, 0]),
        (7, [], []),
    ],
)
def test_what_rounding_leaves_goes_to_the_largest_remainders(amount: int, weights: list[int], parts: list[int]) -> None:
    assert share(amount, weights) == parts


def test_a_one_time_line_that_comes_to_nothing_is_no_purchase() -> None:
    assert events(bill([once("il_1", 1_000, **off(1_000))])) == []


def test_a_one_time_line_names_no_subscription_because_its_invoice_does() -> None:
    lines = [recurring("il_1", 1_000), once("il_2", 500), once("il_3", 700, "sub_1")]
    found = by_id(bill(lines, parent={"subscription_details": {"subscription": "sub_1"}}))
    assert [found[f"purchase:in_1:ii_il_{n}"].subscription for n in (2, 3)] == [None, "sub_1"]


def test_a_line_of_a_subscription_that_names_no_item_is_billed_too() -> None:
    """As before items existed."""
    old = {"id": "il_1", "object": "line_item", "type": "subscription", "amount": 1000, "currency": "usd"}
    old |= {"quantity": 1, "subscription": "sub_1", "proration": False, "price": {"id": "price_pro"}}
    [event] = events(bill([old]))
    assert (event.id, event.amount) == ("billed:in_1:sub_1:month", 1000)


def test_what_is_sold_without_a_name_is_called_as_its_line_is() -> None:
    nameless = Catalog(CATALOG.prices)
    [event] = events(bill([once("il_1", 700, description="Two days of work")]), catalog=nameless)
    assert event.properties["Product Name"] == "Two days of work"
