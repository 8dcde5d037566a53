"""The catalog on the command line, as a person runs it: real processes on a simulated Stripe."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.support.command_line import Cli

from tidegate.sandbox import Sandbox
from tidegate.store.engine import open_engine


@pytest.fixture
def engine(fresh_database_url: str) -> Iterator[Engine]:
    engine = open_engine(fresh_database_url, pool_size=1)
    yield engine
    engine.dispose()


class Words:
    """Runs `tidegate` as the person ada; an answer is what it says."""

    def __init__(self, home: Path, database_url: str) -> None:
        self.home = home
        self.command = Cli(home, database_url)
        self.command.environment |= {"USER": "ada", "LOGNAME": "ada"}

    def __call__(self, *arguments: str, code: int = 0, **more: str) -> str:
        done = self.command(*arguments, code=code, **more)
        return done.stdout or done.stderr

    def json(self, *arguments: str, code: int = 0, **more: str) -> Any:
        return self.command.json(*arguments, code=code, **more)

    def file(self, name: str, said: str) -> str:
        path = self.home / name
        path.write_text(said)
        return str(path)


@pytest.fixture
def cli(tmp_path: Path, fresh_database_url: str, make_sandbox: Callable[..., Sandbox]) -> Words:
    """A simulated account, connected, imported, with a contact for each customer."""
    sandbox = make_sandbox(customers=40, months=6)
    cli = Words(tmp_path, fresh_database_url)
    keys = f"{sandbox.key}\n{sandbox.key}\n"
    asked = ("--api-key", "-", "--write-key", "-", "--api-base", sandbox.url, "--name", "test", "--rate", "0")
    cli("connect", *asked, stdin=keys)
    resources = ("products", "prices", "customers", "subscriptions", "product_features", "entitlements/features")
    cli("import", *(part for name in resources for part in ("--resource", name)))
    settings = cli.file("contacts.yaml", "contacts: {create_missing: true}\n")
    assert cli.json("config", "apply", settings, "--yes")["result"]["matched"]["test"]["created"] > 30
    return cli


@pytest.mark.wide
def test_from_suggestions_to_a_file_and_back(cli: Words, engine: Engine) -> None:
    waiting = cli.json("mappings", "queue")["waiting"]
    assert len(waiting) > 5
    assert "USD a month" in cli("mappings", "queue")
    found = cli.json("mappings", "suggest")
    assert found["accepted"] is None
    pro = next(one for one in found["suggestions"] if one["name"] == "package:pro")
    assert pro["contacts"] > 0
    assert pro["features"] == [{"key": "export", "type": "boolean", "name": "Data export"}]
    accepted = cli.json("mappings", "suggest", "package:pro", "--accept")["accepted"]
    assert accepted["gained"] > 0
    told = cli("mappings", "suggest", "--accept")
    assert "Accepted: mappings" in told
    assert "entitlements are granted" in told
    assert len(cli.json("mappings", "queue")["waiting"]) < 4
    assert cli.json("mappings", "suggest")["suggestions"] == []
    with engine.connect() as db:
        by = db.scalars(text("select distinct by from tidegate.catalog_changes")).all()
    assert list(by) == ["cli:ada"]

    assert "seats 1" in cli("packages", "list")
    assert "version" in cli("packages", "show", "pro")
    assert "metered" in cli("features", "list")
    file = str(cli.home / "tidegate.yaml")
    assert "packages" in cli("config", "export", file)
    plan = cli.json("config", "plan", file, code=1)
    assert {step["action"] for step in plan["result"]["steps"]} == {"manage"}
    assert "changes." in cli("config", "apply", file)
    assert "The hub is what the file says." in cli("config", "plan", file)
    written = Path(file).read_text()
    Path(file).write_text(
        written.replace("key: pro, name: Pro, features: {export: true}", "key: pro, name: Pro, features: {}")
    )
    told = cli("config", "plan", file, code=1)
    assert "~ packages pro: version 2 is published: export yes → –" in told
    assert "managed by tidegate.yaml" in cli("packages", "publish", "pro", "--feature", "export=true", code=2)


@pytest.mark.wide
def test_mappings_are_set_previewed_and_removed(cli: Words) -> None:
    file = cli.file("a.yaml", "features:\n  - {key: calls, type: metered}\n  - {key: sso, type: boolean}\n")
    cli("config", "apply", file)
    Path(file).write_text("features: []\n")
    cli("config", "apply", file)
    price = cli.json("mappings", "queue")["waiting"][0]["price"]
    assert cli.json("mappings", "ignore", price)["ignored"]
    assert price not in [one["price"] for one in cli.json("mappings", "queue")["waiting"]]
    assert cli.json("mappings", "ignore", price, "--undo")["changed"]
    mapped = cli.json("mappings", "set", price, "--feature", "calls", "--limit", "5", "--reset", "day")
    assert (mapped["done"], mapped["lost"], mapped["result"]["kept"]) == (True, 0, 0)
    assert mapped["gained"] > 0
    assert "calls 5 per day" in cli("mappings", "list")
    over = ("mappings", "set", price, "--feature", "sso", "--all-holders")
    assert cli.json(*over, code=2)["error"]["type"] == "PreviewNeeded"
    told = cli(*over, "--preview")
    assert "would have" in told
    assert "Nothing was done" in told
    told_none = cli.json(*over, "--preview", "--listed", "0")
    assert {feature: len(listed) for feature, listed in told_none["features"].items()} == dict.fromkeys(
        told_none["totals"], 0
    )
    assert told_none["totals"]
    token = cli.json(*over, "--preview")["token"]
    assert cli.json(*over, "--token", token)["done"]
    assert cli.json(*over, "--token", token, code=2)["error"]["type"] == "PreviewStale"
    kept = cli("mappings", "remove", price)
    assert "Kept for those who hold it" in kept
    assert "There is no mapping of" in cli("mappings", "remove", price, code=2)
    assert "kept by holders" in cli("mappings", "list")
    ended = cli("mappings", "remove", price, "--all-holders", "--yes")
    assert "are kept no longer" in ended
    assert cli.json("mappings", "list")["kept"] == []


@pytest.mark.wide
def test_a_package_is_published_created_in_stripe_and_migrated(cli: Words) -> None:
    said = "packages:\n  - key: gold\n    prices: [{amount: 9900, currency: usd, interval: month}]\n    features: {}\n"
    file = cli.file("p.yaml", said)
    cli("config", "apply", file)
    cli("config", "apply", cli.file("none.yaml", "packages: []\n"))
    dry = cli("packages", "create-in-stripe", "gold", "--dry-run")
    assert "POST /v1/prices" in dry
    assert "unit_amount=9900" in dry
    assert "2 requests would be sent." in dry
    assert "tidegate_gold → package gold" in cli("packages", "create-in-stripe", "gold")
    assert cli.json("packages", "create-in-stripe", "gold")["created"] == []
    published = cli.json("packages", "publish", "gold", "--feature", "nothing=true", code=2)
    assert "There is no feature nothing." in published["error"]["message"]
    cli("config", "apply", cli.file("f.yaml", "features:\n  - {key: seats, type: metered}\n"))
    assert "Version 2 of gold is published." in cli("packages", "publish", "gold", "--feature", "seats={limit: 3}")
    assert cli.json("packages", "migrate", "gold")["result"]["moved"] == 0


@pytest.mark.wide
def test_a_file_that_cannot_be_read_is_told(cli: Words) -> None:
    assert "line 1: there is no section fetures. Did you mean features?" in cli(
        "config", "plan", cli.file("x.yaml", "fetures: []\n"), code=2
    )
    assert "cannot be read" in cli("config", "plan", str(cli.home / "none"), code=2)
    named = cli.file("env.yaml", "features:\n  - {key: {env: FEATURE}, type: boolean}\n")
    assert "the environment, which has no FEATURE" in cli("config", "plan", named, code=2)
    assert "features sso: is created" in cli("config", "plan", named, code=1, FEATURE="sso")
