"""What goes wrong on purpose, in a sequence that follows from the seed."""

import random
from dataclasses import dataclass

from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.limits import too_many

SLOW_SECONDS = (1.0, 2.0)


@dataclass
class Aimed:
    """A fault that the requests of one path get, so many `times`; None: until it is taken away."""

    path: str
    kind: str
    times: int | None


class Faults:
    """Draws a fault, or none, for each request."""

    def __init__(self, rates: dict[str, float], seed: int) -> None:
        self.rates = dict(rates)
        self.aimed: list[Aimed] = []
        self._random = random.Random(f"faults-{seed}")
        self._late = random.Random(f"late-faults-{seed}")

    def draw(self, path: str = "") -> str | None:
        """The kind of fault for the next request: what is aimed at its path, else by the probabilities."""
        for one in self.aimed:
            if one.path == path:
                if one.times is not None:
                    one.times -= 1
                self.aimed = [each for each in self.aimed if each.times != 0]
                return one.kind
        if not self.rates:
            return None
        point = self._random.random()
        for kind, probability in self.rates.items():
            if point < probability:
                return kind
            point -= probability
        return None

    def delay(self) -> float:
        """How many seconds a slow answer is late."""
        return self._random.uniform(*SLOW_SECONDS)

    def refuse(self, kind: str | None) -> None:
        """Raises the Refusal of a fault that is an answer; passes for the others."""
        if kind == "429":
            raise too_many(b"global-concurrency", 1)
        if kind == "500":
            raise broken_backend()

    def late(self) -> bool:
        """Whether an error (500) comes after the work was done, half of the time: from a sequence of its own."""
        return self._late.random() < 0.5


def own_failure() -> Refusal:
    """The answer to a request at which the sandbox itself failed, not on purpose."""
    return Refusal(500, "The sandbox failed at this request; its log has the traceback.", type="api_error")


def broken_backend() -> Refusal:
    """The answer to a request that failed on the server's side."""
    return Refusal(
        500,
        "Sorry! There was an error while talking to one of our backends. Support has been notified.",
        type="api_error",
    )
