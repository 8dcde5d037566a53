"""Inclusive tax: the part of an amount that is not the company's."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from tidegate.pricing.facts import Facts
from tidegate.pricing.working import Working
from tidegate.stripe_api.shapes.catalog import TaxRate

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
    """The part of the item's last lines that was inclusive tax; None where they tell nothing of it."""
    lines = facts.lines.get(item.id)
    if not lines:
        return None
    paid = sum((line.amount or 0) - (line.discount_amount or 0) for line in lines)
    if paid <= 0 or any(line.inclusive_tax is None for line in lines):
        return None
    return Fraction(min(sum(line.inclusive_tax or 0 for line in lines), paid), paid)


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
