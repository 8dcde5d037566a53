"""Amounts in minor units as people read them; Stripe's currency exponents (docs.stripe.com/currencies)."""

from decimal import Decimal
from fractions import Fraction

# fmt: off
_NONE = frozenset({
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf",
})
_THREE = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
# fmt: on


def exponent(currency: str) -> int:
    """Decimals of the currency's minor unit at Stripe. ISK and UGX have two there, for compatibility."""
    code = currency.lower()
    return 0 if code in _NONE else 3 if code in _THREE else 2


def half_away(numerator: int, denominator: int) -> int:
    """A quotient as a whole number, halves away from zero; the denominator is positive."""
    size = (2 * abs(numerator) + denominator) // (2 * denominator)
    return size if numerator >= 0 else -size


def decimal(amount: int, currency: str) -> Decimal:
    """`49.00` for 4,900 minor units of USD, `4900` of JPY."""
    return Decimal(amount).scaleb(-exponent(currency))


def shown(amount: int, currency: str) -> str:
    """`14.00 USD` for 1,400 minor units."""
    places = exponent(currency)
    whole, rest = divmod(abs(amount), 10**places)
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole:,}{f'.{rest:0{places}d}' if places else ''} {currency.upper()}"


def said(amount: int | None, currency: str) -> str:
    """As `shown`; a dash for what is unknown."""
    return "–" if amount is None else shown(amount, currency)


def shown_exactly(amount: Fraction, currency: str) -> str:
    """`16.6667 USD` for 5,000/3 minor units: two places more than the currency has, where it needs them."""
    places = exponent(currency) + 2
    scaled = abs(amount) * 100
    rounded = half_away(scaled.numerator, scaled.denominator)
    whole, rest = divmod(rounded, 10**places)
    decimals = f"{rest:0{places}d}"
    kept = decimals[: places - 2] + decimals[places - 2 :].rstrip("0")
    sign = "-" if amount < 0 and rounded else ""
    return f"{sign}{whole:,}{f'.{kept}' if kept else ''} {currency.upper()}"
