"""An import that is killed, wherever: it goes on from its checkpoints and ends equal to what it reads from."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from sqlalchemy import text
from tests.support import installation, killing
from tests.support.contents import contents
from tests.support.importing import connected, differences, imported
from tests.support.installation import Company
from tests.support.waiting import until

from tidegate.connections import runs
from tidegate.mirror.backfill import PARENTS_AT_ONCE
from tidegate.stripe_api.resources import RESOURCES
from tidegate.wiring import Hub
from tidegate.workflows.mirror.audit import audit
from tidegate.workflows.operation.status import status

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

READERS = 4


class Clean(NamedTuple):
    """What an import comes to that nothing disturbs: its steps, what is stored, and what its checkpoints count."""

    steps: int
    contents: dict[str, tuple[int, int, str]]
    counted: dict[str, tuple[int, int]]


@pytest.fixture(scope="module")
def company() -> Iterator["Sandbox"]:
    from tidegate.sandbox.config import SandboxConfig
    from tidegate.sandbox.server import Sandbox

    with Sandbox.start(SandboxConfig(customers=110, months=2)) as sandbox:
        yield sandbox


@pytest.mark.timeout(400)  # twenty imports, and an audit of each
@pytest.mark.parametrize("places", [6, pytest.param(20, marks=pytest.mark.wide)])
def test_an_import_killed_anywhere_goes_on_and_ends_equal(
    hub: Hub, company: "Sandbox", run: killing.Run, places: int
) -> None:
    clean = _clean(hub, company, run)
    killed = 0
    for place in killing.points(clean.steps, places, seed=2026):
        name = f"killed_{place}"
        account = connected(hub, company, name)
        asked = company.stats()["requests"]
        ended = run("import", place, **_arguments(hub, name))
        killed += ended.killed
        where = f"killed at step {place} of {clean.steps}: {ended.last}"
        left = _left(hub, name)
        again = imported(hub, account, readers=READERS)
        assert (again["state"], again["problems"]) == ("done", {}), where
        assert again["resumed"] == (left == "interrupted"), where
        assert contents(hub.engine, name) == clean.contents, where
        assert differences(hub, company, name) == {}, where
        assert _count(hub, "tidegate.unreadable", name) == 0, where
        assert _count(hub, "tidegate.versions", name) == 0, where
        assert _count(hub, "tidegate.refetches", name, "next_try_at < 'infinity'") == 0, where
        if again["resumed"]:
            assert _checkpointed(hub, again["run"]) == clean.counted, where
            _assert_little_was_read_twice(hub, company, again["run"], asked, where)
        assert _audited(hub, name), where
    assert killed >= places - 2, "the last places may lie behind the end: readers do not always share alike"


def _clean(hub: Hub, company: "Sandbox", run: killing.Run) -> Clean:
    connected(hub, company, "clean")
    steps = run("import", **_arguments(hub, "clean")).steps
    assert differences(hub, company, "clean") == {}
    with hub.engine.connect() as db:
        last = runs.last(db, "clean", "import")
    assert last
    return Clean(steps, contents(hub.engine, "clean"), _checkpointed(hub, last["id"]))


def _arguments(hub: Hub, connection: str) -> dict[str, Any]:
    return {
        "database_url": hub.settings.database_url,
        "secret_key": hub.settings.secret_key.get_secret_value(),
        "connection": connection,
        "readers": READERS,
    }


def _left(hub: Hub, connection: str) -> str:
    """How `status` shows the killed import, in time: as interrupted, unless it had not begun or was all done."""
    with hub.engine.begin() as db:
        db.execute(
            text("update tidegate.runs set heartbeat_at = heartbeat_at - interval '1 minute' where connection = :c"),
            {"c": connection},
        )

    def look() -> str | None:
        shown = status(hub.engine, [connection])["connections"][0]
        state = shown["run"]["state"] if shown["run"] else "not begun"
        codes = [problem["code"] for problem in shown["problems"]]
        assert codes == {"interrupted": ["import_incomplete"], "not begun": ["not_imported"]}.get(state, [])
        return None if state == "running" else state

    return until(look, "the killed process's lock is let go of")


def _count(hub: Hub, table: str, connection: str, which: str = "true") -> int:
    with hub.engine.connect() as db:
        counted = text(f"select count(*) from {table} where connection = :c and {which}")
        return int(db.scalar(counted, {"c": connection}) or 0)


def _audited(hub: Hub, connection: str) -> bool:
    """Whether `tidegate audit` finds the mirror equal to Stripe in everything."""
    account = hub.account(connection)
    with hub.stripe(account) as api:
        return audit(hub.engine, account, api)["clean"]


def _checkpointed(hub: Hub, run: int) -> dict[str, tuple[int, int]]:
    """Objects read and stored per resource, as the checkpoints say: they were stored with the rows, or not at all."""
    with hub.engine.connect() as db:
        rows = db.execute(
            text("""
