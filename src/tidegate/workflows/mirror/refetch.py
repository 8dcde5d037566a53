"""Fetches the objects that wait to be looked at, and notes what Stripe's answers say of the connection."""

import math
import threading
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from tidegate.connections import problems
from tidegate.errors import TidegateError
from tidegate.mirror.settle import Settled, settle
from tidegate.stripe_api.client import StripeApi


@dataclass(slots=True)
class Refetched:
    """What was fetched, and the error that ended it; empty when it came to its end."""

    settled: Settled = field(default_factory=Settled)
    error: str = ""

    @property
    def problem(self) -> str:
        """What went wrong, with single objects or altogether; empty when nothing did."""
        return self.error or "; ".join(self.settled.failed.values())

    def as_json(self) -> dict[str, Any]:
        """The summary as a JSON object."""
        return {
            "resources": {name: counts.as_json() for name, counts in self.settled.counts.items()},
            "failed": self.settled.failed,
            "error": self.error,
        }


def refetch(
    engine: Engine, account: str, api: StripeApi, *, seconds: float = math.inf, stop: threading.Event | None = None
) -> Refetched:
    """Fetches every object of a connection that is due, for about so many seconds; returns errors as values.

    A key that is refused and Stripe out of reach are noted as problems of the connection, and forgotten once an object
    could be fetched.
    """
    try:
        settled = settle(engine, account, api, seconds=seconds, stop=stop)
    except TidegateError as error:
        problems.note_error(engine, account, error)
        return Refetched(error=str(error))
    if settled.counts:
        problems.answered(engine, account)
    return Refetched(settled)
