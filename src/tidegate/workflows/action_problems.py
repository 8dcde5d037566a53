"""What is wrong with actions whenever one looks: they are switched on, and name what there is not, or is off."""

from sqlalchemy import Connection

from tidegate.lifecycle.actions import stored
from tidegate.workflows.problems_found import Found


def of_installation(db: Connection) -> list[Found]:
    """Every problem; the subject of each is its action."""
    return [
        Found(code, since, f"{one.key}: {wrong[0].where}: {wrong[0].problem}.", one.key)
        for one in stored.every(db, enabled=True)
        for code, since, wrong in (("action_unusable", one.seen, one.wrong), ("action_idle", None, one.idle))
        if wrong
    ]
