"""A process that uses the embedded server, `embedded_user.py HOME`: each line it reads is answered by one of JSON.

With DURABLE in its environment the server writes through to the disk.
"""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tidegate.errors import EmbeddedServerError
from tidegate.store.embedded import Embedded, exit_on_signals

SMALL = {"shared_buffers": "16MB", "max_wal_size": "100MB"}
FAST = SMALL | {"fsync": "off"}


def answer(value: Any) -> None:
    print(json.dumps(value), flush=True)  # noqa: T201


def sql(server: Embedded, statement: str) -> Any:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        cursor = connection.execute(statement)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else None


def forked(server: Embedded) -> dict[str, bool]:
    """What the parent's and its child's `stop` say, the parent's coming first; and whether the server outlives both."""
    (child_reads, parent_writes), (parent_reads, child_writes) = os.pipe(), os.pipe()
    if os.fork() == 0:
        os.read(child_reads, 1)
        os.write(child_writes, b"1" if server.stop() else b"0")
        os._exit(0)
    parent_was_last = server.stop()
    running_for_child = server.status().running
    os.write(parent_writes, b"!")
    child_was_last = os.read(parent_reads, 1) == b"1"
    os.wait()
    return {"parent": parent_was_last, "running": running_for_child, "child": child_was_last}


def child_exits(server: Embedded) -> bool:
    """Whether the server still runs after a forked child ended as a program does, exit handlers included."""
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
    sql(server, "SELECT 1")
    return server.status().running


def main() -> None:
    # Ignored where the tests run in the background of a script, or under nohup.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    exit_on_signals()
    server = Embedded(Path(sys.argv[1]), SMALL if "DURABLE" in os.environ else FAST)
    commands: dict[str, Callable[[str], Any]] = {
        "start": lambda _: server.start().status().pid,
        "stop": lambda _: server.stop(),
        "status": lambda _: server.status()._asdict(),
        "url": lambda _: server.url(),
        "uid": lambda _: os.stat(server.data).st_uid,
        "sql": lambda statement: sql(server, statement),
        "forked": lambda _: forked(server),
        "child_exits": lambda _: child_exits(server),
        "force_stop": lambda force: server.force_stop(force == "force")._asdict(),
    }
    for line in sys.stdin:
        name, _, argument = line.strip().partition(" ")
        try:
            answer(commands[name](argument))
        except EmbeddedServerError as error:
            answer({"error": str(error)})


with contextlib.suppress(BrokenPipeError):
    main()
