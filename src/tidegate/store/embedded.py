"""The embedded PostgreSQL's life-cycle: the first process that needs it starts it, the last one stops it."""

import atexit
import contextlib
import os
import signal
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from types import FrameType
from typing import NamedTuple, Self
from urllib.parse import quote

from tidegate.errors import EmbeddedServerError
from tidegate.store.embedded_account import (
    OTHER_HOME,
    Account,
    check_private,
    first_unreachable,
    make_directory,
    server_account,
)
from tidegate.store.embedded_launch import TIMEOUT, launch, not_usable, socket_directory
from tidegate.store.embedded_locks import UserLock, exclusive, open_lock, release, try_exclusive
from tidegate.store.embedded_process import SOCKET_NAME, Postmaster, lock_holders, read_postmaster

DATABASE = "tidegate"
POLL = 0.02  # seconds
TRIES = 3
"""How often it is asked whether our database is there, before it is said that it does not answer."""
SETTINGS: dict[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
}


class Status(NamedTuple):
    """What is known of the server without touching it."""

    running: bool
    pid: int | None
    version: (
        str | None
    )  # of the running server ("18.4"), else of the data directory ("18"); None before the first start
    users: tuple[int, ...]  # pids of the processes that use it; only Linux tells


class Ended(NamedTuple):
    """What `force_stop` did: `stopped` is false when others use the server, or when it was not running at all."""

    was_running: bool
    stopped: bool
    users: tuple[int, ...]  # pids of the others that use it (or used it, when forced); only Linux tells


class Embedded:
    """One server per home directory, shared by every process of this machine that opens the same home.

    Every user holds a shared lock on `pg.users` until it stops or dies, so the kernel forgets killed ones; starting and
    stopping happen under an exclusive lock on `pg.gate`; the server's own processes hold one on `pg.server`. A forked
    child is a user of its own. A signal ends Python without its exit handlers: see `exit_on_signals`.
    """

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are extra server settings; they count only when this process is the one that starts the server."""
        self.home = Path(home).expanduser().resolve()
        self.data = self.home / "pg"
        self.settings = {**SETTINGS, **(settings or {})}
        self._gate = self.home / "pg.gate"
        self._users = UserLock(self.home / "pg.users")

    def start(self) -> Self:
        """Start the server or join the running one; heal it when it died. May be called again at any time.

        Creates the home, the data directory and the database `tidegate` when missing, and stops at exit.
        Raises EmbeddedServerError, saying what to do, when the server cannot be used.
        """
        with self._users.mutex, _explained(self.home):
            account = server_account(self.data, self.home)
            self._check_reach(account)
            make_directory(self.home, account)
            joined = self._users.joined
            with exclusive(self._gate):
                if not joined:
                    self._users.join()
                try:
                    self._create_database(account)
                except BaseException:
                    if not joined:
                        self._leave()
                    raise
            if not joined:
                atexit.register(self.stop)
        return self

    def stop(self) -> bool:
        """Leave the server; stop it and return True when no other process uses it. Without `start` nothing happens."""
        with self._users.mutex, _explained(self.home):
            if not self._users.joined:
                return False
            atexit.unregister(self.stop)
            if not self.home.exists():  # somebody removed it: the server notices by itself and ends
                self._users.leave()
                return False
            with exclusive(self._gate):
                return self._leave()

    def force_stop(self, force: bool = False) -> Ended:
        """Stop the server, whoever started it; while others use it only with `force`: their connections break."""
        with self._users.mutex, _explained(self.home):
            if not self.home.exists():
                return Ended(was_running=False, stopped=False, users=())
            atexit.unregister(self.stop)
            with exclusive(self._gate):
                self._users.leave()
                running, users = read_postmaster(self.data) is not None, lock_holders(self._users.path)
                probe = open_lock(self._users.path)
                try:
                    stopped = running and (force or try_exclusive(probe))
                    if stopped:
                        self._end()
                finally:
                    release(probe)
                return Ended(running, stopped, users)

    def url(self, database: str = DATABASE) -> str:
        """The libpq URL of a database on this server, over its Unix socket: `postgresql://postgres@/tidegate?host=…&port=5432`."""
        server = read_postmaster(self.data)
        if server:
            return _url(server.sockets, database)
        owner = self.data.stat().st_uid if self.data.exists() else os.geteuid()
        return _url(socket_directory(self.home, owner), database)

    def status(self) -> Status:
        """Whether the server runs, its pid and version, and who uses it. Starts and changes nothing."""
        with _explained(self.home):
            server = read_postmaster(self.data)
            marker = self.data / "PG_VERSION"
            version = marker.read_text().strip() if marker.exists() else None
            if server and server.state == "ready":
                version = _server_version(server.sockets) or version
            users = lock_holders(self._users.path)
            return Status(server is not None, server.pid if server else None, version, users)

    def _check_reach(self, account: Account) -> None:
        there = next(path for path in (self.home, *self.home.parents) if path.exists())
        barred = first_unreachable(account, [there]) if account.switch else None
        if barred:
            problem = f"the account {account.name}, which runs it for root, may not pass through {barred}."
            remedy = f"{OTHER_HOME}, say /var/lib/tidegate: permissions of existing directories are never changed."
            raise self._error(problem, remedy)

    def _running(self, account: Account) -> Postmaster:
        """The server, ready; started when there is none, waited for while it recovers or ends."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            server = read_postmaster(self.data)
            recovering = server is not None and server.state == "ready" and _recovers(server)
            if server and server.state == "ready" and not recovering:
                check_private(server.sockets, account, self.home)
                return server
            if server is None:
                held = open_lock(self.home / "pg.server")
                try:
                    if try_exclusive(held):
                        launch(self.home, account, self.settings, held)
                        continue
                finally:
                    os.close(held)
            if time.monotonic() > deadline:
                state = "recovering" if recovering else server.state if server else ""
                doing = f"process {server.pid} is still {state}" if server else "processes of the last one linger"
                raise self._error(f"after {TIMEOUT} s {doing}.", f"See {self.data / 'server.log'}.")
            time.sleep(POLL)

    def _create_database(self, account: Account) -> None:
        """Makes our database where it is missing; asked again where a process of the server's dies in between."""
        import psycopg

        for left in reversed(range(TRIES)):
            server = self._running(account)
            if not (server.sockets / SOCKET_NAME).exists():
                problem = f"process {server.pid} runs, but its socket {server.sockets / SOCKET_NAME} was removed."
                raise self._error(problem, "Run `tidegate stop --force`; the next command starts it again.")
            try:
                with psycopg.connect(_url(server.sockets, "postgres"), autocommit=True, connect_timeout=10) as db:
                    if db.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
                        db.execute(f"CREATE DATABASE {DATABASE}")
                return
            except psycopg.Error as error:
                if not left or not isinstance(error, psycopg.OperationalError):
                    raise self._error(f"it does not answer: {error}.", f"See {self.data / 'server.log'}.") from error
                time.sleep(POLL)

    def _leave(self) -> bool:
        try:
            last = self._users.turn_exclusive()
            if last:
                self._end()
            return last
        finally:
            self._users.leave()

    def _end(self) -> None:
        """Ask for a fast shutdown (open transactions are rolled back); wait until every process of the server is gone.

        One that is only just starting has no pid file yet, but its lock shows that it is there.
        """
        held, asked, deadline = open_lock(self.home / "pg.server"), None, time.monotonic() + TIMEOUT
        try:
            while (server := read_postmaster(self.data)) or not try_exclusive(held):
                if server and server != asked:
                    asked = server
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(server.pid, signal.SIGINT)
                if time.monotonic() > deadline:
                    raise self._error(
                        f"{asked or 'a process of it'} has not ended.", f"See {self.data / 'server.log'}."
                    )
                time.sleep(POLL)
        finally:
            os.close(held)
        if asked and asked.sockets.parent != self.home:
            with contextlib.suppress(OSError):  # not empty: somebody put a file there, and it is in nobody's way
                asked.sockets.rmdir()

    def _error(self, problem: str, remedy: str) -> EmbeddedServerError:
        return EmbeddedServerError(home=self.home, problem=problem, remedy=remedy)


