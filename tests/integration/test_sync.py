"""Syncs end to end: a warehouse's rows planned and sent to the sandbox over HTTP, each once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.support.importing import imported
from tests.support.warehouse import Warehouse, customers, ready

from tidegate.errors import SyncStopped
from tidegate.sandbox import Sandbox
from tidegate.wiring import Hub
from tidegate.workflows.outbound.sync_plan import Part

Make = Callable[..., Sandbox]


@pytest.fixture
def sandbox(make_sandbox: Make) -> Sandbox:
    return make_sandbox(customers=5, months=2)


@pytest.fixture
def warehouse(hub: Hub, sandbox: Sandbox, tmp_path: Path) -> Warehouse:
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.connections, tidegate.syncs, tidegate.sync_rows, tidegate.requests cascade"))
    return ready(hub, sandbox, tmp_path)


def test_rows_are_planned_sent_once_and_changed_field_by_field(warehouse: Warehouse, sandbox: Sandbox) -> None:
    plan = warehouse.plan()
    assert {kind: count for kind, count in plan["counts"].items() if count} == {"create": 3}
    assert customers(sandbox) == {}
    with pytest.raises(SyncStopped, match="wants a plan"):
        warehouse.run()
    done = warehouse.run(plan=plan["plan"])
    assert (done["state"], done["sent"], done["failed"]) == ("done", {"create": 3}, 0)
    made = customers(sandbox)
    assert {one["name"] for one in made.values()} == {"O'Brien", "Ünïcode 🎉", "Ada"}
    assert made["pat@new.example"]["metadata"] == {"tier": "pro"}
    again = warehouse.run()
    assert (again["sent"], sum(again["counts"].values())) == ({}, 0)
    warehouse.write("update accounts set tier = 'max' where id = 1")
    plan = warehouse.plan()
    [update] = plan["sample"]["update"]
    assert update["changes"] == [{"field": "metadata.tier", "before": "pro", "after": "max", "edited": False}]
    done = warehouse.run(despite_stops=True)
    assert done["sent"] == {"update": 1}
    assert customers(sandbox)["pat@new.example"]["metadata"] == {"tier": "max"}
    assert warehouse.rows("select count(*) from tidegate.requests where state = 'done'") == [(4,)]


@pytest.mark.wide
def test_taking_over_what_stripe_has_stops_no_first_run_whose_plan_was_looked_at(warehouse: Warehouse) -> None:
    with warehouse.hub.stripe_writing(warehouse.account) as api:
        for number, email in enumerate(("uni@new.example", "ada@new.example", "late@new.example")):
            api.post("/v1/customers", {"email": email, "name": "By hand"}, idempotency_key=f"adopted-{number}")
    imported(warehouse.hub, warehouse.account, "customers", full=True)
    assert warehouse.run(part=Part(limit=1))["sent"] == {"create": 1}
    plan = warehouse.plan()
    assert (plan["rows"]["known"], plan["counts"]["update"], plan["adopted"], plan["stops"]) == (1, 2, 2, [])
    with pytest.raises(SyncStopped, match="wants a plan"):
        warehouse.run()
    assert warehouse.run(plan=plan["plan"])["sent"] == {"update": 2}
    warehouse.write("insert into accounts values (4, 'Late', 'late@new.example', null)")
    plan = warehouse.plan()
    assert (plan["adopted"], plan["stops"]) == (1, ["1 of 3 rows would be updated, more than 20 %"])
    with pytest.raises(SyncStopped, match="would be updated"):
        warehouse.run(plan=plan["plan"])
