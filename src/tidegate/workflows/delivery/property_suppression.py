"""Suppresses a property: no destination is told of it, whatever it asks for, until that is taken back."""

from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection

from tidegate.catalog import journal
from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.delivery import suppressed_properties
from tidegate.delivery.hidden import IDENTIFYING
from tidegate.errors import DestinationInvalid
from tidegate.workflows.contacts.contact_properties import NAMES, PREFIXES


def suppress(db: Connection, name: str, reason: str, by: str) -> dict[str, Any]:
    """{name, reason, by, at, managed_by}: of a property of contacts, such as `mrr` or `properties.tier`, a field of
    conditions, or a property of billing events, such as `Product Name`. Raises DestinationInvalid for what is none and
    without a reason, and ManagedByFile.
    """
    if not reason.strip():
        raise DestinationInvalid(problem="a property is suppressed with a reason, so that others know")
    name = checked(name)
    if suppressed_properties.put(db, name, reason.strip(), by):
        journal.note(db, by, "property.suppressed", name, reason=reason.strip())
    return next(one for one in suppressed_properties.every(db) if one["name"] == name)


def unsuppress(db: Connection, name: str, by: str) -> None:
    """Destinations that keep it are told of it again, and how it is now. Raises DestinationInvalid for one that is not
    suppressed, and ManagedByFile.
    """
    if not suppressed_properties.drop(db, name):
        raise DestinationInvalid(problem=f"the property {name} is not suppressed")
    journal.note(db, by, "property.unsuppressed", name)


def checked(name: str) -> str:
    """The name of a property that can be suppressed. Raises DestinationInvalid, with the nearest name."""
    name = name.strip()
    if name in IDENTIFYING:
        raise DestinationInvalid(
            problem=f"{name} says whom a message is about; `tidegate contacts suppress` suppresses a whole contact"
        )
    known = [*NAMES, *CONTACT_FIELDS.known]
    of_yours = any(name.startswith(prefix) and name != prefix for prefix in PREFIXES)
    of_events = name[:1].isupper() and "." not in name
    if name in known or of_yours or of_events:
        return name
    near = get_close_matches(name, known, 1)
    meant = f" Is it {near[0]}?" if near else ""
    raise DestinationInvalid(
        problem=f"there is no property {name}.{meant} Properties: {', '.join(NAMES)}, "
        f"{', '.join(f'{prefix}…' for prefix in PREFIXES)}, and those of billing events, such as Product Name"
    )
