"""The embedded PostgreSQL's life-cycle: the first process that needs it starts it, the last one stops it."""

import atexit
import contextlib
import hashlib
import os
import shlex
import shutil
import signal
import tempfile
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
    first_unreachable,
    make_directory,
    private_directory,
    run_as,
    server_account,
)
from tidegate.store.embedded_binaries import binaries, copied_binaries, major_of
from tidegate.store.embedded_locks import UserLock, exclusive, open_lock, release, try_exclusive
from tidegate.store.embedded_process import SOCKET_NAME, Postmaster, lock_holders, log_tail, read_postmaster

DATABASE = "tidegate"
TIMEOUT = 300  # seconds: recovery after a crash replays up to max_wal_size before the server answers
LONGEST_SOCKET_PATH = 100  # bytes; the kernel's limit is 103 on macOS, 107 on Linux
LARGEST_LOG = 10_000_000  # bytes; a larger one is set aside at the next start, one is kept
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
    child gets a lock of its own. SIGTERM ends Python without its exit handlers: see `exit_on_sigterm`.
    """

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are extra server settings; they count only when this process is the one that starts the server."""
        self.home = Path(home).expanduser().resolve()
        self.data = self.home / "pg"
        self.settings = {**SETTINGS, **(settings or {})}
        self._gate = self.home / "pg.gate"
        self._users = UserLock(self.home / "pg.users")
        self._sockets: Path | None = None

    def start(self) -> Self:
        """Start the server or join the running one; heal it when it died. May be called again at any time.

        Creates the home, the data directory and the database `tidegate` when missing, and stops at exit.
        Raises EmbeddedServerError, saying what to do, when the server cannot be used.
        """
        with self._users.mutex, _explained(self.home):
            account = server_account(self.data, self.home)
            self._check_reach(account)
            make_directory(self.home, account, 0o700)
            joined = self._users.joined
            with exclusive(self._gate):
                if not joined:
                    self._users.join()
                try:
                    self._sockets = self._running(account).sockets
                    self._create_database()
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
                server, users = read_postmaster(self.data), lock_holders(self._users.path)
                probe = open_lock(self._users.path)
                try:
                    stopped = server is not None and (force or try_exclusive(probe))
                    if server and stopped:
                        self._end(server)
                finally:
                    release(probe)
                return Ended(was_running=server is not None, stopped=stopped, users=users)

    def url(self, database: str = DATABASE) -> str:
        """The libpq URL of a database on this server, over its Unix socket: `postgresql://postgres@/tidegate?host=…`."""
        sockets = self._sockets or self._socket_directory(os.geteuid())
        return f"postgresql://postgres@/{quote(database, safe='')}?host={quote(str(sockets), safe='/')}"

    def status(self) -> Status:
        """Whether the server runs, its pid and version, and who uses it. Starts and changes nothing."""
        with _explained(self.home):
            server = read_postmaster(self.data)
            marker = self.data / "PG_VERSION"
            version = marker.read_text().strip() if marker.exists() else None
            if server and server.state == "ready":
                version = _server_version(server.sockets) or version
            running = server is not None
            return Status(running, server.pid if server else None, version, lock_holders(self.home / "pg.users"))

    def _check_reach(self, account: Account) -> None:
        there = next(path for path in (self.home, *self.home.parents) if path.exists())
        barred = first_unreachable(account, [there]) if account.switch else None
        if barred:
            problem = f"the account {account.name}, which runs it for root, may not pass through {barred}."
            remedy = f"{OTHER_HOME}, say /var/lib/tidegate: permissions of existing directories are never changed."
            raise self._error(problem, remedy)

    # What follows runs under the gate.

    def _running(self, account: Account) -> Postmaster:
        """The server, ready; started when there is none, waited for while it recovers or ends."""
        programs = self._programs(account)
        if not (self.data / "PG_VERSION").exists():
            self._initialise(account, programs)
        self._check_major(major_of(programs))
        deadline = time.monotonic() + TIMEOUT
        while True:
            server = read_postmaster(self.data)
            if server and server.state == "ready":
                return self._reachable(server)
            if server is None:
                held = open_lock(self.home / "pg.server")
                try:
                    if try_exclusive(held):
                        self._launch(account, programs, held)
                        continue
                finally:
                    os.close(held)
            if time.monotonic() > deadline:
                doing = (
                    f"process {server.pid} is still {server.state}" if server else "processes of the last one linger"
                )
                raise self._error(f"after {TIMEOUT} s {doing}.", f"See {self.data / 'server.log'}.")
            time.sleep(0.02)

    def _launch(self, account: Account, programs: Path, held: int) -> None:
        """Start the server, which inherits the lock `held`; with it taken, no process of a former server is left."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # it names a process that is not our server
        sockets = self._socket_directory(account.uid)
        private_directory(sockets, account, self.home)
        log = self.data / "server.log"
        if log.exists() and log.stat().st_size > LARGEST_LOG:
            log.replace(log.with_suffix(".log.1"))
        settings = {**self.settings, "unix_socket_directories": str(sockets)}
        options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
        command = ["-D", self.data, "-w", "-t", TIMEOUT, "-l", log, "-o", options, "start"]
        done = run_as(account, [str(programs / "pg_ctl"), *map(str, command)], pass_fds=(held,))
        if done.returncode:
            raise self._error(f"it did not start: {log_tail(log) or done.stdout.strip()}", f"See {log}.")

    def _leave(self) -> bool:
        self._sockets = None
        try:
            last = self._users.turn_exclusive()
            server = read_postmaster(self.data)
            if last and server:
                self._end(server)
            return last
        finally:
            self._users.leave()

    def _end(self, server: Postmaster) -> None:
        """Ask for a fast shutdown (open transactions are rolled back) and wait until every process is gone."""
        held = open_lock(self.home / "pg.server")
        try:
            with contextlib.suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGINT)
            deadline = time.monotonic() + TIMEOUT
            while read_postmaster(self.data) or not try_exclusive(held):
                if time.monotonic() > deadline:
                    raise self._error(f"process {server.pid} has not ended.", f"See {self.data / 'server.log'}.")
                time.sleep(0.02)
        finally:
            os.close(held)
        if server.sockets.parent != self.home:
            with contextlib.suppress(OSError):  # not empty: somebody put a file there, and it is in nobody's way
                server.sockets.rmdir()

    def _initialise(self, account: Account, programs: Path) -> None:
        """Make the data directory, under another name until it is whole: a process may be killed half way."""
        draft = self.home / "pg.new"
        shutil.rmtree(draft, ignore_errors=True)
        private_directory(draft, account, self.home)
        if self.data.exists():
            self.data.rmdir()
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-instructions"]
        options += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if self.settings.get("fsync") == "off":
            options.append("--no-sync")
        done = run_as(account, [str(programs / "initdb"), "-D", str(draft), *options])
        if done.returncode:
            raise self._error(f"initdb failed: {done.stdout.strip()}", "Mend that and try again.")
        draft.rename(self.data)

    def _programs(self, account: Account) -> Path:
        found = binaries(self.home)
        if not account.switch:
            return found
        barred = first_unreachable(account, [self.home])
        if barred:
            problem = f"the account {account.name}, which runs it for root, may not pass through {barred}."
            raise self._error(
                problem, f"{OTHER_HOME} that it can reach, say /var/lib/tidegate; permissions stay as is."
            )
        if first_unreachable(account, [found / "postgres", found.parent / "share", found.parent / "lib"]):
            return copied_binaries(found, self.home)
        return found

    def _check_major(self, ours: int) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != str(ours):
            aside = self.home / f"pg-{found}"
            remedy = (
                f"With the Tidegate that wrote it, run `tidegate backup FILE`. Then move the directory away "
                f"(`mv {self.data} {aside}`) and run `tidegate restore FILE` with this one."
            )
            raise self._error(f"{self.data} was written by PostgreSQL {found}, this one is {ours}.", remedy)

    def _reachable(self, server: Postmaster) -> Postmaster:
        if not (server.sockets / SOCKET_NAME).exists():
            problem = f"process {server.pid} runs, but its socket {server.sockets / SOCKET_NAME} was removed."
            raise self._error(problem, "Run `tidegate stop --force`; the next command starts it again.")
        return server

    def _create_database(self) -> None:
        import psycopg

        try:
            with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=10) as connection:
                if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.Error as error:
            raise self._error(f"it does not answer: {error}.", f"See {self.data / 'server.log'}.") from error

    def _socket_directory(self, uid: int) -> Path:
        near = self.home / "run"
        if len(os.fsencode(near / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
            return near
        name = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"tidegate-{uid}-{name}"

    def _error(self, problem: str, remedy: str) -> EmbeddedServerError:
        return EmbeddedServerError(home=self.home, problem=problem, remedy=remedy)


def exit_on_sigterm() -> None:
    """Make SIGTERM end this process as `sys.exit(143)` would: exit handlers run, the last user stops the server.

    Every entry point that starts the server calls it first, in its main thread; one with a signal handler of its own
    (the web server) ends normally instead.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


@contextlib.contextmanager
def _explained(home: Path) -> Generator[None, None, None]:
    """Turn what the system refuses (no permission, disk full) into an error that says where and what to do."""
    try:
        yield
    except OSError as error:
        remedy = f"{OTHER_HOME} that this account may write to, or mend that."
        raise EmbeddedServerError(home=home, problem=f"{error}.", remedy=remedy) from error


def _server_version(sockets: Path) -> str | None:
    """The version the server itself tells, such as "18.4"; None when it does not answer."""
    import psycopg

    with (
        contextlib.suppress(psycopg.Error),
        psycopg.connect(host=str(sockets), user="postgres", dbname="postgres") as own,
    ):
        return own.info.parameter_status("server_version")
    return None
