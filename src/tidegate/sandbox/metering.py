"""Usage as it was told: meter events by the meter's name, what was taken back, and what they add up to."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from tidegate.sandbox.resources import Obj

DAY = 86_400
REMEMBERED = DAY
"""Seconds for which an identifier is known, and within which its event can be taken back.

Source: the SDK's MeterEventCreateParams.identifier ("at least 24 hours") and MeterEventAdjustmentCreateParams.cancel.
"""
WINDOWS = {"hour": 3600, "day": DAY}


@dataclass
class Told:
    """A meter event. Times are UTC epoch seconds; `received` is when it came, `at` when the usage was."""

    event_name: str
    identifier: str
    customer: str
    value: Decimal
    at: int
    received: int
    canceled: bool = False


@dataclass
class Metering:
    """The meter events of an account, in the order in which they came, by meter and customer."""

    events: dict[tuple[str, str], list[Told]] = field(default_factory=dict[tuple[str, str], list[Told]])
    known: dict[str, Told] = field(default_factory=dict[str, Told])

    def add(self, told: Told) -> None:
        """Counts an event."""
        self.events.setdefault((told.event_name, told.customer), []).append(told)
        self.known[told.identifier] = told

    def recent(self, identifier: str, now: int) -> Told | None:
        """The event of an identifier that came within the last 24 hours."""
        found = self.known.get(identifier)
        return found if found is not None and found.received > now - REMEMBERED else None

    def of(self, meter: Obj, customer: str, begin: int, end: int) -> list[Told]:
        """A customer's events of a meter from `begin` until before `end`, without those that were taken back; of a
        meter whose events are added up beforehand the last of each hour or day.
        """
        every = self.events.get((meter["event_name"], customer), [])
        found = [one for one in every if begin <= one.at < end and not one.canceled]
        window = WINDOWS.get(meter["event_time_window"] or "")
        return found if window is None else list({one.at // window: one for one in found}.values())

    def used(self, meter: Obj, customer: str, begin: int, end: int) -> int | None:
        """What a customer is billed for a period, never below 0; None: nothing was ever told of this customer.

        How Stripe rounds a fraction is not documented; here half a unit counts as one.
        """
        if (meter["event_name"], customer) not in self.events:
            return None
        total = aggregated(meter, self.of(meter, customer, begin, end))
        return max(0, int(total.to_integral_value(ROUND_HALF_UP)))


def aggregated(meter: Obj, events: Iterable[Told]) -> Decimal:
    """What events come to by the meter's formula: their sum, their number, or the value of the latest."""
    listed = list(events)
    match meter["default_aggregation"]["formula"]:
        case "count":
            return Decimal(len(listed))
        case "last":
            return max(listed, key=lambda one: one.at).value if listed else Decimal(0)
        case _:
            return sum((one.value for one in listed), Decimal(0))
