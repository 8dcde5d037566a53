"""Figures that vendors work out in their public documentation hold under the policy they belong to.

Facts only: who sells what, and what that comes to a month. Where a page gives a rule and no amounts, it is 100 a month.
"""

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from tests.support.priced import (
    DAY,
    MONTH_AGO,
    MONTH_AHEAD,
    NOW,
    Json,
    coupon,
    discount,
    item,
    line,
    price,
    tiered,
    valued,
)
from tests.support.priced import subscription as sub

from tidegate.money import exponent
from tidegate.pricing.value import whole

STRIPE_DOCS, STRIPE_HELP = "https://docs.stripe.com/", "https://support.stripe.com/questions/"
GLOSSARY = f"{STRIPE_DOCS}billing/subscriptions/analytics/glossary"
TIERS = f"{STRIPE_DOCS}subscriptions/pricing-models/tiered-pricing"
PACKAGES = "https://stripe.com/docs/billing/subscriptions/quantity-transformation"
DECIMALS = "https://stripe.com/docs/billing/subscriptions/decimal-amounts"
MIXED = f"{STRIPE_DOCS}billing/subscriptions/mixed-interval"
FLAT = f"{STRIPE_DOCS}billing/subscriptions/usage-based/pricing-models"
COUPONS = f"{STRIPE_HELP}impact-of-discounts-and-coupons-on-monthly-recurring-revenue-mrr-in-billing"
CONFIGURED = f"{STRIPE_HELP}metric-configurations"
TRIALS = f"{STRIPE_HELP}impact-of-subscription-trial-periods-on-monthly-recurring-revenue-mrr-in-billing"
UNPAID = f"{STRIPE_HELP}impact-of-delinquent-subscription-payments-on-monthly-recurring-revenue-mrr-in-billing"
CANCELED = f"{STRIPE_HELP}impact-of-subscription-cancellations-on-monthly-recurring-revenue-mrr-in-billing"
TAXES = f"{STRIPE_HELP}inclusive-and-exclusive-tax-options-in-the-tax-rate-api-and-stripe-tax"

CHARTMOGUL = "https://help.chartmogul.com/"
METRIC = f"{CHARTMOGUL}hc/en-us/articles/203299812"
MOVEMENTS = f"{CHARTMOGUL}hc/en-us/articles/201244842"
PRORATED = "https://dev.chartmogul.com/docs/how-mrr-is-calculated-from-prorated-invoices"
PLANS = "https://dev.chartmogul.com/reference/plans"
PAST_DUE = f"{CHARTMOGUL}article/303-handling-past-due-subscriptions"
CONNECTED = f"{CHARTMOGUL}hc/en-us/articles/203231962-Stripe-integration-guide"
LEADS = f"{CHARTMOGUL}hc/en-us/articles/360002120279"
FREE = f"{CHARTMOGUL}article/245-configuring-subscription-analytics-settings"

BAREMETRICS = "https://help.baremetrics.com/en/articles/5380330-monthly-recurring-revenue"
ACADEMY = "https://baremetrics.com/academy/saas-calculate-mrr"

CHARGEBEE = "https://www.chargebee.com/"
FLEXIBLE = "https://support.chargebee.com/support/solutions/articles/255043"
REGULAR = f"{CHARGEBEE}docs/billing/2.0/reports-and-analytics/flexi-mrr-vs-regular-mrr"
LIMITED = (
    f"{CHARGEBEE}docs/billing/2.0/kb/reports-and-analytics/"
    "how-limited-coupons-are-calculated-for-yearly-subscriptions-mrr-calculations"
)
ONE_OFF = f"{CHARGEBEE}docs/2.0/reports-and-analytics/articles-and-faq/mrr-calculation-in-onetime-coupons.html"
METERED = "https://support.chargebee.com/support/solutions/articles/249722-how-is-metered-billing-calculated-in-mrr-"
FREQUENCIES = f"{CHARGEBEE}docs/billing/2.0/subscriptions/multi-frequency-billing"
CHARTS = f"{CHARGEBEE}docs/2.0/charts.html"
SERVERS = f"{CHARGEBEE}usecase-guides/tiered-pricing"
TOKENS = "https://chargebee.com/docs/2.0/package-pricing.html"
MODELS = (
    f"{CHARGEBEE}docs/billing/1.0/kb/product-catalog/"
    "what-are-pricing-models-available-for-plans-addons-charges-in-chargebee"
)

