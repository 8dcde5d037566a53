"""What a run wants before it sends: a whole mirror, a plan that was looked at, and no more changes than usual."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.desk import FEW, Desk, opened
from tests.support.importing import connected, imported
from tests.support.warehouse import Warehouse, customers, ready

from tidegate.errors import MirrorIncomplete, PlanStale, SyncStopped
from tidegate.sandbox import Sandbox
from tidegate.wiring import Hub
from tidegate.workflows.outbound import sync_history, sync_plan, sync_task
from tidegate.workflows.outbound.sync_keeping import Keeper
from tidegate.workflows.outbound.sync_plan import Part
from tidegate.workflows.task_context import TaskContext

Make = Callable[..., Sandbox]
SENT = {"collection_method": {"value": "send_invoice"}, "days_until_due": {"value": 7}}


@pytest.fixture
def desk(fresh_database_url: str, secret_key: str, tmp_path: Path) -> Iterator[Desk]:
    """In a database of its own: `warehouse` empties the one that it shares."""
    with opened(fresh_database_url, secret_key, tmp_path) as desk:
        desk.learn()
        yield desk


@pytest.fixture
def sandbox(make_sandbox: Make) -> Sandbox:
    return make_sandbox(customers=3, months=1)


@pytest.fixture
def empty(hub: Hub, sandbox: Sandbox, tmp_path: Path) -> Warehouse:
    """A sync whose account was connected and not imported."""
    with hub.engine.begin() as db:
        tables = "connections, tidegate.syncs, tidegate.sync_rows, tidegate.requests, tidegate.runs, stripe.customers"
        db.execute(text(f"truncate tidegate.{tables} cascade"))
    return Warehouse(hub, connected(hub, sandbox, write_key=sandbox.key), tmp_path)


@pytest.fixture
def warehouse(empty: Warehouse, hub: Hub, sandbox: Sandbox, tmp_path: Path) -> Warehouse:
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.connections cascade"))
    return ready(hub, sandbox, tmp_path)


def people(desk: Desk, key: str, count: int, tier: str = "pro") -> None:
    desk.table(key, *({"id": str(n), "email": f"{n}@{key}.example", "tier": tier} for n in range(count)))
    desk.sync(key, "customers", {"email": "email"}, {"metadata": {"tier": "tier"}})


def test_nothing_is_planned_on_a_mirror_that_is_not_whole(empty: Warehouse, hub: Hub, sandbox: Sandbox) -> None:
    there = sandbox.state.full("customers", next(iter(sandbox.state["customers"].ids)))["email"]
    empty.write(f"create table accounts as select 1 as id, 'X' as company, '{there}' as email, 'pro' as tier")
    empty.define()
    for asked in (empty.plan, lambda: empty.run(part=Part(limit=1))):
        with pytest.raises(MirrorIncomplete, match=r"acme was never imported whole\. Import first: `tidegate import"):
            asked()
    imported(hub, empty.account)
    assert empty.plan()["counts"]["update"] == 1, "no second customer"
    with hub.engine.begin() as db:
        db.execute(
            text("""
