"""Handling the inbox, killed wherever: every event is handled exactly once and the mirror ends equal to Stripe."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from tests.support import databases, installation, killing
from tests.support.contents import contents
from tests.support.hubs import ALONE, copied, opened, unlike_stripe, waits_for_a_row
from tests.support.importing import connected, imported
from tests.support.installation import Company
from tests.support.waiting import until

from tidegate.mirror import inbox
from tidegate.mirror.inbox import Entry
from tidegate.wiring import Hub
from tidegate.workflows.mirror.ingest_events import drain

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

EVENTS = 300
DAY = 86_400
SECRET = Fernet.generate_key().decode()

# Counts, in the database itself, how often an event was handled; what is rolled back does not count.
COUNT_TURNS = """
create table public.turns (event_id text);
create function public.note_turn() returns trigger language plpgsql as
  $$ begin insert into public.turns values (new.event_id); return null; end $$;
create trigger note_turn after update of state on tidegate.inbox
  for each row when (new.state in ('handled', 'skipped')) execute function public.note_turn()"""


class Ready(NamedTuple):
    """A database whose inbox is full, to be copied, and what it holds after an undisturbed drain of so many steps."""

    server_url: str
    database: str
    events: int
    steps: int
    contents: dict[str, tuple[int, int, str]]
    versions: list[Any]


@pytest.fixture(scope="module")
def ready(server_url: str, run: killing.Run) -> Iterator[Ready]:
    from tidegate.sandbox.config import SandboxConfig
    from tidegate.sandbox.server import Sandbox

    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox.start(SandboxConfig(customers=40, months=2)))
        database = stack.enter_context(databases.scratch(server_url))
        with opened(database, SECRET) as hub:
            imported(hub, connected(hub, sandbox))
            bodies = _events_to_come(sandbox)
            with hub.engine.begin() as db:
                inbox.keep(db, [_entry(body) for body in bodies])
                db.execute(text(COUNT_TURNS))
        name = databases.named(database)
        with copied(server_url, name) as url:
            steps = run("drain", **_arguments(url)).steps
            with opened(url, SECRET) as hub:
                assert unlike_stripe(hub) == {}
                held, versions = contents(hub.engine, "acme"), _versions(hub.engine)
        yield Ready(server_url, name, len(bodies), steps, held, versions)


@pytest.mark.timeout(400)  # twenty copies of a database
@pytest.mark.parametrize("places", [6, pytest.param(20, marks=pytest.mark.wide)])
def test_a_drain_killed_anywhere_handles_every_event_once(ready: Ready, run: killing.Run, places: int) -> None:
    for place in killing.points(ready.steps, places, seed=300):
        with copied(ready.server_url, ready.database) as url:
            ended = run("drain", place, **_arguments(url))
            where = f"killed at step {place} of {ready.steps}: {ended.last}"
            assert ended.killed or place > 0.9 * ready.steps, where
            with opened(url, SECRET) as hub:
                _assert_the_rest_is_done(hub, ready, where)


def _assert_the_rest_is_done(hub: Hub, ready: Ready, where: str) -> None:
    until(lambda: _scalar(hub.engine, ALONE), "the killed process's transactions are ended")
    waiting = _scalar(hub.engine, "select count(*) from tidegate.inbox where state = 'waiting'")
    with hub.engine.begin() as db:  # the killed process holds what it was fetching for two minutes
        db.execute(text("update tidegate.refetches set next_try_at = now()"))
    account = hub.account("acme")
    with hub.stripe(account) as api:
        drained = drain(hub.engine, account, api)
    assert (drained.failed, drained.refetch_error) == ({}, ""), where
    assert drained.handled + drained.skipped.total() == waiting, where
    turns = "select count(*) || ' of ' || count(distinct event_id) from public.turns"
    assert _scalar(hub.engine, turns) == f"{ready.events} of {ready.events}", where
    assert _scalar(hub.engine, "select count(*) from tidegate.inbox where state = 'waiting' or attempts > 0") == 0
    assert _scalar(hub.engine, "select count(*) from tidegate.refetches where next_try_at < 'infinity'") == 0, where
    assert _scalar(hub.engine, "select count(*) from tidegate.unreadable") == 0, where
    assert contents(hub.engine, "acme") == ready.contents, where
    assert _versions(hub.engine) == ready.versions, where


def _events_to_come(sandbox: "Sandbox") -> list[bytes]:
    """What happens in the next days, as events; every sixteenth in the shape of an old API version."""
    from tidegate.sandbox.old_versions import OLD, in_version

    before = sandbox.call(lambda: len(sandbox.state["events"].ids))
    while sandbox.call(lambda: len(sandbox.state["events"].ids)) < before + EVENTS:
        sandbox.advance(DAY)

    def bodies() -> list[bytes]:
        events = [sandbox.state["events"].shown(id_) for id_ in list(sandbox.state["events"].ids)[before:]]
        mixed = [in_version(event, OLD, sandbox.state) if n % 16 == 0 else event for n, event in enumerate(events)]
        return [msgspec.json.encode(event) for event in mixed]

    return sandbox.call(bodies)


def _entry(body: bytes) -> Entry:
    event = json.loads(body)
    return Entry("acme", event["id"], event["type"], event["created"], "webhook", body.decode())


def _arguments(url: str) -> dict[str, Any]:
    return {"database_url": url, "secret_key": SECRET, "connection": "acme"}


def _scalar(engine: Engine, sql: str) -> Any:
    with engine.connect() as db:
        return db.scalar(text(sql))


def _versions(engine: Engine) -> list[Any]:
    """Every kept version; the time at which one was read is left out."""
    with engine.connect() as db:
        rows = db.execute(
            text("select resource, object_id, md5(digest), event from tidegate.versions order by 1, 2, 3, 4")
        )
        return [tuple(row) for row in rows]


# Real processes: `tidegate catch-up` on an embedded server that writes through to the disk.


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """Imported."""
    with installation.company(customers=40, months=3) as company:
        imported(company.own.hub, connected(company.own.hub, company.sandbox))
        yield company


@pytest.mark.wide
def test_a_killed_command_handles_the_rest_later(company: Company) -> None:
    with _amid_a_batch(company) as command:
        command.kill()
    _assert_caught_up(company)


@pytest.mark.further
def test_a_server_killed_amid_a_batch_is_said_and_costs_nothing(company: Company) -> None:
    with _amid_a_batch(company) as command:
        company.own.kill_server()
        told, said = command.communicate(timeout=60)
    assert command.returncode == 3, said
    assert json.loads(told)["error"]["type"] == "EmbeddedServerLost"
    assert "Traceback" not in said
    _assert_caught_up(company)


@pytest.mark.wide
def test_everything_killed_amid_a_batch_goes_on(company: Company) -> None:
    with _amid_a_batch(company) as command:
        command.kill()
        company.own.kill_server()
    _assert_caught_up(company)


@contextmanager
def _amid_a_batch(company: Company) -> Iterator[subprocess.Popen[str]]:
    """A command that handles events, stopped amid a batch: it waits for a customer that is locked here."""
    company.own.server.start()
    company.sandbox.advance(10 * DAY)
    with suppress(OperationalError), company.own.hub.engine.connect() as db:  # may die with the server
        db.execute(text("select from stripe.customers for update"))
        process = company.own.command("catch-up", "--json")
        try:
            until(lambda: waits_for_a_row(db), "the command waits for a customer", seconds=40)
            yield process
        finally:
            process.kill()
            process.communicate()


def _assert_caught_up(company: Company) -> None:
    command = company.own.command("catch-up", "--json")
    told, said = command.communicate(timeout=60)
    assert command.returncode == 0, said
    assert json.loads(told)["inbox"]["failed"] == {}
    company.own.server.start()
    hub = company.own.hub
    assert _scalar(hub.engine, "select count(*) from tidegate.inbox where state = 'handled'") > 100
    assert _scalar(hub.engine, "select count(*) from tidegate.inbox where state = 'waiting' or attempts > 0") == 0
    assert _scalar(hub.engine, "select count(*) from tidegate.unreadable") == 0
    assert unlike_stripe(hub) == {}
