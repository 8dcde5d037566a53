"""Actions of tidegate.yaml: made so, with what they would have done lately, taken away, and written out."""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

if TYPE_CHECKING:
    from tidegate.workflows.config.config_steps import Applying

FILE = "file"
SECTION = "actions"


class ActionEntry(BaseModel):
    """An entry of `actions`; what it may say is checked where the rest of it is known."""

    model_config = ConfigDict(extra="allow")

    key: str

    @property
    def said(self) -> dict[str, Any]:
        """The whole entry."""
        return {"key": self.key, **(self.model_extra or {})}


def define(db: Connection, applying: "Applying") -> None:
    """Makes actions what the file says. Raises ConfigInvalid, with the line of each fault."""
    if applying.sections.actions is None:
        return
    from tidegate.workflows.config.config_sections import each_wrong
    from tidegate.workflows.lifecycle import lifecycle_actions

    for entry in applying.sections.actions:
        action, wrong = lifecycle_actions.read(db, entry.said)
        if action is None:
            problems = [f"{one.where}: {one.problem}" for one in wrong]
            raise each_wrong(applying.sections.document, applying.sections.of(entry), problems)
        with applying.at(entry):
            before, after = lifecycle_actions.put(db, entry.said, applying.by, managed_by=FILE)
        if before == after:
            continue
        lately = lifecycle_actions.preview(db, action, after.seed, limit=0)
        counts = {"would_have_fired": lately["would_have_fired"], "in_days": lifecycle_actions.PERIOD_DAYS}
        if before is None:
            applying.note("create", SECTION, entry.key, now=_without_key(after.said), **counts)
            continue
        was, now = _without_key(before.said), _without_key(after.said)
        other = [name for name in sorted({*was, *now}) if was.get(name) != now.get(name)]
        if other:
            changed = {
                "before": {name: was.get(name) for name in other},
                "now": {name: now.get(name) for name in other},
            }
            applying.note("change", SECTION, entry.key, **changed, **counts)
        else:
            applying.note("manage", SECTION, entry.key)


def _without_key(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name != "key"}


def leave(db: Connection, applying: "Applying") -> None:
    """Removes what the file managed and names no longer, with `prune`; else lets it be changed elsewhere."""
    if applying.sections.actions is None:
        return
    from tidegate.lifecycle.actions import stored
    from tidegate.workflows.lifecycle import lifecycle_actions

    named = {one.key for one in applying.sections.actions}
    for one in stored.every(db):
        if not one.managed_by or one.key in named:
            continue
        if applying.prune:
            lifecycle_actions.remove(db, one.key, applying.by, managed_by=FILE)
        else:
            stored.release(db, one.key)
        applying.note("remove" if applying.prune else "release", SECTION, one.key)


def export(db: Connection) -> dict[str, Any]:
    """The section as plain values."""
    from tidegate.lifecycle.actions import stored

    return {SECTION: [one.said for one in stored.every(db)]}
