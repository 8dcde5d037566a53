"""What pricing answers: the monthly value of each item, exact, and the steps that led to it."""

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, NamedTuple

from tidegate.money import half_away, shown_exactly

NOTHING = Fraction(0)


class Step(NamedTuple):
    """One step: what was done, and what the item came to by it, in minor units.

    `kind`: price, tier, metered, discount, tax, month, trial, or none (it does not count). `words` with `values` in its
    places say what was done; put together only where somebody reads them.
    """

    kind: str
    amount: Fraction
    words: str
    values: tuple[Any, ...] = ()

    @property
    def text(self) -> str:
        """What was done, in words; amounts in minor units."""
        return self.words.format(*(text(one) if isinstance(one, Fraction) else one for one in self.values))


class ItemValue(NamedTuple):
    """What an item is worth a month, in minor units of the subscription's currency.

    `listed` is before discounts and tax, whether the subscription counts or not; `monthly` counts. `trial` is what it
    will be worth after its trial, `usage` what the last closed period of a metered price came to a month, whether that
    counts or not. `problem` says why no amount can be told, or what about it is a guess; else empty.
    """

    item: str
    price: str
    product: str
    quantity: int
    interval: str
    interval_count: int
    metered: bool
    listed: Fraction
    monthly: Fraction
    trial: Fraction
    steps: tuple[Step, ...]
    problem: str = ""
    usage: Fraction = NOTHING


class Value(NamedTuple):
    """What a subscription is worth a month. `why_not` says why it counts for nothing; empty: it counts.

    `ends_at` is when it is to end by what was asked for so far (epoch seconds): until then its MRR is at risk.
    """

    currency: str
    items: tuple[ItemValue, ...]
    why_not: str
    ends_at: int | None

    @property
    def mrr(self) -> Fraction:
        """The sum of its items, exact."""
        return sum((item.monthly for item in self.items), NOTHING)

    def as_json(self, policy: str) -> dict[str, Any]:
        """As `tidegate price` prints it: whole minor units, and the exact amounts beside them."""
        return {
            "currency": self.currency,
            "mrr": whole(self.mrr),
            "mrr_exact": text(self.mrr),
            "counts": not self.why_not,
            "why_not": self.why_not or None,
            "ends_at": instant(self.ends_at),
            "items": [self._item(item) for item in self.items],
            "policy": policy,
        }

    def _item(self, item: ItemValue) -> dict[str, Any]:
        steps = [
            {"kind": step.kind, "text": step.text, "amount": text(step.amount), "shown": self._shown(step.amount)}
            for step in item.steps
        ]
        return {
            "item": item.item,
            "price": item.price,
            "product": item.product or None,
            "quantity": item.quantity,
            "interval": item.interval or None,
            "interval_count": item.interval_count,
            "metered": item.metered,
            "monthly": whole(item.monthly),
            "monthly_exact": text(item.monthly),
            "listed": whole(item.listed),
            "trial": whole(item.trial),
            "usage": whole(item.usage),
            "steps": steps,
            "problem": item.problem or None,
        }

    def _shown(self, amount: Fraction) -> str:
        return shown_exactly(amount, self.currency)


def instant(seconds: int | None) -> str | None:
    """An instant of epoch seconds as JSON has it."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def whole(amount: Fraction) -> int:
    """An amount in whole minor units, halves away from zero."""
    return half_away(amount.numerator, amount.denominator)


def text(amount: Fraction) -> str:
    """An exact amount: a decimal where there is a finite one, else a fraction such as 50/3."""
    rest = amount.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return str(amount)
    digits, scaled = 0, amount
    while scaled.denominator != 1:
        scaled *= 10
        digits += 1
    sign, number = "-" if scaled < 0 else "", str(abs(scaled.numerator)).rjust(digits + 1, "0")
    return f"{sign}{number[:-digits]}.{number[-digits:]}" if digits else f"{sign}{number}"


def millionths(amount: Fraction) -> int:
    """An amount as the ledger stores it, in millionths of a minor unit, halves away from zero."""
    return whole(amount * 1_000_000)
