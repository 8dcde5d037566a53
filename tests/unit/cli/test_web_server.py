"""The web server: what it has loaded when it begins to serve is collected no more; which proxies it believes."""

import gc
import json
import os
import socket
import threading
from typing import Any

import httpx

from tidegate.cli.web_server import run_server


async def nothing(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An application that only starts and ends."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})


def test_no_request_waits_for_the_collection_of_all_that_was_loaded() -> None:
    frozen: list[int] = []
    reading, writing = os.pipe()

    def ready() -> None:
        frozen.append(gc.get_freeze_count())
        os.close(writing)

    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            run_server(nothing, listener, ready, reading)
    finally:
        gc.unfreeze()
        os.close(reading)
    assert frozen[0] > 10_000


async def telling(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An application that answers with the scheme and the client that it was asked by."""
    if scope["type"] == "lifespan":
        return await nothing(scope, receive, send)
    told = json.dumps([scope["scheme"], scope["client"][0]]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]})
    return await send({"type": "http.response.body", "body": told})


def test_of_https_and_of_who_asks_only_the_proxies_that_are_named_may_tell() -> None:
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.1, 203.0.113.5"}
    told: dict[str, list[str]] = {}
    reading, writing = os.pipe()

    def ask(port: int) -> None:
        try:
            for own in ("127.0.0.1", "127.0.0.2", "127.0.7.9"):
                with httpx.Client(transport=httpx.HTTPTransport(local_address=own)) as client:
                    told[own] = client.get(f"http://127.0.0.1:{port}/", headers=said).json()
        finally:
            os.close(writing)

    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            asking = threading.Thread(target=ask, args=(listener.getsockname()[1],))
            run_server(telling, listener, asking.start, reading, ["127.0.0.2", "127.0.7.0/24"])
            asking.join()
    finally:
        gc.unfreeze()
        os.close(reading)
    believed = ["https", "203.0.113.5"]
    assert told == {"127.0.0.1": ["http", "127.0.0.1"], "127.0.0.2": believed, "127.0.7.9": believed}
