"""Starts localstripe on a free port of 127.0.0.1 and prints its address.

Its own command listens on every address of the machine and writes all it holds to one file under /tmp at each change.
It has no account either, and without one there is nothing to connect to: that is added here. So is how many webhooks
are still on their way: it sends each a second after its event, and a test that did not know would count too few or too
many.
"""

import asyncio
import socket

from aiohttp import web
from localstripe import resources, server, webhooks

ACCOUNT = {"id": "acct_localstripe", "object": "account", "created": 1_700_000_000, "livemode": False}


def keep_in_memory(store: resources.Store) -> None:
    """Instead of writing the store to /tmp."""


async def account(request: web.Request) -> web.Response:
    return web.json_response(ACCOUNT)


on_their_way: set[asyncio.Task[None]] = set()


def schedule_webhook(event: resources.Event) -> None:
    """As localstripe's own, and remembered until it was sent to every address."""
    sending = asyncio.create_task(webhooks._send_webhook(event))
    on_their_way.add(sending)
    sending.add_done_callback(on_their_way.discard)


async def undelivered(request: web.Request) -> web.Response:
    return web.json_response({"undelivered": len(on_their_way)})


def main() -> None:
    resources.schedule_webhook = schedule_webhook
    server.app.router.add_get("/_config/undelivered", undelivered)
    resources.Store.dump_to_disk = keep_in_memory
    server.app.router.add_get("/v1/account", account)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)  # from here on requests wait instead of being refused
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # noqa: T201
        web.run_app(server.app, sock=listener, print=None, access_log=None)


if __name__ == "__main__":
    main()
