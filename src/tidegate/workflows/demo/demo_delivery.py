"""The demo's receiver: a small HTTP server on this machine, which keeps what a destination sends to it."""

import json
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sqlalchemy import Engine

from tidegate.delivery import queue
from tidegate.secrets import Vault
from tidegate.workflows.delivery import destinations
from tidegate.workflows.demo.demo import wait

KEY = "receiver"
BY = "demo"
KEPT = "contact.updated"
"""The message that tells the properties of a contact as they are."""


@dataclass(slots=True)
class Receiver:
    """What came, by its id; `twice` counts what came again under an id that was there."""

    url: str = ""
    events: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    twice: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, id_: str, event: dict[str, Any]) -> None:
        """Keeps an event."""
        with self.lock:
            self.twice += id_ in self.events
            self.events.setdefault(id_, event)

    def by_type(self) -> dict[str, int]:
        """How many of each type, of billing events by their name. Of contacts whose properties came each counts once:
        in how many messages they came depends on how fast they were sent.
        """
        with self.lock:
            events = list(self.events.values())
        named = Counter(str(one["data"].get("name") or one["type"]) for one in events if one["type"] != KEPT)
        named[KEPT] = len({one["data"]["contact"] for one in events if one["type"] == KEPT})
        return dict(sorted((+named).items()))

    def by_action(self) -> dict[str, int]:
        """How many messages of each action."""
        with self.lock:
            fired = Counter(one["data"]["action"] for one in self.events.values() if one["type"] == "action.fired")
        return dict(sorted(fired.items()))


@contextmanager
def receiving() -> Generator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            receiver.take(self.headers.get("webhook-id", ""), json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Says nothing: what came is told at the end."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hooks"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def begin(engine: Engine, vault: Vault, receiver: Receiver) -> None:
    """Sends billing events, moves between stages, alerts, and what changes of contacts, to the receiver from now on."""
    said: dict[str, Any] = {
        "url": receiver.url,
        "secrets": [destinations.made_secret()],
        "events": ["billing_event.*", "stage.changed", "alert.*"],
        "properties": ["name", "mrr", "status", "renews_at"],
        "allow_private": True,
    }
    with engine.begin() as db:
        destinations.define(db, KEY, "webhook", said, BY, variables={}, vault=lambda: vault)


def wait_until_sent(engine: Engine, receiver: Receiver, seconds: float) -> dict[str, Any]:
    """Waits until a worker has sent all that is due: {delivered, waiting, dead, twice, by_type}. Raises FoundWrong."""
    standing: dict[str, Any] = {}

    def finished() -> bool:
        nonlocal standing
        with engine.connect() as db:
            standing = destinations.shown(db, KEY)
            return not standing["waiting"] and not queue.anything_due(db)

    wait(finished, seconds, lambda: f"{standing['waiting']} deliveries wait for the receiver: {standing['error']}")
    counted = {name: standing[name] for name in ("delivered", "waiting", "dead")}
    return counted | {"twice": receiver.twice, "by_type": receiver.by_type(), "received": len(receiver.events)}
