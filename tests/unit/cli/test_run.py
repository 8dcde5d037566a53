"""How errors leave the program: one line or one JSON document, and the exit code of the error."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from tidegate import __version__
from tidegate.cli import app
from tidegate.cli.lost import lost
from tidegate.cli.run import failure_of, wants_json
from tidegate.errors import (
    ConnectionMissing,
    DatabaseUnreachable,
    ImportIncomplete,
    ImportRunning,
    StripeAccessRevoked,
    StripeKeyInvalid,
    StripeModeWrong,
    StripeUnreachable,
    UsageError,
)
from tidegate.settings import Settings

REFUSED = {"status": 401, "endpoint": "GET /v1/account", "message": "no", "request_id": "req_1", "code": "", "tries": 1}
HEAVY = (
    "sqlalchemy",
    "stripe",
    "fastapi",
    "pyarrow",
    "procrastinate",
    "pydantic",
    "psycopg",
    "rich",
    "msgspec",
    "httpx",
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError(problem="x"), 2),
        (ConnectionMissing(), 2),
        (ImportIncomplete(connection="c", problem="x"), 1),
        (ImportRunning(connection="c"), 1),
        (DatabaseUnreachable(url="u", problem="x"), 3),
        (StripeUnreachable(endpoint="e", problem="x", tries=1), 3),
        (StripeKeyInvalid(**REFUSED), 3),
        (StripeAccessRevoked(**REFUSED), 3),
        (StripeModeWrong(endpoint="e", what="x", found="test", wanted="live"), 2),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("x"), 1),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, BaseException) else str(one),
)
def test_an_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert failure_of(error).code == code


def test_an_error_of_ours_is_told_in_its_own_words() -> None:
    assert failure_of(UsageError(problem="Do this.")) == ("UsageError", "Do this.", 2)


def test_an_unforeseen_error_says_what_it_is_and_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    failure = failure_of(ZeroDivisionError("division\nby zero"))
    assert failure.type == "ZeroDivisionError"
    assert "division by zero" in failure.message
    assert "TIDEGATE_LOG_LEVEL=DEBUG" in failure.message
    assert "\n" not in failure.message
    assert capsys.readouterr().err == ""


LOST = OperationalError("select 1", {}, Exception("server closed.\nWhy?"), connection_invalidated=True)


@pytest.mark.parametrize(
    ("url", "kind"), [("postgresql://127.0.0.1:1/x", "DatabaseUnreachable"), ("", "EmbeddedServerLost")]
)
def test_a_lost_database_is_out_of_reach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, kind: str) -> None:
    given = Settings(home=tmp_path, database_url=url)  # pyright: ignore[reportCallIssue]
    monkeypatch.setattr("tidegate.settings.settings", lambda: given)
    assert failure_of(LOST)[::2] == (kind, 3)


@pytest.mark.parametrize(
    ("problem", "log"),
    [
        ("could not extend file: No space left on device", ""),
        ("server closed", "PANIC:  could not write to file: No space left on device\nserver process was terminated"),
    ],
)
def test_a_full_disk_of_the_embedded_database_is_named(tmp_path: Path, problem: str, log: str) -> None:
    (tmp_path / "pg").mkdir()
    (tmp_path / "pg/server.log").write_text(log)
    told = str(lost(Settings(home=tmp_path, database_url=""), problem))  # pyright: ignore[reportCallIssue]
    assert "Its disk is full: make room." in told
    assert str(tmp_path) in told


def test_the_version_is_told() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.stdout) == (0, f"tidegate {__version__}\n")


def test_a_wrong_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_PORT", "s3cret")
    with pytest.raises(ValueError, match="validation error") as raised:
        Settings()
    failure = failure_of(raised.value)
    assert (failure.type, failure.code) == ("ConfigurationError", 2)
    assert "TIDEGATE_PORT" in failure.message
    assert "s3cret" not in failure.message


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [(["status", "--json"], True), (["status"], False), (["sql", "--", "--json"], False), ([], False)],
)
def test_json_is_asked_for_by_an_option_only(arguments: list[str], wanted: bool) -> None:
    assert wants_json(arguments) is wanted


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["import", "--nonsense"], ["export"], ["sandbox", "--port", "x"], ["tokens", "revoke", "x"]],
)
def test_wrong_usage_ends_with_2_and_says_so_in_the_form_asked_for(arguments: list[str]) -> None:
    plain = CliRunner().invoke(app, arguments)
    assert (plain.exit_code, plain.stdout) == (2, "")
    assert plain.stderr
    as_json = CliRunner().invoke(app, [*arguments, "--json"])
    assert as_json.exit_code == 2
    assert json.loads(as_json.stdout)["error"]["type"] == "UsageError"


def test_an_error_of_a_command_goes_to_stderr_and_with_json_to_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ConnectionMissing()

    monkeypatch.setattr("tidegate.cli.hub.configured", fail)
    plain = CliRunner().invoke(app, ["stop"])
    assert (plain.exit_code, plain.stdout) == (2, "")
    assert plain.stderr == f"error: {ConnectionMissing()}\n"
    with_json = CliRunner().invoke(app, ["stop", "--json"])
    assert (with_json.exit_code, with_json.stderr) == (2, "")
    error = {"type": "ConnectionMissing", "message": str(ConnectionMissing())}
    assert json.loads(with_json.stdout) == {"error": error}


def test_the_help_is_light() -> None:
    """`import tidegate.cli` loads nothing heavy, so that `tidegate --help` answers at once."""
    code = f"import sys, tidegate.cli; print([one for one in {HEAVY!r} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("place", ["tidegate.cli", "tidegate.cli.sync"])
def test_ctrl_c_while_commands_are_loaded_shows_no_traceback(place: str) -> None:
    code = f"""
import builtins, signal
load = builtins.__import__

def interrupted(name, *rest):
    if name == {place!r} or (name == "tidegate.cli" and {place!r} in [f"{{name}}.{{one}}" for one in rest[2] or ()]):
        signal.raise_signal(signal.SIGINT)
    return load(name, *rest)

from tidegate.__main__ import main
builtins.__import__ = interrupted
main()"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
