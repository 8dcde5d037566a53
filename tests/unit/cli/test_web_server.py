"""The web server: what it has loaded when it begins to serve is collected no more."""

import gc
import os
import socket
from typing import Any

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
