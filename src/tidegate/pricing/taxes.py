"""Inclusive tax: the part of an amount that is not the company's."""

from fractions import Fraction

from tidegate.pricing.facts import Facts
from tidegate.pricing.working import Working

GUESSED = "its price includes tax, and no rate says how much"


def take_out(facts: Facts, item: Working) -> None:
    """Takes inclusive tax out of an item's amount: the share that its last lines had, else what the rates of the item
    or of the subscription say. Where the price includes tax and nothing says how much, the item has a `problem`.
    """
    share = _share_of_lines(facts, item)
    if share is None:
        rates = facts.rates(item.told.tax_rates) or facts.rates(facts.subscription.default_tax_rates)
        if not rates:
            item.problem = GUESSED if _includes_tax(facts, item) else ""
            return
        percent = sum((Fraction(rate.percentage or 0) for rate in rates if rate.inclusive), Fraction(0))
        share = percent / (100 + percent)
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


def _includes_tax(facts: Facts, item: Working) -> bool:
    price = facts.price_of(item.told)
    return price is not None and price.tax_behavior == "inclusive"
