"""What is wrong with the rules of owners whenever one looks: they name stages or segments that are gone."""

from sqlalchemy import Connection

from tidegate.lifecycle import owners
from tidegate.workflows.operation.problems_found import Found


def of_installation(db: Connection) -> list[Found]:
    """Every problem; the subject of each is its owner."""
    return [Found("owner_idle", None, f"{key}: {'; '.join(wrong)}.", key) for key, wrong in owners.idle(db).items()]
