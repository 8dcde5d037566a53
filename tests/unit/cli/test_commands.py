"""What commands decide without a database: exit codes of a status, secrets from options, the ending of an import."""

import io
from typing import Any

import pytest
from typer.testing import CliRunner

from tidegate.cli import app
from tidegate.cli.connect import secret_of
from tidegate.cli.import_ import COUNTS, _ending, print_summary
from tidegate.cli.status import _print_problems, exit_code
from tidegate.errors import UsageError

KEY = "sk_test_0123456789abcdef"


def found(*problems: tuple[str, str], connected: str = "ab") -> dict[str, Any]:
    """A status of the connections a and b with these (connection, code); `connected`: those that have a key."""
    return {
        "connections": [{"name": name, "connected": name in connected} for name in "ab"],
        "problems": [{"connection": name, "code": code} for name, code in problems],
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (found(), 0),
        (found(("a", "inbox_parked")), 1),
        (found(("a", "unreachable")), 1),
        (found(("a", "unreachable"), ("b", "key_invalid")), 3),
        (found(("a", "unreachable"), ("b", "behind")), 1),
        (found(("a", "oauth_revoked"), ("b", "key_invalid")), 3),
        (found(("a", "unreachable"), connected="a"), 3),
        (found(("", "no_worker"), ("a", "unreachable"), ("b", "unreachable")), 3),
        (found(("", "disk_low"), connected=""), 1),
    ],
)
def test_the_exit_code_of_a_status(status: dict[str, Any], code: int) -> None:
    assert exit_code(status) == code


def test_secrets_come_from_lines_of_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\nwhsec_1\n"))
    assert secret_of("--api-key", "-") == KEY
    assert secret_of("--webhook-secret", "-") == "whsec_1"
    with pytest.raises(UsageError, match="stdin"):
        secret_of("--webhook-secret", "-")
    assert capsys.readouterr().err == ""


def test_asecret_of_on_the_command_line_works_with_a_warning_that_does_not_repeat_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert secret_of("--api-key", KEY) == KEY
    warning = capsys.readouterr().err
    assert "--api-key -" in warning
    assert KEY not in warning


def test_without_a_key_and_without_a_terminal_connect_says_how_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    done = CliRunner().invoke(app, ["connect"], input="")
    assert done.exit_code == 2
    assert "STRIPE_API_KEY" in done.stderr


@pytest.mark.parametrize(
    ("state", "stored", "words"),
    [
        ("done", 0, "nothing new"),
        ("done", 7, "7 stored of 10 objects"),
        ("interrupted", 7, "goes on from there"),
        ("incomplete", 7, "incomplete"),
    ],
)
def test_the_ending_of_an_import(state: str, stored: int, words: str) -> None:
    counts = {"products": {"read": 10, "stored": stored}}
    summary = {"connection": "c", "state": state, "seconds": 1, "pages": 1, "resumed": False, "resources": counts}
    assert words in _ending(summary)


def test_a_summary_leaves_out_what_is_zero_everywhere_and_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    counts: dict[str, Any] = dict.fromkeys(COUNTS, 0) | {"read": 2, "stored": 1, "deleted": 1, "skipped": {}}
    summary: dict[str, Any] = {
        "connection": "a", "state": "done", "seconds": 1.0, "pages": 1, "resumed": False, "problems": {},
        "left_out": {},
        "resources": {"subscriptions": counts | {"children": {"subscription_items": 7}}},
    }  # fmt: skip
    print_summary(summary)
    out = capsys.readouterr().out
    assert out.split("\n")[0].split() == ["resource", "read", "stored", "unchanged", "deleted"]
    assert "subscription_items: read and stored with their parents." in out
    assert max(map(len, out.splitlines())) <= 80


def test_permissions_that_lack_are_one_problem_to_read(capsys: pytest.CaptureFixture[str]) -> None:
    problem: dict[str, Any] = {"since": "2026-09-01T12:30:00Z", "remedy": "Allow it."}
    found = [
        problem | {"code": "permission_missing", "subject": "GET /v1/charges", "detail": "It may not read charges."},
        problem | {"code": "behind", "subject": "", "detail": "An hour."},
        problem | {"code": "permission_missing", "subject": "GET /v1/quotes", "detail": "It may not read quotes."},
    ]
    _print_problems(found)
    assert capsys.readouterr().out.splitlines() == [
        "PROBLEM permission_missing GET /v1/charges since 2026-09-01 12:30 UTC: It may not read charges.",
        "        Nor may it read GET /v1/quotes.",
        "        Allow it.",
        "PROBLEM behind since 2026-09-01 12:30 UTC: An hour.",
        "        Allow it.",
    ]
