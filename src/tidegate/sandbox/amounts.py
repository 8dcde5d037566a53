"""What a price costs for a quantity, a discount takes off and a tax adds: the sandbox's own arithmetic, minor units."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from tidegate.sandbox.resources import Obj, part


@dataclass(frozen=True)
class Part:
    """One line's worth of a price: a tier's units, or a tier's flat fee, which has quantity 0."""

    quantity: int
    amount: int
    unit_amount_decimal: str | None
    label: str


def rounded(value: Fraction) -> int:
    """A fraction of a minor unit rounded half away from zero."""
    return floor(value + Fraction(1, 2)) if value >= 0 else -floor(-value + Fraction(1, 2))


def price_in(price: Obj, currency: str) -> Obj:
    """A whole price as it is in a currency: its own, or one of its `currency_options`, whose amounts then hold.

    KeyError when the price has no option for the currency.
    """
    return price if price["currency"] == currency else price | price["currency_options"][currency]


def parts_of(price: Obj, quantity: int) -> list[Part]:
    """The lines that an invoice has for a quantity of a price: one, or one per tier reached and flat fee."""
    if price["billing_scheme"] == "per_unit":
        units = quantity
        if price["transform_quantity"]:
            packages = Fraction(quantity, price["transform_quantity"]["divide_by"])
            units = ceil(packages) if price["transform_quantity"]["round"] == "up" else floor(packages)
        unit = price["unit_amount_decimal"]
        return [Part(quantity, rounded(Fraction(unit) * units), unit, "")]
    if price["tiers_mode"] == "volume":
        reached = next(tier for tier in price["tiers"] if tier["up_to"] is None or quantity <= tier["up_to"])
        return _tier_parts(reached, quantity, "")
    parts: list[Part] = []
    below = 0
    for number, tier in enumerate(price["tiers"], 1):
        within = (quantity if tier["up_to"] is None else min(quantity, tier["up_to"])) - below
        if within <= 0 and number > 1:
            break
        parts += _tier_parts(tier, within, f"Tier {number}")
        below += within
    return parts


def _tier_parts(tier: Obj, quantity: int, label: str) -> list[Part]:
    unit = tier["unit_amount_decimal"] or "0"
    parts = [Part(quantity, rounded(Fraction(unit) * quantity), unit, label)]
    if tier["flat_amount"] is not None:
        parts.append(Part(0, tier["flat_amount"], None, f"{label} flat fee".strip()))
    return parts


def amount_of(price: Obj, quantity: int) -> int:
    """What a quantity of a price costs per period, minor units."""
    return sum(piece.amount for piece in parts_of(price, quantity))


def shared(total: int, weights: list[int]) -> list[int]:
    """`total` split over the weights so that the shares add up exactly; no weight, no share."""
    shares: list[int] = []
    whole, weight_so_far, given = sum(weights), 0, 0
    for weight in weights:
        weight_so_far += weight
        upto = rounded(Fraction(total * weight_so_far, whole)) if whole else 0
        shares.append(upto - given)
        given = upto
    return shares


def reductions(coupon: Obj, rest: list[int], products: list[str], currency: str) -> list[int]:
    """What a coupon takes off each line, given what is left of each (minor units) and each line's product."""
    goods = part(coupon, "applies_to").get("products")
    hit = [
        left if left > 0 and (not goods or product in goods) else 0
        for left, product in zip(rest, products, strict=True)
    ]
    if coupon["percent_off"] is not None:
        share = Fraction(str(coupon["percent_off"])) / 100
        return [rounded(left * share) for left in hit]
    if coupon["currency"] != currency:
        return [0] * len(rest)
    return shared(min(coupon["amount_off"], sum(hit)), hit)


def tax_on(amount: int, rate: Obj) -> int:
    """The tax that a rate puts on (exclusive) or takes out of (inclusive) an amount, minor units."""
    percent = Fraction(str(rate["percentage"]))
    return rounded(amount * percent / (100 + percent if rate["inclusive"] else 100))
