"""Idempotency keys as docs.stripe.com/api/idempotent_requests describes them: one outcome per key, told again."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from tidegate.sandbox.answers import Answer, Refusal, Request
from tidegate.sandbox.clock import Clock
from tidegate.sandbox.forms import Tree

KEPT_SECONDS = 86_400
LONGEST = 255


@dataclass
class Outcome:
    """What came of the first request with a key; `answer` is None until it was carried out.

    `at` is the sandbox's time (UTC epoch seconds); `ready_at`, in monotonic seconds, is when the first answer has left.
    """

    method: str
    path: str
    parameters: bytes
    request_id: bytes
    at: int
    answer: Answer | None = None
    ready_at: float = 0.0


class IdempotencyKeys:
    """The outcomes of the last 24 hours, by the sandbox's clock, per key and mode (test or live)."""

    def __init__(self, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._outcomes: dict[tuple[str, str], Outcome] = {}

    def replay(self, key: tuple[str, str], request: Request, parameters: bytes) -> Answer | None:
        """The outcome already known under a key, marked as told again; None for a key that is new or forgotten.

        Raises Refusal: 400 when the key was used for another request, 409 while its request is under way.
        """
        known = self._outcomes.get(key)
        if known is None or self._clock.now - known.at >= KEPT_SECONDS:
            return None
        if (known.method, known.path) != (request.method, request.path):
            raise Refusal(
                400,
                "Keys for idempotent requests can only be used for the same endpoint they were first used for "
                f"('{request.path}' vs '{known.path}'). Try using a key other than '{key[0]}' if you meant to execute "
                "a different request.",
                type="idempotency_error",
            )
        if known.parameters != parameters:
            raise Refusal(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were first used with. Try "
                f"using a key other than '{key[0]}' if you meant to execute a different request.",
                type="idempotency_error",
            )
        if known.answer is None or self._monotonic() < known.ready_at:
            raise Refusal(
                409,
                f"There is currently another in-progress request using this Idempotent Key: {key[0]}",
                "idempotency_key_in_use",
                type="idempotency_error",
            )
        told = known.answer
        marks = ((b"Idempotent-Replayed", b"true"), (b"Original-Request", known.request_id))
        return Answer(told.status, told.body, told.headers + marks)

    def begin(self, key: tuple[str, str], request: Request, parameters: bytes, request_id: bytes) -> Outcome:
        """Notes that the request of a key is under way, and forgets what is older than a day."""
        self._outcomes.pop(key, None)
        while self._outcomes:
            oldest = next(iter(self._outcomes))
            if self._clock.now - self._outcomes[oldest].at < KEPT_SECONDS:
                break
            del self._outcomes[oldest]
        outcome = Outcome(request.method, request.path, parameters, request_id, self._clock.now)
        self._outcomes[key] = outcome
        return outcome

    def forget(self, key: tuple[str, str]) -> None:
        """Drops a key whose request was turned away before anything was done."""
        self._outcomes.pop(key, None)

    def delay(self, outcome: Outcome, seconds: float) -> None:
        """Has an outcome count as under way for so many more seconds: its answer leaves late."""
        outcome.ready_at = self._monotonic() + seconds


def key_of(request: Request, *, live: bool) -> tuple[str, str] | None:
    """The key and the mode of a request, None without one. Raises Refusal (400) for one that is too long or empty."""
    header = request.headers.get(b"idempotency-key")
    if header is None:
        return None
    key = header.decode("latin-1").strip()
    if not key or len(key) > LONGEST:
        raise Refusal(
            400, f"Idempotency keys must have from 1 to {LONGEST} characters, got {len(key)}.", type="idempotency_error"
        )
    return key, "live" if live else "test"


def fingerprint(tree: Tree) -> bytes:
    """What tells the parameters of two requests apart; the order of names does not."""
    return hashlib.sha256(msgspec.json.encode(tree, order="sorted")).digest()
