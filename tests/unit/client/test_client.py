"""The client for product code: what it keeps, what it says while the hub is away, usage that is counted once."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.waiting import until

from tidegate_client import AsyncEntitlements, Entitlements, HubRefused

SSO = {"feature": "sso", "type": "boolean", "granted": True, "reason": "granted", "until": None, "sources": []}
CALLS = {"feature": "calls", "allowed": True, "reason": "granted", "amount": 1, "used": 1, "limit": 9, "remaining": 8}


class Hub:
    """A hub that answers as told, and counts; `away` raises as a connection that is refused, `status` ails."""

    def __init__(self) -> None:
        self.away = False
        self.status = 200
        self.answer: dict[str, Any] = dict(SSO)
        self.asked: list[httpx.Request] = []
        self.counted: dict[str, int] = {}
        self.lost_answers = 0
        self.allows = True
        self.usage: dict[str, Any] = dict(CALLS)
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            return self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.away:
            raise httpx.ConnectError("refused", request=request)
        if self.status != 200:
            problem = {"detail": "no", "reason": "contact_not_found"} if self.status == 404 else {"detail": "no"}
            return httpx.Response(self.status, json=problem)
        if request.method == "POST":
            return self._count(request)
        tag = f'"{hash(str(self.answer))}"'
        if request.headers.get("if-none-match") == tag:
            return httpx.Response(304, headers={"etag": tag})
        return httpx.Response(200, json=self.answer, headers={"etag": tag})

    def _count(self, request: httpx.Request) -> httpx.Response:
        import json

        body = json.loads(request.content)
        if self.allows:
            self.counted.setdefault(body["idempotency_key"], body["amount"])
        if self.lost_answers:
            self.lost_answers -= 1
            raise httpx.ReadTimeout("lost", request=request)
        return httpx.Response(200, json=self.usage | {"allowed": self.allows})

    @property
    def total(self) -> int:
        return sum(self.counted.values())


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(hub: Hub, clock: Clock) -> Iterator[Callable[..., Entitlements]]:
    made: list[Entitlements] = []

    def make(**more: Any) -> Entitlements:
        made.append(
            Entitlements("http://hub", "tg_1", transport=httpx.MockTransport(hub), clock=clock, retry=0.02, **more)
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_an_answer_is_kept_and_then_asked_for_by_its_tag(hub: Hub, clock: Clock, opened: Callable[..., Any]) -> None:
    client = opened(connection="live")
    first = client.check("a/b c", "sso")
    assert first
    assert (first.granted, first.reason, first.stale, first.raw["type"]) == (True, "granted", False, "boolean")
    assert str(hub.asked[0].url) == "http://hub/api/contacts/a%2Fb%20c/entitlements/sso?connection=live"
    assert hub.asked[0].headers["authorization"] == "Bearer tg_1"
    clock.now += 9.9
    assert client.check("a/b c", "sso") == first
    assert len(hub.asked) == 1
    clock.now += 0.2
    assert client.check("a/b c", "sso") == first
    assert "if-none-match" in hub.asked[1].headers
    hub.answer = SSO | {"granted": False, "reason": "feature_unavailable"}
    clock.now += 11
    assert not client.check("a/b c", "sso")
    client.forget("a/b c")
    client.check("a/b c", "sso")
    assert len(hub.asked) == 4


@pytest.mark.parametrize("trouble", ["away", 500, 503, 429])
def test_while_the_hub_is_away_its_last_answer_stands_in_and_says_so(
    hub: Hub, clock: Clock, opened: Callable[..., Any], trouble: Any
) -> None:
    client = opened(fallback={"sso": True, "region": "eu"})
    client.check("acme", "sso")
    hub.away, hub.status = trouble == "away", 200 if trouble == "away" else trouble
    clock.now += 11
    last = client.check("acme", "sso")
    assert (last.granted, last.reason, last.stale) == (True, "granted", True)
    asked = len(hub.asked)
    assert [bool(client.check("acme", key)) for key in ("sso", "region", "other")] == [True, True, False]
    assert client.check("acme", "region").value == "eu"
    assert client.check("acme", "other").reason == "hub_unreachable"
    assert len(hub.asked) == asked, "a hub that is away is not asked by every check"
    clock.now += 100_000
    assert client.check("acme", "sso").reason == "hub_unreachable"
    hub.away, hub.status = False, 200
    clock.now += 31
    assert client.check("acme", "sso").stale is False


def test_an_answer_that_told_its_own_end_does_not_stand_in_after_it(
    hub: Hub, clock: Clock, opened: Callable[..., Any]
) -> None:
    client = opened()
    hub.answer = SSO | {"until": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()}
    assert client.check("acme", "sso").granted
    client.check("acme", "sso")
    assert len(hub.asked) == 2, "what is over is asked for again"
    hub.away = True
    assert client.check("acme", "sso").reason == "hub_unreachable"


def test_what_is_unknown_is_an_answer_and_a_wrong_token_an_error(hub: Hub, opened: Callable[..., Any]) -> None:
    client = opened()
    hub.status = 404
    assert (client.check("nobody", "sso").granted, client.check("nobody", "sso").reason) == (
        False,
        "contact_not_found",
    )
    assert client.consume("nobody", "calls").reason == "contact_not_found"
    for hub.status in (401, 403, 409, 422):
        with pytest.raises(HubRefused, match="no") as refused:
            client.check("acme", "sso")
        assert refused.value.status == hub.status
    with pytest.raises(ValueError, match="from 1 on"):
        client.consume("acme", "calls", 0)


def test_usage_is_kept_while_the_hub_is_away_and_counted_once(
    hub: Hub, clock: Clock, opened: Callable[..., Any]
) -> None:
    client = opened(fallback={"calls": True})
    assert client.consume("acme", "calls", 2).stale is False
    hub.away = True
    done = client.consume("acme", "calls", 3)
    assert (done.allowed, done.stale) == (True, True)
    assert not client.consume("acme", "seats", 3)
    assert client.waiting == 1
    hub.away = False
    until(lambda: client.waiting == 0, "the usage is counted")
    assert hub.total == 5


def test_a_debit_whose_answer_was_lost_is_counted_once(hub: Hub, opened: Callable[..., Any]) -> None:
    client = opened(fallback={"calls": True})
    hub.lost_answers = 2
    assert client.consume("acme", "calls", 3, key="k").allowed
    until(lambda: client.waiting == 0, "the usage is counted")
    assert hub.counted == {"k": 3}


def test_usage_outlives_the_process_where_there_is_a_file(hub: Hub, tmp_path: Path, opened: Callable[..., Any]) -> None:
    path = tmp_path / "usage.db"
    hub.away = True
    first = opened(fallback={"calls": True}, usage_path=path)
    for _ in range(3):
        assert first.consume("acme", "calls", 2)
    hub.away = False
    second = opened(usage_path=path)
    until(lambda: second.waiting == 0, "the usage is counted")
    assert hub.total == 6


def test_what_the_hub_will_not_count_is_said_and_put_aside(
    hub: Hub, opened: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    client = opened(fallback={"calls": True})
    hub.away = True
    client.consume("acme", "calls", 2)
    hub.allows, hub.away = False, False
    until(lambda: client.waiting == 0, "the usage is put aside")
    assert "refuses to count" in caplog.text
    assert [one.amount for one in client.refused] == [2]
    client.discard_refused()
    hub.away = True
    client.consume("acme", "calls", 2)
    hub.status, hub.away = 401, False
    until(lambda: "usage cannot be counted: 401" in caplog.text, "the token is refused")
    assert client.waiting == 1
    hub.status, hub.allows = 200, True
    until(lambda: hub.total == 2, "the usage is counted when the token is mended")


def test_many_threads_share_one_client(hub: Hub, opened: Callable[..., Any]) -> None:
    hub.usage |= {"limit": None, "remaining": None}
    client = opened(fallback={"calls": True})
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(30):
                client.check(f"c{n % 7}", "sso")
                client.consume(f"c{number}", "calls")
                hub.away = n % 5 == 3
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    hub.away = False
    until(lambda: client.waiting == 0, "the usage is counted")
    assert hub.total == 240


def test_the_async_client_does_the_same(hub: Hub, clock: Clock, tmp_path: Path) -> None:
    async def story() -> None:
        settings: dict[str, Any] = {"transport": httpx.MockTransport(hub), "clock": clock, "retry": 0.02}
        settings |= {"usage_path": tmp_path / "usage.db", "fallback": {"calls": True}}
        async with AsyncEntitlements("http://hub", "tg_1", **settings) as client:
            assert await client.check("acme", "sso")
            clock.now += 11
            assert not (await client.check("acme", "sso")).stale
            hub.away = True
            clock.now += 11
            assert (await client.check("acme", "sso")).stale
            assert (await client.consume("acme", "calls", 4)).stale
            assert client.waiting == 1
            hub.away = False
            deadline = asyncio.get_running_loop().time() + 20
            while client.waiting:
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.01)
        assert hub.total == 4

    asyncio.run(story())


def test_a_request_of_an_event_loop_is_bounded_as_a_whole() -> None:
    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def story() -> None:
        async with AsyncEntitlements(
            "http://hub", "tg_1", timeout=0.05, transport=httpx.MockTransport(never)
        ) as client:
            assert (await client.check("acme", "sso")).reason == "hub_unreachable"

    asyncio.run(asyncio.wait_for(story(), 20))


def test_the_last_answer_stands_in_however_much_was_consumed(
    hub: Hub, clock: Clock, opened: Callable[..., Any]
) -> None:
    client = opened(fresh=3600)
    hub.answer = SSO | {"feature": "calls", "type": "metered"}
    client.check("acme", "calls")
    hub.usage |= {"remaining": 100, "limit": 100_000}
    for _ in range(30):
        client.consume("acme", "calls")
    hub.away = True
    clock.now += 60
    assert client.consume("acme", "calls", 100).allowed
    assert not client.consume("acme", "calls").allowed


def test_what_is_counted_anew_is_whole_again_in_an_outage(hub: Hub, opened: Callable[..., Any]) -> None:
    client = opened()
    hub.usage |= {"remaining": 0, "resets_at": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()}
    client.consume("acme", "calls")
    hub.away = True
    assert client.consume("acme", "calls", 9)
    assert not client.consume("acme", "calls")


def test_processes_that_share_a_file_share_what_is_left(hub: Hub, tmp_path: Path, opened: Callable[..., Any]) -> None:
    clients = [opened(usage_path=tmp_path / "usage.db") for _ in range(2)]
    for client in clients:
        assert client.consume("acme", "calls").remaining == 8
    hub.away = True
    assert [bool(client.consume("acme", "calls", 5)) for client in clients] == [True, False]


def test_a_wrong_address_keeps_what_waits(hub: Hub, opened: Callable[..., Any]) -> None:
    client = opened(fallback={"calls": True})
    hub.away = True
    client.consume("acme", "calls", 2)
    hub.usage, hub.away, hub.status = {}, False, 405
    with pytest.raises(HubRefused):
        client.flush()
    assert (client.waiting, client.refused) == (1, [])