select resource, sum((counts ->> 'read')::int) as read, sum((counts ->> 'stored')::int) as stored
from tidegate.import_ranges where run = :run group by 1"""),
            {"run": run},
        )
        return {row.resource: (int(row.read), int(row.stored)) for row in rows}


def _assert_little_was_read_twice(hub: Hub, company: "Sandbox", run: int, before: dict[str, int], where: str) -> None:
    """Stripe was asked for at most one page per range more than were stored (of lists per parent: one batch)."""
    after = company.stats()["requests"]
    with hub.engine.connect() as db:
        rows = db.execute(
            text("""
select resource, count(*) as ranges, sum(pages) as pages from tidegate.import_ranges where run = :run group by 1"""),
            {"run": run},
        ).all()
    for row in rows:
        resource = RESOURCES[row.resource]
        endpoint = f"GET {resource.path}".replace("{parent}", "{id}")
        twice = after.get(endpoint, 0) - before.get(endpoint, 0) - int(row.pages)
        most = row.ranges * (PARENTS_AT_ONCE if resource.per_parent else 1)
        if not resource.singleton:
            assert 0 <= twice <= most, f"{endpoint}: {twice} pages too many; {where}"


# Real processes: `tidegate import` on an embedded server that writes through to the disk.


@pytest.fixture(scope="module")
def slow() -> Iterator[Company]:
    """One whose Stripe takes its time."""
    with installation.company(customers=40, months=3, latency=0.03) as company:
        yield company


@pytest.mark.wide
def test_a_killed_command_goes_on(slow: Company) -> None:
    with _importing(slow, "importer") as importer:
        importer.kill()
    _assert_resumed_and_equal(slow, "importer")


@pytest.mark.wide
def test_a_server_killed_under_an_import_is_said_and_costs_nothing(slow: Company) -> None:
    with _importing(slow, "server") as importer:
        slow.own.kill_server()
        told, said = importer.communicate(timeout=60)
    assert importer.returncode == 3, said
    assert json.loads(told)["error"]["type"] == "EmbeddedServerLost"
    assert "Traceback" not in said
    _assert_resumed_and_equal(slow, "server")


@pytest.mark.wide
def test_everything_killed_at_once_goes_on(slow: Company) -> None:
    with _importing(slow, "both") as importer:
        importer.kill()
        slow.own.kill_server()
    _assert_resumed_and_equal(slow, "both")


@contextmanager
def _importing(slow: Company, name: str) -> Iterator[subprocess.Popen[str]]:
    """A command that imports, in the middle of it: some pages are stored and some ranges are not done."""
    slow.own.server.start()
    connected(slow.own.hub, slow.sandbox, name)
    process = slow.own.command("import", "--connection", name, "--json", TIDEGATE_IMPORT_READERS=str(READERS))
    stored = """
select sum(pages) >= 6 and bool_or(not done) from tidegate.import_ranges i join tidegate.runs r on r.id = i.run
where r.connection = :c"""

    def look() -> bool:
        with slow.own.hub.engine.connect() as db:
            return bool(db.scalar(text(stored), {"c": name}))

    try:
        until(look, "some pages are stored", seconds=40)
        yield process
    finally:
        process.kill()
        process.communicate()


def _assert_resumed_and_equal(slow: Company, name: str) -> None:
    again = slow.own.command("import", "--connection", name, "--json")
    told, said = again.communicate(timeout=60)
    assert again.returncode == 0, said
    summary = json.loads(told)
    assert (summary["state"], summary["resumed"], summary["problems"]) == ("done", True, {})
    slow.own.server.start()
    assert differences(slow.own.hub, slow.sandbox, name) == {}
    assert _audited(slow.own.hub, name)
    assert _count(slow.own.hub, "tidegate.unreadable", name) == 0
