"""Runs `python …` as a fork of a process that has all of Tidegate imported: no test waits for an interpreter to start.

A new interpreter takes a second to import what a command needs, a fork of one that has it takes milliseconds. The
child is a process as a person starts one: its arguments, environment, folder and standard streams are its own,
`__main__` is run as `python -m` does, and it ends as an interpreter ends, by exit handlers and with its exit code.
Only what is decided while modules are imported is the parent's; `DECIDED` names the variables on which that depends.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FIXED = {"PYTHONWARNINGS": "error"}
"""With these the parent is started; a child that wants others cannot be had."""
DECIDED = ("PYTHON", "LC_", "LANG", "TZ", "TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PY_COLORS")
"""How the names of variables begin that the interpreter, or a module at import, reads."""
LEFT_OUT = ("tidegate.api", "tidegate.web", "tidegate.store.migrations")
"""Packages that no short command imports."""
MESSAGE = 1 << 17


class Forked:
    """A child that runs, as far as tests use `subprocess.Popen`."""

    def __init__(self, told: socket.socket, arguments: list[str]) -> None:
        self._told = told
        self.args = arguments
        self.returncode: int | None = None
        self.pid = int(self._hear(60))  # the first one waits for the parent to load the program

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, or minus the signal that ended it. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            try:
                self.returncode = int(self._hear(timeout))
            except TimeoutError:
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._told.close()
        return self.returncode

    def poll(self) -> int | None:
        """The exit code if it has ended."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _hear(self, timeout: float | None) -> bytes:
        self._told.settimeout(timeout)
        try:
            said = self._told.recv(64)
        except BlockingIOError:  # a timeout of 0
            raise TimeoutError from None
        assert said, f"the parent of {self.args} died"
        return said


def start(
    arguments: list[str], environment: Mapping[str, str], *, stdin: int, stdout: int = 1, stderr: int = 2
) -> Forked:
    """Starts `python` with these arguments (`-m module …` or `-c code …`) in this environment, which replaces ours.

    The streams are descriptors; without one, stdout and stderr are ours.
    """
    decided = {name: value for name, value in environment.items() if name.startswith(DECIDED)}
    assert decided == FIXED, f"{decided} is decided before the fork: start an interpreter for it"
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wanted = json.dumps({"arguments": arguments, "environment": dict(environment), "folder": str(Path.cwd())})
    with theirs:
        socket.send_fds(_parent(), [wanted.encode()], [theirs.fileno(), stdin, stdout, stderr])
    return Forked(ours, arguments)


def run(
    arguments: list[str], environment: Mapping[str, str], *, given: str = "", seconds: float = 60
) -> tuple[int, str, str]:
    """Runs it to its end, with this text on stdin: the exit code, stdout, stderr."""
    with (
        tempfile.TemporaryFile("w+") as stdin,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        stdin.write(given)
        stdin.seek(0)
        child = start(arguments, environment, stdin=stdin.fileno(), stdout=out.fileno(), stderr=err.fileno())
        try:
            code = child.wait(seconds)
        finally:
            child.kill()
            child.wait(20)
        out.seek(0)
        err.seek(0)
        return code, out.read(), err.read()


@functools.cache
def _parent() -> socket.socket:
    """Where this process's parent of children is asked. It ends when this process does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        program = f"from tests.support.forking import serve; serve({theirs.fileno()})"
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            env={"PATH": os.environ["PATH"], **FIXED},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
            process_group=0,  # Ctrl-C is for the tests
        )

    def end() -> None:
        ours.close()
        process.wait(20)

    atexit.register(end)
    return ours


def serve(number: int) -> None:
    """The parent: forks a child for each message until nobody can ask any more. One thread, no connections."""
    import tidegate
    from tidegate.cli import tree

    for module in pkgutil.walk_packages(tidegate.__path__, "tidegate."):
        if not module.name.endswith(".__main__") and not module.name.startswith(LEFT_OUT):
            importlib.import_module(module.name)
    tree()
    assert threading.active_count() == len(os.listdir("/proc/self/task")) == 1, "a fork keeps one thread only"
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    asked = socket.socket(fileno=number)
    message, fds, _, _ = socket.recv_fds(asked, MESSAGE, 4)
    while message and os.fork():
        for fd in fds:
            os.close(fd)
        message, fds, _, _ = socket.recv_fds(asked, MESSAGE, 4)
    asked.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if not message:
        return
    if not _mind_child(fds):
        os._exit(0)
    _run(json.loads(message))


def _mind_child(fds: list[int]) -> bool:
    """Forks once more, and says whether this is the child. The other one tells its pid, and then how it ended."""
    told, *streams = fds
    child = os.fork()
    if child == 0:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
    for fd in streams if child else fds:
        os.close(fd)
    if child == 0:
        return True
    with suppress(BrokenPipeError):  # nobody wants to know
        os.write(told, b"%d" % child)
        os.write(told, b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return False


def _run(wanted: dict[str, Any]) -> None:
    """Is what `python` would be with these arguments. Returns, or raises, where `__main__` ends."""
    os.environ.clear()
    os.environ.update(wanted["environment"])
    os.chdir(wanted["folder"])
    how, what, *arguments = wanted["arguments"]
    sys.argv = [how, *arguments]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
