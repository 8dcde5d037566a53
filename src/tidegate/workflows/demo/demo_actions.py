"""The demo's actions: those that are offered, switched on and sent to its receiver, and what they did."""

from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from tidegate.lifecycle.actions import presets
from tidegate.workflows.lifecycle import lifecycle_actions

BY = "demo"


def begin(engine: Engine, destination: str, *, as_of: datetime | None = None) -> list[str]:
    """Writes the offered actions, for what happens from now on (`as_of`); returns their keys. The destination
    is there.
    """
    with engine.begin() as db:
        entries = [entry | {"enabled": True} for entry in presets.suggested(destination)]
        for entry in entries:
            lifecycle_actions.put(db, entry, BY, as_of=as_of)
    return [str(entry["key"]) for entry in entries]


def done(engine: Engine) -> dict[str, int]:
    """How often each fired."""
    with engine.connect() as db:
        found: list[dict[str, Any]] = lifecycle_actions.listing(db)
    return {one["key"]: one["fired"] for one in found}
