"""Stripe's price arithmetic: what a quantity costs a period under a price, exact, with the parts it is made of."""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from tidegate.pricing.value import NOTHING
from tidegate.stripe_api.shapes.catalog import CurrencyOption, Price, Tier, TransformQuantity

DECIMAL = re.compile(r"-?\d{1,40}(\.\d{1,40})?").fullmatch
"""An amount as Stripe writes it; an exponent could name a number that fills the memory."""


class Charge(NamedTuple):
    """A part of an amount: `quantity` at `unit` and `flat` once, together `amount`, in minor units; `up_to`: of its
    tier, if any.
    """

    quantity: int
    unit: Fraction
    flat: Fraction
    amount: Fraction
    tier: int = 0
    up_to: int | None = None


class Unpriced(NamedTuple):
    """Why a price tells no amount."""

    reason: str


def charges(price: Price, quantity: int, currency: str) -> Sequence[Charge] | Unpriced:
    """What a quantity is charged each period, in minor units of `currency` (lower case).

    docs.stripe.com/products-prices/pricing-models: per unit, packages, graduated and volume tiers with flat amounts.
    """
    if quantity < 0:
        return Unpriced(f"its quantity is {quantity}")
    told = in_currency(price, currency)
    if told is None:
        return Unpriced(f"the price {price.id} has no amount in {currency.upper()}")
    if is_tiered(price):
        if not told.tiers:
            return Unpriced(f"the tiers of the price {price.id} are not told; expand them")
        return _tiered(told.tiers, price.tiers_mode or "graduated", quantity)
    decimal = told.unit_amount_decimal
    if decimal is None:
        decimal = None if told.unit_amount is None else str(told.unit_amount)
    found = _per_unit(decimal, _transformed(quantity, price.transform_quantity)) if decimal is not None else None
    return found or Unpriced(f"the price {price.id} has no amount")


def tells(price: Price, currency: str) -> bool:
    """Whether a price carries what `charges` needs in a currency."""
    told = in_currency(price, currency)
    if told is None or price.recurring is None:
        return False
    return bool(told.tiers) if is_tiered(price) else told.unit_amount is not None or bool(told.unit_amount_decimal)


def is_tiered(price: Price) -> bool:
    """Whether the price is one of tiers; older ones may only say how they are counted."""
    return price.billing_scheme == "tiered" or (price.tiers_mode is not None and price.unit_amount_decimal is None)


def in_currency(price: Price, currency: str) -> Price | CurrencyOption | None:
    """Where the price's amounts in a currency stand: on itself or in its options; None: it has none."""
    if not currency or price.currency is None or price.currency == currency or price.currency.lower() == currency:
        return price
    return (price.currency_options or {}).get(currency)


def exact(decimal: str | None, whole: int | None) -> Fraction | None:
    """An amount in minor units from Stripe's two fields for it; the decimal one is the exact one."""
    if decimal is not None:
        return _fraction(decimal)
    return None if whole is None else Fraction(whole)


@lru_cache(4096)
def _fraction(decimal: str) -> Fraction | None:
    return Fraction(decimal) if DECIMAL(decimal) else None


@lru_cache(16384)
def _per_unit(decimal: str, quantity: int) -> tuple[Charge] | None:
    unit = _fraction(decimal)
    return None if unit is None or unit < 0 else (Charge(quantity, unit, NOTHING, quantity * unit),)


def _transformed(quantity: int, transform: TransformQuantity | None) -> int:
    """The number of packages: the quantity divided, and rounded as the price says."""
    if transform is None or not transform.divide_by or transform.divide_by < 0:
        return quantity
    whole, rest = divmod(quantity, transform.divide_by)
    return whole + (1 if rest and transform.round == "up" else 0)


def _tiered(tiers: Sequence[Tier], mode: str, quantity: int) -> list[Charge] | Unpriced:
    """A tier's flat amount is charged once it is reached; the first one is even by a quantity of 0."""
    found: list[Charge] = []
    below = 0
    for number, tier in enumerate(tiers, 1):
        inside = tier.up_to is None or quantity <= tier.up_to
        if mode == "volume" and not inside:
            continue
        reached = quantity if tier.up_to is None or inside else tier.up_to
        units = quantity if mode == "volume" else reached - below
        unit = exact(tier.unit_amount_decimal, tier.unit_amount) or NOTHING
        flat = exact(tier.flat_amount_decimal, tier.flat_amount) or NOTHING
        if min(units, unit, flat) < 0:
            return Unpriced(f"tier {number} takes {units} at {unit} and {flat}")
        found.append(Charge(units, unit, flat, units * unit + flat, number, tier.up_to))
        if inside:
            return found
        below = tier.up_to or 0
    return Unpriced(f"no tier takes a quantity of {quantity}")
