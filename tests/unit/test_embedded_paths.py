"""Where the embedded server's files lie, and whom its pid file and locks name."""

import os
import pwd
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import psycopg.conninfo
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import ConfigurationError, EmbeddedServerError, EmbeddedServerFull
from tidegate.store import embedded_account, embedded_binaries
from tidegate.store.embedded import Embedded
from tidegate.store.embedded_account import Account, check_private, make_directory
from tidegate.store.embedded_binaries import binaries, copied_binaries, major_of
from tidegate.store.embedded_launch import LONGEST_SOCKET_PATH, ROOM, not_usable, socket_directory
from tidegate.store.embedded_locks import UserLock, exclusive, open_lock, release, try_exclusive
from tidegate.store.embedded_process import SOCKET_NAME, lock_holders, log_tail, read_postmaster

ME = Account("me", os.geteuid(), os.getegid(), switch=False)


def home_with_socket_of(length: int) -> Path:
    return Path("/" + "h" * (length - len(f"//run/{SOCKET_NAME}")))


@pytest.mark.parametrize(
    ("length", "near"), [(40, True), (LONGEST_SOCKET_PATH, True), (LONGEST_SOCKET_PATH + 1, False), (3000, False)]
)
def test_socket_directory_is_near_unless_too_long(length: int, near: bool) -> None:
    home = home_with_socket_of(length)
    assert len(str(home / "run" / SOCKET_NAME)) == length
    assert (socket_directory(home, 7) == home / "run") is near


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=250))
def test_a_socket_path_always_fits_the_kernel(name: str) -> None:
    found = socket_directory(Path("/srv") / name, 1000)
    assert len(os.fsencode(found / SOCKET_NAME)) <= LONGEST_SOCKET_PATH


def test_a_long_temporary_directory_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/" + "t" * 90)
    assert socket_directory(home_with_socket_of(300), 7).parent == Path("/tmp")


def test_long_homes_and_accounts_have_sockets_of_their_own() -> None:
    homes = [Path("/" + letter * 120) for letter in "ab"]
    assert len({socket_directory(home, uid) for home in homes for uid in (1, 2)}) == 4


@given(
    st.text(
        st.characters(codec="utf-8", exclude_characters="\0/.", exclude_categories=["Cc"]), min_size=1, max_size=15
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cc"]), min_size=1, max_size=30),
)
def test_url_is_read_back_by_libpq(folder: str, database: str) -> None:
    # Short enough for a socket in the home itself, whatever a character takes.
    server = Embedded(Path("/nowhere") / folder)
    read = psycopg.conninfo.conninfo_to_dict(server.url(database))
    assert read == {"user": "postgres", "dbname": database, "host": str(server.home / "run"), "port": "5432"}


def test_url_names_the_database_tidegate_and_no_driver(tmp_path: Path) -> None:
    home = Path("/nowhere/home")
    assert Embedded(home).url() == "postgresql://postgres@/tidegate?host=/nowhere/home/run&port=5432"


def test_before_the_first_start_nothing_is_there(tmp_path: Path) -> None:
    server = Embedded(tmp_path / "home")
    assert server.status() == (False, None, None, ())
    assert server.stop() is False
    assert server.force_stop() == (False, False, ())
    assert not server.home.exists()


def test_binaries_are_those_of_the_package_and_do_not_import_it() -> None:
    found = binaries()
    assert {"postgres", "initdb", "pg_ctl"} <= {path.name for path in found.iterdir()}
    assert embedded_binaries.PACKAGE not in sys.modules
    said = subprocess.run([found / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    assert f" {major_of(found)}." in said


@pytest.mark.parametrize(
    ("folder", "major"), [("pginstall18", 18), ("pginstall9", 9), ("pginstall", 0), ("pginstall-x", 0), ("other", 0)]
)
def test_major_of(folder: str, major: int) -> None:
    assert major_of(Path("/p") / folder / "bin") == major


def make_package(tmp_path: Path, *majors: str) -> ModuleSpec:
    package = tmp_path / "package"
    package.mkdir()
    for major in majors:
        (package / f"pginstall{major}" / "bin").mkdir(parents=True)
        (package / f"pginstall{major}" / "bin" / "postgres").touch()
    return ModuleSpec("package", None, origin=str(package / "__init__.py"))


def test_the_newest_major_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_package(tmp_path, "", "9", "17", "18")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: spec)
    assert major_of(binaries()) == 18


@pytest.mark.parametrize(
    ("majors", "said"), [(None, "not installed"), ((), "has no PostgreSQL"), (("", "16"), "17 or newer")]
)
def test_missing_binaries_are_told(
    majors: tuple[str, ...] | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = None if majors is None else make_package(tmp_path, *majors)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: spec)
    with pytest.raises(ConfigurationError, match=said) as raised:
        binaries(Path("/h"))
    assert "DATABASE_URL" in str(raised.value)


def test_windows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_binaries, "sys", SimpleNamespace(platform="win32"))
    with pytest.raises(EmbeddedServerError, match="Windows"):
        binaries()


def test_copied_binaries_run_and_are_made_once(tmp_path: Path) -> None:
    (tmp_path / "postgresql" / "former").mkdir(parents=True)
    copy = copied_binaries(binaries(), tmp_path)
    assert subprocess.run([copy / "initdb", "--version"], check=True, capture_output=True).stdout
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in copy.parents[2].rglob("*"))
    before = (copy / "postgres").stat().st_ino
    assert copied_binaries(binaries(), tmp_path) == copy
    assert (copy / "postgres").stat().st_ino == before
    assert len(list((tmp_path / "postgresql").iterdir())) == 1


