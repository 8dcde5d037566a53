"""What one subscription may be told within a time (docs.stripe.com/rate-limits), by the sandbox's clock."""

from collections import deque

from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.state import State

INVOICES = ((60, 10), (86_400, 20))
"""New invoices of one subscription: at most so many within so many seconds."""

QUANTITY_UPDATES = (3600, 200)


class Pace:
    """Counts what is limited per subscription and turns away what is too much."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._updates: dict[str, deque[int]] = {}

    def new_invoice(self, subscription: str) -> None:
        """Raises Refusal (429) when the subscription got too many new invoices of late."""
        now, invoices = self._state.clock.now, self._state["invoices"]
        created = [invoices.shown(one)["created"] for one in invoices.find("subscription", subscription)]
        for seconds, most in INVOICES:
            recent = sorted(at for at in created if at > now - seconds)
            if len(recent) >= most:
                raise refused(
                    f"subscription {subscription} gets at most {most} new invoices in {seconds} seconds",
                    recent[-most] + seconds - now,
                )

    def new_quantity(self, subscription: str) -> None:
        """Counts a change of quantity. Raises Refusal (429) when there were too many of late."""
        now, (seconds, most) = self._state.clock.now, QUANTITY_UPDATES
        recent = self._updates.setdefault(subscription, deque())
        while recent and recent[0] <= now - seconds:
            recent.popleft()
        if len(recent) >= most:
            raise refused(
                f"subscription {subscription} takes at most {most} changes of quantity an hour",
                recent[0] + seconds - now,
            )
        recent.append(now)


def refused(why: str, wait: int) -> Refusal:
    """The answer to one change too many; `wait` is in seconds of the sandbox's clock."""
    return Refusal(
        429,
        f"Request rate limit exceeded: {why}. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
        "rate_limit",
        headers=(
            (b"Retry-After", str(max(1, wait)).encode()),
            (b"Stripe-Rate-Limited-Reason", b"resource-specific"),
        ),
    )
