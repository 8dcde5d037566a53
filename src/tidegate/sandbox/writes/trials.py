"""The trial of a subscription: when it ends, and ending it now."""

from tidegate.sandbox import contracts
from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.billing import finalize
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import DAY
from tidegate.sandbox.writes.calls import Call, exclusive

LONGEST_TRIAL = 730
"""Days (docs.stripe.com/api/subscriptions/create)."""


def trial_of(call: Call) -> int | None:
    """When the trial ends (UTC epoch seconds), None without one. Raises Refusal (400)."""
    given = call.given
    exclusive(given, "trial_end", "trial_period_days")
    until, days = given.get("trial_end"), given.get("trial_period_days")
    if days is not None:
        if not 0 <= days <= LONGEST_TRIAL:
            raise Refusal(400, f"The trial period must be from 0 to {LONGEST_TRIAL} days.", param="trial_period_days")
        return call.now + days * DAY if days else None
    return None if until in (None, "now") else later(call, until, "trial_end")


def later(call: Call, at: int, param: str) -> int:
    """An instant that must not have passed. Raises Refusal (400)."""
    if at <= call.now:
        raise Refusal(400, f"Invalid timestamp: must be later than now, which is {call.now}.", param=param)
    if at > call.now + 5 * 366 * DAY:
        raise Refusal(400, "Invalid timestamp: can be no more than five years in the future.", param=param)
    return at


def on_trial(call: Call, subscription: Obj, until: int) -> None:
    """Puts a subscription on trial: that is its current period."""
    begun = subscription["trial_start"] or call.now
    subscription |= {"status": "trialing", "trial_start": begun, "trial_end": until, "billing_cycle_anchor": until}
    for item in subscription["items"]["data"]:
        item["current_period_end"] = until


def trial_change(call: Call, subscription: Obj) -> int | str | None:
    """When the trial is to end: `now`, a later instant, None for no change. Raises Refusal (400)."""
    until = call.given.get("trial_end")
    if until is None or (until == "now" and subscription["status"] != "trialing"):
        return None
    if until == "now":
        return "now"
    if subscription["status"] != "trialing":
        raise Refusal(400, "The sandbox moves the end only of a trial that is running.", param="trial_end")
    return later(call, until, "trial_end")


def end_trial(call: Call, identifier: str) -> None:
    """Ends a trial now and bills the first paid period at once."""
    subscription = call.state.full("subscriptions", identifier)
    on_trial(call, subscription, call.now)
    call.state.put(subscription, "customer.subscription.updated")
    contracts.renew(call.world, identifier, call.now)
    invoice = call.state.full("invoices", call.state.full("subscriptions", identifier)["latest_invoice"])
    if invoice["status"] == "draft":
        finalize(call.world, invoice)
