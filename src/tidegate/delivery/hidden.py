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
}
"""By property the fields of conditions that tell it under another name."""


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

    def event(self, type_: str, data: Mapping[str, Any]) -> dict[str, Any] | None:
        """What an event says, without what is hidden; None: it says nothing else."""
        if not self.names:
            return dict(data)
        if any(type_ in types and self.holds(name) for name, types in TOLD_BY.items()):
            return None
        said = dict(data)
        for name in ("properties", "trigger"):
            if isinstance(said.get(name), Mapping):
                said[name] = self.without(cast("Mapping[str, Any]", said[name]))
        if isinstance(said.get("data"), Mapping):  # a billing event keeps its properties in there
            said["data"] = self.event("", cast("Mapping[str, Any]", said["data"]))
        if self.holds("email") and "@" in str(said.get("identity", "")):
            said["identity"] = said.get("customer")
        if type_.startswith(("alert.", "stage.", "segment.")) and isinstance(said.get("reasons"), list):
            said["reasons"] = self.reasons(said["reasons"])
            if "text" in said:
                said["text"] = "\n".join(said["reasons"])
        return said

    def _pruned(self, name: str, value: Any) -> Any:
        """A value without the parts of it that are hidden."""
        if not isinstance(value, Mapping) or not any(one.startswith(f"{name}.") for one in self.names):
            return cast("Any", value)
        inner = cast("Mapping[str, Any]", value)
        return {
            part: self._pruned(f"{name}.{part}", one) for part, one in inner.items() if not self.holds(f"{name}.{part}")
        }


NOTHING = Hidden()