update tidegate.runs set summary = summary || '{"left_out": {"customers": "permission_missing"}}'
where kind = 'import'""")
        )
    with pytest.raises(MirrorIncomplete, match="left out customers"):
        empty.plan()


@pytest.mark.wide
def test_a_part_that_sends_more_than_a_few_wants_the_plan_as_well(desk: Desk) -> None:
    people(desk, "many", 101)
    with pytest.raises(SyncStopped, match="up to 100 rows with --limit"):
        desk.run("many", part=Part(limit=101))
    assert desk.asked() == []
    assert desk.run("many", part=Part(limit=1))["sent"] == {"create": 1}
    with pytest.raises(SyncStopped, match="its first run wants a plan"):
        desk.run("many", plan=None)
    assert desk.run("many")["sent"] == {"create": 100}, "with the plan of the rest"
    people(desk, "many", 102)
    assert desk.run("many", plan=None)["sent"] == {"create": 1}
    sync_history.reset(desk.hub.engine, "many", "me")
    people(desk, "many", 103)
    with pytest.raises(SyncStopped, match="its first run wants a plan"):
        desk.run("many", plan=None)


@pytest.mark.wide
def test_a_part_stops_for_what_it_would_change(desk: Desk) -> None:
    people(desk, "stops", 30)
    desk.run("stops")
    people(desk, "stops", 30, tier="max")
    desk.asked()
    with pytest.raises(SyncStopped, match="30 of 30 rows would be updated, more than 20 %"):
        desk.run("stops", part=Part(limit=1_000_000), despite_stops=False)
    assert desk.asked() == []
    assert desk.run("stops", part=Part(limit=10), despite_stops=False)["sent"] == {"update": 10}
    assert desk.run("stops", part=Part(keys=("8", "9")), despite_stops=False)["sent"] == {"update": 2}


@pytest.mark.wide
def test_prices_that_would_be_replaced_stop_a_run(desk: Desk) -> None:
    product = desk.v1.products.create({"name": "Plan"}).id
    desk.learn()
    fields = {"product": {"value": product}, "currency": {"value": "usd"}, "unit_amount": "amount"}
    rows = [{"id": str(n), "code": f"stop-{n}", "amount": 100} for n in range(4)]
    desk.table("tariffs", *rows)
    desk.sync("tariffs", "prices", {"lookup_key": "code"}, fields, replace_prices=True)
    desk.run("tariffs")
    desk.asked()
    desk.table("tariffs", rows[0] | {"amount": 1}, *rows[1:])
    with pytest.raises(SyncStopped, match="1 of 4 rows would be updated"):
        desk.run("tariffs", despite_stops=False)
    assert desk.asked() == []


def bills(desk: Desk, finish: str) -> None:
    customer = desk.v1.customers.create({"email": "bills@first.example"}).id
    desk.learn()
    desk.table("bills", *({"id": str(n), "mark": f"bill-{n}", "customer": customer} for n in range(3)))
    define(desk, finish)


def define(desk: Desk, finish: str) -> None:
    desk.sync(
        "bills", "invoices", {"metadata": {"row": "mark"}}, {"customer": {"id": "customer"}, **SENT}, finish=finish
    )


@pytest.mark.wide
def test_invoices_are_finished_by_runs_whose_plan_showed_it_and_by_no_other(desk: Desk) -> None:
    bills(desk, "draft")
    desk.run("bills")
    define(desk, "sent")
    people(desk, "others", 1)
    desk.asked()
    desk.run("others")
    desk.run("others", part=Part(keys=("0",)))
    desk.run("bills", part=FEW)
    assert [path for _, path, _ in desk.asked()] == ["customers"], "of nobody else, nor by a part"
    plan = desk.plan("bills")
    assert plan["counts"]["finish"] == 3
    assert plan["sample"]["finish"][0]["changes"] == [
        {"field": "status", "before": "draft", "after": "sent", "edited": False}
    ]
    with pytest.raises(SyncStopped, match="wants a plan that was looked at"):
        desk.run("bills", plan=None)
    before = looked_at(desk)
    made = desk.marked("invoices", "row", "bill-0")[0]["id"]
    desk.v1.invoices.delete(made)
    desk.catch_up()
    desk.asked()
    with pytest.raises(PlanStale):
        desk.run("bills", plan=before)
    assert desk.run("bills")["sent"] == {"create": 1, "send": 3}
    assert desk.run("bills", plan=None)["sent"] == {}


def looked_at(desk: Desk) -> int | None:
    return desk._looked_at("bills")  # pyright: ignore[reportPrivateUsage]


@pytest.mark.wide
def test_a_first_run_that_died_with_nothing_kept_is_gone_on_with(
    warehouse: Warehouse, sandbox: Sandbox, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = warehouse.plan()["plan"]

    def dies(*_: Any, **__: Any) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as dying:
        dying.setattr(Keeper, "_write", dies)
        dying.setattr("tidegate.workflows.outbound.sync_ending.end", lambda *_, **__: None)
        with pytest.raises(RuntimeError, match="killed"):
            warehouse.run(plan=plan)
    assert warehouse.rows("select count(*) from tidegate.sync_rows") == [(0,)]
    with monkeypatch.context() as dying:  # what goes on dies as well, before it sends anything
        dying.setattr("tidegate.workflows.outbound.sync_settling.settle", dies)
        dying.setattr("tidegate.workflows.outbound.sync_ending.end", lambda *_, **__: None)
        with pytest.raises(RuntimeError, match="killed"):
            warehouse.run()
    warehouse.write("insert into accounts values (4, 'Late', 'late@new.example', 'free')")
    with hub.engine.connect() as db:
        assert sync_plan.was_begun(db, "customers")
    context = TaskContext(hub.engine, hub.stripe, hub.stripe_writing, hub.source_url)
    assert sync_task.run_sync(context, "acme", "customers")["state"] == "done"
    assert len(customers(sandbox)) == 4
    assert warehouse.rows("select due_at from tidegate.syncs") == [(None,)]


@pytest.mark.wide
def test_what_goes_on_stops_where_the_source_is_empty_by_then(warehouse: Warehouse) -> None:
    warehouse.run(plan=warehouse.plan()["plan"])
    warehouse.write("delete from accounts")
    with pytest.raises(SyncStopped, match="no rows any more"):
        warehouse.run(despite_stops=True, resumed=True)
    assert warehouse.run(despite_stops=True)["state"] == "done", "said of an empty model it is meant"


@pytest.mark.wide
def test_a_first_run_takes_over_no_objects_of_another_sync_unasked(desk: Desk) -> None:
    def numbered(key: str, *numbers: int) -> None:
        desk.table(key, *({"id": str(n), "name": key} for n in numbers))

    def matched(key: str, mark: str, **said: Any) -> None:
        desk.sync(key, "customers", {"metadata": {mark: "id"}}, {"name": "name"}, **said)

    numbered("users", 1, 2)
    matched("users", "id")
    desk.run("users")
    numbered("teams", 2, 3)
    matched("teams", "id")
    desk.asked()
    [stop] = desk.plan("teams")["stops"]
    assert stop.startswith("1 of its rows are customers that rows of the sync users are already, for both match by")
    with pytest.raises(SyncStopped, match=r"match by a key that no other sync has \(\{metadata: \{teams_id: id\}\}\)"):
        desk.run("teams", despite_stops=False)
    assert desk.asked() == []
    matched("teams", "id", mode="update")
    assert desk.plan("teams")["stops"] == [], "it is there to write what others made"
    matched("teams", "teams_id")
    assert desk.run("teams", despite_stops=False)["sent"] == {"create": 2}
    numbered("beside", 1)
    matched("beside", "id", stops={"updates": 100})
    assert desk.run("beside")["sent"] == {"update": 1}
    numbered("beside", 1, 2)
    assert desk.run("beside", despite_stops=False, plan=None)["sent"] == {"update": 1}, "it was let by once"
