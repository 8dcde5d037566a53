"""Where the billing periods of a subscription begin: in the past, later, or anew from now on."""

from typing import Any

from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.billing import period_end
from tidegate.sandbox.changes import BILLED
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.writes.calls import Call
from tidegate.sandbox.writes.trials import later, trial_of


def beginning(call: Call, prices: list[Obj]) -> dict[str, Any]:
    """The `anchor` and `prorates` of the terms of a new subscription, `backdate_start_date` checked, too.

    Raises Refusal (400).
    """
    given = call.given
    anchor, start = given.get("billing_cycle_anchor"), given.get("backdate_start_date")
    for name, value in (("billing_cycle_anchor", anchor), ("backdate_start_date", start)):
        if value is not None and trial_of(call):
            raise Refusal(400, f"The sandbox does not combine {name} with a trial.", param=name)
    if start is not None and start >= call.now:
        raise Refusal(
            400, f"backdate_start_date must be in the past; it is now {call.now}.", param="backdate_start_date"
        )
    if anchor is not None:
        later(call, anchor, "billing_cycle_anchor")
        natural = min(period_end(price, call.now, call.now) for price in prices)
        if anchor > natural:
            raise Refusal(
                400,
                f"billing_cycle_anchor cannot be later than next natural billing date ({natural}) for plan",
                param="billing_cycle_anchor",
            )
    return {"anchor": anchor, "prorates": given.get("proration_behavior") != "none"}


def anchors_now(call: Call, subscription: Obj) -> bool:
    """Whether an update begins a new period now. Raises Refusal: 400, or 429 for an invoice too many."""
    if part(call.given, "billing_cycle_anchor").get("type") != "now":
        return False
    if subscription["status"] not in BILLED or call.given.get("items") or call.given.get("trial_end"):
        raise Refusal(
            400,
            "The sandbox sets the billing_cycle_anchor only of an active or past due subscription, and not together "
            "with items or trial_end.",
            param="billing_cycle_anchor",
        )
    call.pace.new_invoice(subscription["id"])
    return True
