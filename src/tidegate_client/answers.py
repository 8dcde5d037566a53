"""What the hub answered, or what is known while it cannot be reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

UNREACHABLE = "hub_unreachable"
LIMIT_REACHED, OVER_LIMIT = "usage_limit_reached", "over_limit"


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a contact may use a feature; true in an `if` when it may.

    `reason`: granted, usage_limit_reached, over_limit, feature_unavailable, feature_not_found, contact_not_found, or
    hub_unreachable when only the fallback speaks. `value`: of a config feature. `limit`, `used`, `remaining`: units of
    a metered one; None without a limit. `resets_at`: when it is counted anew. `stale`: the hub could not be asked, this
    is what it said last, less what waits to be counted, or the fallback. `raw`: the whole answer, with `sources` and
    `packages`; after a `consume` that nobody checked before, only what that answered.
    """

    contact: str
    feature: str
    granted: bool
    reason: str
    value: Any = None
    limit: int | None = None
    used: int | None = None
    remaining: int | None = None
    resets_at: datetime | None = None
    until: datetime | None = None
    stale: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def __bool__(self) -> bool:
        return self.granted


@dataclass(frozen=True, slots=True)
class Consumed:
    """What became of usage; true in an `if` when it was debited, or will be.

    `stale`: the hub could not be reached; with `allowed` the usage is kept and counted, once, when it is back, even if
    that is over the limit then (`refused` of the client lists what cannot be counted all the same).
    """

    allowed: bool
    reason: str
    key: str
    used: int | None = None
    remaining: int | None = None
    stale: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def __bool__(self) -> bool:
        return self.allowed


def read_check(contact: str, feature: str, said: Mapping[str, Any], *, stale: bool = False) -> Check:
    """A check as the hub answers it, a refusal with 404 included."""
    return Check(
        contact,
        feature,
        bool(said.get("granted", False)),
        str(said.get("reason", "")),
        said.get("value"),
        said.get("limit"),
        said.get("used"),
        said.get("remaining"),
        _moment(said.get("resets_at")),
        _moment(said.get("until")),
        stale,
        said,
    )


def read_consumed(key: str, said: Mapping[str, Any]) -> Consumed:
    """An answer to a debit; a contact or feature that is not known is a refusal like others."""
    allowed = bool(said.get("allowed", False))
    return Consumed(allowed, str(said.get("reason", "")), key, said.get("used"), said.get("remaining"), raw=said)


def standing(contact: str, feature: str, said: Mapping[str, Any]) -> Check:
    """What the answer to a debit says of the next one: whether anything is left."""
    reason, limit, used, remaining = (said.get(name) for name in ("reason", "limit", "used", "remaining"))
    if "allowed" in said and reason != "feature_unavailable":
        reason = "granted"
        if remaining is not None and remaining <= 0:
            reason = OVER_LIMIT if (used or 0) > (limit or 0) else LIMIT_REACHED
    known = {name: said.get(name) for name in ("limit", "used", "remaining", "resets_at")}
    raw = {"contact": contact, "feature": feature, "granted": reason == "granted", "reason": reason, **known}
    return read_check(contact, feature, raw)


def anew(check: Check, now: datetime) -> Check:
    """The check after its usage is counted anew, when that is so by now."""
    if check.resets_at is None or check.resets_at > now:
        return check
    spent = check.reason in (LIMIT_REACHED, OVER_LIMIT)
    granted, reason = (True, "granted") if spent and check.limit else (check.granted, check.reason)
    return replace(check, granted=granted, reason=reason, used=0, remaining=check.limit, resets_at=None)


def less(check: Check, units: int) -> Check:
    """The check when so many units more are used than the hub knows."""
    if not units or check.used is None:
        return check
    used = check.used + units
    if check.remaining is None:
        return replace(check, used=used)
    remaining = max(0, check.remaining - units)
    spent = check.granted and not remaining
    granted, reason = (False, LIMIT_REACHED) if spent else (check.granted, check.reason)
    return replace(check, granted=granted, reason=reason, used=used, remaining=remaining)


def _moment(said: str | None) -> datetime | None:
    return datetime.fromisoformat(said) if said else None
