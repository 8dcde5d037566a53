"""Makes the embedded server's data directory and starts the server on it; the caller holds the gate."""

import contextlib
import errno
import hashlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tidegate.errors import EmbeddedServerError, EmbeddedServerFull
from tidegate.store.embedded_account import Account, first_unreachable, private_directory, run_as
from tidegate.store.embedded_binaries import binaries, copied_binaries, major_of
from tidegate.store.embedded_process import SOCKET_NAME, log_tail

TIMEOUT = 300  # seconds: recovery after a crash replays up to max_wal_size before the server answers
LONGEST_SOCKET_PATH = 100  # bytes; the kernel's limit is 103 on macOS, 107 on Linux
NO_SPACE = os.strerror(errno.ENOSPC)
ROOM = 32_000_000  # bytes; with less PostgreSQL cannot begin another file of its log
WAL_SEGMENT = 4
"""Megabytes. While a new file of the log is filled with zeros every commit waits: with PostgreSQL's 16 for 50 ms, every
other second under load until the first ones are used again. That was all there was to the slowest webhook of a hundred.
"""
LARGEST_LOG = 10_000_000  # bytes; a larger one is set aside at the next start, one is kept


def launch(home: Path, account: Account, settings: Mapping[str, str], held: int) -> None:
    """Start the server on `home/pg`, made when missing; returns when it answers.

    `held` is the descriptor of a lock the caller took exclusively; `initdb` and every process of the server inherit it,
    so that having taken it proves that nobody killed left one of them behind. Raises EmbeddedServerError.
    """
    data = home / "pg"
    programs = _programs(home, account)
    if not (data / "PG_VERSION").exists():
        _initialise(home, account, programs, held, sync=settings.get("fsync") != "off")
    _check_major(home, major_of(programs))
    sockets = socket_directory(home, account.uid)
    private_directory(sockets, account, home)
    for leftover in (data / "postmaster.pid", sockets / SOCKET_NAME, sockets / f"{SOCKET_NAME}.lock"):
        leftover.unlink(missing_ok=True)  # its pid may be an innocent's by now, at which PostgreSQL would give up
    log = data / "server.log"
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(data / "server.log.1")
    quoted = '"' + str(sockets).replace('"', '""') + '"'  # else a comma would separate two directories
    all_settings = {**settings, "unix_socket_directories": quoted}
    options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in all_settings.items())
    command = ["-D", data, "-w", "-t", TIMEOUT, "-l", log, "-o", options, "start"]
    done = run_as(account, [str(programs / "pg_ctl"), *map(str, command)], pass_fds=(held,))
    if done.returncode:
        problem = f"it did not start: {log_tail(log) or done.stdout.strip()}"
        raise not_usable(home, problem, f"See {log}.")


def not_usable(home: Path, problem: str, remedy: str) -> EmbeddedServerError:
    """The error for a server that cannot be used; EmbeddedServerFull when its disk is full."""
    kind = EmbeddedServerFull if NO_SPACE in problem or is_full(home) else EmbeddedServerError
    return kind(home=home, problem=problem, remedy=remedy)


def is_full(home: Path) -> bool:
    """Whether the home's disk has no room for another file of the server's log; false where it cannot be told,
    and where no room is not the trouble: what only shows files (/proc, a read-only image) has none either.
    """
    try:
        there = next(path for path in (home, *home.parents) if path.exists())
        usage = shutil.disk_usage(there)
        return usage.total > 0 and usage.free < ROOM and not os.statvfs(there).f_flag & os.ST_RDONLY
    except OSError:  # this account may not look there, which is then the trouble
        return False


def socket_directory(home: Path, uid: int) -> Path:
    """Where that account's server listens: `home/run`, or a directory in the temporary one when that is too long."""
    name = f"tidegate-{uid}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"
    places = (home / "run", Path(tempfile.gettempdir()) / name, Path("/tmp") / name)
    return next(path for path in places if len(os.fsencode(path / SOCKET_NAME)) <= LONGEST_SOCKET_PATH)


def _programs(home: Path, account: Account) -> Path:
    found = binaries(home)
    wanted = (found / "postgres", found.parent / "share", found.parent / "lib")
    if account.switch and first_unreachable(account, wanted):
        return copied_binaries(found, home)
    return found


def _initialise(home: Path, account: Account, programs: Path, held: int, sync: bool) -> None:
    """Make the data directory, under another name until it is whole: a process may be killed half way."""
    draft = home / "pg.new"
    shutil.rmtree(draft, ignore_errors=True)
    private_directory(draft, account, home)
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-instructions"]
    options += [f"--wal-segsize={WAL_SEGMENT}"]
    options += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if not sync:
        options.append("--no-sync")
    done = run_as(account, [str(programs / "initdb"), "-D", str(draft), *options], pass_fds=(held,))
    if done.returncode:
        said = done.stdout.strip().splitlines()
        reasons = [line for line in said if "FATAL:" in line or "error:" in line]
        problem = f"initdb failed: {' '.join(reasons or said[-3:])}."
        raise not_usable(home, problem, "Mend that and try again.")
    with contextlib.suppress(FileNotFoundError):
        (home / "pg").rmdir()
    draft.rename(home / "pg")


def _check_major(home: Path, ours: int) -> None:
    data = home / "pg"
    found = (data / "PG_VERSION").read_text().strip()
    if found != str(ours):
        problem = f"{data} was written by PostgreSQL {found}, this program brings {ours}."
        aside = home / f"pg-{found}"
        remedy = (
            f"Start it with PostgreSQL {found}, or the Tidegate that wrote it, and run PostgreSQL's "
            f"`pg_dump -Fc -f FILE tidegate`. Then move the directory away (`mv {data} {aside}`), start this Tidegate "
            "once, and run `pg_restore --clean --if-exists -d tidegate FILE`. Or import again: Stripe has all of it."
        )
        raise EmbeddedServerError(home=home, problem=problem, remedy=remedy)
