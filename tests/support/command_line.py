"""Runs `tidegate` as a person does: a process, an exit code, one JSON document on stdout."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from tests.support import forking
from typer.testing import CliRunner

from tidegate.cli import app
from tidegate.sandbox import Sandbox
from tidegate.wiring import Hub

KEY = "sk_test_51TidegateSandboxOpenKey00000000"
"""The key that every sandbox takes."""


def in_process(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs commands in this process, on a hub that is open already; gives what each prints."""

    @contextmanager
    def opened(**_: Any) -> Iterator[Hub]:
        yield hub

    monkeypatch.setattr("tidegate.cli.hub.opened", opened)

    def call(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, [*words])
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout

    return call


class Cli:
    """Runs `tidegate` in an environment of its own."""

    def __init__(self, home: Path, database_url: str) -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONWARNINGS": "error",
            "TIDEGATE_HOME": str(home),
            "DATABASE_URL": database_url,
            "TIDEGATE_SECRET_KEY": Fernet.generate_key().decode(),
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Starts it in an interpreter of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "tidegate", *arguments],
            env=self.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(
        self, *arguments: str, code: int = 0, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs it to its end, as a fork (`forking`)."""
        command = ["-m", "tidegate", *arguments]
        ended, out, err = forking.run(command, self.environment | environment, given=stdin)
        assert ended == code, f"{arguments} ended with {ended}: {err}{out}"
        assert "Traceback" not in err
        return subprocess.CompletedProcess(arguments, code, out, err)

    def json(self, *arguments: str, code: int = 0, **more: str) -> dict[str, Any]:
        """The document on stdout; anything else there is an error."""
        return json.loads(self(*arguments, "--json", code=code, **more).stdout)

    def connect(self, sandbox: Sandbox, name: str = "test", key: str = KEY) -> dict[str, Any]:
        return self.json(
            "connect", "--api-key", "-", "--api-base", sandbox.url, "--name", name, "--rate", "0", stdin=key
        )
