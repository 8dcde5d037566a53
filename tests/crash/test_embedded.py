"""The embedded server survives kills, crashes, races, strangers' pids, long paths, root and other accounts."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.support import databases

from tidegate.errors import EmbeddedServerError
from tidegate.store import embedded
from tidegate.store.embedded import Embedded
from tidegate.store.embedded_binaries import binaries

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("embedded_user.py")
IS_ROOT = os.geteuid() == 0
FAST = {"fsync": "off", "shared_buffers": "16MB", "max_wal_size": "100MB"}
DURABLE = {"DURABLE": "1"}
"""Of a user whose server writes through to the disk."""
needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root, to act as several accounts: run the tests as root too")


class Account(NamedTuple):
    """Whom processes of a test run as, and a Python which that account can run."""

    uid: int
    python: str

    def popen(self, *command: str | Path, **options: Any) -> subprocess.Popen[str]:
        switch = {} if self.uid == os.geteuid() else {"user": self.uid, "group": self.uid, "extra_groups": []}
        options = {"env": python_path(), "text": True, "cwd": "/"} | switch | options
        return subprocess.Popen(list(map(str, command)), **options)


class User:
    """A process that uses the server, told what to do line by line."""

    def __init__(self, home: Path, account: Account, **environment: str) -> None:
        self.process = account.popen(
            account.python,
            "-W",
            "error",
            PROGRAM,
            home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=python_path() | environment,
        )

    def tell(self, command: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, f"the process ended with {self.process.wait(60)} instead of answering"
        return json.loads(line)

    def ask(self, command: str) -> Any:
        self.tell(command)
        return self.answer()

    def end(self, number: int | None = None) -> int:
        """Its exit code, after the signal, or else after the end of its input."""
        if number is not None:
            self.process.send_signal(number)
        elif self.process.stdin:
            self.process.stdin.close()
        code = self.process.wait(60)
        self.close()
        return code

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()


def python_path() -> dict[str, str]:
    """An environment in which any Python of this version finds the code under test and what it needs."""
    paths = os.pathsep.join(map(str, (ROOT / "src", Path(psycopg.__file__).parents[1])))
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}


@cache
def ordinary() -> Account:
    """This account; as root `nobody`, with a Python it can run (root's own often lies under /root)."""
    if not IS_ROOT:
        return Account(os.geteuid(), sys.executable)
    uid, version = pwd.getpwnam("nobody").pw_uid, f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in dict.fromkeys((sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}")):
        account = Account(uid, python)
        try:
            process = account.popen(python, "-c", "import psycopg, tidegate.store.embedded", stderr=subprocess.DEVNULL)
        except OSError:
            continue
        if process.wait(60) == 0:
            return account
    pytest.skip(
        f"as root these tests also act as the account nobody, which can run no {version} here (or cannot read {ROOT}): "
        f"install it under /usr (`apt-get install {version}`), or run the tests as an ordinary user"
    )


pause = threading.Event()  # never set


def eventually(condition: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition did not come about in time"
        pause.wait(0.005)
    return found


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def on_disk() -> None:
    """The home of this test does not lie in memory: its server writes through to the disk."""


@pytest.fixture
def ground(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory every account may pass through (pytest's own is closed to others); servers left in it are stopped."""
    in_memory = None if "on_disk" in request.fixturenames else databases.memory()
    made = Path(tempfile.mkdtemp(prefix="tg", dir=in_memory))
    made.chmod(0o711)
    yield made
    for data in made.rglob("PG_VERSION"):
        if data.parent.parent.name != "base":
            Embedded(data.parent.parent).force_stop(force=True)
    shutil.rmtree(made)


@pytest.fixture(params=["root", pytest.param("ordinary", marks=pytest.mark.wide)] if IS_ROOT else ["ordinary"])
def account(request: pytest.FixtureRequest) -> Account:
    """Whoever runs the tests; for root also an account like that of most people."""
    return Account(0, sys.executable) if request.param == "root" else ordinary()


@pytest.fixture
def home(ground: Path, account: Account) -> Path:
    path = ground / "home"
    path.mkdir(mode=0o755)
    os.chown(path, account.uid, -1)
    return path


@pytest.fixture
def users(home: Path, account: Account) -> Iterator[Callable[..., User]]:
    made: list[User] = []

    def make(**environment: str) -> User:
        made.append(User(home, account, **environment))
        return made[-1]

    yield make
    for user in made:
        if user.process.poll() is None:
            user.end(signal.SIGKILL)
        user.close()


def test_six_processes_start_one_server_and_the_last_stops_it(users: Callable[[], User]) -> None:
    six = [users() for _ in range(6)]
    for user in six:
        user.tell("start")
    pids = {user.answer() for user in six}
    assert len(pids) == 1
    assert set(six[0].ask("status")["users"]) == {user.process.pid for user in six}
    assert [user.ask("stop") for user in six] == [False] * 5 + [True]
    assert not alive(pids.pop())


def test_six_processes_that_end_at_once_leave_no_server(users: Callable[[], User]) -> None:
    six = [users() for _ in range(6)]
    (pid,) = {user.ask("start") for user in six}
    for user in six:
        user.process.send_signal(signal.SIGTERM)
    assert {user.process.wait(60) for user in six} == {143}
    assert not alive(pid)


def test_a_killed_user_is_forgotten(users: Callable[[], User]) -> None:
    killed, other = users(), users()
    pid = killed.ask("start")
    assert other.ask("start") == pid
    killed.end(signal.SIGKILL)
    assert other.ask("stop") is True
    assert not alive(pid)


@pytest.mark.usefixtures("on_disk")
def test_a_server_left_by_a_killed_user_is_joined_and_stopped(users: Callable[..., User]) -> None:
    killed, other = users(**DURABLE), users(**DURABLE)
    pid = killed.ask("start")
    killed.end(signal.SIGKILL)
    assert other.ask("status") | {"version": ""} == {"running": True, "pid": pid, "version": "", "users": []}
    assert other.ask("start") == pid
    assert other.ask("stop") is True
    assert not alive(pid)


def test_a_server_that_recovers_from_a_killed_process_is_waited_for(users: Callable[..., User]) -> None:
    user = users()
    pid = user.ask("start")
    for _ in range(5):
        [[backend]] = user.ask("sql SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
        os.kill(backend, signal.SIGKILL)
        assert user.ask("start") == pid


def test_the_last_user_stops_the_server_however_it_ends(users: Callable[[], User]) -> None:
    ends = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: -signal.SIGINT, None: 0}
    for number, code in ends.items():
        user = users()
        pid = user.ask("start")
        assert user.end(number) == code
        assert not alive(pid)


@pytest.mark.usefixtures("on_disk")
def test_a_killed_server_is_started_again_with_its_data(users: Callable[..., User]) -> None:
    user = users(**DURABLE)
    pid = user.ask("start")
    assert user.ask("sql SHOW fsync") == [["on"]]
    assert user.ask("sql SHOW wal_segment_size") == [["4MB"]]
    user.ask("sql CREATE TABLE kept AS SELECT 7 AS n")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))
    again = user.ask("start")
    assert again != pid
    assert user.ask("sql SELECT n FROM kept") == [[7]]
    assert user.ask("stop") is True
    assert not alive(again)


def test_a_stale_pid_file_leads_to_nobody_innocent(users: Callable[[], User], home: Path, account: Account) -> None:
    user = users()
    former = user.ask("start")
    pid_file, socket_lock = home / "pg" / "postmaster.pid", home / "run" / ".s.PGSQL.5432.lock"
    owner = Account(pid_file.stat().st_uid, "")
    texts = {path: path.read_text() for path in (pid_file, socket_lock)}
    user.ask("stop")
    with owner.popen(
        "cat", stdin=subprocess.PIPE
    ) as innocent:  # of the server's own account: PostgreSQL believes in it
        for path, text in texts.items():
            path.write_text(text.replace(str(former), str(innocent.pid)))
            os.chown(path, owner.uid, -1)
            path.chmod(0o600)
        assert user.ask("status")["running"] is False
        pid = user.ask("start")
        assert isinstance(pid, int), pid
        assert user.ask("stop") is True
        assert not alive(pid)
        assert innocent.poll() is None
        innocent.communicate("")


@pytest.mark.parametrize("command", ["forked", "child_exits"])
def test_a_forked_child_is_a_user_of_its_own(users: Callable[[], User], command: str) -> None:
    user = users()
    user.ask("start")
    wanted = {"forked": {"parent": False, "running": True, "child": True}, "child_exits": True}
    assert user.ask(command) == wanted[command]


def test_stop_by_command_refuses_while_others_use_it(users: Callable[[], User]) -> None:
    user, other = users(), users()
    pid = user.ask("start")
    assert other.ask("force_stop") == {"was_running": True, "stopped": False, "users": [user.process.pid]}
    assert alive(pid)
    assert other.ask("force_stop force") == {"was_running": True, "stopped": True, "users": [user.process.pid]}
    assert not alive(pid)
    assert other.ask("force_stop") == {"was_running": False, "stopped": False, "users": [user.process.pid]}
    assert user.ask("start") != pid
    assert user.ask("force_stop") == {"was_running": True, "stopped": True, "users": []}


@pytest.mark.usefixtures("on_disk")
def test_a_process_killed_while_making_the_data_directory(users: Callable[..., User], home: Path) -> None:
    killed, other = users(**DURABLE), users(**DURABLE)
    assert other.ask("status")["running"] is False
    killed.tell("start")
    eventually((home / "pg.new" / "PG_VERSION").exists)
    killed.end(signal.SIGKILL)  # initdb goes on for a while
    assert isinstance(other.ask("start"), int)
    assert other.ask("sql SELECT 1") == [[1]]


def test_a_long_home_gets_its_socket_in_the_temporary_directory(ground: Path, account: Account) -> None:
    home = ground / ("h" * 100)
    home.mkdir()
    os.chown(home, account.uid, -1)
    user = User(home, account)
    assert isinstance(user.ask("start"), int)
    sockets = Path(conninfo_to_dict(user.ask("url"))["host"])
    assert sockets.parent == Path(tempfile.gettempdir())
    assert sockets.stat().st_mode & 0o777 == 0o700
    assert sockets.stat().st_uid == user.ask("uid")
    assert user.ask("sql SELECT 1") == [[1]]
    assert user.ask("stop") is True
    assert not sockets.exists()
    assert user.end() == 0


def test_a_socket_directory_that_somebody_put_there_is_refused(ground: Path, account: Account) -> None:
    home = ground / ("h" * 100)
    home.mkdir()
    os.chown(home, account.uid, -1)
    user = User(home, account)
    user.ask("start")
    sockets, owner = Path(conninfo_to_dict(user.ask("url"))["host"]), user.ask("uid")
    user.ask("stop")
    cases = [(0o755, owner), (0o770, owner), *([(0o700, 1)] if IS_ROOT else [])]
    for mode, uid in cases:
        sockets.mkdir()
        sockets.chmod(mode)
        os.chown(sockets, uid, -1)
        assert f"{sockets} must be a directory of" in user.ask("start")["error"]
        sockets.rmdir()
    sockets.symlink_to(ground)
    assert "it is a file or link of" in user.ask("start")["error"]
    sockets.unlink()
    assert user.end() == 0


def test_the_socket_is_closed_to_others(users: Callable[[], User], home: Path) -> None:
    user = users()
    user.ask("start")
    assert (home / "run").stat().st_mode & 0o777 == 0o700
    assert (home / "run" / ".s.PGSQL.5432").stat().st_mode & 0o777 == 0o700
    assert (home / "pg").stat().st_mode & 0o777 == 0o700
    assert user.ask("sql SHOW listen_addresses") == [[""]]
    assert user.ask("sql SHOW max_connections") == [["200"]]


def test_the_server_takes_nothing_from_the_process_that_starts_it(home: Path, account: Account) -> None:
    user = User(home, account, PGDATA="/nowhere", PGPORT="1", LC_ALL="nonsense", SECRET="s3cret")
    pid = user.ask("start")
    assert os.getsid(pid) != os.getsid(user.process.pid)
    environment = Path(f"/proc/{pid}/environ").read_bytes() if IS_ROOT else b""
    assert not [word for word in (b"/nowhere", b"nonsense", b"s3cret", b"PYTHONPATH") if word in environment]
    assert Path(f"/proc/{pid}/cwd").readlink() == home / "pg" if IS_ROOT else True
    assert user.ask("sql SHOW timezone") == [["UTC"]]
    assert user.end() == 0


def test_data_of_another_major_are_refused_with_the_way_back(users: Callable[[], User], home: Path) -> None:
    user = users()
    user.ask("start")
    user.ask("stop")
    (home / "pg" / "PG_VERSION").write_text("17\n")
    said = user.ask("start")["error"]
    assert "PostgreSQL 17" in said
    assert "pg_restore" in said
    assert user.ask("status") == {"running": False, "pid": None, "version": "17", "users": []}


# What needs no second process of its own.


@pytest.fixture
def server(ground: Path) -> Embedded:
    return Embedded(ground / "home", FAST)


def test_threads_share_one_server(server: Embedded) -> None:
    threads = [threading.Thread(target=server.start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.status().users == (os.getpid(),)
    assert server.stop() is True
    assert server.stop() is False


def test_two_of_one_home_in_a_process_are_two_users(server: Embedded) -> None:
    with psycopg.connect(server.start().url()):
        second = Embedded(server.home).start()
        assert second.url() == server.url()
        assert server.stop() is False
        assert second.stop() is True


def test_a_server_that_cannot_start_says_why_and_leaves_no_lock(server: Embedded) -> None:
    with pytest.raises(EmbeddedServerError, match="no_such_setting"):
        Embedded(server.home, {"no_such_setting": "1"}).start()
    assert server.status().users == ()
    server.start()
    assert server.stop() is True


def test_an_interrupted_start_leaves_no_server(server: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Embedded, "_create_database", interrupted)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert server.status()[:2] == (False, None)
    assert server.status().users == ()


def test_processes_left_by_a_killed_server_are_waited_for(server: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    server.start()
    pid = server.status().pid
    assert pid
    busy = psycopg.connect(server.url(), autocommit=True)
    release = server.data / "release"
    waiting = f"pg_stat_file('{release.name}', true) IS NULL AND clock_timestamp() < now() + interval '1 minute'"
    loop = f"DO $$ BEGIN WHILE {waiting} LOOP END LOOP; END $$"

    def keep_busy() -> None:
        with contextlib.suppress(psycopg.OperationalError):  # it may end in peace, or notice that its server is gone
            busy.execute(loop)  # pyright: ignore[reportCallIssue]

    running = threading.Thread(target=keep_busy, daemon=True)
    running.start()
    with psycopg.connect(server.url()) as watching:
        query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO $$%'"
        eventually(lambda: watching.execute(query).fetchone() == (1,) or watching.rollback())
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))
    waits: list[float] = []

    def released(seconds: float) -> None:
        waits.append(seconds)
        release.touch()

    monkeypatch.setattr(embedded.time, "sleep", released)
    try:
        server.start()
    finally:
        release.touch()
        running.join()
    assert waits, "it started while a process of the killed server still ran"
    busy.close()
    assert server.stop() is True


def test_a_lost_socket_is_told(server: Embedded) -> None:
    server.start()
    (server.home / "run" / ".s.PGSQL.5432").unlink()
    with pytest.raises(EmbeddedServerError, match="stop --force"):
        Embedded(server.home).start()
    assert server.stop() is True


def test_a_large_log_is_set_aside(server: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.store.embedded_launch.LARGEST_LOG", 1)
    server.start()
    server.stop()
    server.start()
    assert (server.data / "server.log.1").exists()


# As root.


@needs_root
def test_root_runs_it_as_its_own_account_and_changes_no_parent(ground: Path) -> None:
    parents = [ground, *ground.parents]
    before = [(path.stat().st_mode, path.stat().st_uid) for path in parents]
    server = Embedded(ground / "made" / "home", FAST).start()
    owner = pwd.getpwuid(Path(f"/proc/{server.status().pid}").stat().st_uid)
    assert owner.pw_name == "tidegate"
    assert os.getgrouplist("tidegate", owner.pw_gid) == [owner.pw_gid]
    assert [(path.stat().st_mode, path.stat().st_uid) for path in parents] == before


@needs_root
def test_root_is_told_which_directory_the_account_cannot_pass(ground: Path) -> None:
    closed = ground / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match=f"may not pass through {closed}"):
        Embedded(closed / "home", FAST).start()
    assert closed.stat().st_mode & 0o777 == 0o700
    assert list(closed.iterdir()) == []


@needs_root
def test_root_copies_programs_that_the_account_cannot_reach(ground: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = ground / "closed"
    closed.mkdir(mode=0o700)
    package = binaries().parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        (closed / part.name).symlink_to(part)
    monkeypatch.syspath_prepend(str(closed))
    assert binaries().is_relative_to(closed)
    server = Embedded(ground / "home", FAST).start()
    (copy,) = (server.home / "postgresql").iterdir()
    assert Path(f"/proc/{server.status().pid}/exe").resolve().is_relative_to(copy)
    server.stop()
    server.start()
    assert list((server.home / "postgresql").iterdir()) == [copy]


@needs_root
def test_two_accounts_side_by_side(ground: Path) -> None:
    ours = Embedded(ground / "home", FAST).start()
    theirs = ground / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, ordinary().uid, -1)
    stranger = User(theirs, ordinary())
    assert isinstance(stranger.ask("start"), int)
    assert stranger.ask("sql SELECT 1") == [[1]]
    intruder = User(ours.home, ordinary())
    assert "belongs to tidegate" in intruder.ask("start")["error"]
    connect = f"import psycopg; psycopg.connect({ours.url()!r})"
    refused = ordinary().popen(ordinary().python, "-c", connect, stderr=subprocess.PIPE)
    assert "Permission denied" in refused.communicate()[1]
    assert intruder.end() == 0
    assert stranger.end() == 0
    assert ours.stop() is True


@needs_root
def test_root_uses_the_home_of_an_ordinary_user_as_that_user(ground: Path) -> None:
    home = ground / "home"
    home.mkdir(mode=0o700)
    os.chown(home, ordinary().uid, -1)
    owner = User(home, ordinary())
    owner.ask("start")
    owner.ask("stop")
    root = Embedded(home, FAST).start()
    assert Path(f"/proc/{root.status().pid}").stat().st_uid == ordinary().uid
    root.stop()
    assert isinstance(owner.ask("start"), int)
    assert owner.end() == 0
