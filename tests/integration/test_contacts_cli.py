"""`tidegate contacts` as a person runs it, on an account that was imported from a simulated Stripe."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_cli import Cli

from tidegate.sandbox import Sandbox

Make = Callable[..., Sandbox]


@pytest.fixture
def cli(tmp_path: Path, fresh_database_url: str) -> Cli:
    return Cli(tmp_path, fresh_database_url)


def imported(cli: Cli, sandbox: Sandbox) -> list[dict[str, Any]]:
    """The customers with an e-mail address that wait for a review after an import."""
    cli.connect(sandbox)
    cli("import", "--json")
    cli("refresh")
    waiting = cli.json("contacts", "review", "list")
    assert waiting["waiting"]["no_match"] == len(waiting["customers"]) > 4
    assert any(one["list_value"] for one in waiting["customers"])
    return [one for one in waiting["customers"] if one["email"]]


@pytest.mark.wide
def test_waiting_customers_are_accepted_and_put_back(cli: Cli, make_sandbox: Make) -> None:
    first, second, *_ = imported(cli, make_sandbox(customers=12, months=2))
    assert first["customer"] in cli("contacts", "review", "list").stdout
    done = cli.json("contacts", "review", "accept", first["customer"], second["customer"])
    assert (done["linked"], done["created"]) == (2, 2)
    undone = cli.json("contacts", "review", "undo", str(done["batch"]))
    assert (undone["unlinked"], undone["removed"]) == (2, 2)
    assert "takes it back" in cli("contacts", "review", "accept", "--all").stdout
    assert "Waiting: nobody" in cli("contacts", "review", "list").stdout


@pytest.mark.wide
def test_contacts_are_renamed_linked_and_merged(cli: Cli, make_sandbox: Make) -> None:
    first, second, *_ = imported(cli, make_sandbox(customers=12, months=2))
    made = cli.json("contacts", "review", "accept", first["customer"], second["customer"])["contacts"]
    one, other = made
    assert cli.json("contacts", "rename", one, "w1")["contact"] == "account:w1"
    tried = cli.json("contacts", "link", "w1", second["customer"], "--preview")
    linked = cli.json("contacts", "link", "w1", second["customer"], "--token", tried["token"])
    assert linked["result"]["contact"] == "account:w1"
    assert "nobody's customer" in cli("contacts", "unlink", second["customer"]).stdout
    assert cli.json("contacts", "unlink", second["customer"], "--rematch")["result"]["contact"] == other
    tried = cli.json("contacts", "merge", "w1", other, "--preview")
    assert tried["result"]["moved"]["links"] == 1
    merged = cli.json("contacts", "merge", "w1", other, "--token", tried["token"])
    assert "two contacts again" in cli("contacts", "unmerge", str(merged["result"]["merge"])).stdout
    assert cli.json("contacts", "alias", "w1", "acme")["contact"] == "account:w1"


@pytest.mark.wide
def test_a_contact_is_shown_refreshed_and_forgotten(cli: Cli, make_sandbox: Make) -> None:
    first, *_ = imported(cli, make_sandbox(customers=12, months=2))
    [ref] = cli.json("contacts", "review", "accept", first["customer"])["contacts"]
    assert [row["contact"] for row in cli.json("contacts", "list", "--linked")["contacts"]] == [ref]
    assert cli.json("contacts", "show", ref)["billing_id"] == first["customer"]
    assert first["customer"] in cli("contacts", "show", ref).stdout
    refreshed = cli.json("contacts", "refresh", ref)
    assert (refreshed["contact"], refreshed["fetched"]["customers"]) == (ref, 1)
    assert "Read 1 customers" in cli("contacts", "refresh", "--customer", first["customer"]).stdout
    assert f"--confirm {ref}" in cli("contacts", "forget", ref, code=2).stderr
    assert cli.json("contacts", "forget", ref, "--preview")["done"] is False
    assert cli.json("contacts", "forget", ref, "--confirm", ref)["done"]
    assert first["email"] not in cli("sql", "select email from stripe.customers", "--csv").stdout


@pytest.mark.wide
def test_settings_are_tried_before_they_are_set(cli: Cli, make_sandbox: Make) -> None:
    sandbox = make_sandbox(customers=8, months=2)
    cli.connect(sandbox)
    cli("import", "--json")
    cli("refresh")
    assert cli.json("contacts", "settings")["settings"]["create_missing"] is False
    assert "create_missing" in cli("contacts", "settings").stdout
    tried = cli.json(
        "contacts", "settings", "--set", "create_missing=true", "--set", "free_mail=a.com, b.com", "--preview"
    )
    assert (tried["done"], tried["created"] > 0) == (False, True)
    assert cli.json("contacts", "list")["contacts"] == []
    args = ("--set", "create_missing=true", "--set", "free_mail=a.com, b.com")
    done = cli("contacts", "settings", *args, "--token", tried["token"]).stdout
    assert f"{tried['created']:,} contacts made" in done
    found = cli.json("contacts", "settings")["set"]
    assert found == {"create_missing": True, "free_mail": ["a.com", "b.com"]}
    cli("contacts", "settings", "--set", "free_mail=")
    assert cli.json("contacts", "settings")["set"] == {"create_missing": True}
    assert "kind is 'x'" in cli("contacts", "settings", "--set", "kind=x", code=2).stderr
    assert "has no =" in cli("contacts", "settings", "--set", "kind", code=2).stderr


@pytest.mark.wide
def test_a_list_of_contacts_is_taken_from_a_file_or_standard_input(
    cli: Cli, tmp_path: Path, make_sandbox: Make
) -> None:
    cli.connect(make_sandbox(customers=1, months=1))
    file = tmp_path / "contacts.csv"
    file.write_text("id,kind,emails,account\nacme,account,,\nbob,user,bob@acme.com,acme\n", encoding="utf-8-sig")
    tried: dict[str, Any] = cli.json("contacts", "import", str(file), "--dry-run")
    assert (tried["created"], tried["joined"], tried["dry_run"]) == (2, 1, True)
    assert cli.json("contacts", "list")["contacts"] == []
    assert "Made 2 contacts" in cli("contacts", "import", str(file)).stdout
    again = json.loads(cli("contacts", "import", "-", "--json", stdin=file.read_text("utf-8-sig")).stdout)
    assert again["unchanged"] == 2
    assert cli.json("contacts", "leave", "bob", "acme")["role"] is None
    assert "belongs to account:acme as owner" in cli("contacts", "join", "bob", "acme", "--role", "owner").stdout
    file.write_text("id,kind\nx,robot\n")
    assert "line 2: the kind is 'robot'" in cli("contacts", "import", str(file), code=2).stderr
    file.write_bytes(b"id\n\xff\n")
    assert "no UTF-8" in cli("contacts", "import", str(file), code=2).stderr
    assert "cannot be read" in cli("contacts", "import", str(tmp_path / "none.csv"), code=2).stderr
