"""What an action is, what it may name, and what can have happened to a contact: plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

Takes = Literal["stages", "segments", "alerts", "movements", "features", "events", "days", "nothing"]


class Kind(NamedTuple):
    """A kind of trigger: what stands behind its name, and what it says of an occurrence (`trigger.…` of templates),
    each with a sample.
    """

    takes: Takes
    says: Mapping[str, Any]


_MONEY = {"currency": "usd", "amount": 4900}
_EVENT = {"event": "Payment Failed", "connection": "acme", "invoice": "in_1", "subscription": "sub_1", **_MONEY}
_CHANGED = {"feature": "seats", "change": "changed", "before": {"limit": 5}, "now": {"limit": 10}}

KINDS: Mapping[str, Kind] = {
    "enters_stage": Kind("stages", {"stage": "at_risk", "before": "customer"}),
    "leaves_stage": Kind("stages", {"stage": "trial", "now": "customer"}),
    "enters_segment": Kind("segments", {"segment": "growth"}),
    "leaves_segment": Kind("segments", {"segment": "growth"}),
    "alert_opened": Kind("alerts", {"alert": 12, "rule": "past_due", "about": "2026-05-03T00:00:00Z"}),
    "alert_resolved": Kind("alerts", {"alert": 12, "rule": "past_due", "about": "2026-05-03T00:00:00Z"}),
    "renewal_in_days": Kind("days", {"renews_at": "2026-05-03T12:00:00Z", "days": 30}),
    "trial_ends_in_days": Kind("days", {"trial_ends_at": "2026-05-03T12:00:00Z", "days": 3}),
    "movement": Kind("movements", {"movement": "expansion", **_MONEY}),
    "payment_failed": Kind("nothing", _EVENT | {"attempt": 1, "decline_reason": "insufficient_funds"}),
    "billing_event": Kind("events", _EVENT),
    "entitlement_changed": Kind("features", _CHANGED),
}
"""What can set an action off."""
BARE = ("payment_failed", "entitlement_changed")
"""Those that can stand without anything behind them."""
GOALS = ("renewed", "expanded", "not_churned", "payment_recovered", "property_set")
MOST_DAYS = 730
MOST_MONTHS = 36


class Trigger(NamedTuple):
    """What sets an action off. `keys`: the stages, segments, rules, kinds, features or events; none: any. `days`: of
    those that come so many days before something; `months`: of renewals, those of intervals of so many months or more.
    """

    kind: str
    keys: tuple[str, ...] = ()
    days: int = 0
    months: float = 0


class Step(NamedTuple):
    """What is done: a message to a destination. `event`: what it is called there; `title` and `template` are Liquid."""

    destination: str
    event: str = ""
    title: str = ""
    template: str = ""


class Goal(NamedTuple):
    """What an action is to reach within so many days. `property`: its path, of `property_set`; `value`: the one that it
    is to have, None: any.
    """

    reach: str
    within_days: int
    property: str = ""
    value: Any = None

    def as_json(self) -> dict[str, Any]:
        """As it was said."""
        said: dict[str, Any] = {"reach": self.reach, "within_days": self.within_days}
        if self.property:
            said["property"] = self.property
        return said | ({"value": self.value} if self.value is not None else {})


@dataclass(frozen=True, slots=True)
class Action:
    """A sound action. `when`: a condition as it was said; `hold_out`: the share to which nothing is done."""

    key: str
    name: str
    on: Trigger
    do: tuple[Step, ...]
    when: Mapping[str, Any] | None = None
    cooldown_days: float = 0
    goal: Goal | None = None
    hold_out: float = 0
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """What an action may name: keys of stages, segments, alert rules, features, packages; destinations with their
    kind. `off`: alert rules that are switched off.
    """

    stages: Sequence[str] = ()
    segments: Sequence[str] = ()
    alerts: Sequence[str] = ()
    features: Sequence[str] = ()
    movements: Sequence[str] = ()
    events: Sequence[str] = ()
    destinations: Mapping[str, str] = field(default_factory=dict[str, str])
    off: Sequence[str] = ()
    packages: Sequence[str] = ()

    @property
    def places(self) -> Mapping[str, Sequence[str]]:
        """What its condition may name, by the field whose values these are."""
        return {"packages": self.packages, "stage": self.stages, "segments": self.segments}


class Candidate(NamedTuple):
    """Something that happened to a contact (internal key; `ref` its name). `at`: when. `untold`: it came with an
    import, or the contact did. `suppressed`: nobody is told of it.
    """

    contact: int
    occurrence: str
    at: datetime
    what: dict[str, Any]
    reasons: list[str]
    untold: bool
    ref: str
    name: str
    livemode: bool
    suppressed: bool = False
