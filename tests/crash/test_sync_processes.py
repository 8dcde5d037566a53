"""Commands that run a sync, and workers, killed as processes on a database that writes through to the disk."""

import json
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.support import installation
from tests.support.importing import connected, imported
from tests.support.installation import Company
from tests.support.killed_syncs import MARK, Warehouse
from tests.support.waiting import until

from tidegate.wiring import Hub
from tidegate.workflows.outbound import sync_task

MANY = 150


@pytest.fixture(scope="module")
def slow() -> Iterator[Company]:
    """One whose Stripe takes its time."""
    with installation.company(customers=3, months=1, latency=0.3) as company:
        yield company


def prepared(slow: Company, name: str, folder: Path) -> Warehouse:
    """A sync with rows to be sent, on a connection of its own."""
    hub = slow.own.hub
    account = connected(hub, slow.sandbox, name, write_key=slow.sandbox.key)
    imported(hub, account)
    warehouse = Warehouse(hub, slow.sandbox, account, folder / "warehouse.duckdb")
    columns = f"n as id, '{name}-' || n as mark, 'Ada' as name"
    warehouse.write(f"create table {name} as select {columns} from range({MANY}) t(n)")
    warehouse.define(name, name, "customers", {"name": "name", "metadata": {"kind": {"value": "x"}}})
    warehouse.approve(name)
    return warehouse


@contextmanager
def sending(slow: Company, warehouse: Warehouse, name: str) -> Generator["subprocess.Popen[str]"]:
    """`tidegate sync run`, in the middle of it: some customers are made and others are not."""
    process = slow.own.command("sync", "run", name, "--json")
    try:
        until(lambda: len(warehouse.objects("customers", f"{name}-")) >= 10, "some are made", seconds=60)
        yield process
    finally:
        process.kill()
        process.communicate()


def all_made_once(slow: Company, warehouse: Warehouse, name: str) -> None:
    found = warehouse.objects("customers", f"{name}-")
    assert {one["metadata"][MARK] for one in found} == {f"{name}-{n}" for n in range(MANY)}
    assert len(found) == MANY
    ids = {one["id"] for one in found}
    remembered = {state for key, state in warehouse.remembered(name).items() if key != "no row"}
    assert remembered == {("sent", id_) for id_ in ids}
    assert warehouse.open() == 0


def go_on(slow: Company, name: str) -> dict[str, Any]:
    command = slow.own.command("sync", "run", name, "--json")
    told, said = command.communicate(timeout=120)
    assert command.returncode == 0, said
    return json.loads(told)


@pytest.mark.wide
def test_a_killed_command_is_gone_on_with(slow: Company, tmp_path: Path) -> None:
    warehouse = prepared(slow, "killed", tmp_path)
    with sending(slow, warehouse, "killed") as process:
        process.kill()
    assert go_on(slow, "killed")["state"] == "done"
    all_made_once(slow, warehouse, "killed")


@pytest.mark.wide
def test_a_server_killed_under_a_run_is_said_and_costs_nothing(slow: Company, tmp_path: Path) -> None:
    warehouse = prepared(slow, "server", tmp_path)
    with sending(slow, warehouse, "server") as process:
        slow.own.kill_server()
        _, said = process.communicate(timeout=120)
    assert process.returncode in (0, 3), said
    assert "Traceback" not in said
    slow.own.server.start()
    go_on(slow, "server")
    all_made_once(slow, warehouse, "server")


@pytest.mark.further
def test_everything_killed_at_once_is_gone_on_with(slow: Company, tmp_path: Path) -> None:
    warehouse = prepared(slow, "all_of_it", tmp_path)
    with sending(slow, warehouse, "all_of_it") as process:
        process.kill()
        slow.own.kill_server()
    slow.own.server.start()
    go_on(slow, "all_of_it")
    all_made_once(slow, warehouse, "all_of_it")


@pytest.mark.wide
def test_interrupted_a_command_ends_what_is_in_flight_and_begins_nothing_else(slow: Company, tmp_path: Path) -> None:
    warehouse = prepared(slow, "stopped", tmp_path)
    with sending(slow, warehouse, "stopped") as process:
        process.send_signal(2)
        told, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    assert json.loads(told)["state"] == "interrupted", told
    made = len(warehouse.objects("customers", "stopped-"))
    assert made < MANY
    assert (json.loads(told)["sent"], warehouse.open()) == ({"create": made}, 0)
    assert go_on(slow, "stopped")["sent"] == {"create": MANY - made}
    all_made_once(slow, warehouse, "stopped")


@pytest.mark.wide
@pytest.mark.timeout(300)  # a dead worker is noticed after 42 seconds at the latest
def test_a_killed_workers_sync_goes_on_in_another_by_itself(slow: Company, tmp_path: Path) -> None:
    warehouse = prepared(slow, "worker", tmp_path)
    hub = slow.own.hub
    sync_task.ask(hub.engine, "worker", "somebody")
    with working(slow):
        until(lambda: len(warehouse.objects("customers", "worker-")) >= 10, "some are made", seconds=60)
    with working(slow):
        until(lambda: _last(hub, "worker") == "done", "the run ends", seconds=150)
    all_made_once(slow, warehouse, "worker")


@contextmanager
def working(slow: Company) -> Generator[None]:
    """A worker, killed at the block's end."""
    process = slow.own.command("worker", "--concurrency", "2")
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def _last(hub: Hub, sync: str) -> str:
    with hub.engine.connect() as db:
        found = text("select state from tidegate.runs where connection = :c order by id desc limit 1")
        return str(db.scalar(found, {"c": f"sync:{sync}"}))
