"""A disk that runs full under an import: said with exit code 3, nothing half-written, and gone on with once there is
room.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from tests.support import small_disk
from tests.support.importing import connected, differences, imported
from tests.support.killing import ROOT

from tidegate.cli.run import failure_of
from tidegate.wiring import Hub

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

PROGRAM = Path(__file__).with_name("full_disk.py")


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder that the server's account may pass through, too (pytest's own are closed to others)."""
    made = Path(tempfile.mkdtemp(prefix="tidegate-disk-"))
    made.chmod(0o755)
    yield made
    made.rmdir()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("left", "panic", "again"),
    [
        pytest.param(1_000_000, False, "EmbeddedServerLost", id="no room for a table", marks=pytest.mark.wide),
        pytest.param(
            6_000_000,
            True,
            "EmbeddedServerFull",
            id="no room for the log, at which the server ends",
            marks=pytest.mark.wide,
        ),
    ],
)
def test_a_disk_that_runs_full_costs_nothing(ground: Path, left: int, panic: bool, again: str) -> None:
    if refused := small_disk.possible(ground):
        pytest.skip(
            f"a small disk cannot be mounted here ({refused}): allow user namespaces, or give the container SYS_ADMIN. "
            "What the server says of a full disk is simulated by the test below"
        )
    told = _on_a_small_disk(ground, left)
    assert told["panic"] is panic
    for ended, kind in ((told["full"], "EmbeddedServerLost"), (told["again_full"], again)):
        assert ended["code"] == 3, ended
        assert ended["told"]["error"]["type"] == kind
        assert "make room" in ended["told"]["error"]["message"].lower()
        assert "Traceback" not in ended["said"]
    counted = told["checkpointed"]
    assert sum(in_tables for _, in_tables in counted.values()) > 0, "it was full in the middle of the import"
    assert {name: pair for name, pair in counted.items() if pair[0] != pair[1]} == {}, "counted, and stored"
    assert told["done"]["code"] == 0, told["done"]
    assert (told["done"]["told"]["state"], told["done"]["told"]["resumed"]) == ("done", True)
    assert told["differences"] == {}
    assert (told["audit"]["code"], told["audit"]["told"]["clean"]) == (0, True)


def _on_a_small_disk(folder: Path, left: int) -> dict[str, Any]:
    """What `full_disk.py` tells, run in a process of its own: only that one sees the disk."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "src")))
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), str(left)],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# What needs no disk of its own: the server's answer when it has no room, at a write in the middle of a page.

FULL = """
create function public.no_room() returns trigger language plpgsql as $$ begin
  raise exception 'could not extend file "base/1/2": No space left on device' using errcode = 'disk_full'; end $$;
create trigger no_room before {write} on {table} for each statement execute function public.no_room()"""


@contextmanager
def _full_at(hub: Hub, write: str, table: str) -> Iterator[None]:
    """Within the block every such write, `insert` or `update`, to the table meets a full disk."""
    with hub.engine.begin() as db:
        db.execute(text(FULL.format(write=write, table=table)))
    yield
    with hub.engine.begin() as db:
        db.execute(text(f"drop trigger no_room on {table}; drop function public.no_room()"))


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test imports into a database of its own."""
    return fresh_database_url


@pytest.mark.parametrize(("write", "table"), [("insert", "stripe.invoice_lines"), ("update", "tidegate.import_ranges")])
def test_a_write_that_meets_a_full_disk_leaves_no_half(
    hub: Hub, make_sandbox: Callable[..., "Sandbox"], monkeypatch: pytest.MonkeyPatch, write: str, table: str
) -> None:
    sandbox = make_sandbox(customers=40, months=3)
    account = connected(hub, sandbox)
    with _full_at(hub, write, table), pytest.raises(OperationalError) as raised:
        imported(hub, account, "customers", "invoices", readers=1)
    monkeypatch.setattr("tidegate.settings.settings", lambda: hub.settings)
    failure = failure_of(raised.value)
    assert (failure.type, failure.code) == ("DatabaseFull", 3)
    assert "No space left on device. Make room there" in failure.message
    assert _one(hub, LINELESS) == 0, "no invoice without its lines"
    assert _one(hub, COUNTED) == _one(hub, STORED), "no page stored that was not counted"
    assert imported(hub, account)["state"] == "done"
    assert differences(hub, sandbox) == {}


LINELESS = """
select count(*) from stripe.invoices i
where not exists (select from stripe.invoice_lines l where l.connection = i.connection and l.invoice = i.id)"""
COUNTED = "select coalesce(sum((counts ->> 'stored')::int), 0) from tidegate.import_ranges"
STORED = "select (select count(*) from stripe.customers) + (select count(*) from stripe.invoices)"


def _one(hub: Hub, sql: str) -> int:
    with hub.engine.connect() as db:
        return int(db.scalar(text(sql)) or 0)
