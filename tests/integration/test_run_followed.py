"""A run followed by server-sent events: every request once its outcome is known, from where the browser has it."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.followed import Run
from tests.support.visiting import visited
from tests.support.warehouse import Warehouse, ready

from tidegate.sandbox import Sandbox
from tidegate.web.outbound import live, streams
from tidegate.wiring import Hub

pytestmark = pytest.mark.further


class Heard:
    """The events of a stream as a browser takes them, until `until` says enough or the stream ends."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    @property
    def requests(self) -> list[int]:
        return [
            int(one)
            for name, data, _ in self.events
            if name == "request"
            for one in re.findall(r'"request-(\d+)"', data)
        ]

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.events]

    @property
    def place(self) -> str:
        return next((place for _, _, place in reversed(self.events) if place), "")

    def listen(
        self, client: Client, path: str, until: Callable[["Heard"], bool] = lambda _: False, last: str = ""
    ) -> "Heard":
        """`last`: what the browser has already, which comes again."""
        headers = {"Last-Event-ID": last} if last else {}
        with client.stream("GET", path, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert "connect-src 'self'" in answer.headers["content-security-policy"]
            name, place = "", ""
            data: list[str] = []
            for line in answer.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    data.append(value)
                elif field == "id":
                    place = value
                elif not line and name:
                    self.events.append((name, "\n".join(data), place))
                    name, data, place = "", [], ""
                    if until(self):
                        break
        return self


@pytest.fixture
def shop(hub: Hub, make_sandbox: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.setattr(live, "EVERY", 0.05)
    with hub.engine.begin() as db:
        db.execute(
            text("""
truncate stripe.customers, tidegate.connections, tidegate.sources, tidegate.models, tidegate.syncs, tidegate.sync_rows,
  tidegate.requests, tidegate.runs, tidegate.tokens, tidegate.users cascade""")
        )
    return ready(hub, make_sandbox(customers=1, months=1), tmp_path)


@pytest.fixture
def client(hub: Hub, shop: Warehouse) -> Iterator[Client]:
    with visited(hub) as client:
        yield client


def test_requests_are_told_as_they_are_answered_until_the_run_ends(hub: Hub, client: Client) -> None:
    run = Run(hub)
    first = run.sent("1")
    slow = run.intend("<slow>")

    def work() -> None:
        time.sleep(0.3)
        run.sent("3", state="refused", error="No such <b>thing</b>\nat all")
        run.settle(slow)
        run.end()

    working = threading.Thread(target=work)
    working.start()
    heard = Heard().listen(client, f"{run.page}/events")
    working.join()
    assert sorted(heard.requests) == [first, slow, slow + 1], "each once"
    assert heard.names[-1] == "end"
    said = "".join(data for _, data, _ in heard.events)
    assert "No such &lt;b&gt;thing&lt;/b&gt;" in said
    assert "&lt;slow&gt;" in said
    assert "5 of 5 requests answered" in said


def test_a_browser_that_comes_again_misses_nothing(hub: Hub, client: Client) -> None:
    run = Run(hub)
    slow = run.intend("slow")
    told = [run.sent(str(n)) for n in range(20)]
    before = Heard().listen(client, f"{run.page}/events", lambda heard: len(heard.requests) >= 10)
    assert set(before.requests) < {slow, *told}
    run.settle(slow)
    after = [run.sent(str(n)) for n in range(20, 25)]
    run.end()
    again = Heard().listen(client, f"{run.page}/events?after=0", last=before.place)
    assert {*before.requests, *again.requests} == {slow, *told, *after}
    assert again.names[-1] == "end"
    caught_up = Heard().listen(client, f"{run.page}/events", last=again.place)
    assert (caught_up.requests, caught_up.names[-1]) == ([], "end"), "nothing twice once all of it was settled"


def test_only_so_many_listen_and_pages_go_on(hub: Hub, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(hub)
    run.sent("1")
    monkeypatch.setattr(streams, "THREADS", 1)
    opened = threading.Barrier(streams.MOST + 1, timeout=20)
    enough = threading.Event()

    def listen() -> None:
        with Client(base_url=client.base_url, timeout=60) as own, own.stream("GET", f"{run.page}/events") as answer:
            lines = answer.iter_lines()
            next(lines)
            opened.wait()
            enough.wait(20)

    listeners = [threading.Thread(target=listen) for _ in range(streams.MOST)]
    for one in listeners:
        one.start()
    opened.wait()
    assert client.get(f"{run.page}/events").status_code == 429
    assert client.get(run.page).status_code == 200, "they take no thread from who just looks"
    enough.set()
    for one in listeners:
        one.join()
    run.end()
    deadline = time.monotonic() + 10
    while client.get(f"{run.page}/events").status_code == 429:
        assert time.monotonic() < deadline, "places are given back"
        time.sleep(0.05)


def test_a_stream_beats_and_ends_so_that_who_listens_is_asked_again(
    hub: Hub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(hub)
    monkeypatch.setattr(live, "HEARTBEAT", 0.1)
    monkeypatch.setattr(live, "LASTS", 0.6)
    said = client.get(f"{run.page}/events").text
    assert streams.BEAT in said
    assert "event: end" not in said
    monkeypatch.setattr(live, "LASTS", 60.0)
    streams.CLOSING.set()
    try:
        assert "event: request" not in client.get(f"{run.page}/events").text, "the server is to end"
    finally:
        streams.CLOSING.clear()
    assert client.head(f"{run.page}/events").status_code == 200, "and nothing to listen to"
    assert client.get("/syncs/customers/runs/999999/events").status_code == 404
