"""Says which operating-system account runs the embedded server, and whether that account can reach what it needs."""

import contextlib
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tidegate.errors import EmbeddedServerError
from tidegate.store.embedded_locks import exclusive

ACCOUNT = "tidegate"
ACCOUNTS = Path("/etc")  # what is locked while the account is created: useradd writes its files there
OTHER_HOME = "Choose another TIDEGATE_HOME"
CLEAN_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class Account(NamedTuple):
    """Who runs the server: `switch` is true when this process is root and must become that account to do so."""

    name: str
    uid: int
    gid: int
    switch: bool


def server_account(data: Path, home: Path) -> Account:
    """This process's own account; as root the owner of the data directory, or on first use the account `tidegate`.

    PostgreSQL refuses to run as root. The account and a group of its own are created when missing.
    Raises EmbeddedServerError when it cannot be created, or the data directory belongs to root or to somebody else.
    """
    uid = os.geteuid()
    owner = data.stat().st_uid if data.exists() else None
    if uid != 0:
        if owner not in (None, uid):
            problem = f"{data} belongs to {account_name(owner or 0)}, this process runs as {account_name(uid)}."
            raise EmbeddedServerError(home=home, problem=problem, remedy=f"{OTHER_HOME}, or run as that account.")
        return Account(account_name(uid), uid, os.getegid(), switch=False)
    if owner == 0:
        problem = f"{data} belongs to root, and PostgreSQL does not run as root."
        raise EmbeddedServerError(home=home, problem=problem, remedy=f"Run `chown -R {ACCOUNT}: {data}`.")
    if owner is None:
        entry = _dedicated_account(home)
        return Account(ACCOUNT, entry.pw_uid, entry.pw_gid, switch=True)
    return Account(account_name(owner), owner, data.stat().st_gid, switch=True)


def account_name(uid: int) -> str:
    """The account's name, or `uid 1234` when it has none (as in some containers)."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _dedicated_account(home: Path) -> pwd.struct_passwd:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(ACCOUNT)
    # One process at a time: of two that run useradd at once, each may be told a number that the other then overwrites.
    with exclusive(ACCOUNTS):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(ACCOUNT)
        return _created_account(home)


def _created_account(home: Path) -> pwd.struct_passwd:
    useradd = shutil.which("useradd", path=CLEAN_ENVIRONMENT["PATH"])
    if useradd is None:
        problem = f"it needs the account {ACCOUNT}, and the command useradd is missing."
        raise EmbeddedServerError(home=home, problem=problem, remedy="Create the account, or run as an ordinary user.")
    options = ("--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/false")
    made = subprocess.run(
        [useradd, *options, ACCOUNT], check=False, capture_output=True, text=True, env=CLEAN_ENVIRONMENT
    )
    try:
        return pwd.getpwnam(ACCOUNT)  # also right when somebody else created it meanwhile
    except KeyError:
        problem = f"the account {ACCOUNT} could not be created: {made.stderr.strip()}."
        remedy = "Create the account and a group of its own, or run as an ordinary user."
        raise EmbeddedServerError(home=home, problem=problem, remedy=remedy) from None


def run_as(account: Account, command: list[str], pass_fds: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a program as the account: no terminal, a session of its own, a clean environment, files for its eyes only."""
    return subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",
        env=CLEAN_ENVIRONMENT,
        umask=0o077,
        start_new_session=True,
        pass_fds=pass_fds,
        user=account.uid if account.switch else None,
        group=account.gid if account.switch else None,
        extra_groups=[] if account.switch else None,
    )


def first_unreachable(account: Account, wanted: Iterable[Path]) -> Path | None:
    """The first path the account may not look into or run, parents before children; None when it can reach them all.

    Asked of the kernel by a process of that account, so access lists and mount options count too.
    """
    paths = [str(path) for each in wanted for path in (*reversed(each.parents), each)]
    check = 'for path; do test -x "$path" || { printf %s "$path"; exit 1; }; done'
    asked = run_as(account, ["/bin/sh", "-c", check, "sh", *dict.fromkeys(paths)])
    return Path(asked.stdout) if asked.returncode else None


def make_directory(path: Path, account: Account) -> None:
    """Make a directory (0700) and missing parents, as root passable for everyone; existing ones stay as they are."""
    for missing in [parent for parent in reversed((path, *path.parents)) if not parent.exists()]:
        with contextlib.suppress(FileExistsError):  # another process made it meanwhile, and gave it its mode
            missing.mkdir()
            if account.switch:
                missing.chmod(0o755)
            elif missing == path:
                missing.chmod(0o700)


def private_directory(path: Path, account: Account, home: Path) -> None:
    """Make the directory for the account alone (0700), or check the one that is there."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
        if account.switch:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
    check_private(path, account, home)


def check_private(path: Path, account: Account, home: Path) -> None:
    """Raise EmbeddedServerError unless the path is a directory of that account with mode 0700.

    Anybody can put one into a shared temporary folder first, and would then answer in the server's place.
    """
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or found.st_mode & 0o777 != 0o700:
        kind = "directory" if stat.S_ISDIR(found.st_mode) else "file or link"
        problem = (
            f"{path} must be a directory of {account.name} with mode 0700; it is a {kind} of "
            f"{account_name(found.st_uid)} with mode {found.st_mode & 0o777:04o}."
        )
        raise EmbeddedServerError(home=home, problem=problem, remedy=f"Remove it if it is yours. {OTHER_HOME} if not.")
