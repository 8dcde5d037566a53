"""What is kept for a destination beside itself: what is due to it, and what it has of contacts; gone with it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

PLACES = (
    "url", "path", "table", "contacts", "api_key", "write_key", "method", "key", "body", "kinds", "id_property",
    "contact_id_property", "rename",
)  # fmt: skip
"""Options that say where contacts are kept and as what."""


def elsewhere(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether contacts are kept elsewhere, or as something else, by other options."""
    return any(before.get(name) != now.get(name) for name in PLACES)


def forget(db: Connection, key: str) -> None:
    """Deletes all of it."""
    for statement in _FORGET:
        db.execute(statement, {"key": key})


def has_nothing(db: Connection, key: str) -> None:
    """Notes that it has nothing of any contact: of each that changes, or is sent anew, it is told everything."""
    db.execute(_NOTHING, {"key": key})


_FORGET = [
    text(f"delete from tidegate.{table} where destination = :key")
    for table in ("deliveries", "destination_contacts", "destination_seconds")
]

# How often a contact was told stays, for it is part of the ids.
_NOTHING = text("update tidegate.destination_contacts set sent = '{}' where destination = :key")
