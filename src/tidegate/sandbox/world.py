"""The simulated company as a whole: what it holds, what time it is, and what is due when."""

import heapq
import random
from dataclasses import dataclass, field
from typing import Any

from tidegate.sandbox.clock import Clock
from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.ids import Ids
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.state import State

DAY = 86_400


@dataclass(order=True)
class Due:
    """Something that happens at an instant (UTC epoch seconds); `number` keeps the order of those at the same one."""

    at: int
    number: int
    what: str = field(compare=False)
    about: str = field(compare=False)
    detail: Any = field(compare=False, default=None)


class World:
    """State, clock, agenda and the one source of chance; the same seed makes the same company."""

    def __init__(self, config: SandboxConfig, start: int) -> None:
        self.config = config
        self.clock = Clock(start)
        self.ids = Ids(config.seed)
        self.state = State(self.clock, self.ids)
        self.chance = random.Random(f"company-{config.seed}")
        self.agenda: list[Due] = []
        self.frozen: dict[str, list[Due]] = {}
        """The agendas of test clocks: what is on a clock happens only when the clock is advanced."""
        self.prices: dict[str, Obj] = {}
        """Prices by role, for example `team-month-usd`, whole."""
        self.coupons: dict[str, Obj] = {}
        """All coupons ever made by id, whole: a discount outlives its coupon."""
        self.codes: dict[str, str] = {}
        """The promotion code, by id, that gives a coupon."""
        self.tax_rates: dict[str, Obj] = {}
        self.by_chance = True
        """Whether anything may happen by chance: not while somebody's own write is carried out."""
        self.arrived = 0
        self._planned = 0

    def plan(self, at: int, what: str, about: str, detail: Any = None) -> None:
        """Puts something on the agenda; instants already past happen at once on the next advance."""
        self._planned += 1
        heapq.heappush(self.agenda, Due(at, self._planned, what, about, detail))

    def next_due(self, until: int) -> Due | None:
        """Takes the next thing due at or before `until` off the agenda."""
        if self.agenda and self.agenda[0].at <= until:
            return heapq.heappop(self.agenda)
        return None

    def likely(self, probability: float) -> bool:
        """True with this probability; never while a write is carried out."""
        return self.by_chance and self.chance.random() < probability
