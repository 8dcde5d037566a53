"""What the webhook endpoint holds in memory is read again when it is too old, once for all who wait."""

import asyncio

import pytest

from tidegate.api.known import FRESH, LASTING, Known, KnownConnections
from tidegate.errors import ConnectionUnknown, SecretKeyLost


def one(secret: str = "whsec_1") -> dict[str, Known]:
    return {"live": Known("acct_1", True, {"secret 1": secret})}


def test_a_reading_lasts_and_is_renewed() -> None:
    readings = [one("whsec_1"), one("whsec_2"), one("whsec_3")]
    now = 100.0
    known = KnownConnections(lambda: readings.pop(0), lambda: now)

    async def secret(max_age: float = LASTING) -> str:
        return (await known.get("live", max_age)).secrets["secret 1"]

    async def use() -> None:
        nonlocal now
        assert await secret() == "whsec_1"
        now += FRESH + 0.5
        assert await secret() == "whsec_1"
        assert await secret(FRESH) == "whsec_2"
        assert await secret(FRESH) == "whsec_2"
        now += LASTING + 1
        assert await secret() == "whsec_3"

    asyncio.run(use())
    assert readings == []


def test_many_at_once_read_once() -> None:
    readings = [one()]
    known = KnownConnections(readings.pop, lambda: 0.0)

    async def use() -> None:
        await asyncio.gather(*(known.get("live") for _ in range(50)))

    asyncio.run(use())


def test_unknown_and_unreadable_connections_raise() -> None:
    lost = SecretKeyLost(what="old", file="secret.key")
    known = KnownConnections(lambda: {"old": Known("acct_1", True, {}, lost)}, lambda: 0.0)

    async def use() -> None:
        with pytest.raises(ConnectionUnknown):
            await known.get("live")
        with pytest.raises(SecretKeyLost):
            await known.get("old")

    asyncio.run(use())


def test_secrets_are_not_printed() -> None:
    assert "whsec" not in repr(one())


def test_a_reading_that_fails_has_failed_for_all_who_ask_within_a_second() -> None:
    now, readings = 100.0, 0

    def read() -> dict[str, Known]:
        nonlocal readings
        readings += 1
        if readings == 1:
            raise OSError("the database is away")
        return one()

    known = KnownConnections(read, lambda: now)

    async def use() -> None:
        nonlocal now
        told = await asyncio.gather(*(known.get("live") for _ in range(50)), return_exceptions=True)
        assert {str(each) for each in told} == {"the database is away"}
        assert readings == 1
        now += FRESH
        assert (await known.get("live")).account == "acct_1"

    asyncio.run(use())
