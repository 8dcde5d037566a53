"""What the webhook endpoint knows of the connections, held in memory and read again now and then."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tidegate.connections import accounts
from tidegate.errors import ConnectionUnknown, SecretKeyLost
from tidegate.wiring import Hub

LASTING = 30.0  # seconds that what was read is good for
FRESH = 1.0  # seconds, after something did not fit: a rotated secret counts soon, and wrong senders cost little


@dataclass(frozen=True, slots=True)
class Known:
    """A connection as its webhooks need it; `account` is Stripe's id. `lost` says why its secrets cannot be read.

    `connected`: of a platform the connections of its accounts, by Stripe's id; where the account gave access to the
    Stripe App, those of all who did (`app`): Stripe sends the app's events of all of them to one endpoint. None for
    others.
    """

    account: str
    livemode: bool
    secrets: Mapping[str, str] = field(repr=False)
    lost: SecretKeyLost | None = None
    connected: Mapping[str, str] | None = None
    app: bool = False


def load(hub: Hub) -> dict[str, Known]:
    """Every connection by name, with its webhook secrets in clear."""
    known: dict[str, Known] = {}
    with hub.engine.connect() as db:
        every = accounts.every(db)
        for account in every:
            try:
                secrets = accounts.webhook_secrets(db, account.name, hub.vault)
            except SecretKeyLost as error:
                known[account.name] = Known(account.account, account.livemode, {}, error)
                continue
            numbered = {f"secret {n}": one for n, one in enumerate(secrets, 1)}
            connected = {
                one.account: one.name
                for one in every
                if not one.disconnected_at and (one.oauth if account.oauth else one.platform == account.name)
            }
            known[account.name] = Known(
                account.account,
                account.livemode,
                numbered,
                connected=connected if account.fan_out_at or account.oauth else None,
                app=account.oauth,
            )
    return known


class KnownConnections:
    """One reading of the connections, shared by all requests of an event loop."""

    def __init__(self, read: Callable[[], dict[str, Known]], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._known: dict[str, Known] = {}
        self._read_at: float | None = None
        self._failed_at = -math.inf
        self._failure: Exception | None = None
        self._reading = asyncio.Lock()

    async def get(self, name: str, max_age: float = LASTING) -> Known:
        """The connection as it was at most `max_age` seconds ago.

        A reading that fails has failed for all who ask within a second: none queue up for a database that is away.
        Raises ConnectionUnknown, SecretKeyLost, and what reading the database raises.
        """
        if self._older_than(max_age):
            async with self._reading:
                if self._older_than(max_age):
                    await self._read_again()
        known = self._known.get(name)
        if known is None:
            raise ConnectionUnknown(name=name, known="see `tidegate status`")
        if known.lost:
            raise known.lost
        return known

    async def _read_again(self) -> None:
        began = self._clock()
        if self._failure and began - self._failed_at < FRESH:
            raise self._failure.with_traceback(None)
        self._failure = None
        try:
            self._known = await asyncio.to_thread(self._read)
        except Exception as error:
            self._failure, self._failed_at = error, self._clock()
            raise
        self._read_at = began

    def _older_than(self, seconds: float) -> bool:
        return self._read_at is None or self._clock() - self._read_at > seconds
