"""Runs a sandbox: in a thread for tests, or as a process of its own."""

import asyncio
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from tidegate.errors import ConfigurationError
from tidegate.sandbox import control, life
from tidegate.sandbox.answers import Answer, Refusal, Request
from tidegate.sandbox.config import DEFAULT_KEY, LIVE_KEY, SandboxConfig
from tidegate.sandbox.faults import Faults, own_failure
from tidegate.sandbox.generator import make_world
from tidegate.sandbox.http import Connection, Reply, head
from tidegate.sandbox.ids import base62
from tidegate.sandbox.keys import Key, KeyRing, allow, is_live
from tidegate.sandbox.limits import Limits
from tidegate.sandbox.oauth import OAuth
from tidegate.sandbox.platform import Platform
from tidegate.sandbox.routes import endless, find, other_mode
from tidegate.sandbox.state import API_VERSION, State
from tidegate.sandbox.truth import truth
from tidegate.sandbox.webhooks import Webhooks
from tidegate.sandbox.world import World
from tidegate.sandbox.writes.desk import Desk, Written
from tidegate.sandbox.writes.table import find_write

HOST = "127.0.0.1"
T = TypeVar("T")


class Server:
    """Answers requests for one simulated account and those connected to it. Belongs to one event loop."""

    def __init__(self, config: SandboxConfig, world: World) -> None:
        self.config = config
        self.world = world
        self.keys = KeyRing()
        for open_key in (DEFAULT_KEY, LIVE_KEY, config.key):
            self.keys.add(Key(open_key))
        self.limits = Limits(config.rate, config.endpoint_rate)
        self.faults = Faults(config.fault_rates, config.seed)
        self.webhooks = Webhooks(world.state, config.seed)
        self.desks: dict[int, Desk] = {}
        self.controls = control.Controls(world, self.webhooks, self.keys, self.limits, self.faults)
        self.platform = Platform(config, self.controls)
        self.oauth = OAuth(self.platform)
        self.connections: set[Connection] = set()
        self._asked = 0
        self._date = (-1, b"")

    def respond(self, request: Request) -> Reply:
        """The reply to one request, never raising: a fault of the sandbox itself is a 500 and told on stderr."""
        if request.path.startswith("/__"):
            answer = answered(request, lambda: self.platform.answer(request))
            return Reply(head(answer.status, len(answer.body), answer.headers), answer.body)
        if self.oauth.serves(request):
            answer = answered(request, lambda: self.oauth.answer(request))
            return Reply(self._head(request, answer), answer.body)
        self._asked += 1
        fault = self.faults.draw(request.path)
        answer = answered(request, lambda: self._api(request, fault))
        stats = self.platform.company(request).limits.stats
        stats.statuses[answer.status] += 1
        if fault:
            stats.faults[fault] += 1
        delay = self.config.latency + (self.faults.delay() if fault == "slow" else 0.0)
        self._desk(self.platform.company(request)).delayed(delay)
        broken = fault if fault in ("reset", "truncate") else None
        return Reply(self._head(request, answer), answer.body, delay, broken)

    def _api(self, request: Request, fault: str | None) -> Answer:
        write = find_write(request.method, request.path)
        found = find(request.path) if request.method == "GET" and not write else None
        template = write[0].template if write else found[0].template if found else "unknown"
        company = self.platform.company(request)
        company.limits.pass_through(f"{request.method} {template}", time.monotonic())
        late = bool(write) and fault == "500" and self.faults.late()
        self.faults.refuse(None if late else fault)
        key = self.keys.check(request.headers, self.world.clock.now)
        self.platform.check(request)
        if write:
            allow(key, write[0].permission, write=not write[0].reads)
            check_spoken(request.headers.get(b"stripe-version", b"").decode("latin-1"))
            check_mode(key.secret, company.state)
            return self._desk(company).answer(*write, request, request_id=self._request_id(), late_fault=late)
        if found is None:
            raise Refusal(
                404,
                f"Unrecognized request URL ({request.method}: {request.path}). Please see https://stripe.com/docs or "
                "we can help at https://support.stripe.com/.",
            )
        route, names = found
        allow(key, route.permission)
        check_spoken(request.headers.get(b"stripe-version", b"").decode("latin-1"))
        state = company.state
        if is_live(key.secret) not in (None, state.livemode):
            return other_mode(state, route, request, names)
        if fault == "never_ending":
            return endless(state, route, request, names)
        return route.handler(state, request, names)

    def _desk(self, company: control.Controls) -> Desk:
        """Where a company's writes are taken; idempotency keys belong to an account."""
        if id(company) not in self.desks:
            self.desks[id(company)] = Desk(company.world, company.webhooks)
        return self.desks[id(company)]

    def written(self) -> list[Written]:
        """The latest writes that the account was asked for."""
        desk = self.desks.get(id(self.controls))
        return list(desk.log) if desk else []

    def _head(self, request: Request, answer: Answer) -> bytes:
        now = self.world.clock.now
        if self._date[0] != now:
            self._date = (now, self.world.clock.http_date())
        usual = (
            (b"Date", self._date[1]),
            (b"Request-Id", self._request_id()),
            (b"Stripe-Version", API_VERSION.encode()),
        )
        return head(answer.status, len(answer.body), usual + answer.headers)

    def _request_id(self) -> bytes:
        return b"req_" + base62(self._asked * 2_862_933_555_777_941_757 % 62**14, 14).encode()


