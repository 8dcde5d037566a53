"""Taking a run back: what was made is removed, what was changed goes back, and what cannot be undone is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.importing import imported
from tests.support.warehouse import Warehouse, customers, ready

from tidegate.errors import RunNotReverted, RunUnknown
from tidegate.outbound import specs, syncs
from tidegate.sandbox import Sandbox
from tidegate.wiring import Hub
from tidegate.workflows.outbound import revert_sync

pytestmark = pytest.mark.further

Make = Callable[..., Sandbox]


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


@pytest.fixture
def sandbox(make_sandbox: Make) -> Sandbox:
    return make_sandbox(customers=5, months=2)


@pytest.fixture
def warehouse(hub: Hub, sandbox: Sandbox, tmp_path: Path) -> Warehouse:
    return ready(hub, sandbox, tmp_path)


def revert(warehouse: Warehouse, run: int, **how: Any) -> dict[str, Any]:
    return revert_sync.revert(warehouse.hub.engine, run, warehouse.hub.stripe_writing, "me", **how)


def counts(warehouse: Warehouse, run: int) -> dict[str, int]:
    """What taking a run back would do, by kind."""
    way = revert_sync.plan(warehouse.hub.engine, run).as_json()
    return {kind: count for kind, count in way["counts"].items() if count}


@pytest.mark.wide
def test_what_was_made_is_removed_and_comes_back_only_when_its_row_changes(
    warehouse: Warehouse, sandbox: Sandbox
) -> None:
    first = warehouse.run(plan=warehouse.plan()["plan"])
    assert counts(warehouse, first["run"]) == {"revert": 3}
    assert len(customers(sandbox)) == 3
    done = revert(warehouse, first["run"])
    assert (done["state"], done["sent"]) == ("done", {"delete": 3})
    assert customers(sandbox) == {}
    assert warehouse.rows("select distinct state, object_id from tidegate.sync_rows") == [("reverted", None)]
    assert warehouse.run()["sent"] == {}
    warehouse.write("update accounts set tier = 'max' where id = 1")
    assert warehouse.run(despite_stops=True)["sent"] == {"create": 1}
    assert counts(warehouse, first["run"]) == {"nothing": 3}


def test_fields_go_back_one_by_one_and_those_that_were_edited_since_are_named(
    warehouse: Warehouse, sandbox: Sandbox
) -> None:
    warehouse.run(plan=warehouse.plan()["plan"])
    warehouse.write("update accounts set tier = 'max', company = 'Renamed ' || id")
    run = warehouse.run(despite_stops=True)
    assert run["sent"] == {"update": 3}
    edited = customers(sandbox)["pat@new.example"]
    with warehouse.hub.stripe_writing(warehouse.account) as api:
        api.post(f"/v1/customers/{edited['id']}", {"name": "By hand"}, idempotency_key="hand")
    imported(warehouse.hub, warehouse.account, "customers", full=True)
    way = revert_sync.plan(warehouse.hub.engine, run["run"]).as_json()
    assert way["counts"] == {"revert": 3, "conflict": 0, "skip": 0, "nothing": 0}
    [pat] = [one for one in way["sample"]["revert"] if one["key"] == "1"]
    assert pat["changes"] == [{"field": "metadata.tier", "before": "max", "after": "pro", "edited": False}]
    assert [one["field"] for one in pat["kept"]] == ["name"]
    assert revert(warehouse, run["run"])["sent"] == {"update": 3}
    after = customers(sandbox)
    assert {one["name"] for one in after.values()} == {"By hand", "Ünïcode 🎉", "Ada"}
    assert [after[f"{name}@new.example"]["metadata"] for name in ("pat", "uni", "ada")] == [
        {"tier": "pro"}, {"tier": "free"}, {},
    ]  # fmt: skip
    imported(warehouse.hub, warehouse.account, "customers", full=True)
    assert warehouse.run()["sent"] == {}
    assert counts(warehouse, run["run"]) == {"conflict": 1, "nothing": 2}
    assert revert(warehouse, run["run"], despite_edits=True)["sent"] == {"update": 1}
    assert customers(sandbox)["pat@new.example"]["name"] == "O'Brien"


@pytest.mark.wide
def test_what_is_deleted_is_gone_and_said_so(warehouse: Warehouse, sandbox: Sandbox) -> None:
    warehouse.define(delete="remove")
    warehouse.run(plan=warehouse.plan()["plan"])
    warehouse.write("delete from accounts where id = 3")
    run = warehouse.run(despite_stops=True)
    assert run["sent"] == {"delete": 1}
    way = revert_sync.plan(warehouse.hub.engine, run["run"]).as_json()
    assert way["counts"]["skip"] == 1
    assert way["sample"]["skip"][0]["why"] == "it was deleted, and Stripe brings back nothing"
    assert revert(warehouse, run["run"])["state"] == "incomplete"


def test_a_run_that_a_later_one_wrote_over_is_left_unless_that_is_said(warehouse: Warehouse, sandbox: Sandbox) -> None:
    first = warehouse.run(plan=warehouse.plan()["plan"])
    warehouse.write("update accounts set tier = 'max' where id = 1")
    second = warehouse.run(despite_stops=True)
    way = revert_sync.plan(warehouse.hub.engine, first["run"]).as_json()
    assert (way["counts"]["revert"], way["counts"]["conflict"]) == (2, 1)
    assert way["sample"]["conflict"][0]["why"] == f"run {second['run']} wrote it since"
    assert revert(warehouse, first["run"])["sent"] == {"delete": 2}
    assert revert(warehouse, first["run"], despite_edits=True)["sent"] == {"delete": 1}
    assert customers(sandbox) == {}


@pytest.mark.wide
def test_a_replaced_price_takes_over_again(warehouse: Warehouse, sandbox: Sandbox) -> None:
    warehouse.write("create table prices as select 'basic' as id, 'prod_sync' as product, 900 as amount")
    warehouse.write("create table products as select 'prod_sync' as id, 'Synced' as name")
    with warehouse.hub.engine.begin() as db:
        for model in ("products", "prices"):
            said = {"key": model, "source": "warehouse", "table": model, "primary_key": "id"}
            syncs.define_model(db, specs.model(said))
        products = {"key": "products", "model": "products", "resource": "products", "match": {"id": "id"},
                    "fields": {"name": "name"}}  # fmt: skip
        prices = {
            "key": "prices", "model": "prices", "resource": "prices", "match": {"lookup_key": "id"},
            "fields": {"product": "product", "unit_amount": "amount", "currency": {"value": "usd"},
                       "recurring": {"interval": {"value": "month"}}},
            "replace_prices": True, "stops": {"updates": 100},
        }  # fmt: skip
        for said in (products, prices):
            syncs.define_sync(db, specs.sync(said), warehouse.account.name)
    for key in ("products", "prices"):
        warehouse.run(sync=key, despite_stops=True, plan=warehouse.plan(sync=key)["plan"])
    warehouse.write("update prices set amount = 1100")
    run = warehouse.run(sync="prices")
    assert run["sent"] == {"archive": 1, "replace": 1}
    assert priced(sandbox) == {900: (False, None), 1100: (True, "basic")}
    assert revert(warehouse, run["run"])["sent"] == {"archive": 1, "update": 1}
    assert priced(sandbox) == {900: (True, "basic"), 1100: (False, None)}


def priced(sandbox: Sandbox) -> dict[int, tuple[bool, str | None]]:
    """Whether each price of the synced product is active, and its lookup key, by amount."""
    every = [sandbox.state.full("prices", id_) for id_ in list(sandbox.state["prices"].ids)]
    ours = [one for one in every if one["product"] == "prod_sync"]
    return {one["unit_amount"]: (one["active"], one.get("lookup_key")) for one in ours}


def test_subscriptions_have_their_items_again_and_new_ones_are_canceled(warehouse: Warehouse, sandbox: Sandbox) -> None:
    price = next(
        one for id_ in sandbox.state["prices"].ids
        if (one := sandbox.state.full("prices", id_))["type"] == "recurring" and one["unit_amount"]
        and one["recurring"]["usage_type"] == "licensed" and one["active"] and one["currency"] == "usd"
    )  # fmt: skip
    customer_id = next(iter(sandbox.state["customers"].ids))
    warehouse.write(
        f"create table subs as select 'a' as id, '{customer_id}' as customer, '{price['id']}' as price, 2 as seats"
    )
    with warehouse.hub.engine.begin() as db:
        syncs.define_model(db, specs.model({"key": "s", "source": "warehouse", "table": "subs", "primary_key": "id"}))
        said = {
            "key": "subs", "model": "s", "resource": "subscriptions", "match": {"metadata": {"row": "id"}},
            "fields": {"customer": {"id": "customer"}, "items": [{"price": {"id": "price"}, "quantity": "seats"}],
                       "collection_method": {"value": "send_invoice"}, "days_until_due": {"value": 30},
                       "proration_behavior": {"value": "none"}},
            "stops": {"updates": 100},
        }  # fmt: skip
        syncs.define_sync(db, specs.sync(said), warehouse.account.name)
    first = warehouse.run(sync="subs", plan=warehouse.plan(sync="subs")["plan"])
    assert first["sent"] == {"create": 1}
    warehouse.write("update subs set seats = 5")
    second = warehouse.run(sync="subs")
    assert (second["sent"], seats(sandbox)) == ({"update": 1}, [("active", 5)])
    assert revert(warehouse, second["run"])["sent"] == {"update": 1}
    assert seats(sandbox) == [("active", 2)]
    assert counts(warehouse, first["run"]) == {"conflict": 1}
    assert revert(warehouse, first["run"], despite_edits=True)["sent"] == {"cancel": 1}
    assert seats(sandbox) == [("canceled", 2)]


def seats(sandbox: Sandbox) -> list[tuple[str, int]]:
    """The status and the quantity of each subscription that the sync made."""
    every = [sandbox.state.full("subscriptions", id_) for id_ in list(sandbox.state["subscriptions"].ids)]
    ours = [one for one in every if one["metadata"].get("row")]
    return [(one["status"], one["items"]["data"][0]["quantity"]) for one in ours]


def test_what_is_no_run_of_a_sync_is_refused(warehouse: Warehouse) -> None:
    engine = warehouse.hub.engine
    with pytest.raises(RunUnknown):
        revert_sync.plan(engine, 10**20)
    [(imported_run,)] = warehouse.rows("select min(id) from tidegate.runs where kind = 'import'")
    with pytest.raises(RunNotReverted, match="kind import"):
        revert_sync.plan(engine, imported_run)
    warehouse.run(plan=warehouse.plan()["plan"])
    nothing = warehouse.run()
    with pytest.raises(RunNotReverted, match="sent nothing"):
        revert_sync.plan(engine, nothing["run"])
