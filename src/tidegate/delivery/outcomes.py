"""What becomes of deliveries in a turn, by the verdicts: written down, put off, given back, and when to leave off."""

import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tidegate.delivery.judging import backoff
from tidegate.delivery.messages import Message, Verdict
from tidegate.delivery.options import Options
from tidegate.delivery.queue import Settled

BREAK = 3
"""Failures in a row after which a destination as a whole is left alone for a while."""


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery in hand. `message` None: there is nothing to send, such as of a contact that did not change.
    `sent`: of a contact, what the destination has once it is delivered, as JSON.
    """

    id: int
    contact: int | None
    attempts: int
    failing_since: datetime | None
    message: Message | None
    sent: str | None = None


@dataclass(slots=True)
class Outcome:
    """How a destination stood when its turn ended. `passed_over`: what there was nothing to send of; `failures`: in a
    row; `wait`: seconds until it is tried again (None: at once); `refused`: why nothing will be taken until a person
    mends it; `error`: of the last failure.
    """

    delivered: int = 0
    passed_over: int = 0
    dead: int = 0
    failed: int = 0
    failures: int = 0
    wait: float | None = None
    refused: str = ""
    error: str = ""
    more: bool = False


@dataclass
class Outcomes:
    """The outcomes of one destination's turn. `failures`: in a row when it began; `shift`: how far the clock is taken
    to be ahead; `settled`: what is to be written down; `halted`: nothing more is to be sent in this turn.
    """

    options: Options
    failures: int
    shift: timedelta
    chance: random.Random
    settled: list[Settled] = field(default_factory=list[Settled])
    halted: bool = False

    def __post_init__(self) -> None:
        self.so_far = Outcome(failures=self.failures)
        self._failed: dict[int, tuple[int, float]] = {}

    def now(self) -> datetime:
        """The time that messages are sent at, UTC."""
        return datetime.now(UTC) + self.shift

    def take(self, limit: int) -> list[Settled]:
        """Takes so many off what is to be written down."""
        some, self.settled = self.settled[:limit], self.settled[limit:]
        return some

    def passed_over(self, due: Due) -> None:
        """There was nothing to send: it is settled, and the destination has not been asked."""
        self.so_far.passed_over += 1
        self.settled.append(Settled(due.id, "delivered", sent=due.sent, contact=due.contact))

    def judge(self, due: Due, verdict: Verdict) -> None:
        """What a try came to."""
        outcome = self.so_far
        if verdict.kind == "delivered":
            outcome.delivered += 1
            outcome.failures = 0
            self.settled.append(Settled(due.id, "delivered", verdict.status, sent=due.sent, contact=due.contact))
        elif verdict.kind == "permanent":
            outcome.dead += 1
            outcome.failures = 0  # it answers, and takes what it can
            self.settled.append(Settled(due.id, "dead", verdict.status, verdict.error))
        elif verdict.kind == "temporary":
            self._failing(due, verdict)
        else:
            outcome.error = verdict.error
            if verdict.kind == "refused":
                outcome.refused = verdict.error
            else:
                outcome.failures += 1
                outcome.wait = verdict.after or backoff(outcome.failures, self.chance)
            self._put_off(due, "released", verdict, 0.0)
            self.halted = True

    def _failing(self, due: Due, verdict: Verdict) -> None:
        outcome = self.so_far
        outcome.failed += 1
        outcome.failures += 1
        outcome.error = verdict.error
        after = verdict.after or backoff(due.attempts + 1, self.chance)
        long = timedelta(days=self.options.retry_days)
        if due.failing_since is not None and self.now() - due.failing_since > long and not self.failures:
            outcome.dead += 1
            self.settled.append(Settled(due.id, "dead", verdict.status, verdict.error))
        else:
            self._put_off(due, "failed", verdict, after)
        if outcome.failures >= BREAK:
            outcome.wait = verdict.after or backoff(outcome.failures - BREAK + 1, self.chance)
            self.halted = True

    def _put_off(self, due: Due, state: str, verdict: Verdict, after: float) -> None:
        """This one is due again later, and those of its contact behind it are not before it."""
        self.settled.append(Settled(due.id, state, verdict.status, verdict.error, after))
        if due.contact is not None:
            self._failed[due.contact] = (due.id, time.monotonic() + after)

    def is_held(self, due: Due) -> bool:
        """Whether one of the same contact failed before it in this turn; the one that failed is held no more once it
        comes again.
        """
        if due.contact is None or due.contact not in self._failed:
            return False
        if self._failed[due.contact][0] != due.id:
            return True
        del self._failed[due.contact]
        return False

    def give_back(self, due: Due) -> None:
        """It was not tried, and is due again, after the one of its contact that failed."""
        failed = self._failed.get(due.contact) if due.contact is not None else None
        after = max(0.0, failed[1] - time.monotonic()) if failed else 0.0
        self.settled.append(Settled(due.id, "released", after=after))