RECURLY = "https://support.recurly.com/hc/en-us/articles/360027350412"
RECURLY_MRR = "https://docs.recurly.com/docs/monthly-recurring-revenue"
RECURLY_SETTINGS = "https://support.recurly.com/hc/en-us/articles/360023024212"
RECURLY_FAILED = "https://support.recurly.com/hc/en-us/articles/360027455352"
RECURLY_TIP = "https://recurly.com/blog/pro-tip-calculating-monthly-recurring-revenue/"
RECURLY_MODELS = "https://docs.recurly.com/docs/billing-models"
RECURLY_101 = "https://docs.recurly.com/recurly-subscriptions/docs/navigate-acquire-pricing-plans-101-pricing-models"
DOCUMENTS = "https://docs.recurly.com/recurly-subscriptions/docs/quantity-based-pricing"

VENDORS = ("stripe", "chartmogul", "baremetrics", "chargebee", "recurly")


class Example(NamedTuple):
    """A page, what it sells, and the MRR that comes to, in whole currency units as the page writes it."""

    source: str
    about: str
    mrr: str
    subscriptions: list[Json]
    preset: str = "default"
    choices: Mapping[str, str] = MappingProxyType({})
    beside: Mapping[str, Any] = MappingProxyType({})


def monthly(dollars: float, quantity: int = 1) -> Json:
    return item(price(round(dollars * 100)), quantity)


def every(dollars: float, interval: str, count: int = 1, quantity: int = 1) -> Json:
    return item(price(round(dollars * 100), interval, count), quantity)


def off(percent: float | None = None, amount: int | None = None, duration: str = "forever", **more: Any) -> Json:
    return {"discounts": [discount(coupon(percent, amount, duration), **more)]}


def of_tiers(mode: str, quantity: int, *tiers: tuple[int | None, int]) -> list[Json]:
    return [sub(item(tiered(mode, *tiers), quantity))]


FONTS = ((5, 700), (10, 650), (None, 600))
SERVER_TIERS = ((20, 1500), (25, 1000), (30, 800), (None, 500))
USERS = price(1000, transform_quantity={"divide_by": 5, "round": "up"})
MINUTES = price(1000, transform_quantity={"divide_by": 60, "round": "up"})
MILLIONS = price(125, transform_quantity={"divide_by": 1_000_000, "round": "up"})
USAGE = price(100, usage_type="metered")
VAT = {"id": "txr_1", "object": "tax_rate", "percentage": 10.0}
BOTH = {"discounts": [discount(coupon(20, id="c_1")), discount(coupon(10, duration="once", id="c_2"), id="di_2")]}
LIMITED_TO_A_YEAR = {"start": MONTH_AGO, "end": MONTH_AGO + 365 * DAY, "duration": "repeating"}
YEAR = {"current_period_start": MONTH_AGO, "current_period_end": MONTH_AGO + 365 * DAY}
SCALE = [monthly(100), monthly(100, 3)]
DELINQUENT = {"past_due": "30 days"}

