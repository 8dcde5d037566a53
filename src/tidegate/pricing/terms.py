"""Stripe's price arithmetic: what a quantity costs a period under a price, exact, with the parts it is made of."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from tidegate.stripe_api.shapes.catalog import CurrencyOption, Price, Tier, TransformQuantity

NOTHING = Fraction(0)


class Charge(NamedTuple):
    """A part of an amount: `quantity` at `unit` and `flat` once, in minor units; `up_to`: of its tier, if any."""

    quantity: int
    unit: Fraction
    flat: Fraction = NOTHING
    tier: int = 0
    up_to: int | None = None

    @property
    def amount(self) -> Fraction:
        """What the part comes to, in minor units."""
        return self.quantity * self.unit + self.flat


class Unpriced(NamedTuple):
    """Why a price tells no amount."""

    reason: str


def charges(price: Price, quantity: int, currency: str) -> list[Charge] | Unpriced:
    """What a quantity is charged each period, in minor units of `currency` (lower case).

    docs.stripe.com/products-prices/pricing-models: per unit, packages, graduated and volume tiers with flat amounts.
    """
    told = _in_currency(price, currency)
    if told is None:
        return Unpriced(f"the price {price.id} has no amount in {currency.upper()}")
    if price.billing_scheme == "tiered" or (price.tiers_mode and not price.unit_amount_decimal):
        if not told.tiers:
            return Unpriced(f"the tiers of the price {price.id} are not told")
        return _tiered(told.tiers, price.tiers_mode or "graduated", quantity)
    unit = exact(told.unit_amount_decimal, told.unit_amount)
    if unit is None:
        return Unpriced(f"the price {price.id} has no amount")
    return [Charge(_transformed(quantity, price.transform_quantity), unit)]


def exact(decimal: str | None, whole: int | None) -> Fraction | None:
    """An amount in minor units from Stripe's two fields for it; the decimal one is the exact one."""
    if decimal is not None:
        return _fraction(decimal)
    return None if whole is None else Fraction(whole)


@lru_cache(4096)
def _fraction(decimal: str) -> Fraction | None:
    try:
        return Fraction(decimal)
    except (ValueError, ZeroDivisionError):
        return None


def _in_currency(price: Price, currency: str) -> Price | CurrencyOption | None:
    if not currency or price.currency is None or price.currency.lower() == currency:
        return price
    return (price.currency_options or {}).get(currency)


def _transformed(quantity: int, transform: TransformQuantity | None) -> int:
    """The number of packages: the quantity divided, and rounded as the price says."""
    if transform is None or not transform.divide_by:
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
        found.append(Charge(units, unit, flat, number, tier.up_to))
        if inside:
            return found
        below = tier.up_to or 0
    return Unpriced(f"no tier takes a quantity of {quantity}")
