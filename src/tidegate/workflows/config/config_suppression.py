"""Suppressed properties of tidegate.yaml: made so, taken back, and written out."""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, model_validator
from sqlalchemy import Connection

from tidegate.catalog import journal
from tidegate.delivery import suppressed_properties
from tidegate.workflows.delivery.property_suppression import checked

if TYPE_CHECKING:
    from tidegate.workflows.config.config_steps import Applying

FILE = "file"
SECTION = "suppressed_properties"


class SuppressedEntry(BaseModel):
    """An entry of `suppressed_properties`: a name, or a name and why."""

    model_config = ConfigDict(extra="forbid")

    name: str
    reason: str = ""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, said: Any) -> Any:
        return {"name": said} if isinstance(said, str) else said


def define(db: Connection, applying: "Applying") -> None:
    """Suppresses what the file names. Raises ConfigInvalid, with the line."""
    from tidegate.workflows.config.config_steps import noted

    known = {one["name"]: one for one in suppressed_properties.every(db)}
    for entry in applying.sections.suppressed_properties or ():
        with applying.at(entry):
            name, reason = checked(entry.name), entry.reason.strip()
            if suppressed_properties.put(db, name, reason, applying.by, FILE):
                journal.note(db, applying.by, "property.suppressed", name, reason=reason)
                noted(applying, SECTION, name, known.get(name), {"reason": reason, "managed_by": FILE})


def leave(db: Connection, applying: "Applying") -> None:
    """What the file named and names no longer is told again, with `prune`; else that can be said elsewhere."""
    if applying.sections.suppressed_properties is None:
        return
    named = {one.name.strip() for one in applying.sections.suppressed_properties}
    for row in suppressed_properties.every(db):
        name = row["name"]
        if not row["managed_by"] or name in named:
            continue
        if applying.prune:
            suppressed_properties.drop(db, name, FILE)
            journal.note(db, applying.by, "property.unsuppressed", name)
        else:
            suppressed_properties.release(db, name)
        applying.note("remove" if applying.prune else "release", SECTION, name)


def export(db: Connection) -> dict[str, Any]:
    """The section as plain values."""
    rows = suppressed_properties.every(db)
    return {SECTION: [{"name": one["name"], **({"reason": one["reason"]} if one["reason"] else {})} for one in rows]}