STRIPE_EXAMPLES = [
    Example(f"{STRIPE_HELP}billing-analytics", "1,200 a year", "100", [sub(every(1200, "year"))]),
    Example(GLOSSARY, "two plans", "12500", [sub(monthly(100))] * 100 + [sub(every(600, "year"))] * 50),
    Example(GLOSSARY, "past due counts", "100", [sub(monthly(100), status="past_due")]),
    Example(GLOSSARY, "a free plan", "0", [sub(monthly(0))]),
    Example(GLOSSARY, "metered products", "0", [sub(item(USAGE, None))], beside={"invoice_lines": [line(5000)]}),
    Example(GLOSSARY, "taxes on top", "600", [sub(monthly(600), default_tax_rates=[VAT | {"inclusive": False}])]),
    Example(COUPONS, "50 % for ever", "50", [sub(monthly(100), **off(50))], choices={"discounts": "forever"}),
    Example(COUPONS, "50 % for some months", "100",
            [sub(monthly(100), **off(50, duration="repeating", end=MONTH_AHEAD))], choices={"discounts": "forever"}),
    Example(COUPONS, "50 % once", "100", [sub(monthly(100), **off(50, duration="once"))],
            choices={"discounts": "forever"}),
    Example(CONFIGURED, "recurring discounts", "80", [sub(monthly(100), **BOTH)], choices={"discounts": "recurring"}),
    Example(CONFIGURED, "one-time discounts", "90", [sub(monthly(100), **BOTH)], choices={"discounts": "one_time"}),
    Example(CONFIGURED, "both", "72", [sub(monthly(100), **BOTH)], choices={"discounts": "all"}),
    Example(CONFIGURED, "neither", "100", [sub(monthly(100), **BOTH)], choices={"discounts": "none"}),
    Example(CONFIGURED, "churn at the end of the cycle", "100",
            [sub(monthly(100), cancel_at_period_end=True, canceled_at=NOW - DAY)], choices={"cancellation": "ended"}),
    Example(CANCELED, "cancel_at_period_end", "0",
            [sub(monthly(100), cancel_at_period_end=True, canceled_at=NOW - DAY)], choices={"cancellation": "request"}),
    Example(CANCELED, "canceled", "0", [sub(monthly(100), status="canceled", ended_at=NOW - DAY)]),
    Example(TRIALS, "trialing", "0", [sub(monthly(100), status="trialing")]),
    Example(TRIALS, "active after its trial, not paid yet", "100", [sub(monthly(100), trial_end=NOW - DAY)]),
    Example(UNPAID, "unpaid", "0", [sub(monthly(100), status="unpaid")]),
    Example(TAXES, "600 with 10 % in it", "545.45",
            [sub(item(price(60000, currency="eur", tax_behavior="inclusive")), currency="eur",
                 default_tax_rates=[VAT | {"inclusive": True}])]),
    Example(TAXES, "600 with 10 % on it", "600",
            [sub(item(price(60000, currency="eur", tax_behavior="exclusive")), currency="eur",
                 default_tax_rates=[VAT | {"inclusive": False}])]),
    *(Example(TIERS, f"volume, {fonts} fonts", total, of_tiers("volume", fonts, *FONTS))
      for fonts, total in ((1, "7"), (5, "35"), (6, "39"), (20, "120"), (25, "150"))),
    *(Example(TIERS, f"graduated, {fonts} fonts", total, of_tiers("graduated", fonts, *FONTS))
      for fonts, total in ((1, "7"), (5, "35"), (6, "41.50"), (20, "127.50"), (25, "157.50"))),
    *(Example(PACKAGES, f"10 for 5 users, {users} users", total, [sub(item(USERS, users))])
      for users, total in ((1, "10"), (3, "10"), (5, "10"), (6, "20"), (7, "20"))),
    Example(f"{STRIPE_DOCS}billing/subscriptions/usage-based/transform-quantities", "150 minutes at 10 an hour", "30",
            [sub(item(MINUTES, 150))]),
    Example(DECIMALS, "30 at 0.05 cents", "0.015", [sub(item(price("0.05"), 30))]),
    Example(DECIMALS, "105.5 cents", "1.055", [sub(item(price("105.5")))]),
    Example(FLAT, "basic, 10 a month", "10", [sub(monthly(10))]),
    Example(FLAT, "basic, 100 a year", "8.33", [sub(every(100, "year"))]),
    Example(MIXED, "500 a year and usage", "41.67", [sub(every(500, "year"), item(USAGE, None))]),
    Example(MIXED, "100 a quarter and 15 a month", "48.33", [sub(every(100, "month", 3), monthly(15))]),
    Example(f"{STRIPE_DOCS}currencies", "500 yen are 500", "500",
            [sub(item(price(500, currency="jpy")), currency="jpy")]),
    Example(f"{STRIPE_DOCS}currencies", "5 ISK are 500", "5",
            [sub(item(price(500, currency="isk")), currency="isk")]),
]  # fmt: skip

