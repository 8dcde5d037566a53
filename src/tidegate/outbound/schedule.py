"""When a sync runs by itself: every so often, by a cron line in its time zone, or after something else. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, cast

from croniter import croniter  # pyright: ignore[reportUnknownVariableType]

DEFAULT = "*/30 9-17 * * mon-fri"
"""What a new sync is offered: every half hour of a working day."""
SHORTEST = 60
"""Seconds: schedules are looked at every minute."""
SECONDS = {"m": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86_400, "day": 86_400}
FORMS = (
    "a schedule is `every 15 minutes` (or `15m`, `2h`, `1d`), a cron line of five fields such as "
    f"`{DEFAULT}`, `after import`, or `after sync NAME`"
)
ANY_FACE = datetime(2024, 1, 1, tzinfo=UTC).replace(tzinfo=None)
NEAR = timedelta(hours=3)
"""Clocks are moved by less, so what is so far from a moment on a clock's face is after it in truth, too."""


@dataclass(frozen=True, slots=True)
class Every:
    """Every so many seconds, counted from 1970 in UTC: `15m` is at :00, :15, :30 and :45."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Cron:
    """By a cron line, on the clocks of a time zone."""

    line: str


@dataclass(frozen=True, slots=True)
class AfterImport:
    """When an import of the connection has ended."""


@dataclass(frozen=True, slots=True)
class AfterSync:
    """When a run of another sync has ended."""

    sync: str


Schedule = Every | Cron | AfterImport | AfterSync


def parse(said: str) -> Schedule | None:
    """What a schedule says; None for an empty one. Raises ValueError, whose message names what it could be."""
    words = " ".join(said.split())
    if not words:
        return None
    if words.lower() == "after import":
        return AfterImport()
    if after := re.fullmatch(r"after sync (\S+)", words, re.IGNORECASE):
        return AfterSync(after[1])
    if every := re.fullmatch(r"(?:every )?(\d+ ?)?(minutes?|hours?|days?|m|h|d)", words):
        seconds = int(every[1] or 1) * SECONDS[every[2].removesuffix("s")]
        if seconds < SHORTEST:
            raise ValueError(f"{said!r} is no time; the shortest is a minute")
        return Every(seconds)
    return _cron(said, words)


def next_time(schedule: Schedule, after: datetime, zone: tzinfo) -> datetime | None:
    """The first time after a moment, in UTC; None for what goes by no clock.

    Where clocks are put forward, what falls into the hour that they skip comes when they have skipped it; where they
    are put back, a fixed hour comes once, and what goes by `*` hours goes on.
    """
    if isinstance(schedule, Every):
        passed = int(after.timestamp()) // schedule.seconds
        return datetime.fromtimestamp((passed + 1) * schedule.seconds, UTC)
    return _next_of_cron(schedule.line, after, zone) if isinstance(schedule, Cron) else None


def _cron(said: str, words: str) -> Cron:
    fields = words.split(" ")
    if len(fields) != 5:
        raise ValueError(f"{said!r} is no schedule: {FORMS}")
    try:
        _faces(words, ANY_FACE)
    except ValueError as wrong:  # all of croniter's errors are
        raise ValueError(f"{said!r} is no schedule ({wrong}): {FORMS}") from None
    return Cron(words)


def _next_of_cron(line: str, after: datetime, zone: tzinfo) -> datetime:
    """Of the times that a line names on clocks near the moment, the first that comes after it in truth."""
    face = after.astimezone(zone).replace(tzinfo=None)
    hourly = "*" in line.split(" ")[1]
    found: list[datetime] = []
    faces = _faces(line, face - NEAR)
    while not found or face <= min(found).astimezone(zone).replace(tzinfo=None) + NEAR:
        face = faces.get_next(datetime)
        times = [face.replace(tzinfo=zone).astimezone(UTC)]
        again = face.replace(tzinfo=zone, fold=1).astimezone(UTC)
        if hourly and again.astimezone(zone).replace(tzinfo=None) == face:
            times.append(again)
        found += [time for time in times if time > after]
    return min(found)


def _faces(line: str, start: datetime) -> Any:
    """The times on a clock's face that a cron line names after one. Raises ValueError where it names none."""
    faces = cast(Any, croniter)(line, start)
    faces.get_next(datetime)
    return cast(Any, croniter)(line, start)
