"""When a subscription is to end: with its period, or at a time."""

from typing import Any

from tidegate.sandbox import endings
from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.writes.calls import Call, exclusive
from tidegate.sandbox.writes.trials import later

SERVED = ("cancel_at", "cancel_at_period_end")


def wanted(call: Call) -> int | None:
    """The time at which it is to end; None: none is given. Raises Refusal (400)."""
    given = call.given
    at: Any = given.get("cancel_at")
    exclusive({name: given.get(name) or None for name in SERVED}, *SERVED)
    if at is None:
        return None
    if not isinstance(at, int):
        raise Refusal(400, "The sandbox takes a timestamp here only.", "parameter_not_served", "cancel_at")
    if given.get("proration_behavior") != "none":
        raise Refusal(
            400,
            "The sandbox ends a subscription at a time with proration_behavior=none only.",
            "parameter_not_served",
            "cancel_at",
        )
    return later(call, at, "cancel_at")


def taken_back(given: dict[str, Any]) -> bool:
    """Whether the parameters take an end back that is scheduled."""
    return given.get("cancel_at_period_end") is False or ("cancel_at" in given and given["cancel_at"] is None)


def of_new(call: Call, subscription: Obj, at: int | None) -> None:
    """Has a new subscription end with its first period, or at a time; it is not stored."""
    if at is None and not call.given.get("cancel_at_period_end"):
        return
    ends = at or subscription["items"]["data"][0]["current_period_end"]
    subscription |= {"cancel_at_period_end": at is None, "cancel_at": ends, "canceled_at": call.now}
    details: Obj = {"comment": None, "feedback": None, "reason": "cancellation_requested"}
    subscription["cancellation_details"] = details
    if at is not None:
        call.world.plan(at, "end_at", subscription["id"], at)


def of_known(call: Call, subscription: Obj, at: int | None) -> None:
    """Schedules the end of a subscription that is there, and stores it."""
    details = subscription["cancellation_details"]
    if at is not None:
        endings.schedule_end(call.world, subscription, details["feedback"], details["comment"], at)
        call.world.plan(at, "end_at", subscription["id"], at)
    elif call.given.get("cancel_at_period_end") and not subscription["cancel_at_period_end"]:
        endings.schedule_end(call.world, subscription, details["feedback"], details["comment"])
