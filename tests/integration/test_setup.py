"""`tidegate setup`: from a key to contacts with entitlements, all questions answered by options.

What is connected already keeps its rate, and here that is none: one test begins with nothing, at the pace of Stripe.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.command_line import KEY, Cli

from tidegate.sandbox import Sandbox
from tidegate.sandbox.keys import Key

Make = Callable[..., Sandbox]


@pytest.fixture
def cli(tmp_path: Path, fresh_database_url: str) -> Cli:
    return Cli(tmp_path, fresh_database_url)


def set_up(cli: Cli, sandbox: Sandbox, *options: str, key: str = KEY, code: int = 0) -> dict[str, Any]:
    return cli.json("setup", "--api-key", "-", "--api-base", sandbox.url, *options, stdin=key, code=code)


@pytest.mark.wide
def test_everything_is_set_up_when_all_is_agreed_to(cli: Cli, make_sandbox: Make, tmp_path: Path) -> None:
    sandbox, file = make_sandbox(customers=20, months=3), tmp_path / "tidegate.yaml"
    said = ("--set", "metadata_keys=workspace_id", "--set", "create_missing=true", "--write", str(file))
    cli.connect(sandbox)
    done = set_up(cli, sandbox, "--yes", *said)
    assert done["connection"] == "test"
    assert done["found"]["subscriptions"] > 0
    assert done["suggestions"]
    assert len(done["accepted"]["accepted"]) == len(done["suggestions"])
    assert done["contacts"]["done"]
    assert done["import"]["state"] == "done"
    assert done["result"]["linked"] > 0
    assert "packages:" in file.read_text()
    answer = cli.json("entitlements", done["result"]["example"])
    assert answer["packages"]
    assert done["alert_route"] is None
    cli("destinations", "add", "ops", "files", "--set", f"path={tmp_path}")
    again = set_up(cli, sandbox, "--yes", "--alert-route", "ops", *said)
    assert again["alert_route"] == "ops"
    assert again["suggestions"] == []
    assert again["result"] == done["result"]
    assert again["refreshed"]["grants"] == 0


@pytest.mark.wide
def test_without_a_terminal_nothing_is_agreed_to_that_was_not_said(cli: Cli, make_sandbox: Make) -> None:
    sandbox = make_sandbox(customers=10, months=2)
    done = set_up(cli, sandbox, "--set", "create_missing=true")
    assert done["accepted"] is None
    result = done["result"]
    assert (result["contacts"], result["linked"]) == (0, 0)
    assert result["in_review"] > 0
    assert result["unmapped"] > 0
    assert cli.json("mappings", "list")["mappings"] == []


@pytest.mark.wide
def test_a_key_that_may_not_read_all_is_told_and_the_rest_set_up(cli: Cli, make_sandbox: Make) -> None:
    sandbox = make_sandbox(customers=10, months=2)
    cli.connect(sandbox)
    names = [name for name in sandbox.state.collections if name != "disputes"]
    key = Key("rk_test_51TidegateNoDisputes", dict.fromkeys([*names, "account", "accounts", "events"], "read"))
    sandbox.call(lambda: sandbox.server and sandbox.server.keys.add(key))
    done = set_up(cli, sandbox, "--yes", "--set", "create_missing=true", key=key.secret)
    refused = [one["endpoint"] for one in done["permissions"] if one["allowed"] is False]
    assert refused == ["GET /v1/disputes"]
    assert done["result"]["linked"] > 0


def test_a_wrong_key_ends_it_with_nothing_stored(cli: Cli, make_sandbox: Make) -> None:
    sandbox = make_sandbox(customers=2, months=1)
    cli("setup", "--api-key", "-", "--api-base", sandbox.url, "--yes", stdin="sk_test_wrong", code=3)
    assert cli.json("status")["connections"] == []
