"""What is wrong with a value of a row, as it is told."""

from dataclasses import dataclass
from typing import Any

REQUIRED = "it is required"
"""How a problem begins that a missing value is."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a value: the field's path (`address.country`, `items.0.quantity`), what, and the value."""

    path: str
    problem: str
    value: Any = None

    @property
    def lacks(self) -> bool:
        """Whether it is that a value is missing."""
        return self.problem.startswith(REQUIRED)

    def as_json(self) -> dict[str, Any]:
        """As it is stored and answered; a value is shown as text of at most 200 characters."""
        shown = None if self.value is None else str(self.value)[:200]
        return {"field": self.path, "problem": self.problem, "value": shown}
