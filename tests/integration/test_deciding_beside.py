"""A plan that is decided in several processes is the one that is decided in one."""

import multiprocessing
from concurrent.futures import wait
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.desk import Desk

from tidegate.errors import HubBusy
from tidegate.outbound import planning, staging
from tidegate.workflows.outbound import deciding_beside, processes, sync_plan

ROWS = 300
FIELDS = {"name": "name", "metadata": {"seats": "seats"}}


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever differs is decided in two processes, by more batches than they take at a time."""
    monkeypatch.setattr(deciding_beside, "DIFFER", 1)
    monkeypatch.setattr(processes, "processors", lambda: 2)
    monkeypatch.setattr(staging, "BATCH", 30)


def row(number: int, **other: Any) -> dict[str, Any]:
    said = {"id": f"{number:03}", "email": f"{number}@many.example", "name": f"Number {number}", "seats": number % 7}
    return said | other


def decisions(desk: Desk, key: str = "many") -> tuple[dict[str, int], str, list[Any]]:
    """The counts and the fingerprint of a plan, and every decision of it."""
    with sync_plan.planned(desk.hub.engine, key, lambda source: source.shown) as made:
        every = [one for some in planning.decisions(made.staging, planning.KINDS) for one in some]
        return dict(made.plan.counts), made.plan.fingerprint, every


def test_the_decisions_are_those_of_one_process(desk: Desk, request: pytest.FixtureRequest) -> None:
    """Rows that are made, changed, wrong, gone, and that took over what another key was."""
    desk.table("many", *(row(n) for n in range(40)))
    desk.sync("many", "customers", {"email": "email"}, FIELDS, delete="remove")
    assert desk.run("many")["sent"] == {"create": 40}
    renamed = [row(n, id=f"renamed {n}") for n in range(5)]
    changed = [row(n, name=f"Other {n}") for n in range(5, 20)]
    wrong = [row(ROWS, email="no address"), row(ROWS + 1, name="x" * 300)]
    desk.table("many", *renamed, *changed, *(row(n) for n in range(30, ROWS)), *wrong)
    alone = decisions(desk)
    assert {kind: count for kind, count in alone[0].items() if count} == {
        "create": ROWS - 40, "update": 15, "nothing": 5, "invalid": 2, "delete": 10, "gone": 5,
    }  # fmt: skip
    request.getfixturevalue("beside")
    assert decisions(desk) == alone
    assert multiprocessing.active_children() == []


@pytest.mark.further
def test_processes_come_up_while_rows_are_read_where_many_are_expected(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.table("few", *(row(n) for n in range(40)))
    desk.sync("few", "customers", {"email": "email"}, FIELDS)
    alone = decisions(desk, "few")
    monkeypatch.setattr(processes, "processors", lambda: 2)
    monkeypatch.setattr(deciding_beside, "READ", 1)
    monkeypatch.setattr(deciding_beside, "DIFFER_AT_HAND", 30)
    read, deciding = deciding_beside.Beside.read, deciding_beside.Beside.deciding
    by_them = list[tuple[int, bool]]()

    def awaited(self: Any, rows: int) -> None:
        read(self, rows)
        wait(self._up, 60)

    def noted(self: Any, *given: Any) -> Any:
        found = deciding(self, *given)
        by_them.append((len(self._up), found is not None))
        return found

    monkeypatch.setattr(deciding_beside.Beside, "read", awaited)
    monkeypatch.setattr(deciding_beside.Beside, "deciding", noted)
    assert decisions(desk, "few") == alone, "nothing was sent yet"
    desk.table("few", *(row(n) for n in range(20)))
    desk.run("few")
    decisions(desk, "few")
    assert by_them[0] == (2, True)
    assert {*by_them[1:-1]} == {(2, False)}, "there are no more than twenty"
    assert by_them[-1] == (0, False), "the run had twenty to make, so few are expected"


WAITING = text("""
select count(*) from pg_stat_activity
where datname = current_database() and state = 'idle in transaction' and application_name <> 'tidegate plan'
  and pid <> pg_backend_pid()""")


@pytest.mark.further
@pytest.mark.usefixtures("beside")
def test_a_process_that_dies_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.table("many", *(row(n, name=f"Yet another {n}") for n in range(ROWS)))
    desk.sync("many", "customers", {"email": "email"}, FIELDS, delete="remove")
    decide, waited = deciding_beside.Beside.deciding, list[int]()

    def killed(*given: Any) -> Any:
        deciding = decide(*given)
        assert deciding is not None

        def some(*asked: Any) -> Any:
            for one in deciding(*asked):
                yield one
                with desk.hub.engine.connect() as db:
                    waited.append(db.execute(WAITING).scalar_one())
                for process in multiprocessing.active_children():
                    process.kill()

        return some

    monkeypatch.setattr(deciding_beside.Beside, "deciding", killed)
    with pytest.raises(HubBusy, match="died"):
        decisions(desk)
    assert {*waited} == {0}, "a transaction that idles for a minute is ended by PostgreSQL"
