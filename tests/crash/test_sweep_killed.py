"""A sweep or an audit that is killed, wherever, shows as interrupted; the next sweep ends as if nothing had been."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from tests.support import installation, killing
from tests.support.builders import customer
from tests.support.contents import contents
from tests.support.importing import connected, differences, imported
from tests.support.installation import Company
from tests.support.waiting import until
from tests.support.working import jobs_open, worker

from tidegate.connections import runs
from tidegate.wiring import Hub
from tidegate.workflows.doorbell import Doorbell
from tidegate.workflows.mirror.audit import audit
from tidegate.workflows.mirror.ingest_events import drain
from tidegate.workflows.mirror.sweep import sweep

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

PLACES = 5
READERS = 3


@pytest.fixture
def company(hub: Hub) -> Iterator["Sandbox"]:
    from tidegate.sandbox.config import SandboxConfig
    from tidegate.sandbox.server import Sandbox

    with Sandbox.start(SandboxConfig(customers=30, months=3)) as sandbox:
        yield sandbox


@pytest.mark.further
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


# Real processes: workers on an embedded server that writes through to the disk.


@pytest.fixture(scope="module")
def slow() -> Iterator[Company]:
    """One whose Stripe takes its time."""
    with installation.company(customers=30, months=2, latency=0.03) as company:
        yield company


@pytest.mark.wide
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "victims",
    [("worker",), ("server",), ("worker", "server")],
    ids="+".join,
)
def test_a_worker_s_sweep_goes_on_whoever_is_killed(slow: Company, victims: tuple[str, ...]) -> None:
    name, hub = "_".join(victims), slow.own.hub
    slow.own.server.start()
    imported(hub, connected(hub, slow.sandbox, name))
    _change_in_silence(slow.sandbox)
    Doorbell(hub.engine).ring("sweep", connection=name)
    with ExitStack() as workers:
        first = workers.enter_context(worker(hub))
        until(lambda: _amid_a_sweep(hub, name), "some pages are read", seconds=60)
        if "worker" in victims:
            first.kill()
        if "server" in victims:
            slow.own.kill_server()
            slow.own.server.start()
        if "worker" in victims:
            workers.enter_context(worker(hub))
        summary = until(lambda: _ended(hub, name), "the sweep is ended", seconds=90)
    assert (summary["state"], summary["resumed"], summary["problems"]) == ("done", True, {})
    account = hub.account(name)
    with hub.engine.begin() as db:  # the killed process holds what it was fetching for two minutes
        db.execute(text("update tidegate.refetches set next_try_at = now() where next_try_at < 'infinity'"))
    with hub.stripe(account) as api:
        assert drain(hub.engine, account, api).refetch_error == ""
        assert differences(hub, slow.sandbox, name) == {}
        assert audit(hub.engine, account, api)["clean"]


def _amid_a_sweep(hub: Hub, name: str) -> bool:
    """Whether some of its pages are stored and some of its ranges are not done."""
    stored = """
select sum(pages) >= 6 and bool_or(not done) from tidegate.import_ranges i join tidegate.runs r on r.id = i.run
where r.connection = :c and r.kind = 'sweep' and r.state = 'running'"""
    with hub.engine.connect() as db:
        return bool(db.scalar(text(stored), {"c": name}))


def _ended(hub: Hub, name: str) -> dict[str, Any] | None:
    """The summary of the sweep once it is done. A worker that lost the database may leave it to the clock, which rings
    after a while: that is done here.
    """
    with hub.engine.connect() as db:
        last = runs.last(db, name, "sweep")
    if last and last["state"] == "done":
        return last["summary"]
    if not jobs_open(hub, "sweep"):
        Doorbell(hub.engine).ring("sweep", connection=name)
    return None
