"""What goes into a request to Stripe and what comes out, beside what the SDK knows of it."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from tidegate.errors import WorkStopped

CALL = "Tidegate-Call"
"""The key among a request's headers under which a `Call` travels through the SDK; it is taken out before sending."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer.

    `at` (UTC, whole seconds): the earliest moment the body may show, which is the response's Date minus the time the
    request took, rounded down; without a Date, our clock. `seconds`: from sending to the last byte, the last try only.
    """

    body: bytes
    at: datetime
    seconds: float
    request_id: str


@dataclass(slots=True)
class Call:
    """What the SDK does not know of a request: whether somebody waits for it, and how its body is checked.

    `accept` gets the body; msgspec.DecodeError from it (not ValidationError: that is JSON of another shape) means the
    body is broken and the request is tried again.
    """

    accept: Callable[[bytes], object]
    interactive: bool = False


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request is tried: `tries` in all (`interactive_tries` if somebody waits), none begun after `seconds`,
    and for none is a body read for longer than `body_seconds`, however steadily it trickles. A request under way when
    the work is asked to stop has `stop_seconds` to end.

    The clock (seconds, monotonic), `now` (UTC), sleep and chance (in [0, 1)) are given here: tests need not wait.
    """

    tries: int = 8
    interactive_tries: int = 3
    seconds: float = 180.0
    body_seconds: float = 120.0
    stop_seconds: float = 5.0
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random


def wait_or_stop(seconds: float, endpoint: str, sleep: Callable[[float], None], stop: threading.Event | None) -> None:
    """Sleeps, or waits for as long for `stop`. Raises WorkStopped when that is set."""
    if stop is None:
        sleep(seconds)
    elif stop.wait(seconds):
        raise WorkStopped(endpoint=endpoint)


class Answered(dict[str, str]):
    """The headers handed back through the SDK, with the answer they belong to."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
