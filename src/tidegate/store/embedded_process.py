"""Recognises the embedded server's processes: by its pid file, by what they run, and by the locks they hold."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

SOCKET_NAME = ".s.PGSQL.5432"


class Postmaster(NamedTuple):
    """The server's main process as its pid file and the kernel tell it."""

    pid: int
    sockets: Path
    state: str  # "starting", "ready", "stopping", "standby", or "" while the file is being written


def read_postmaster(data: Path) -> Postmaster | None:
    """The process that serves `data`; None when there is none, whatever a leftover pid file says."""
    try:
        lines = (data / "postmaster.pid").read_text(errors="replace").splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    if pid <= 0 or not _serves(pid, data):
        return None
    sockets = Path(lines[4]) if len(lines) > 4 else data
    return Postmaster(pid, sockets, lines[7].strip() if len(lines) > 7 else "")


def _serves(pid: int, data: Path) -> bool:
    """Whether the process carries the data directory in its command line: pids are given to strangers after a crash."""
    if Path("/proc/self/cmdline").exists():
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return os.fsencode(data) in arguments
    shown = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], check=False, capture_output=True, text=True)
    return f" {data}" in shown.stdout


def lock_holders(path: Path) -> tuple[int, ...]:
    """The processes that hold a `flock` on the file, as far as this system tells (Linux; elsewhere none are listed)."""
    locks = Path("/proc/locks")
    if not locks.exists() or not path.exists():
        return ()
    inode = str(path.stat().st_ino)
    rows = (line.split() for line in locks.read_text().splitlines())
    pids = {int(row[4]) for row in rows if row[1] == "FLOCK" and row[5].rpartition(":")[2] == inode}
    return tuple(pid for pid in sorted(pids) if _has_open(pid, path))


def _has_open(pid: int, path: Path) -> bool:
    """Whether the process has the file open: the inode number alone may be another file system's."""
    try:
        links = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it has ended, or it is another account's and so no user of ours
        return False
    return any(_leads_to(link, path) for link in links)


def _leads_to(link: Path, path: Path) -> bool:
    try:
        return link.readlink() == path
    except OSError:  # closed meanwhile
        return False


def log_tail(log: Path, lines: int = 5) -> str:
    """The last lines of the server's log, for an error message; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4000))
            return " / ".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
