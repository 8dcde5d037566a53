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
    """Something that happens at an instant (UTC epoch seconds); `number` keeps the order of those at the same one.

    `who` names the customer whose chance decides it: what follows from it is the same customer's.
    """

    at: int
    number: int
    what: str = field(compare=False)
    about: str = field(compare=False)
    detail: Any = field(compare=False, default=None)
    who: str = field(compare=False, default="")


class World:
    """State, clock, agenda and chance, of which each customer has its own; the same seed makes the same company."""

    def __init__(self, config: SandboxConfig, start: int) -> None:
        self.config = config
        self.clock = Clock(start)
        self.ids = Ids(config.seed)
        self.state = State(self.clock, self.ids)
        self.who = ""
        """The customer by number, or by role and turn, whose life goes on just now; empty for the company itself."""
        self._chances: dict[str, random.Random] = {}
        self.agenda: list[Due] = []
        self.frozen: dict[str, list[Due]] = {}
        """The agendas of test clocks: what is on a clock happens only when the clock is advanced."""
        self.prices: dict[str, Obj] = {}
        """Prices on sale now by role, for example `team-month-usd`, whole."""
        self.roles: dict[str, str] = {}
        """The role of every price that was ever sold, by id."""
        self.coupons: dict[str, Obj] = {}
        """All coupons ever made by id, whole: a discount outlives its coupon."""
        self.codes: dict[str, str] = {}
        """The promotion code, by id, that gives a coupon."""
        self.tax_rates: dict[str, Obj] = {}
        self.by_chance = True
        """Whether anything may happen by chance: not while somebody's own write is carried out."""
        self.prorated_at: int | None = None
        """As of when the update under way is prorated (UTC epoch seconds); None: as of now."""
        self._planned = 0

    def forget_chances(self) -> None:
        """Has everybody's chance begin anew."""
        self._chances = {}

    @property
    def chance(self) -> random.Random:
        """The chance of the customer whose life goes on just now."""
        return self.chance_of(self.who)

    def chance_of(self, who: str) -> random.Random:
        """The chance of one customer, which no other draws from: a new customer changes nobody else's history."""
        known = self._chances.get(who)
        if known is None:
            known = self._chances[who] = random.Random(f"{self.config.seed}-{who}")
        return known

    def plan(self, at: int, what: str, about: str, detail: Any = None, who: str | None = None) -> None:
        """Puts something on the agenda; instants already past happen at once on the next advance."""
        self._planned += 1
        heapq.heappush(self.agenda, Due(at, self._planned, what, about, detail, self.who if who is None else who))

    def next_due(self, until: int) -> Due | None:
        """Takes the next thing due at or before `until` off the agenda."""
        if self.agenda and self.agenda[0].at <= until:
            return heapq.heappop(self.agenda)
        return None

    def likely(self, probability: float) -> bool:
        """True with this probability; never while a write is carried out."""
        return self.by_chance and self.chance.random() < probability
