"""Who moves between stages and segments, by numbers: however many they are, it takes no more memory."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tidegate.lifecycle.placing import Move

SAMPLE = 20
"""Contacts that are named."""


@dataclass(slots=True)
class Tally:
    """Moves that were counted. `stages`: how many from one stage ("": none) to another; `entered`, `left`: by segment;
    `sample`: internal keys of the first who move.
    """

    contacts: int = 0
    stages: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    entered: Counter[str] = field(default_factory=Counter[str])
    left: Counter[str] = field(default_factory=Counter[str])
    sample: list[int] = field(default_factory=list[int])
    _digest: Any = field(default_factory=hashlib.sha256)

    def add(self, moves: Iterable[Move]) -> None:
        """Counts moves, in the order of the contacts' keys: others, or in another order, have another digest."""
        for one in moves:
            self.contacts += 1
            if one.before != one.stage:
                self.stages[one.before, one.stage] += 1
            self.entered.update(one.segments - one.segments_before)
            self.left.update(one.segments_before - one.segments)
            if len(self.sample) < SAMPLE:
                self.sample.append(one.contact)
            told = [one.contact, one.before, one.stage, sorted(one.segments_before), sorted(one.segments)]
            self._digest.update(json.dumps(told).encode())

    def token(self, said: Any) -> str:
        """What stands for just these moves by what was said, JSON."""
        digest = self._digest.copy()
        digest.update(json.dumps(said, sort_keys=True).encode())
        return digest.hexdigest()[:16]
