"""What "write rows of your warehouse to Stripe" shows works, as it stands there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from tests.support.howto import Reader, blocks
from tests.support.warehouse import ACCOUNTS
from typer.testing import CliRunner

from tidegate.cli import app
from tidegate.sandbox import Sandbox
from tidegate.settings import settings


@pytest.fixture
def sandbox(
    make_sandbox: Callable[..., Sandbox], fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sandbox]:
    """An account that is connected and imported, and a warehouse in the working directory."""
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://me:geheim@warehouse/db")
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    sandbox = make_sandbox(customers=3, months=1)
    asked = ["--api-key", "-", "--write-key", "-", "--api-base", sandbox.url, "--name", "test", "--rate", "0"]
    connecting = CliRunner().invoke(app, ["connect", *asked], input=f"{sandbox.key}\n{sandbox.key}\n")
    assert connecting.exit_code == 0, connecting.output
    assert CliRunner().invoke(app, ["import"]).exit_code == 0
    with duckdb.connect(tmp_path / "warehouse.duckdb") as db:
        db.execute(ACCOUNTS)
    yield sandbox
    settings.cache_clear()


@pytest.mark.wide
def test_what_it_shows_works(sandbox: Sandbox, tmp_path: Path) -> None:
    reader = Reader({"KEY": "1"})
    told: dict[str, str] = {}
    for block in blocks("write-to-stripe.md"):
        if block.language == "yaml":
            (tmp_path / "tidegate.yaml").write_text(block.text)
        for command in block.commands:
            canceling = command[:2] == ["sync", "cancel"]
            told[" ".join(command)] = reader.types(command, (2,) if canceling else (0,))
    assert "O'Brien" in told["sync plan customers"]
    assert "3 changes done" in told["sync run customers --plan 1"]
    assert "nothing differs" in told["sync run customers --limit 5"]
    assert "No run of customers is under way" in told["sync cancel customers"]
    made = [sandbox.state.full("customers", id_) for id_ in list(sandbox.state["customers"].ids)]
    assert [one["description"] for one in made if one["name"] == "Ada"] == ["ADA"]
