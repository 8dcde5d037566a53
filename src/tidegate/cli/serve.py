"""`tidegate serve`: the page, the API and the webhook endpoint, and one worker as a child process."""

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from types import FrameType

    from sqlalchemy import Engine

    from tidegate.wiring import Hub

POOL = 16  # connections of a web process, the webhook committer's among them
PAGE_TIMEOUT = "30s"
GRACE = 10  # seconds for requests under way when the server is to end
BACKLOG = 2048


def serve(
    host: Annotated[str | None, typer.Option(metavar="H", help="Address to bind. [default: TIDEGATE_HOST]")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="[default: TIDEGATE_PORT]")] = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Start no worker beside the server.")] = False,
) -> None:
    """Serve the page, the API and Stripe's webhooks, with one worker in a process of its own."""
    from tidegate.cli.hub import configured, opened
    from tidegate.cli.keeper import Keeper
    from tidegate.cli.show import remark

    config = configured()
    bound = host or config.host
    with (
        contextlib.closing(bind(bound, config.port if port is None else port)) as listener,
        opened(may_migrate=True, pool_size=POOL) as hub,
        contextlib.ExitStack() as alive,
    ):
        site = build(hub, bound)
        if not no_worker:
            keeper = Keeper()
            keeper.start()
            alive.callback(keeper.stop)
        run_server(site, listener, lambda: remark(f"Tidegate serves {address(listener)} (Ctrl-C stops)"))


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


def run_server(site: Any, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serves until SIGINT, SIGTERM or SIGHUP, answers what is under way and returns. Calls `ready` once it serves.

    uvicorn itself raises the signal again at its end, which would skip what stops the worker and the embedded database.
    """
    import uvicorn

    config = uvicorn.Config(
        site,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None]:
            if threading.current_thread() is not threading.main_thread():
                yield
                return

            def leave(number: int, _frame: "FrameType | None") -> None:
                self.force_exit = self.should_exit and number == signal.SIGINT
                self.should_exit = True

            numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            before = {number: signal.getsignal(number) for number in numbers}
            for number, handler in before.items():
                if handler is not signal.SIG_IGN:
                    signal.signal(number, leave)
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

    server = Server(config)
    server.run(sockets=[listener])
    if not server.started:
        raise RuntimeError("the web server did not start; its log says why")