def check_mode(secret: str, state: State) -> None:
    """Passes for a key of the account's mode, or of none. Raises Refusal (400): the other mode holds nothing here."""
    if is_live(secret) not in (None, state.livemode):
        here = "live" if state.livemode else "test"
        raise Refusal(400, f"The sandbox's account is in {here} mode only: write to it with a key of that mode.")


def check_spoken(version: str) -> None:
    """Passes for the version that the sandbox answers in, and for none. Raises Refusal (400)."""
    if version not in ("", API_VERSION):
        raise Refusal(
            400,
            f"Invalid Stripe API version: {version}. The sandbox answers in {API_VERSION} only; set your SDK's API "
            "version to it, or use a release of the SDK that is pinned to it.",
        )


def answered(request: Request, work: Callable[[], Answer]) -> Answer:
    """What `work` answers or refuses. Any other exception is the sandbox's own: its traceback goes to stderr."""
    try:
        return work()
    except Refusal as refusal:
        return refusal.answer()
    except Exception:
        sys.stderr.write(f"sandbox: {request.method} {request.path} failed\n{traceback.format_exc()}")
        return own_failure().answer()


class Sandbox:
    """A running sandbox: `with Sandbox.start(config) as sandbox: …sandbox.url…`. Binds 127.0.0.1 only."""

    def __init__(self, config: SandboxConfig, world: World) -> None:
        self.config = config
        self.world = world
        self.key = config.key
        self.url = ""
        self.server: Server | None = None
        self._loop = new_loop()
        self._ready: Future[str] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)

    @classmethod
    def start(cls, config: SandboxConfig) -> Self:
        """Generates the company and serves it from a thread. Raises ConfigurationError when the port is taken."""
        sandbox = cls(config, make_world(config))
        sandbox._thread.start()
        sandbox.url = sandbox._ready.result()
        return sandbox

    @property
    def state(self) -> State:
        """What the account holds; change it through `call`."""
        return self.world.state

    def call(self, work: Callable[[], T]) -> T:
        """Runs `work` on the server's thread, then starts delivering what events it emitted."""
        result: Future[T] = Future()

        def on_loop() -> None:
            try:
                result.set_result(work())
            except BaseException as problem:
                result.set_exception(problem)
            assert self.server is not None
            self.server.platform.settle()

        self._loop.call_soon_threadsafe(on_loop)
        return result.result()

    def advance(self, seconds: int) -> int:
        """Moves the clock forward, everything due happening on the way; returns the new time, UTC epoch seconds."""
        return self.call(lambda: life.advance_to(self.world, self.world.clock.now + seconds))

    def truth(self) -> dict[str, int]:
        """The counts of /__truth."""
        return self.call(lambda: truth(self.world.state))

    def stats(self) -> dict[str, Any]:
        """The counts of /__stats."""

        def report() -> dict[str, Any]:
            assert self.server is not None
            return self.server.limits.stats.report() | {"webhooks": self.server.webhooks.report()}

        return self.call(report)

    def written(self) -> list[Written]:
        """The latest writes that this account was asked for, in their order."""

        def log() -> list[Written]:
            assert self.server is not None
            return self.server.written()

        return self.call(log)

    def close(self) -> None:
        """Ends the server and its thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as problem:
            self._ready.set_exception(port_taken(self.config.port, problem))
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self.server = Server(self.config, self.world)
        await serve(self.server, self._ready.set_result, self._stop)


async def serve(server: Server, ready: Callable[[str], Any], stop: asyncio.Event) -> None:
    """Listens until `stop` is set; `ready` gets the URL. Raises OSError when the port is taken."""
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: Connection(server.respond, server.connections), HOST, server.config.port, backlog=512
    )
    ready(f"http://{HOST}:{listening.sockets[0].getsockname()[1]}")
    try:
        await stop.wait()
    finally:
        listening.close()
        for connection in list(server.connections):
            connection.close()
        await server.platform.close()
        await listening.wait_closed()


def new_loop() -> asyncio.AbstractEventLoop:
    """A uvloop event loop where there is one, else asyncio's own."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def port_taken(port: int, problem: OSError) -> ConfigurationError:
    """The error for a port that cannot be listened on."""
    return ConfigurationError(
        problem=f"The sandbox cannot listen on {HOST}:{port} ({problem.strerror or problem}). Choose another --port."
    )


def run(config: SandboxConfig, say: Callable[[str], Any] = print) -> None:
    """Serves until SIGINT or SIGTERM; says one line with the URL and the key when ready.

    Raises ConfigurationError when the port is taken.
    """
    world = make_world(config)

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        server = Server(config, world)
        await serve(server, lambda url: say(f"sandbox ready at {url} with key {config.key}"), stop)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        try:
            runner.run(main())
        except OSError as problem:
            raise port_taken(config.port, problem) from problem
