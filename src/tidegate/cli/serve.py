"""`tidegate serve`: the page, the API and the webhook endpoint, and one worker as a child process."""

import contextlib
import socket
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tidegate.wiring import Hub

POOL = 13  # of a web process, the webhook committer's among them; entitlements have two more, the rate budget one
PAGE_TIMEOUT = "30s"
BACKLOG = 2048


def serve(
    host: Annotated[str | None, typer.Option(metavar="H", help="Address to bind. [default: TIDEGATE_HOST]")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="[default: TIDEGATE_PORT]")] = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Start no worker beside the server.")] = False,
    parent_pipe: Annotated[
        int | None, typer.Option(hidden=True, help="A descriptor whose closing ends the server.")
    ] = None,
    listener: Annotated[
        int | None, typer.Option(hidden=True, help="A descriptor that listens already, in place of host and port.")
    ] = None,
) -> None:
    """Serve the page, the API and Stripe's webhooks, with one worker in a process of its own."""
    from tidegate.cli.healer import healed
    from tidegate.cli.hub import configured, opened
    from tidegate.cli.keeper import Keeper
    from tidegate.cli.show import remark
    from tidegate.cli.watchman import watched
    from tidegate.cli.web_server import run_server
    from tidegate.workflows.operation import users

    config = configured()
    bound = host or config.host
    given = None if listener is None else socket.socket(fileno=listener)
    with (
        contextlib.closing(given or bind(bound, config.port if port is None else port)) as listening,
        opened(may_migrate=True, pool_size=POOL) as hub,
        contextlib.ExitStack() as alive,
    ):
        if config.embedded:
            alive.enter_context(healed(config.home))
        site = build(hub, bound)
        if not no_worker:
            keeper = Keeper()
            keeper.start()
            alive.callback(keeper.stop)
        alive.enter_context(watched(hub))
        how = "" if parent_pipe is not None else " (Ctrl-C stops)"

        def ready() -> None:
            remark(f"Tidegate serves {address(listening)}{how}")
            if secret := users.first_link(hub.engine):
                page = config.public_url.rstrip("/") or address(listening)
                remark(f"Become its first admin, by this link, once: {page}/welcome?link={secret}")

        run_server(site, listening, ready, parent_pipe, config.proxies)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortTaken."""
    from tidegate.errors import PortTaken

    listener: socket.socket | None = None
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(BACKLOG)  # at once, so that of two servers the second fails here and not later
    except OSError as error:
        if listener is not None:
            listener.close()
        raise PortTaken(host=host, port=port, problem=error.strerror or error) from error
    return listener


def address(listener: socket.socket) -> str:
    """Where a browser finds what the socket serves."""
    host, port = listener.getsockname()[:2]
    named = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{named}:{port}"


def build(hub: "Hub", bound_to: str) -> Any:
    """The application that `serve` serves. Raises AssetMissing."""
    from tidegate.api.app import create_app
    from tidegate.web.app import create_pages
    from tidegate.web.site import beside

    limit_statements(hub.engine)
    return beside(create_app(hub), create_pages(hub, bound_to))


def limit_statements(engine: "Engine") -> None:
    """Lets no statement of this process run longer than 30 s, so that no page can hold the database up."""
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def limit(connection: Any, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.execute(f"set statement_timeout = '{PAGE_TIMEOUT}'")
        connection.commit()

    engine.dispose()  # connections that are open already have no limit