def exit_on_signals() -> None:
    """Make SIGTERM and SIGHUP end this process as `sys.exit(128 + number)` would, so that exit handlers run.

    Else the last user's end by `kill` or by a closed terminal leaves the server running (until the next user ends).
    Every entry point that starts the server calls it first, in its main thread; one with signal handlers of its own
    (the web server) ends normally instead. A SIGHUP that is ignored, as under nohup, stays ignored; so does a second
    signal, which would interrupt the stopping.
    """
    wanted = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]

    def leave(number: int, frame: FrameType | None) -> None:
        for each in wanted:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in wanted:
        signal.signal(number, leave)


@contextlib.contextmanager
def _explained(home: Path) -> Generator[None, None, None]:
    """Turn what the system refuses (no permission, disk full) into an error that says where and what to do."""
    try:
        yield
    except OSError as error:
        raise not_usable(home, f"{error}.", f"{OTHER_HOME} that this account may write to, or mend that.") from error


def _recovers(server: Postmaster) -> bool:
    """Whether it lets nobody in: one of its processes died, and it recovers. Its file calls it ready all the while."""
    from psycopg import pq

    return pq.PGconn.ping(_url(server.sockets, "postgres").encode()) == pq.Ping.REJECT


def _url(sockets: Path, database: str) -> str:
    host = quote(str(sockets), safe="/")
    return f"postgresql://postgres@/{quote(database, safe='')}?host={host}&port=5432"  # unsaid, PGPORT would count


def _server_version(sockets: Path) -> str | None:
    """The version the server itself tells, such as "18.4"; None when it does not answer."""
    import psycopg

    with (
        contextlib.suppress(psycopg.Error),
        psycopg.connect(_url(sockets, "postgres"), connect_timeout=5) as connection,
    ):
        return connection.info.parameter_status("server_version")
    return None
