"""Starts localstripe on a free port of 127.0.0.1 and prints its address.

Its own command listens on every address of the machine and writes all it holds to one file under /tmp at each change.
It has no account either, and without one there is nothing to connect to: that is added here.
"""

import socket

from aiohttp import web
from localstripe import resources, server

ACCOUNT = {"id": "acct_localstripe", "object": "account", "created": 1_700_000_000, "livemode": False}


def keep_in_memory(store: resources.Store) -> None:
    """Instead of writing the store to /tmp."""


async def account(request: web.Request) -> web.Response:
    return web.json_response(ACCOUNT)


def main() -> None:
    resources.Store.dump_to_disk = keep_in_memory
    server.app.router.add_get("/v1/account", account)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)  # from here on requests wait instead of being refused
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # noqa: T201
        web.run_app(server.app, sock=listener, print=None, access_log=None)


if __name__ == "__main__":
    main()
