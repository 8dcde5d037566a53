"""The howto names every control route, and what it shows works."""

import json
import re
from pathlib import Path
from typing import Any

from tidegate.sandbox.config import DEFAULT_KEY, LIVE_KEY
from tidegate.sandbox.control import HANDLERS

HOWTO = (Path(__file__).parents[3] / "docs/howto/test-your-stripe-code.md").read_text()
CURL = re.compile(
    r"^curl (?:-X (?P<method>\w+) )?http://127\.0\.0\.1:12111(?P<target>/\S+)(?: -d '(?P<body>.*)')?", re.MULTILINE
)


def test_every_control_route_stands_in_the_howto() -> None:
    shown = {
        (found["method"] or "GET", re.split(r"[/?]", found["target"].removeprefix("/__"))[0])
        for found in CURL.finditer(HOWTO)
        if found["target"].startswith("/__")
    }
    assert shown == set(HANDLERS)


def test_what_the_howto_shows_works(make_api: Any, monkeypatch: Any) -> None:
    api = make_api(customers=45)
    monkeypatch.setattr(api.server.webhooks, "flush", lambda: None)  # nobody listens at its addresses
    endpoint = ""
    values = {
        "$CLOCK": api.clocks()[0],
        "$CUSTOMER": api.get("/v1/customers?limit=1")["data"][0]["id"],
        "$SUBSCRIPTION": api.get("/v1/subscriptions?limit=1")["data"][0]["id"],
    }
    for found in CURL.finditer(HOWTO):
        target, body = found["target"].replace("$ENDPOINT", endpoint), found["body"] or ""
        for name, value in values.items():
            target, body = target.replace(name, value), body.replace(name, value)
        asked = api.ask(target, method=found["method"] or "GET", json=json.loads(body) if body else None)
        assert asked.status == 200, (target, asked)
        if (found["method"], target) == ("POST", "/__webhooks"):
            endpoint = asked.json["id"]
    assert DEFAULT_KEY in HOWTO
    assert LIVE_KEY in HOWTO
