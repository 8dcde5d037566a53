"""Rates of currencies: what an amount of one is in another, by the last rate published on or before a day."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from tidegate.money import exponent, half_away

OLDEST = timedelta(days=7)
"""An older rate is none: markets close for no longer than that."""
EURO = "eur"

History = Mapping[str, Mapping[date, Decimal]]
"""By currency, lower case, and day: units of the currency for one euro."""


class Lacking(NamedTuple):
    """A rate that is missing; `newest`: the last one that there is, null without any."""

    currency: str
    day: date
    newest: date | None


@dataclass(slots=True)
class Rates:
    """Rates into one currency, `base`. `lacking` collects what was asked for and is not known."""

    base: str
    days: Mapping[str, Sequence[date]]
    values: Mapping[str, Sequence[Decimal]]
    lacking: dict[tuple[str, date], Lacking] = field(default_factory=dict[tuple[str, date], Lacking])
    _found: dict[tuple[str, date], Fraction | None] = field(default_factory=dict[tuple[str, date], "Fraction | None"])

    @classmethod
    def of(cls, base: str, *histories: History) -> "Rates":
        """Rates of several histories; of one day the later history's hold."""
        merged: dict[str, dict[date, Decimal]] = {}
        for history in histories:
            for currency, known in history.items():
                merged.setdefault(currency.lower(), {}).update(known)
        days = {currency: sorted(known) for currency, known in merged.items()}
        values = {currency: [merged[currency][day] for day in those] for currency, those in days.items()}
        return cls(base.lower(), days, values)

    def factor(self, currency: str, day: date) -> Fraction | None:
        """Minor units of the base for one minor unit of a currency on a day; None: a rate is missing."""
        if currency == self.base:
            return Fraction(1)
        key = (currency, day)
        if key not in self._found:
            theirs, ours = self._per_euro(currency, day), self._per_euro(self.base, day)
            found = None if theirs is None or ours is None else ours / theirs
            scale = exponent(self.base) - exponent(currency)
            self._found[key] = None if found is None else found * Fraction(10) ** scale
        return self._found[key]

    def holds_until(self, currency: str, day: date) -> date | None:
        """The last day on which what `factor` says of a day is not too old; None: it never is, or a rate is missing."""
        if currency == self.base or self.factor(currency, day) is None:
            return None
        used = (self.days[one] for one in (currency, self.base) if one != EURO)
        return min(days[bisect_right(days, day) - 1] for days in used) + OLDEST

    def convert(self, amount: int, currency: str, day: date) -> int | None:
        """An amount in the base, halves away from zero; nothing is nothing, whatever the rate."""
        if amount == 0 or currency == self.base:
            return amount
        factor = self.factor(currency, day)
        if factor is None:
            return None
        return half_away(amount * factor.numerator, factor.denominator)

    def total(self, amounts: Iterable[tuple[str, int]], day: date) -> int | None:
        """The sum of amounts of several currencies in the base; None: a rate is missing."""
        found = [self.convert(amount, currency, day) for currency, amount in amounts]
        known = [one for one in found if one is not None]
        return sum(known) if len(known) == len(found) else None

    def _per_euro(self, currency: str, day: date) -> Fraction | None:
        if currency == EURO:
            return Fraction(1)
        days = self.days.get(currency, ())
        place = bisect_right(days, day)
        if place and day - days[place - 1] <= OLDEST:
            return Fraction(self.values[currency][place - 1])
        self.lacking[currency, day] = Lacking(currency, day, days[place - 1] if place else None)
        return None
