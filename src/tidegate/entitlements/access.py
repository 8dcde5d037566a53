"""Whether a subscription gives access at an instant, and until when: by its status, with grace (pure)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import Struct


class Standing(Struct, frozen=True, array_like=True, gc=False):
    """What access to a subscription's items hangs on; times are UTC.

    `ends_at`: when it ends, known beforehand (cancel_at, the period's end when it is to cancel then). `grace_until`: of
    a `past_due` one. `pause`: pause_collection's behavior, until
    `resumes_at`.
    """

    status: str
    ends_at: datetime | None = None
    grace_until: datetime | None = None
    pause: str | None = None
    resumes_at: datetime | None = None


class Access(Struct, frozen=True, gc=False):
    """Whether there is access, why, and when that changes by itself (None: not before something happens)."""

    granted: bool
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Settings of semantics, Catalog and entitlements, "Access by subscription status"."""

    grace_days: int = 14
    paused_gives: frozenset[str] = frozenset({"keep_as_draft"})

    @classmethod
    def read(cls, said: dict[str, Any]) -> "AccessPolicy":
        """As a connection's settings store it."""
        default = cls()
        paused = said.get("paused_gives", default.paused_gives)
        return cls(said.get("grace_days", default.grace_days), frozenset(paused))


def access(standing: Standing, policy: AccessPolicy, as_of: datetime) -> Access:
    """Access by subscription status (semantics, Catalog and entitlements).

    Evaluated when it is asked: a deadline that has passed counts, though no webhook told of it.
    """
    if standing.status not in _OPEN:
        return Access(False, _CLOSED.get(standing.status, f"the subscription is {standing.status}"))
    ends = standing.ends_at
    if ends is not None and ends <= as_of:
        return Access(False, "the subscription has ended")
    if standing.status == "past_due":
        late = _past_due(standing, as_of)
        if not late.granted:
            return late
    paused = _paused(standing, policy, as_of)
    if paused is not None:
        return paused
    deadlines = [ends] + ([standing.grace_until] if standing.status == "past_due" else [])
    known = [at for at in deadlines if at is not None]
    return Access(True, _reason(standing), min(known, default=None))


_OPEN = frozenset({"trialing", "active", "past_due"})
_CLOSED = {
    "incomplete": "the first payment is not made yet",
    "incomplete_expired": "the first payment was never made",
    "unpaid": "the subscription is unpaid",
    "paused": "the subscription is paused: its trial ended without a payment method",
    "canceled": "the subscription was canceled",
}


def _reason(standing: Standing) -> str:
    if standing.status == "past_due":
        return "the subscription is past due, within its days of grace"
    said = "the subscription is on trial" if standing.status == "trialing" else "the subscription is active"
    return f"{said} and scheduled to end" if standing.ends_at is not None else said


def _past_due(standing: Standing, as_of: datetime) -> Access:
    grace = standing.grace_until
    if grace is None or grace <= as_of:
        return Access(False, "the subscription is past due and its days of grace are over")
    return Access(True, "", grace)


def _paused(standing: Standing, policy: AccessPolicy, as_of: datetime) -> Access | None:
    """The refusal of a paused collection, if it is one now."""
    if standing.pause is None or standing.pause in policy.paused_gives:
        return None
    if standing.resumes_at is not None and standing.resumes_at <= as_of:
        return None
    return Access(False, f"collection is paused ({standing.pause})", standing.resumes_at)
