"""What is wrong with actions whenever one looks: they are switched on, and name what there is not any more."""

from sqlalchemy import Connection

from tidegate.lifecycle.actions import stored
from tidegate.workflows.problems_found import Found


def of_installation(db: Connection) -> list[Found]:
    """Every problem; the subject of each is its action."""
    return [
        Found("action_unusable", one.seen, f"{one.key}: {one.wrong[0].where}: {one.wrong[0].problem}.", one.key)
        for one in stored.every(db, enabled=True)
        if one.wrong
    ]
