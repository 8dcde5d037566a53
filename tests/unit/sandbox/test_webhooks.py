import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import stripe
from tests.support.waiting import until

from tidegate.sandbox.clock import Clock
from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.ids import Ids
from tidegate.sandbox.old_versions import in_version
from tidegate.sandbox.server import Sandbox
from tidegate.sandbox.state import State

SECRET = "whsec_test_secret"
DAY = 86_400


@dataclass
class Receiver:
    """Takes webhooks on loopback; `statuses` are answered in turn, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[bytes, str]] = field(default_factory=list)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body, _ in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    taken = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.got.append((body, self.headers["Stripe-Signature"]))
            self.send_response(taken.statuses.pop(0) if taken.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keeps the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    taken.url = f"http://127.0.0.1:{server.server_address[1]}/hooks"
    yield taken
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(SandboxConfig(customers=45)) as running:
        yield running


def register(sandbox: Sandbox, receiver: Receiver, **options: Any) -> str:
    asked = httpx.post(f"{sandbox.url}/__webhooks", json={"url": receiver.url, "secret": SECRET, **options})
    assert asked.status_code == 200, asked.text
    return asked.json()["id"]


def settled(sandbox: Sandbox, fits: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """The webhook outcomes once nothing is pending and they fit, within ten seconds."""
    until = time.monotonic() + 10
    while True:
        report = sandbox.stats()["webhooks"]
        if (report["pending"] == 0 and fits(report)) or time.monotonic() > until:
            return report
        threading.Event().wait(0.01)


def test_events_are_delivered_signed(sandbox: Sandbox, receiver: Receiver) -> None:
    register(sandbox, receiver)
    before = {event["id"] for event in every_event(sandbox)}
    sandbox.advance(10 * DAY)
    made = [event for event in every_event(sandbox) if event["id"] not in before]
    report = settled(sandbox, lambda report: report["delivered"] == len(made))
    assert report == {
        "delivered": len(made),
        "failed": 0,
        "retried": 0,
        "lost": 0,
        "duplicated": 0,
        "delayed": 0,
        "pending": 0,
    }
    assert sorted(event["id"] for event in receiver.events()) == sorted(event["id"] for event in made)
    for body, header in receiver.got:
        assert stripe.WebhookSignature.verify_header(body.decode(), header, SECRET, tolerance=60)
        event = json.loads(body)
        assert (event["pending_webhooks"], event["api_version"]) == (1, stripe.api_version)


def every_event(sandbox: Sandbox) -> list[dict[str, Any]]:
    client = httpx.Client(base_url=sandbox.url, headers={"Authorization": f"Bearer {sandbox.key}"})
    found: list[dict[str, Any]] = []
    while True:
        after = {"starting_after": found[-1]["id"]} if found else {}
        page = client.get("/v1/events", params={"limit": 100, **after}).json()
        found += page["data"]
        if not page["has_more"]:
            client.close()
            return found


def test_a_failed_delivery_is_tried_again(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.statuses = [500, 503]
    register(sandbox, receiver, enabled_events=["customer.updated"])
    put(sandbox, "Renamed")
    report = settled(sandbox, lambda report: report["delivered"] == 1)
    assert (report["delivered"], report["retried"], report["failed"]) == (1, 2, 0)
    receiver.statuses = [500] * 9
    put(sandbox, "Renamed again")
    report = settled(sandbox, lambda report: report["failed"] == 1)
    assert (report["delivered"], report["failed"]) == (1, 1)


def put(sandbox: Sandbox, name: str) -> None:
    customer = sandbox.call(lambda: sandbox.state["customers"].shown(sandbox.state["customers"].ids[-1]))
    body = {"object": customer | {"name": name}, "event": "customer.updated"}
    assert httpx.post(f"{sandbox.url}/__objects", json=body).status_code == 200


def test_a_receiver_that_is_not_there(sandbox: Sandbox) -> None:
    register(sandbox, Receiver(url="http://127.0.0.1:9/hooks"))
    put(sandbox, "Renamed")
    assert settled(sandbox, lambda report: report["failed"] == 1)["failed"] == 1


def test_deliveries_can_be_lost_doubled_and_shuffled(sandbox: Sandbox, receiver: Receiver) -> None:
    register(sandbox, receiver, lose=0.2, duplicate=0.3, shuffle=True)
    before = len(sandbox.state["events"])
    sandbox.advance(20 * DAY)
    made = len(sandbox.state["events"]) - before
    report = settled(sandbox, lambda report: report["delivered"] > 0)
    assert report["lost"] > 0
    assert report["duplicated"] > 0
    assert report["delivered"] == made - report["lost"] + report["duplicated"] == len(receiver.got)
    times = [event["created"] for event in receiver.events()]
    assert times != sorted(times)


def test_an_endpoint_can_be_taken_away(sandbox: Sandbox, receiver: Receiver) -> None:
    first, second = register(sandbox, receiver), register(sandbox, receiver)
    assert httpx.delete(f"{sandbox.url}/__webhooks/{first}").status_code == 200
    assert httpx.delete(f"{sandbox.url}/__webhooks/{first}").status_code == 404
    put(sandbox, "Renamed")
    assert settled(sandbox, lambda report: report["delivered"] == 1)["delivered"] == 1
    assert receiver.events()[0]["pending_webhooks"] == 1
    assert second in sandbox.call(lambda: list(sandbox.server.webhooks.endpoints))  # type: ignore[union-attr]
    wrong = httpx.post(f"{sandbox.url}/__webhooks", json={"url": receiver.url})
    assert (wrong.status_code, "secret" in wrong.text) == (400, True)


def test_events_in_an_older_version(sandbox: Sandbox, receiver: Receiver) -> None:
    kinds = ["customer.subscription.updated", "invoice.paid", "customer.discount.created"]
    register(sandbox, receiver, api_version="2020-08-27", enabled_events=kinds)
    sandbox.advance(60 * DAY)
    settled(sandbox, lambda report: report["delivered"] > 0)
    seen, renewed = set[str](), 0
    for event in receiver.events():
        assert event["api_version"] == "2020-08-27"
        obj = event["data"]["object"]
        seen.add(obj["object"])
        if obj["object"] == "subscription":
            assert obj["current_period_end"] > obj["current_period_start"] > 0
            assert "current_period_end" not in obj["items"]["data"][0]
            changed = event["data"].get("previous_attributes", {})
            renewed += changed.get("current_period_end", obj["current_period_end"]) < obj["current_period_end"]
        elif obj["object"] == "invoice":
            assert obj["subscription"].startswith("sub_")
            assert "parent" not in obj
            for line in obj["lines"]["data"]:
                assert line["price"]["id"].startswith("price_")
                assert isinstance(line["proration"], bool)
                assert line["price"]["type"] in ("recurring", "one_time")
        else:
            assert obj["coupon"]["object"] == "coupon"
            assert "source" not in obj
    assert seen == {"subscription", "invoice", "discount"}
    assert renewed > 20


def test_the_current_version_is_left_as_it_is() -> None:
    event = {"api_version": "x", "data": {"object": {"object": "subscription"}}}
    assert in_version(event, "2026-10-28.endive", State(Clock(0), Ids(1))) is event


def test_a_delayed_delivery_comes_after_newer_ones(sandbox: Sandbox, receiver: Receiver) -> None:
    identifier = register(sandbox, receiver, delayed=1, delay=2, enabled_events=["customer.updated"])
    put(sandbox, "Older")
    register(sandbox, receiver, id=identifier, enabled_events=["customer.updated"])
    put(sandbox, "Newer")
    report = settled(sandbox, lambda report: report["delivered"] == 2)
    assert (report["delivered"], report["delayed"]) == (2, 1)
    assert [event["data"]["object"]["name"] for event in receiver.events()] == ["Newer", "Older"]


def test_events_of_connected_accounts_go_to_connect_endpoints_with_their_account(receiver: Receiver) -> None:
    with Sandbox.start(SandboxConfig(customers=3, months=1, connected=1)) as platform:
        assert platform.server is not None
        (account,) = platform.server.platform.connected
        company = platform.server.platform.connected[account].state
        own = platform.state
        register(platform, receiver, connect=True, api_version="2020-08-27")
        for state in (own, company):
            customer = state.full("customers", state["customers"].ids[0])
            platform.call(lambda state=state, customer=customer: state.put(customer, "customer.updated"))
        until(lambda: len(receiver.got) == 1, "one more webhook")
        told = receiver.events()[0]
        assert told["account"] == account
        assert told["data"]["object"]["id"] in company["customers"]
        assert httpx.delete(f"{platform.url}/__webhooks").status_code == 200
        register(platform, receiver)
        for state in (company, own):
            customer = state.full("customers", state["customers"].ids[0])
            platform.call(lambda state=state, customer=customer: state.put(customer, "customer.updated"))
        until(lambda: len(receiver.got) == 2, "one more webhook")
        assert "account" not in receiver.events()[1]
        assert receiver.events()[1]["data"]["object"]["id"] in own["customers"]
        assert settled(platform, lambda report: report["delivered"] == 2)["delivered"] == 2
