"""As of when a change of a subscription's items is prorated."""

from collections.abc import Generator
from contextlib import contextmanager

from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.writes.calls import Call


@contextmanager
def prorated(call: Call, subscription: Obj) -> Generator[None]:
    """Within it what changes is prorated as of the `proration_date`, if one is given. Raises Refusal (400) for one that
    is not in the current period.
    """
    at, item = call.given.get("proration_date"), subscription["items"]["data"][0]
    if at is not None and not item["current_period_start"] <= at <= item["current_period_end"]:
        raise Refusal(
            400,
            "Invalid proration_date: it must be within the current period of the subscription.",
            param="proration_date",
        )
    call.world.prorated_at = at
    try:
        yield
    finally:
        call.world.prorated_at = None
