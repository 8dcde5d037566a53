"""Entitlements for code that runs in an event loop."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tidegate_client import exchange
from tidegate_client.answers import Check, Consumed
from tidegate_client.buffer import Buffer, Refused, Waiting
from tidegate_client.errors import HubRefused
from tidegate_client.memory import Memory, Settings

log = logging.getLogger(__name__)


class AsyncEntitlements:
    """As `Entitlements`, with the same settings and answers, for one event loop; use it with `async with`. `timeout` is
    the whole time that a request may take.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        connection: str | None = None,
        timeout: float = 2.0,
        fresh: float = 10.0,
        fallback: Mapping[str, Any] | None = None,
        usage_path: str | Path | None = None,
        retry: float = 5.0,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = httpx.AsyncClient(**exchange.options(url, token, timeout), transport=transport)
        self._memory = Memory(Settings(fresh, fallback=fallback))
        self._buffer = Buffer(usage_path)
        self._parameters = exchange.parameters(connection)
        self._clock = clock
        self._timeout = timeout
        self._retry = retry
        self._sending = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def check(self, contact: str, feature: str) -> Check:
        """Whether the contact may use the feature, and why. Raises HubRefused."""
        now = self._clock()
        known = self._memory.fresh(contact, feature, now)
        if known is not None:
            return known
        answer = None
        if self._memory.may_ask(now):
            headers = exchange.tagged(self._memory.tag(contact, feature))
            answer = await self._ask("GET", exchange.check_path(contact, feature), headers=headers)
        if answer is None:
            return exchange.stand_in(self._memory, self._buffer, contact, feature, now)
        return exchange.checked(self._memory, contact, feature, answer, now)

    async def consume(self, contact: str, feature: str, amount: int = 1, *, key: str | None = None) -> Consumed:
        """Debits units of a metered feature: all of them, or none. Raises HubRefused, ValueError."""
        usage, now = exchange.new_usage(contact, feature, amount, key), self._clock()
        answer = await self._post(usage) if self._memory.may_ask(now) else None
        if answer is not None:
            return exchange.consumed(self._memory, usage, answer, now)
        return exchange.kept_for_later(self._memory, self._buffer, usage, now)

    def forget(self, contact: str, feature: str | None = None) -> None:
        """Asks the hub at the next check, whatever was answered lately."""
        self._memory.forget(contact, feature)

    @property
    def waiting(self) -> int:
        """How many debits wait for the hub."""
        return len(self._buffer)

    @property
    def refused(self) -> list[Refused]:
        """Usage that happened while the hub was away and that it will not count, such as of a contact that it does not
        know. Kept until `retry_refused` or `discard_refused`.
        """
        return self._buffer.refused()

    def retry_refused(self) -> None:
        """Sends what was refused once more, when you mended why."""
        self._buffer.retry()

    def discard_refused(self) -> None:
        """Forgets what was refused."""
        self._buffer.discard()

    async def flush(self) -> int:
        """Sends what waits, now; returns how many debits still wait. Raises HubRefused for a token that is refused."""
        async with self._sending:
            while waiting := self._buffer.oldest(1):
                answer = await self._post(waiting[0], happened=True)
                if answer is None:
                    break
                exchange.settle(self._memory, self._buffer, waiting[0], answer, self._clock())
        return len(self._buffer)

    async def close(self) -> None:
        """Sends what waits, if the hub can be reached, and ends. Without `usage_path` the rest is lost."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        try:
            await self.flush()
        except HubRefused as error:
            log.error("usage cannot be counted: %s", error)
        exchange.say_what_is_left(self._buffer)
        self._buffer.close()
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_sending())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _post(self, usage: Waiting, *, happened: bool = False) -> httpx.Response | None:
        path = f"{exchange.check_path(usage.contact, usage.feature)}/consume"
        return await self._ask("POST", path, json=exchange.consume_body(usage, happened=happened))

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response | None:
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._http.request(method, path, params=self._parameters, **more)
        except exchange.TROUBLE as error:
            problem: object = str(error) or f"no answer within {self._timeout} s"
        else:
            if not exchange.is_trouble(answer):
                return answer
            problem = answer.status_code
        log.warning("the hub could not be asked: %s", problem)
        self._memory.unreachable(self._clock())
        return None

    async def _keep_sending(self) -> None:
        while True:
            try:
                await self.flush()
            except HubRefused as error:
                log.error("usage cannot be counted: %s", error)
            await asyncio.sleep(self._retry)
