"""Properties that no destination is told: taken out of contacts, events, reasons and what templates see (pure)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from tidegate.delivery.messages import Person

IDENTIFYING = ("id", "kind", "customers")
"""What says whom a message is about, without which there is none."""
TOLD_BY: Mapping[str, Collection[str]] = {
    "stage": ("stage.changed",),
    "segments": ("segment.entered", "segment.left"),
}
"""Types of events that say nothing but how a property changed: they are not sent where it is hidden."""
_FIELDS: Mapping[str, Collection[str]] = {
    "mrr": ("mrr_trend",),
    "status": ("subscription.status", "any_subscription.status"),
    "statuses": ("subscription.status", "any_subscription.status"),
    "health": ("unhealthy",),
    "health_band": ("health", "unhealthy"),
    "renews_at": ("days_to_renewal",),
    "customer_since": ("tenure_days", "ever_paid"),
    "failed_payments": ("payments.failed",),
    "past_due_since": ("days_past_due",),
    "card_expires_at": ("card.expires_at",),
    "cancellation_reason": ("cancellation.reason",),
    "last_active_at": ("days_inactive",),
}
"""By property the fields of conditions that tell it under another name."""
_OCCURRENCES: Mapping[str, str] = {
    "past_due": "past_due_since",
    "card_expiring": "card_expires_at",
    "renewal_upcoming": "renews_at",
    "cancellation_scheduled": "ends_at",
    "canceled": "churned_at",
    "downgrade": "downgraded_at",
    "health_dropped": "health",
    "trial_ending": "trial_ends_at",
    "inactive": "last_active_at",
}
"""By rule of alerts the property whose dates tell its occurrences apart."""
_TRIGGERS: Mapping[str, str] = {
    "enters_stage": "stage",
    "leaves_stage": "stage",
    "enters_segment": "segments",
    "leaves_segment": "segments",
    "renewal_in_days": "renews_at",
    "trial_ends_in_days": "trial_ends_at",
    "movement": "mrr",
}
"""By trigger of an action the property that it tells of."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """Names of properties of contacts, of fields of conditions, or of properties of billing events. One that is nested,
    such as `customer.metadata.tier`, is hidden with what it is part of, and is taken out of what has it.
    """

    names: frozenset[str] = frozenset()

    def holds(self, name: str) -> bool:
        """Whether a property is hidden, or part of one that is."""
        parts = name.split(".")
        return any(".".join(parts[:length]) in self.names for length in range(1, len(parts) + 1))

    def field(self, name: str) -> bool:
        """Whether a field of conditions tells of a property that is hidden."""
        return self.holds(name) or any(name in _FIELDS.get(one, ()) for one in self.names)

    def without(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Properties by name, without those that are hidden."""
        if not self.names:
            return dict(values)
        return {name: self._pruned(name, value) for name, value in values.items() if not self.holds(name)}

    def person(self, person: Person) -> Person:
        """Whom a message is about, by the ids alone where name or address are hidden."""
        if self.holds("email"):
            person = replace(person, email="", user=(person.user[0], ""))
        return replace(person, name="") if self.holds("name") else person

    def contact(self, contact: Mapping[str, Any]) -> dict[str, Any]:
        """A contact as templates see it: what is hidden is empty."""
        return {
            name: "" if self.holds(name) else self._pruned(name, value) for name, value in contact.items()
        }  # fmt: skip

    def facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of conditions as templates see them: what is hidden is unknown."""
        return {name: None if self.field(name) else value for name, value in facts.items()}

    def reasons(self, reasons: Iterable[str]) -> list[str]:
        """Reasons (`mrr is above 40 (49.50)`) without those that tell what is hidden."""
        return [one for one in reasons if not (self.names and self.field(one.partition(" ")[0]))]

    def occurrence(self, rule: str) -> bool:
        """Whether an occurrence of a rule of alerts tells of what is hidden, by its date."""
        of = _OCCURRENCES.get(rule, "")
        return bool(of) and any(self.field(name) for name in (of, *_FIELDS.get(of, ())))

    def trigger(self, kind: str, what: Mapping[str, Any]) -> dict[str, Any] | None:
        """What set an action off, without what is hidden; None: nothing may be said of it but its kind."""
        if kind in _TRIGGERS and self.field(_TRIGGERS[kind]):
            return None
        said = self.without(what)
        if self.occurrence(str(what.get("rule", ""))):
            said.pop("about", None)
        return said

    def event(self, type_: str, data: Mapping[str, Any]) -> dict[str, Any] | None:
        """What an event says, without what is hidden; None: it says nothing else."""
        if not self.names:
            return dict(data)
        if any(type_ in types and self.holds(name) for name, types in TOLD_BY.items()):
            return None
        said = dict(data)
        if isinstance(said.get("properties"), Mapping):
            said["properties"] = self.without(cast("Mapping[str, Any]", said["properties"]))
        if isinstance(said.get("trigger"), Mapping):
            said["trigger"] = self._triggered(cast("Mapping[str, Any]", said["trigger"]))
        if isinstance(said.get("data"), Mapping):  # a billing event keeps its properties in there
            said["data"] = self.event("", cast("Mapping[str, Any]", said["data"]))
        if self.holds("email") and "@" in str(said.get("identity", "")):
            said["identity"] = said.get("customer")
        if type_.startswith(("alert.", "stage.", "segment.")) and isinstance(said.get("reasons"), list):
            said["reasons"] = self.reasons(said["reasons"])
            if "text" in said:
                said["text"] = "\n".join(said["reasons"])
        if self._dated(said):
            said.pop("occurrence", None)
        return said

    def _triggered(self, trigger: Mapping[str, Any]) -> dict[str, Any]:
        """What set an action off as an event says it: with its kind and when it was."""
        said = self.trigger(str(trigger.get("kind", "")), trigger)
        return said if said is not None else {name: trigger[name] for name in ("kind", "at") if name in trigger}

    def _dated(self, said: Mapping[str, Any]) -> bool:
        """Whether the occurrence of an alert, or of what an action was set off by, tells of what is hidden."""
        trigger = cast("Mapping[str, Any]", said.get("trigger") or {})
        of = _TRIGGERS.get(str(trigger.get("kind", "")), "")
        return bool(of and self.field(of)) or any(self.occurrence(str(one.get("rule", ""))) for one in (said, trigger))

    def _pruned(self, name: str, value: Any) -> Any:
        """A value without the parts of it that are hidden."""
        if not isinstance(value, Mapping) or not any(one.startswith(f"{name}.") for one in self.names):
            return cast("Any", value)
        inner = cast("Mapping[str, Any]", value)
        return {
            part: self._pruned(f"{name}.{part}", one) for part, one in inner.items() if not self.holds(f"{name}.{part}")
        }


NOTHING = Hidden()
