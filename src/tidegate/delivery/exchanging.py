"""Messages as the requests of a destination, sent at its pace, and what its answers say of each."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import cast

from tidegate.delivery.http import Client, SendFailed
from tidegate.delivery.messages import DELIVERED, Destination, Exchange, Message, Verdict, Writer
from tidegate.delivery.options import Options
from tidegate.errors import AddressRefused, DestinationInvalid

UNWRITABLE = (TypeError, ValueError, ArithmeticError)
"""What is raised for values that no request or row can hold: each is the trouble of its message alone, and of no
other.
"""
UNWRITTEN = "what it says cannot be written: {error}"


class Exchanging:
    """Speaks with one destination, by a clock (UTC). Close it when it is done with."""

    def __init__(self, kind: Destination | Writer, options: Options, clock: Callable[[], datetime]) -> None:
        self._kind, self._options, self._clock = kind, options, clock
        self._client = Client(timeout=options.timeout, allow_private=options.allow_private)
        self._pace_at = 0.0

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def not_before(self, seconds: float) -> None:
        """Sends nothing in the next so many seconds."""
        self._pace_at = max(self._pace_at, time.monotonic() + seconds)

    def made(self, messages: Sequence[Message]) -> list[Exchange]:
        """The messages as what is sent at a time; those that say nothing there are in none. Raises DestinationInvalid
        for what a template cannot be filled with, or what cannot be written there.
        """
        if hasattr(self._kind, "write"):
            return [Exchange((), messages)]
        try:
            return cast("Destination", self._kind).exchanges(self._options, messages, self._clock())
        except UNWRITABLE as error:
            raise DestinationInvalid(problem=UNWRITTEN.format(error=error)) from error

    async def exchange(self, exchange: Exchange) -> Sequence[Verdict]:
        """Sends it and says what became of each of its messages."""
        messages = exchange.messages
        try:
            if not exchange.requests:
                await self._paced()
                writer = cast("Writer", self._kind)
                return await asyncio.to_thread(writer.write, self._options, messages, self._clock())
            verdicts: Sequence[Verdict] = [DELIVERED] * len(messages)
            for request in exchange.requests:
                await self._paced()
                answer = await self._client.send(request)
                verdicts = cast("Destination", self._kind).judged(answer, messages, self._clock())
                if any(one.kind != "delivered" for one in verdicts):
                    break
            return verdicts
        except SendFailed as error:
            return [Verdict("temporary", None, str(error))] * len(messages)
        except (AddressRefused, DestinationInvalid) as error:
            return [Verdict("refused", None, str(error))] * len(messages)
        except UNWRITABLE as error:
            return [Verdict("permanent", None, UNWRITTEN.format(error=error))] * len(messages)

    async def _paced(self) -> None:
        """Waits for the next moment that the destination's own limit allows."""
        if not self._options.rate:
            return
        at = max(time.monotonic(), self._pace_at)
        self._pace_at = at + 1 / self._options.rate
        await asyncio.sleep(max(0.0, at - time.monotonic()))
