"""Inclusive tax: the part of an amount that is not the company's."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from tidegate.pricing.facts import Facts
from tidegate.pricing.working import Working
from tidegate.stripe_api.shapes.catalog import TaxRate
from tidegate.stripe_api.shapes.lines import InvoiceLine

GUESSED = "its price includes tax, and no rate says how much"


def take_out(facts: Facts, item: Working) -> None:
    """Takes inclusive tax out of an item's amount: the share that its last lines had, else what the rates of the item
    or of the subscription say. Where the price includes tax and nothing says how much, the item has a `problem`.
    """
    share = _share_of_lines(facts, item) if facts.lines else None
    if share is None:
        rates = item.told.tax_rates or facts.subscription.default_tax_rates
        if not rates:
            if item.tax_behavior == "inclusive" and item.amount:
                item.problem = item.problem or GUESSED
            return
        share = _share_of_rates(facts, item, rates)
    if share:
        item.set(item.amount * (1 - share), "tax", "without the tax that it includes")


def _share_of_lines(facts: Facts, item: Working) -> Fraction | None:
    """The part of the item's last lines that was inclusive tax; None where they tell nothing of it.

    Amounts of tax are rounded, so that they say another share for every quantity: where they are what the rates that
    they name come to, the share is that of the rates.
    """
    lines = facts.lines.get(item.id)
    if not lines:
        return None
    paid = sum(_paid(line) for line in lines)
    if paid <= 0 or any(line.inclusive_tax is None for line in lines):
        return None
    shares = {_share_of_rates_named(facts, line) for line in lines}
    exact = shares.pop() if len(shares) == 1 else None
    if exact is not None and all(abs(_paid(line) * exact - (line.inclusive_tax or 0)) < 1 for line in lines):
        return exact
    return Fraction(min(sum(line.inclusive_tax or 0 for line in lines), paid), paid)


def _paid(line: InvoiceLine) -> int:
    return (line.amount or 0) - (line.discount_amount or 0)


def _share_of_rates_named(facts: Facts, line: InvoiceLine) -> Fraction | None:
    """The inclusive part by the rates that a line's taxes name; None where one of them is not known."""
    percent = Fraction(0)
    for tax in line.inclusive_taxes:
        rate = facts.tax_rates.get(tax.rate or "")
        if rate is None or rate.percentage is None:
            return None
        percent += _percent(rate.percentage)
    return percent / (100 + percent)


def _share_of_rates(facts: Facts, item: Working, named: Sequence[str | TaxRate]) -> Fraction:
    percent = Fraction(0)
    for rate in facts.rates(named):
        if isinstance(rate, str):
            item.problem = item.problem or f"the tax rate {rate} is not told; expand it"
        elif rate.inclusive:
            percent += _percent(rate.percentage or "0")
    return percent / (100 + percent)


@lru_cache(1024)
def _percent(decimal: str) -> Fraction:
    return max(Fraction(decimal), Fraction(0))
