"""The arithmetic of one rate limit (GCRA): which moments a reservation gets, and how a limit slows down and recovers.

All times are seconds on one clock of the caller's choice; rates are requests per second.
"""

from dataclasses import dataclass, replace

SLOWER = 0.75
"""What a 429 leaves of the rate."""
FLOOR = 1.0
"""Requests per second that no slowing goes below (or the ceiling, where that is lower)."""
REGAINED = 0.05
"""Share of the ceiling that comes back with every quiet second."""
SETTLING = 0.5
"""Seconds after a slowing in which further 429s do not slow again: they answer requests sent before it."""
INTERACTIVE_SHARE = 0.1
"""Share of the rate that interactive calls have to themselves."""
LATE = 0.08
"""Seconds: a moment that passed this recently may still be taken, so that threads that wake up late keep the rate.
Nothing more is made up for: after a longer pause the next moment is now.
"""
LONGEST_PAUSE = 300.0
"""Seconds; a longer Retry-After counts as this."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The state of one limit: `next_at` is the first moment nobody has reserved (GCRA's theoretical arrival time)."""

    ceiling: float
    next_at: float
    interactive_at: float
    paused_until: float
    slowed_to: float
    slowed_at: float


@dataclass(frozen=True, slots=True)
class Slots:
    """`count` moments reserved: the first in `first_in` seconds (negative: past), then one every `step` seconds."""

    first_in: float
    step: float
    count: int = 1


def untouched(ceiling: float, now: float) -> Pace:
    """A limit nobody has drawn from."""
    past = now - 3600.0
    return Pace(ceiling, next_at=past, interactive_at=past, paused_until=past, slowed_to=ceiling, slowed_at=past)


def rate(pace: Pace, now: float) -> float:
    """Requests per second at `now`: what the last slowing left plus what quiet has given back, at most the ceiling."""
    quiet = max(0.0, now - pace.slowed_at)
    return min(pace.ceiling, pace.slowed_to + pace.ceiling * REGAINED * quiet)


def reserve(pace: Pace, now: float, count: int) -> tuple[Pace, Slots]:
    """The next `count` moments, one step apart; never a burst to make up for moments nobody took."""
    step = 1 / rate(pace, now)
    due = pace.next_at if pace.next_at >= now - LATE else now
    first = max(due, pace.paused_until)
    return replace(pace, next_at=first + count * step), Slots(first - now, step, count)


def reserve_interactive(pace: Pace, now: float) -> tuple[Pace, Slots]:
    """One moment that does not queue behind what the background reserved: its own lane runs at a tenth of the rate.

    The background's next moment moves back by one step, so that the sum stays within the rate.
    """
    step = 1 / rate(pace, now)
    shared = max(pace.next_at, pace.paused_until, now)
    own = max(pace.interactive_at, pace.paused_until, now)
    lane = own + step / INTERACTIVE_SHARE if own < shared else pace.interactive_at
    return replace(pace, next_at=shared + step, interactive_at=lane), Slots(min(shared, own) - now, step)


def slow(pace: Pace, now: float, retry_after: float) -> Pace:
    """The limit after a 429: slower (once per burst of them), and silent for `retry_after` seconds."""
    until = now + min(retry_after, LONGEST_PAUSE)
    paused = replace(pace, paused_until=max(pace.paused_until, until))
    if now <= pace.slowed_at + SETTLING:
        return paused
    slower = max(min(FLOOR, pace.ceiling), rate(pace, now) * SLOWER)
    return replace(paused, slowed_to=slower, slowed_at=until)