PID_FILE = "{pid}\n{data}\n1700000000\n5432\n/some/run\n\n  1234  5\n{state}\n"


@pytest.mark.parametrize("text", [None, "", "\n", "postgres\n", "-1\n", "0\n", "4194999\n/x\n", PID_FILE])
def test_a_pid_file_that_names_no_server_of_ours(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        text = text.format(pid=os.getpid(), data=tmp_path, state="ready") if text == PID_FILE else text
        (tmp_path / "postmaster.pid").write_text(text)
    assert read_postmaster(tmp_path) is None


@pytest.mark.parametrize(("state", "lines"), [("ready   ", 8), ("starting", 8), ("", 7), ("", 2)])
def test_a_pid_file_of_a_process_with_our_data_directory(state: str, lines: int, tmp_path: Path) -> None:
    program = "import sys; print('up', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, "-D", tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout
        server.stdout.readline()  # just after exec the kernel shows no command line yet
        text = PID_FILE.format(pid=server.pid, data=tmp_path, state=state)
        (tmp_path / "postmaster.pid").write_text("".join(text.splitlines(keepends=True)[:lines]))
        found = read_postmaster(tmp_path)
        assert found
        assert (found.pid, found.state) == (server.pid, state.strip())
        assert found.sockets == (Path("/some/run") if lines > 4 else tmp_path)
        assert read_postmaster(tmp_path.parent) is None
        server.communicate(b"")


def test_lock_holders_are_those_who_hold_this_file(tmp_path: Path) -> None:
    mine, other = UserLock(tmp_path / "mine"), UserLock(tmp_path / "other")
    mine.join()
    open_one = open_lock(other.path)
    assert lock_holders(mine.path) == (os.getpid(),)
    assert lock_holders(other.path) == ()
    assert lock_holders(tmp_path / "missing") == ()
    mine.leave()
    assert lock_holders(mine.path) == ()
    os.close(open_one)


def test_a_user_lock_turns_exclusive_for_the_last_only(tmp_path: Path) -> None:
    first, second = UserLock(tmp_path / "lock"), UserLock(tmp_path / "lock")
    first.join()
    second.join()
    assert first.turn_exclusive() is False
    first.leave()
    assert second.turn_exclusive() is True
    second.leave()
    assert second.turn_exclusive() is False
    assert second.joined is False


def test_release_frees_a_lock_that_a_copy_of_the_descriptor_still_has(tmp_path: Path) -> None:
    held = open_lock(tmp_path / "lock")
    assert try_exclusive(held)
    copy = os.dup(held)  # as a child has that was forked and has not run its program yet
    release(held)
    with exclusive(tmp_path / "lock"):
        os.close(copy)


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o500])
def test_only_a_directory_of_mode_0700_is_private(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    path.chmod(0o700)
    check_private(path, ME, tmp_path)
    path.chmod(mode)
    with pytest.raises(EmbeddedServerError, match=f"{mode:04o}"):
        check_private(path, ME, tmp_path)


def test_only_a_directory_of_the_account_is_private(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match="of stranger with"):
        check_private(path, ME._replace(name="stranger", uid=ME.uid + 1), tmp_path)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(EmbeddedServerError, match="file or link"):
        check_private(link, ME, tmp_path)


def test_only_missing_directories_are_made_and_given_a_mode(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir(mode=0o711)
    make_directory(there / "parent" / "home", ME)
    make_directory(there, ME)
    assert (there / "parent" / "home").stat().st_mode & 0o777 == 0o700
    assert there.stat().st_mode & 0o777 == 0o711


@pytest.mark.parametrize(
    ("text", "tail"), [(None, ""), ("", ""), ("a\nb\n", "a / b"), ("\n".join("abcdefgh"), "d / e / f / g / h")]
)
def test_log_tail(text: str | None, tail: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "log").write_text(text)
    assert log_tail(tmp_path / "log") == tail


@pytest.mark.parametrize(
    ("problem", "free", "full"),
    [
        ("FATAL: could not write: No space left on device", ROOM, True),
        ("FATAL: ended", ROOM - 1, True),
        ("FATAL: no such setting", ROOM, False),
        ("[Errno 13] Permission denied", None, False),
    ],
)
def test_a_full_disk_is_told_from_other_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str, free: int | None, full: bool
) -> None:
    def usage(_path: Path) -> SimpleNamespace:
        if free is None:
            raise PermissionError(13, "Permission denied")
        return SimpleNamespace(free=free, total=2 * ROOM)

    monkeypatch.setattr("shutil.disk_usage", usage)
    error = not_usable(tmp_path, problem, "See the log.")
    assert isinstance(error, EmbeddedServerFull) is full
    assert ("Make room" if full else "See the log.") in str(error)
    assert problem in str(error)


@pytest.mark.parametrize(("total", "flags"), [(0, 0), (2 * ROOM, os.ST_RDONLY)], ids=["no disk", "read-only"])
def test_what_has_no_room_because_it_takes_no_files_is_not_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total: int, flags: int
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=0, total=total))  # pyright: ignore
    monkeypatch.setattr("os.statvfs", lambda _path: SimpleNamespace(f_flag=flags))  # pyright: ignore
    assert not isinstance(not_usable(tmp_path, "[Errno 30] Read-only file system", ""), EmbeddedServerFull)


