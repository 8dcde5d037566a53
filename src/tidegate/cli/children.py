"""Programs of ours that a command runs beside itself, and ends with itself."""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tidegate.errors import ConfigurationError

PATIENCE = 30.0
"""Seconds for a child to end after SIGTERM, before it is killed."""

Child = subprocess.Popen[str]


@contextmanager
def tied(
    arguments: Sequence[str], environment: Mapping[str, str], *, keep: Sequence[int] = (), stdout: int = subprocess.PIPE
) -> Generator[Child]:
    """Runs `tidegate ARGUMENTS`, a command with `--parent-pipe`, until the block ends or this process is killed.

    Ctrl-C does not reach it, so that it ends in order. `keep` are descriptors that it inherits.
    """
    theirs, ours = os.pipe()
    try:
        told = [*arguments, "--parent-pipe", str(theirs)]
        with _run(told, environment, [theirs, *keep], stdout) as child:
            yield child
    finally:
        os.close(ours)
        os.close(theirs)


@contextmanager
def _run(
    arguments: Sequence[str], environment: Mapping[str, str], keep: Sequence[int], stdout: int
) -> Generator[Child]:
    child = subprocess.Popen(
        [sys.executable, "-m", "tidegate", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        pass_fds=keep,
        start_new_session=True,
        text=True,
    )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout:
            child.stdout.close()


def first_document(child: Child, what: str) -> dict[str, Any]:
    """The JSON document that a child prints when it is ready. Raises ConfigurationError when it ends before."""
    assert child.stdout
    lines: list[str] = []
    for line in child.stdout:
        lines.append(line)
        if line == "}\n":
            return json.loads("".join(lines))
    raise ConfigurationError(problem=f"{what} did not start (exit code {child.wait()}); its words are above.")