CHARTMOGUL_EXAMPLES = [
    Example(METRIC, "5 customers at 5", "25", [sub(monthly(5))] * 5),
    Example(METRIC, "and 2 at 30", "85", [sub(monthly(5))] * 5 + [sub(monthly(30))] * 2),
    Example(METRIC, "metered charges", "0", [sub(item(USAGE, None))], beside={"invoice_lines": [line(5000)]}),
    Example(METRIC, "a coupon is deducted", "80", [sub(monthly(100), **off(20, duration="once"))],
            beside={"invoice_lines": [line(10000, off=2000)]}),
    Example(MOVEMENTS, "4 gold a year", "166.67", [sub(every(500, "year", quantity=4))]),
    Example(MOVEMENTS, "2 silver a month", "60", [sub(monthly(30, 2))]),
    Example(MOVEMENTS, "both", "226.67", [sub(every(500, "year", quantity=4)), sub(monthly(30, 2))]),
    Example(MOVEMENTS, "3 gold a month", "150", [sub(monthly(50, 3))]),
    Example(PRORATED, "90 for 3 months", "30", [sub(every(90, "month", 3))]),
    Example(PRORATED, "tax is taken out", "100", [sub(monthly(120))],
            beside={"invoice_lines": [line(12000, tax=2000)]}),
    Example(PLANS, "50 a month", "50", [sub(monthly(50))]),
    Example(PLANS, "500 a year", "41.67", [sub(every(500, "year"))]),
    Example(PLANS, "an add-on at 25", "75", [sub(monthly(50), monthly(25))]),
    Example(PAST_DUE, "past due until canceled", "100", [sub(monthly(100), status="past_due")],
            choices={"past_due": "counts"}, beside={"past_due_since": NOW - 80 * DAY}),
    Example(PAST_DUE, "canceled after 90 days", "0", [sub(monthly(100), status="past_due")],
            choices={"past_due": "90 days"}, beside={"past_due_since": NOW - 90 * DAY}),
    Example(CONNECTED, "paused", "100", [sub(monthly(100), pause_collection={"behavior": "void"})]),
    Example(LEADS, "a free trial", "0", [sub(monthly(100), status="trialing")]),
    Example(FREE, "a discount of 100 %", "0", [sub(monthly(100), **off(100))]),
]  # fmt: skip

BAREMETRICS_EXAMPLES = [
    Example(BAREMETRICS, "10 customers at 10", "100", [sub(monthly(10))] * 10),
    Example(BAREMETRICS, "120 a year", "10", [sub(every(120, "year"))]),
    Example(BAREMETRICS, "50 % off for life", "5", [sub(monthly(10), **off(50))]),
    Example(BAREMETRICS, "100 % off", "0", [sub(monthly(10), **off(100))]),
    Example(BAREMETRICS, "delinquent for 31 days", "0", [sub(monthly(10), status="past_due")],
            choices=DELINQUENT, beside={"past_due_since": NOW - 31 * DAY}),
    Example(BAREMETRICS, "delinquent for 29 days", "10", [sub(monthly(10), status="past_due")],
            choices=DELINQUENT, beside={"past_due_since": NOW - 29 * DAY}),
    Example(ACADEMY, "10 customers at 100", "1000", [sub(monthly(100))] * 10),
]  # fmt: skip

CHARGEBEE_EXAMPLES = [
    Example(FLEXIBLE, "50 % for ever, invoiced", "200", [sub(*SCALE, **off(50))], choices={"discounts": "applied"},
            beside={"invoice_lines": [line(10000, off=5000), line(30000, off=15000, of="si_2")]}),
    Example(FLEXIBLE, "50 % for ever, not invoiced", "400", [sub(*SCALE, **off(50))], choices={"discounts": "applied"},
            beside={"invoice_lines": [line(10000, off=0), line(30000, off=0, of="si_2")]}),
    Example(REGULAR, "10 % for ever at the renewal", "360", [sub(*SCALE, **off(10))], choices={"discounts": "renewal"}),
    Example(LIMITED, "12 months on a monthly plan", "90", [sub(monthly(100), **off(10, **LIMITED_TO_A_YEAR))],
            choices={"discounts": "renewal"}),
    Example(LIMITED, "12 months on a yearly plan", "100",
            [sub(every(1200, "year") | YEAR, **off(10, **LIMITED_TO_A_YEAR))], choices={"discounts": "renewal"}),
    Example(ONE_OFF, "20 off the next renewal of 800", "780", [sub(monthly(800), **off(amount=2000, duration="once"))],
            choices={"discounts": "renewal"}),
    Example(METERED, "January: the base", "20", [sub(monthly(20), item(USAGE, None))],
            choices={"metered": "last_period"}, beside={"invoice_lines": [line(2000)]}),
    Example(METERED, "February: the base and January's usage", "50", [sub(monthly(20), item(USAGE, None))],
            choices={"metered": "last_period"}, beside={"invoice_lines": [line(2000), line(3000, of="si_2")]}),
    Example(FREQUENCIES, "12,000 a year and 200 a month", "1200", [sub(every(12000, "year"), monthly(200))]),
    Example(CHARTS, "15 customers at 10", "150", [sub(monthly(10))] * 15),
    Example(SERVERS, "10 servers", "150", of_tiers("graduated", 10, *SERVER_TIERS)),
    Example(SERVERS, "50 servers", "490", of_tiers("graduated", 50, *SERVER_TIERS)),
    *(Example(TOKENS, f"{tokens:,} tokens", total, [sub(item(MILLIONS, tokens))])
      for tokens, total in ((1_000_000, "1.25"), (10, "1.25"), (1_500_000, "2.50"))),
    Example(MODELS, "29 a user", "29", [sub(monthly(29))]),
]  # fmt: skip

