"""Entitlements for code that runs in threads."""

import logging
import threading
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


class Entitlements:
    """A hub, as product code asks it. One for the whole process; safe to use from many threads.

    `timeout`: seconds that connecting, sending and each wait for a part of the answer may take; after the first that
    takes longer nobody asks for a while. `fresh`: seconds in which an answer is used again without asking. `fallback`:
    by feature, whether it is granted (or the value that it has) while the hub cannot be reached and said nothing yet;
    what is not named is not granted, and of a metered feature that is, any amount is. `usage_path`: a file that keeps
    usage which could not be counted yet over a restart. `retry`: seconds between looks whether the hub is back.
    `connection`: its name, where the hub has live and test connections.
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
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = httpx.Client(**exchange.options(url, token, timeout), transport=transport)
        self._memory = Memory(Settings(fresh, fallback=fallback))
        self._buffer = Buffer(usage_path)
        self._parameters = exchange.parameters(connection)
        self._clock = clock
        self._retry = retry
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._keep_sending, name="tidegate-usage", daemon=True)
        self._thread.start()
        self._changed.set()  # what an earlier process left is sent at once

    def check(self, contact: str, feature: str) -> Check:
        """Whether the contact may use the feature, and why.

        Raises HubRefused when the hub does not accept the request: a wrong token, an id that is ambiguous.
        """
        now = self._clock()
        known = self._memory.fresh(contact, feature, now)
        if known is not None:
            return known
        answer = self._get(contact, feature, now) if self._memory.may_ask(now) else None
        if answer is None:
            return exchange.stand_in(self._memory, self._buffer, contact, feature, now)
        return exchange.checked(self._memory, contact, feature, answer, now)

    def consume(self, contact: str, feature: str, amount: int = 1, *, key: str | None = None) -> Consumed:
        """Debits units of a metered feature: all of them, or none. The same `key` debits once.

        While the hub cannot be reached, usage is kept as far as the hub last said that something was left, and counted
        when it is back. Raises HubRefused, and ValueError for an amount below 1.
        """
        usage, now = exchange.new_usage(contact, feature, amount, key), self._clock()
        answer = self._post(usage) if self._memory.may_ask(now) else None
        if answer is not None:
            return exchange.consumed(self._memory, usage, answer, now)
        done = exchange.kept_for_later(self._memory, self._buffer, usage, now)
        if done.allowed:
            self._changed.set()
        return done

    def forget(self, contact: str, feature: str | None = None) -> None:
        """Asks the hub at the next check, whatever was answered lately: after a purchase, for example."""
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
        self._changed.set()

    def discard_refused(self) -> None:
        """Forgets what was refused."""
        self._buffer.discard()

    def flush(self) -> int:
        """Sends what waits, now; returns how many debits still wait."""
        with self._sending:
            while waiting := self._buffer.oldest(1):
                answer = self._post(waiting[0], happened=True)
                if answer is None:
                    break
                exchange.settle(self._memory, self._buffer, waiting[0], answer, self._clock())
        return len(self._buffer)

    def close(self) -> None:
        """Sends what waits, if the hub can be reached, and ends. Without `usage_path` the rest is lost."""
        self._closing.set()
        self._changed.set()
        self._thread.join()
        try:
            self.flush()
        except HubRefused as error:
            log.error("usage cannot be counted: %s", error)
        exchange.say_what_is_left(self._buffer)
        self._buffer.close()
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, contact: str, feature: str, now: float) -> httpx.Response | None:
        headers = exchange.tagged(self._memory.tag(contact, feature))
        try:
            answer = self._http.get(exchange.check_path(contact, feature), params=self._parameters, headers=headers)
        except exchange.TROUBLE as error:
            return self._lost(error)
        return self._lost(answer.status_code) if exchange.is_trouble(answer) else answer

    def _post(self, usage: Waiting, *, happened: bool = False) -> httpx.Response | None:
        path = f"{exchange.check_path(usage.contact, usage.feature)}/consume"
        body = exchange.consume_body(usage, happened=happened)
        try:
            answer = self._http.post(path, params=self._parameters, json=body)
        except exchange.TROUBLE as error:
            return self._lost(error)
        return self._lost(answer.status_code) if exchange.is_trouble(answer) else answer

    def _lost(self, problem: object) -> None:
        log.warning("the hub could not be asked: %s", problem)
        self._memory.unreachable(self._clock())

    def _keep_sending(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            while len(self._buffer) and not self._closing.is_set():
                try:
                    if not self.flush():
                        break
                except HubRefused as error:
                    log.error("usage cannot be counted: %s", error)
                self._closing.wait(self._retry)
            if self._closing.is_set():
                return
