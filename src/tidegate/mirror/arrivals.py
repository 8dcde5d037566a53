"""Versions of Stripe objects on their way into the mirror, and the count of what became of them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec

from tidegate.mirror.decide import Certainty
from tidegate.stripe_api.resources.resource import Resource
from tidegate.stripe_api.shapes.read import Reading, Unreadable, read


@dataclass(slots=True)
class Arrival:
    """One version of one object: what was read of it, its JSON, and when (epoch seconds, Stripe's clock) it held."""

    reading: Reading
    body: str
    at: int
    certainty: Certainty
    deleted: bool = False
    whole: bool = True
    event: str = ""
    previous: str | None = None

    @property
    def id(self) -> str:
        return self.reading.id


@dataclass(frozen=True, slots=True)
class Lost:
    """An object, or one field of it, that could not be taken; kept in `tidegate.unreadable`."""

    object_id: str
    field: str
    reason: str
    body: str | None = None


@dataclass(slots=True)
class Counts:
    """What became of the objects of one resource; `children` are the rows written with them, by their resource.

    `stored` counts those whose content was written; `new` are those among them that the mirror lacked altogether.
    """

    read: int = 0
    stored: int = 0
    new: int = 0
    unchanged: int = 0
    older: int = 0
    doubtful: int = 0
    deleted: int = 0
    unreadable: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    children: Counter[str] = field(default_factory=Counter[str])

    def add(self, other: "Counts") -> None:
        """Adds another count to this one."""
        for name in ("read", "stored", "new", "unchanged", "older", "doubtful", "deleted", "unreadable"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.skipped.update(other.skipped)
        self.children.update(other.children)

    def as_json(self) -> dict[str, Any]:
        """The counts as a JSON object; `skipped` by reason."""
        return {
            "read": self.read,
            "stored": self.stored,
            "new": self.new,
            "unchanged": self.unchanged,
            "older": self.older,
            "doubtful": self.doubtful,
            "deleted": self.deleted,
            "unreadable": self.unreadable,
            "skipped": dict(self.skipped),
            "children": dict(self.children),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Counts":
        """The reverse of `as_json`; missing counts are zero."""
        names = ("read", "stored", "new", "unchanged", "older", "doubtful", "deleted", "unreadable")
        return cls(
            **{name: value.get(name, 0) for name in names},
            skipped=Counter(value.get("skipped", {})),
            children=Counter(value.get("children", {})),
        )


def text_of(body: bytes | msgspec.Raw) -> str:
    """The JSON as text; bytes that are no UTF-8 are shown escaped, so that nothing is lost."""
    return bytes(body).decode("utf-8", "backslashreplace")


def arrive(
    resource: Resource, bodies: Iterable[bytes | msgspec.Raw], at: int, certainty: Certainty
) -> tuple[list[Arrival], list[Lost]]:
    """Reads the bodies of one answer of Stripe. What cannot be read is returned beside what can."""
    arrivals: list[Arrival] = []
    lost: list[Lost] = []
    for raw in bodies:
        body = bytes(raw)
        reading = read(resource, body)
        if isinstance(reading, Unreadable):
            text = text_of(body)
            lost.append(Lost(reading.id or f"?{sha256(text.encode()).hexdigest()[:16]}", "", reading.reason, text))
        else:
            arrivals.append(Arrival(reading, text_of(body), at, certainty, deleted=reading.deleted))
    return arrivals, lost