RECURLY_EXAMPLES = [
    Example(RECURLY, "100 from March 29 to April 29", "100", [sub(monthly(100))]),
    Example(RECURLY, "by the day: times 30", "30", [sub(every(1, "day"))], choices={"days": "30"}),
    Example(RECURLY, "by the year: a twelfth", "100", [sub(every(1200, "year"))]),
    Example(RECURLY_TIP, "by the half-year: a sixth", "100", [sub(every(600, "month", 6))]),
    Example(RECURLY_MRR, "usage", "0", [sub(item(USAGE, None))], beside={"invoice_lines": [line(5000)]}),
    Example(RECURLY_SETTINGS, "with coupons", "90", [sub(monthly(100), **off(10))]),
    Example(RECURLY_SETTINGS, "without coupons", "100", [sub(monthly(100), **off(10))], choices={"discounts": "none"}),
    Example(RECURLY_FAILED, "failed invoices stay", "100", [sub(monthly(100), status="past_due")]),
    Example(RECURLY_101, "a streaming service", "12.99", [sub(monthly(12.99))]),
    Example(RECURLY_MODELS, "digital content", "7.99", [sub(monthly(7.99))]),
    Example(RECURLY_MODELS, "a box a month", "10", [sub(monthly(10))]),
    Example(RECURLY_MODELS, "a year of boxes", "9.17", [sub(every(110, "year"))]),
    Example(RECURLY_MODELS, "20 shirts", "200", of_tiers("volume", 20, (20, 1000), (None, 900))),
    Example(RECURLY_MODELS, "21 shirts", "189", of_tiers("volume", 21, (20, 1000), (None, 900))),
    Example(DOCUMENTS, "150 documents", "125", of_tiers("graduated", 150, (100, 100), (None, 50))),
]  # fmt: skip

EXAMPLES = [
    *(one._replace(preset="stripe") for one in STRIPE_EXAMPLES),
    *(one._replace(preset="chartmogul") for one in CHARTMOGUL_EXAMPLES),
    *BAREMETRICS_EXAMPLES,
    *CHARGEBEE_EXAMPLES,
    *RECURLY_EXAMPLES,
]


def worth(example: Example) -> tuple[Fraction, str]:
    values = [
        valued(one, preset=example.preset, choices=example.choices, **example.beside) for one in example.subscriptions
    ]
    assert [item.problem for each in values for item in each.items if item.problem] == []
    return sum((each.mrr for each in values), Fraction(0)), values[0].currency


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{one.source} {one.about}")
def test_a_vendors_figure_holds(example: Example) -> None:
    total, currency = worth(example)
    places = len(example.mrr.partition(".")[2])
    assert whole(total / 10 ** exponent(currency) * 10**places) == int(example.mrr.replace(".", ""))


def test_every_vendor_is_heard() -> None:
    assert len(EXAMPLES) >= 40
    assert {vendor for vendor in VENDORS for one in EXAMPLES if vendor in one.source} == set(VENDORS)


OWN: list[tuple[list[Json], int]] = [
    ([sub(every(100, "year"))] * 1200, 1_000_000),
    ([sub(every(500, "year", quantity=4))], 16_667),
    ([sub(monthly(30, 2))], 6_000),
    ([sub(monthly(100))] * 100 + [sub(every(600, "year"))] * 50, 1_250_000),
    ([sub(every(90, "month", 3))], 3_000),
]


@pytest.mark.parametrize(("subscriptions", "cents"), OWN)
def test_totals_are_rounded_last(subscriptions: list[Json], cents: int) -> None:
    assert whole(sum((valued(one).mrr for one in subscriptions), Fraction(0))) == cents
