"""The sandbox's own endpoints: what they refuse, and that they change nothing but what they are asked to."""

from typing import Any

import pytest

from tidegate.sandbox import routes
from tidegate.sandbox.answers import Answer, Request
from tidegate.sandbox.control import HANDLERS
from tidegate.sandbox.http import Connection
from tidegate.sandbox.state import State

DAY = 86_400


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("clock", {"advance_seconds": "60"}, "advance_seconds"),
        ("clock", {"to": 1.5}, "to"),
        ("clock", {"too": 1}, "too"),
        ("clock", [1], "object"),
        ("webhooks", {"url": 1, "secret": "s"}, "url"),
        ("webhooks", {"url": "http://127.0.0.1:9/"}, "secret"),
        ("webhooks", {"url": "http://127.0.0.1:9/", "secret": "s", "lose": 2}, "lose"),
        ("webhooks", {"url": "http://127.0.0.1:9/", "secret": "s", "loose": 0.5}, "loose"),
        ("webhooks", {"url": "ftp://127.0.0.1:9/", "secret": "s"}, "http://"),
        ("keys", {"secret": 5}, "secret"),
        ("keys", {"secret": "s", "permissions": {"customers": "admin"}}, "permissions"),
        ("keys", {"secret": "s", "permissions": {"cats": "read"}}, "customers"),
        ("objects", {}, "object"),
        ("objects", {"object": {"id": "x", "object": "cat"}}, "serves"),
        ("objects", {"object": {"id": "x", "object": ["customer"]}}, "serves"),
        ("objects", {"object": {"id": "x", "object": "customer", "created": "now"}}, "created"),
        ("objects", {"object": {"id": "x", "object": "subscription", "items": [1]}}, "items"),
        ("objects", {"object": {"id": "x", "object": "subscription"}}, "status"),
        ("objects", {"object": {"id": "x", "object": "customer"}, "event": 1}, "event"),
    ],
)
def test_a_control_request_that_is_wrong_says_where(make_api: Any, path: str, body: Any, said: str) -> None:
    api = make_api(customers=0)
    refused = api.ask(f"/__{path}", method="POST", json=body)
    assert refused.status == 400, refused
    assert said in refused.json["error"]["message"]
    assert api.ask("/__objects/x").status == 404


def test_a_bug_of_the_sandbox_is_a_500_and_its_traceback_is_on_stderr(
    api: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> Answer:
        raise KeyError("tiers")

    monkeypatch.setitem(HANDLERS, ("GET", "clock"), broken)
    monkeypatch.setattr("tidegate.sandbox.server.find", lambda path: (routes.Route(path, "customers", broken), []))
    for path in ("/__clock", "/v1/customers"):
        refused = api.ask(path)
        assert (refused.status, refused.json["error"]["type"]) == (500, "api_error")
        told = capsys.readouterr().err
        assert f"GET {path} failed" in told
        assert "KeyError: 'tiers'" in told


def test_a_bug_while_answering_is_not_called_a_bad_request(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(request: Request) -> Any:
        raise ZeroDivisionError

    class Wire:
        written = b""

        def set_write_buffer_limits(self, high: int) -> None: ...
        def close(self) -> None: ...
        def write(self, data: bytes) -> None:
            self.written += data

    wire = Wire()
    connection = Connection(broken, set())
    connection.connection_made(wire)  # type: ignore[arg-type]
    connection.data_received(b"GET /v1/customers HTTP/1.1\r\nHost: x\r\n\r\n")
    assert wire.written.startswith(b"HTTP/1.1 500 ")
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_what_lists_hide_stays_when_a_listed_object_is_put_back(make_api: Any) -> None:
    api = make_api(customers=45)
    state: State = api.server.world.state
    kinds = {"prices": "tiers", "coupons": "applies_to", "customers": "_role", "quotes": "line_items"}
    for name, hidden in kinds.items():
        identifier = next(one for one in state[name].ids if state.full(name, one).get(hidden))
        before = state.full(name, identifier)
        api.ask("/__objects", method="POST", json={"object": api.get(f"/v1/{name}/{identifier}")})
        assert state.full(name, identifier) == before
    for name, path in (("subscriptions", "items"), ("invoices", "lines")):
        identifier = next(iter(state[name].overflow))
        before = state.full(name, identifier)
        shown = api.get(f"/v1/{name}/{identifier}")
        shown[path]["data"][0]["metadata"] = {"changed": "yes"}
        api.ask("/__objects", method="POST", json={"object": shown})
        after = state.full(name, identifier)
        assert after[path]["data"][0]["metadata"] == {"changed": "yes"}
        assert after[path]["data"][1:] == before[path]["data"][1:]
        whole = before | {path: before[path] | {"data": before[path]["data"][:3]}}
        api.ask("/__objects", method="POST", json={"object": whole})
        assert len(state.full(name, identifier)[path]["data"]) == 3
    advanced = api.ask("/__clock", method="POST", json={"advance_seconds": 40 * DAY})
    assert advanced.status == 200


def test_registering_a_webhook_changes_nothing_that_happens_later(make_api: Any) -> None:
    plain, told = make_api(customers=20), make_api(customers=20)
    asked = told.ask("/__webhooks", method="POST", json={"url": "http://127.0.0.1:9/", "secret": "s"})
    assert asked.json["id"].startswith("we_1")
    told.ask("/__webhooks", method="DELETE")
    for api in (plain, told):
        api.ask("/__clock", method="POST", json={"advance_seconds": 5 * DAY})
    assert plain.get("/v1/events?limit=100") == told.get("/v1/events?limit=100")
