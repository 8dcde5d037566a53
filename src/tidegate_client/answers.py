"""What the hub answered, or what is known while it cannot be reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

UNREACHABLE = "hub_unreachable"


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a contact may use a feature; true in an `if` when it may.

    `reason`: granted, usage_limit_reached, over_limit, feature_unavailable, feature_not_found, contact_not_found, or
    hub_unreachable when only the fallback speaks. `value`: of a config feature. `limit`, `used`, `remaining`: units of
    a metered one; None without a limit. `stale`: the hub could not be asked, this is what it said last or the fallback.
    `raw`: the whole answer, with `sources` and `packages`.
    """

    contact: str
    feature: str
    granted: bool
    reason: str
    value: Any = None
    limit: int | None = None
    used: int | None = None
    remaining: int | None = None
    until: datetime | None = None
    stale: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def __bool__(self) -> bool:
        return self.granted


@dataclass(frozen=True, slots=True)
class Consumed:
    """What became of usage; true in an `if` when it was debited, or will be.

    `stale`: the hub could not be reached; with `allowed` the usage is kept and counted, once, when it is back.
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
    until = said.get("until")
    return Check(
        contact,
        feature,
        bool(said.get("granted", False)),
        str(said.get("reason", "")),
        said.get("value"),
        said.get("limit"),
        said.get("used"),
        said.get("remaining"),
        datetime.fromisoformat(until) if until else None,
        stale,
        said,
    )


def read_consumed(key: str, said: Mapping[str, Any]) -> Consumed:
    """An answer to a debit; a contact or feature that is not known is a refusal like others."""
    allowed = bool(said.get("allowed", False))
    return Consumed(allowed, str(said.get("reason", "")), key, said.get("used"), said.get("remaining"), raw=said)
