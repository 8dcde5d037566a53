"""Runs of one connection follow each other: what two of them would make, is made once."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.desk import Desk
from tests.support.killed_syncs import context_of

from tidegate.connections import runs
from tidegate.errors import OutboundBusy, SyncTakenOver
from tidegate.workflows.outbound import revert_sync, sync_task
from tidegate.workflows.outbound.sync_turns import line_of, turn


@pytest.fixture
def meanwhile(desk: Desk) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Does something once, while the next customer is being made."""
    faults = desk.sandbox.server.faults
    left: list[Callable[[], None]] = []

    def draw(path: str = "") -> None:
        if path == "/v1/customers" and left:
            left.pop()()

    faults.draw = draw
    yield left.append
    del faults.draw


def two_syncs(desk: Desk, name: str) -> tuple[str, str]:
    """Two syncs whose rows are the same customer."""
    keys = (f"{name}_one", f"{name}_two")
    for key in keys:
        desk.table(key, {"id": "0", "email": f"{key}@turns.example"})
        desk.sync(key, "customers", {"email": "email"}, {"email": "email", "name": {"value": "Ada"}})
        desk.run(key)
        desk.table(key, {"id": "0", "email": f"{key}@turns.example"}, {"id": "1", "email": f"{name}@turns.example"})
    return keys


def last_run(desk: Desk, key: str) -> int:
    """The last run of a sync."""
    with desk.hub.engine.connect() as db:
        last = runs.last(db, f"sync:{key}", "sync")
    assert last is not None
    return int(last["id"])


def test_a_run_beside_another_syncs_run_waits_and_makes_nothing_twice(
    desk: Desk, meanwhile: Callable[[Callable[[], None]], None]
) -> None:
    one, two = two_syncs(desk, "beside")
    told: list[Any] = []

    def beside() -> None:
        with pytest.raises(OutboundBusy) as refused:
            desk.run(two)
        told.append(str(refused.value))
        with pytest.raises(OutboundBusy):
            revert_sync.revert(desk.hub.engine, last_run(desk, two), desk.hub.stripe_writing, "me")
        sync_task.ask(desk.hub.engine, two, "me")
        told.append(sync_task.run_sync(context_of(desk.hub), desk.account.name, two)["state"])

    meanwhile(beside)
    assert desk.run(one)["sent"] == {"create": 1}
    assert (f"{one}, in " in told[0], told[1]) == (True, "busy"), told
    assert desk.run(two)["sent"] == {}
    assert len(desk.v1.customers.list({"email": "beside@turns.example"}).data) == 1
    assert desk.states(two)["1"][0] == "sent"


def test_a_run_whose_lock_was_lost_writes_nothing_beside_the_next_syncs_run(
    desk: Desk, meanwhile: Callable[[Callable[[], None]], None]
) -> None:
    one, two = two_syncs(desk, "lost")

    def take_over() -> None:
        with desk.hub.engine.begin() as db:
            number = runs.begin(db, f"sync:{two}", "sync", {"connection": desk.account.name}, "the other process")
        ends.append(number)

    ends: list[int] = []
    meanwhile(take_over)
    with pytest.raises(SyncTakenOver, match=f"{two} runs in the other process"):
        desk.run(one)
    assert "1" not in desk.states(one)
    with desk.hub.engine.begin() as db:
        runs.end(db, ends[0], "interrupted", {}, "the other process")
    desk.run(one)
    assert len(desk.v1.customers.list({"email": "lost@turns.example"}).data) == 1


def contacts_sync(desk: Desk, key: str) -> None:
    desk.table(key, {"id": key, "seats": 1})
    desk.sync(key, "contacts", {"id": "id"}, {"properties": {"seats": "seats"}})


def test_a_sync_of_contacts_neither_waits_for_one_to_stripe_nor_takes_its_place(
    desk: Desk, meanwhile: Callable[[Callable[[], None]], None]
) -> None:
    one, _ = two_syncs(desk, "here")
    contacts_sync(desk, "described")
    done: list[str] = []
    meanwhile(lambda: done.append(desk.run("described")["state"]))
    assert desk.run(one)["sent"] == {"create": 1}
    assert done == ["done"]


def test_two_syncs_of_contacts_follow_each_other_whatever_their_connection(desk: Desk) -> None:
    for key in ("described_one", "described_two"):
        contacts_sync(desk, key)
    with turn(desk.hub.engine, ["described_one"], line_of("contacts", "another")):
        with pytest.raises(OutboundBusy, match="writes to the contacts here just now"):
            desk.run("described_two")
        sync_task.ask(desk.hub.engine, "described_two", "me")
        done = sync_task.run_sync(context_of(desk.hub), desk.account.name, "described_two")
    assert done["state"] == "busy"
    locks = "select distinct lock from procrastinate_jobs where args ->> 'sync' = 'described_two'"
    with desk.hub.engine.connect() as db:
        assert list(db.scalars(text(locks))) == ["run_sync:the contacts here"]
