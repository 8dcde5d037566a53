"""Rows that are named are looked at, or named as unknown; no sync is removed under its run."""

from typing import Any

import pytest
from tests.support.desk import FEW, Desk

from tidegate.connections import runs
from tidegate.errors import RowsUnknown, SyncInvalid, SyncUnknown
from tidegate.workflows.outbound import outbound_changes
from tidegate.workflows.outbound.sync_plan import Part


def people(desk: Desk, key: str, count: int, tier: str = "pro") -> None:
    desk.table(key, *({"id": str(n), "email": f"{n}@{key}.example", "tier": tier} for n in range(count)))
    desk.sync(key, "customers", {"email": "email"}, {"metadata": {"tier": "tier"}})


@pytest.mark.wide
def test_rows_that_the_model_has_not_are_named(desk: Desk) -> None:
    people(desk, "typo", 3)
    desk.asked()
    for asked in (desk.plan, desk.run):
        with pytest.raises(RowsUnknown, match="typo has no row 33, x, so nothing was planned"):
            asked("typo", part=Part(keys=("1", "x", "33")))
    assert desk.asked() == []
    assert desk.run("typo", part=Part(keys=("1", "x"), if_there=True))["sent"] == {"create": 1}


@pytest.mark.wide
def test_a_row_that_stayed_the_same_is_looked_at_when_it_is_named(desk: Desk) -> None:
    people(desk, "replay", 3)
    desk.run("replay")
    made = desk.v1.customers.list({"email": "1@replay.example"}).data[0].id
    assert desk.plan("replay", part=Part(keys=("1",)))["counts"]["nothing"] == 0
    assert desk.plan("replay", part=Part(keys=("1",), full=True))["counts"]["nothing"] == 1
    desk.v1.customers.update(made, {"metadata": {"tier": "edited"}})
    desk.learn()
    assert desk.run("replay", part=Part(keys=("1", "2"), full=True))["sent"] == {"update": 1}


@pytest.mark.wide
def test_a_sync_is_not_removed_under_a_run(desk: Desk) -> None:
    people(desk, "leaving", 1)
    desk.run("leaving")
    with runs.exclusive(desk.hub.engine, "sync:leaving", "sync") as alone:
        assert alone
        with (
            pytest.raises(SyncInvalid, match="a run is under way"),
            desk.hub.engine.begin() as db,
        ):
            outbound_changes.remove(db, "syncs", "leaving", "me")
    assert desk.states("leaving") == {"0": ("sent", "")}
    with desk.hub.engine.begin() as db:
        outbound_changes.remove(db, "syncs", "leaving", "me")
        with runs.exclusive(desk.hub.engine, "sync:leaving", "sync") as alone:
            assert not alone, "no run begins before it is gone"
    assert desk.states("leaving") == {}


@pytest.mark.wide
def test_a_sync_that_was_removed_before_its_run_began_is_unknown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    people(desk, "removed", 1)
    alone = runs.alone

    def late(db: Any, whose: str, kind: str) -> Any:
        if whose == "sync:removed":
            with desk.hub.engine.begin() as other:
                outbound_changes.remove(other, "syncs", "removed", "me")
        return alone(db, whose, kind)

    monkeypatch.setattr(runs, "alone", late)
    desk.asked()
    with pytest.raises(SyncUnknown):
        desk.run("removed", part=FEW)
    assert (desk.states("removed"), desk.asked()) == ({}, [])
