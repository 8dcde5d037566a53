"""A simulated Stripe that answers otherwise than it would, to some requests."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from tidegate.sandbox.answers import Request
from tidegate.sandbox.http import Reply, head

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

Change = Callable[[Request, Reply], Reply | None]
"""What is answered instead of a reply; None: the reply as it is."""


def changed(sandbox: "Sandbox", change: Change) -> Callable[[], None]:
    """Lets the sandbox's API answer as `change` says; returns what ends that. It holds for new connections to it."""
    server = sandbox.server
    assert server is not None
    respond = server.respond

    def other(request: Request) -> Reply:
        reply = respond(request)
        return (change(request, reply) if request.path.startswith("/v1/") else None) or reply

    def restore() -> None:
        server.respond = respond  # pyright: ignore[reportAttributeAccessIssue]

    server.respond = other  # pyright: ignore[reportAttributeAccessIssue]
    return restore


def refusal(status: int, code: str, message: str) -> Reply:
    """An error as Stripe words it."""
    body = json.dumps({"error": {"type": "invalid_request_error", "code": code, "message": message}}).encode()
    return Reply(head(status, len(body), ()), body)


def slow_down(seconds: int) -> Reply:
    """A 429 that asks for a pause."""
    body = b'{"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests."}}'
    headers = ((b"Retry-After", str(seconds).encode()), (b"Stripe-Rate-Limited-Reason", b"global-rate"))
    return Reply(head(429, len(body), headers), body)


def told(body: bytes) -> Reply:
    """A success with this body."""
    return Reply(head(200, len(body), ()), body)


def in_live_mode(request: Request, reply: Reply) -> Reply:
    """The same with every object of live mode, in as many bytes."""
    return Reply(reply.head, reply.body.replace(b'"livemode":false', b'"livemode":true '), reply.delay, reply.broken)


def revoked(request: Request, reply: Reply) -> Reply:
    """What a Connect platform is told of an account that took back its access."""
    return refusal(
        403, "account_invalid", "The provided key does not have access to account (or that account does not exist)."
    )