def test_a_process_whose_servers_folder_was_removed_can_still_fork(tmp_path: Path) -> None:
    program = """
import os, pathlib, shutil, sys
from tidegate.store.embedded_locks import UserLock

gone, kept = (pathlib.Path(sys.argv[1]) / name for name in ("gone", "kept"))
locks = []
for folder in (gone, kept):
    folder.mkdir()
    locks.append(UserLock(folder / "pg.users"))
    locks[-1].join()
shutil.rmtree(gone)
child = os.fork()
if not child:
    os._exit(0 if [lock.joined for lock in locks] == [False, True] else 1)
assert os.waitpid(child, 0)[1] == 0
assert [lock.joined for lock in locks] == [True, True]
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_of_two_that_need_the_account_one_creates_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two `useradd` at once may be told the same number, or one that the other overwrites."""
    at_work, made = [], []

    def entry(name: str) -> pwd.struct_passwd:
        if not made:
            raise KeyError(name)
        return pwd.struct_passwd((name, "x", 995, 994, "", "/nonexistent", "/bin/false"))

    def useradd(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        at_work.append(command)
        assert len(at_work) == 1
        time.sleep(0.05)
        made.append(at_work.pop())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(pwd, "getpwnam", entry)
    monkeypatch.setattr(embedded_account.subprocess, "run", useradd)
    monkeypatch.setattr(embedded_account.shutil, "which", lambda *_, **__: "/usr/sbin/useradd")
    monkeypatch.setattr(embedded_account.os, "geteuid", lambda: 0)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: embedded_account.server_account(tmp_path / f"{n}", tmp_path), range(4)))
    assert {one.uid for one in found} == {995}
    assert len(made) == 1
