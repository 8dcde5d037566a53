"""What is wrong with actions whenever one looks: they are switched on, and name what there is not, or is off."""

from collections.abc import Sequence

from sqlalchemy import Connection

from tidegate.errors.wrong import Wrong
from tidegate.lifecycle.actions import stored
from tidegate.lifecycle.actions.stored import Stored
from tidegate.workflows.operation.problems_found import Found


def of_installation(db: Connection) -> list[Found]:
    """Every problem; the subject of each is its action."""
    actions = stored.every(db, enabled=True)
    unusable = [Found("action_unusable", one.seen, _said(one, one.wrong), one.key) for one in actions if one.wrong]
    return unusable + [Found("action_idle", None, _said(one, one.idle), one.key) for one in actions if one.idle]


def _said(one: Stored, wrong: Sequence[Wrong]) -> str:
    return "; ".join(f"{one.key}: {fault.where}: {fault.problem}" for fault in wrong) + "."
