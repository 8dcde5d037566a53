"""Customers that are being written: whoever writes to one meanwhile is refused, as Stripe refuses a second writer."""

import time
from collections.abc import Callable

from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.resources import BY_NAME
from tidegate.sandbox.writes.calls import Call, Write

EARLY = 0.002
"""Seconds that an answer may leave before its time: timers count milliseconds."""


class Locks:
    """Which customers have a write under way: one whose answer has not left yet."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until: dict[str, float] = {}

    def pass_through(self, customer: str | None) -> None:
        """Raises Refusal (429, `lock_timeout`) while a write to the customer is under way.

        Source: docs.stripe.com/rate-limits, object lock timeouts. Stripe waits a while for the lock; here nobody waits.
        """
        if customer is None or self._monotonic() >= self._until.get(customer, 0.0):
            return
        raise Refusal(
            429,
            "This object cannot be accessed right now because another API request or Stripe process is currently "
            "accessing it. If you see this error intermittently, retry the request. If you see this error frequently "
            "and are making multiple concurrent requests to a single object, make your requests serially or at a lower "
            "rate. For more details, see https://stripe.com/docs/rate-limits#object-lock-timeouts.",
            "lock_timeout",
        )

    def hold(self, customer: str, seconds: float) -> None:
        """Has a write to the customer be under way for so many more seconds."""
        now = self._monotonic()
        self._until = {one: until for one, until in self._until.items() if until > now}
        self._until[customer] = now + seconds - EARLY


def customer_of(call: Call, write: Write) -> str | None:
    """The customer whom a write is about: the one in its path, that of the object there, or the one it names."""
    if call.names and write.permission in BY_NAME:
        if write.permission == "customers":
            return call.names[-1]
        if call.names[-1] in call.state[write.permission]:
            return call.state.full(write.permission, call.names[-1]).get("customer")
    if write.permission == "billing_meters":
        return told_of(call)
    return call.given.get("customer")


def told_of(call: Call) -> str | None:
    """The customer of a meter event: Stripe takes one at a time for each customer and meter.

    Source: docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api, rate limits. Here it is one at a time
    for the customer.
    """
    payload: dict[str, str] = call.given.get("payload") or {}
    return next((one for one in payload.values() if one in call.state["customers"]), None)
