"""Steps of a longer command: each printed when it is done, with what it did and how long it took."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tidegate.cli.show import duration


@dataclass(slots=True)
class Steps:
    """`say` gets the lines; the time of a step runs from the end of the one before."""

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    ended: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _began: float = field(default=0.0, init=False)
    _since: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._began = self._since = self.clock()

    @property
    def seconds(self) -> float:
        """How long it all has taken so far."""
        return self.clock() - self._began

    def done(self, step: str, detail: str) -> None:
        """Ends a step."""
        now = self.clock()
        seconds, self._since = now - self._since, now
        self.ended.append({"step": step, "detail": detail, "seconds": round(seconds, 3)})
        self.say(f"{step:<10} {duration(seconds):>8}  {detail}")
