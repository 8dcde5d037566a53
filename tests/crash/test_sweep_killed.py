"""A sweep or an audit that is killed, wherever, shows as interrupted; the next sweep ends as if nothing had been."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from tests.support import killing
from tests.support.builders import customer
from tests.support.contents import contents
from tests.support.importing import connected, differences, imported
from tests.support.waiting import until

from tidegate.connections import runs
from tidegate.wiring import Hub
from tidegate.workflows.sweep import sweep

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

PLACES = 5
READERS = 3


@pytest.fixture(scope="module")
def run() -> Iterator[killing.Run]:
    with killing.parent(Path(__file__).with_name("victims.py")) as run:
        yield run


@pytest.fixture
def company(hub: Hub) -> Iterator["Sandbox"]:
    from tidegate.sandbox.config import SandboxConfig
    from tidegate.sandbox.server import Sandbox

    with Sandbox.start(SandboxConfig(customers=30, months=3)) as sandbox:
        yield sandbox


def test_a_sweep_killed_anywhere_is_made_good_by_the_next(hub: Hub, company: "Sandbox", run: killing.Run) -> None:
    names = ["clean", *(f"killed_{n}" for n in range(PLACES))]
    for name in names:
        imported(hub, connected(hub, company, name))
    _change_in_silence(company)
    steps = run("sweep", readers=READERS, **_arguments(hub, "clean")).steps
    assert differences(hub, company, "clean") == {}
    wanted = contents(hub.engine, "clean")
    killed = 0
    for name, place in zip(names[1:], killing.points(steps, PLACES, seed=7), strict=True):
        ended = run("sweep", place, readers=READERS, **_arguments(hub, name))
        killed += ended.killed
        where = f"killed at step {place} of {steps}: {ended.last}"
        state = _state(hub, name, "sweep")
        account = hub.account(name)
        with hub.stripe(account) as api:
            again = sweep(hub.engine, account, api, readers=READERS)
        assert (again["state"], again["problems"]) == ("done", {}), where
        assert again["resumed"] == (state == "interrupted"), where
        assert contents(hub.engine, name) == wanted, where
        assert differences(hub, company, name) == {}, where
    assert killed >= PLACES - 1, "the last place may lie behind the end: readers do not always share alike"


def test_an_audit_that_was_killed_does_not_run_for_ever(hub: Hub, company: "Sandbox", run: killing.Run) -> None:
    imported(hub, connected(hub, company, "audited"))
    steps = run("audit", **_arguments(hub, "audited")).steps
    assert run("audit", steps // 2, **_arguments(hub, "audited")).killed
    assert _state(hub, "audited", "audit") == "interrupted"
    with hub.engine.connect() as db:
        last = runs.last(db, "audited", "audit")
    assert last
    assert last["error"].endswith(" died")
    assert last["finished_at"]


def test_an_audit_that_runs_shows_as_running(hub: Hub) -> None:
    with hub.engine.begin() as db:
        run = runs.begin(db, "quiet", "audit", {}, "me")
        db.execute(
            text("update tidegate.runs set heartbeat_at = now() - interval '1 hour' where id = :run"), {"run": run}
        )
    with runs.alive(hub.engine, run):
        assert _seen(hub, run) == "running"
        with hub.engine.begin() as db:
            runs.begin(db, "quiet", "audit", {}, "me")
        assert _seen(hub, run) == "running", "several may run at a time"
    assert _seen(hub, run) == "interrupted"


def test_an_import_that_another_one_replaced_is_over_though_that_one_runs(hub: Hub) -> None:
    with hub.engine.begin() as db:
        run = runs.begin(db, "replaced", "import", {}, "me")
        db.execute(
            text("update tidegate.runs set heartbeat_at = now() - interval '1 hour' where id = :run"), {"run": run}
        )
    with runs.exclusive(hub.engine, "replaced", "import"):
        assert _seen(hub, run) == "running"
        with hub.engine.begin() as db:
            runs.begin(db, "replaced", "import", {}, "me")
        assert _seen(hub, run) == "interrupted"


def _change_in_silence(company: "Sandbox") -> None:
    """Changes that no event tells: one object more, one fewer that can be fetched by id and one that cannot."""
    company.advance(60)
    company.call(lambda: company.state.put(customer("cus_silent")))
    for resource in ("coupons", "product_features"):
        company.call(partial(_delete_first, company, resource))


def _delete_first(company: "Sandbox", resource: str) -> None:
    company.state.delete(resource, company.state[resource].ids[0], None)


def _arguments(hub: Hub, connection: str) -> dict[str, Any]:
    return {
        "database_url": hub.settings.database_url,
        "secret_key": hub.settings.secret_key.get_secret_value(),
        "connection": connection,
    }


def _seen(hub: Hub, run: int) -> str:
    with hub.engine.connect() as db:
        found = runs.find(db, run)
    assert found
    return found["state"]


def _state(hub: Hub, connection: str, kind: str) -> str:
    """How the run that was killed shows a minute later: `interrupted`, unless it had not begun or had ended."""
    with hub.engine.begin() as db:
        db.execute(
            text("update tidegate.runs set heartbeat_at = heartbeat_at - interval '1 minute' where connection = :c"),
            {"c": connection},
        )

    def look() -> str | None:
        with hub.engine.connect() as db:
            last = runs.last(db, connection, kind)
        state = last["state"] if last else "not begun"
        return None if state == "running" else state

    return until(look, "the killed process's lock is let go of")
