"""A sync's run that is killed, wherever: the next one ends with exactly the wanted objects, and none was made twice."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.support import killing
from tests.support.importing import connected, imported
from tests.support.killed_syncs import MARK, Warehouse, send
from tests.support.waiting import until

from tidegate.errors import SyncRunning
from tidegate.sandbox import Sandbox
from tidegate.wiring import Hub

EVERY = 9
"""A run is killed at each so many-th of its steps; the soak kills at every one, four hundred in all."""


@pytest.fixture
def warehouse(hub: Hub, make_sandbox: Any, tmp_path: Path) -> Warehouse:
    sandbox: Sandbox = make_sandbox(customers=4, months=2)
    account = connected(hub, sandbox, "acme", write_key=sandbox.key)
    imported(hub, account)
    return Warehouse(hub, sandbox, account, tmp_path / "warehouse.duckdb")


class Killed(NamedTuple):
    """A sync that is ready to be run, its name among the sandbox's objects, and what a run asks of Stripe."""

    sync: str
    name: str
    creates: int


# Customers: two made, one changed, one deleted.


def customers(warehouse: Warehouse, name: str) -> Killed:
    columns = f"(id, mark, name) as (values (1, '{name}-1', 'Ada'), (2, '{name}-2', 'Bo'))"
    warehouse.write(f"create table {name} as with t{columns} select * from t")
    fields = {"name": "name", "metadata": {"kind": {"value": "x"}}}
    warehouse.define(name, name, "customers", fields, delete={"how": "remove"})
    warehouse.first(name)
    warehouse.write(
        f"update {name} set name = 'Ada L.' where id = 1",
        f"delete from {name} where id = 2",
        f"insert into {name} values (3, '{name}-3', 'Cy'), (4, '{name}-4', 'Di')",
    )
    return Killed(name, name, 2)


def customers_are_as_wanted(warehouse: Warehouse, killed: Killed, where: str) -> None:
    found = {one["metadata"][MARK]: one for one in warehouse.objects("customers", f"{killed.name}-")}
    assert {mark: one["name"] for mark, one in found.items()} == {
        f"{killed.name}-1": "Ada L.", f"{killed.name}-3": "Cy", f"{killed.name}-4": "Di",
    }, where  # fmt: skip
    assert len(warehouse.objects("customers", f"{killed.name}-")) == 3, where
    known = {f"{killed.name}-{key}": row for key, row in warehouse.remembered(killed.sync).items() if key != "2"}
    assert known == {mark: ("sent", one["id"]) for mark, one in found.items()}, where
    assert warehouse.remembered(killed.sync).get("2", ("gone",))[0] == "gone", where
    for one in found.values():
        assert warehouse.mirrored("customers", one["id"])["name"] == one["name"], where


# Products: two made, one changed, one deleted, and one that has a price and so is archived.


def products(warehouse: Warehouse, name: str) -> Killed:
    warehouse.write(f"""
create table {name} as select * from (values
  (1, '{name}-1', 'Ada'), (2, '{name}-2', 'Bo'), (3, '{name}-3', 'Cy')) t(id, mark, name)""")
    fields = {"name": "name", "metadata": {"kind": {"value": "x"}}}
    warehouse.define(name, name, "products", fields, delete={"how": "remove"})
    warehouse.first(name)
    [priced] = warehouse.objects("products", f"{name}-3")
    warehouse.write(f"create table {name}_price as select 1 as id, '{name}-p' as mark, '{priced['id']}' as product")
    price = {"product": {"id": "product"}, "currency": {"value": "usd"}, "unit_amount": {"value": 100}}
    warehouse.define(f"{name}_price", f"{name}_price", "prices", price)
    warehouse.first(f"{name}_price")
    warehouse.write(
        f"update {name} set name = 'Ada L.' where id = 1",
        f"delete from {name} where id in (2, 3)",
        f"insert into {name} values (4, '{name}-4', 'Di'), (5, '{name}-5', 'Ed')",
    )
    return Killed(name, name, 2)


def products_are_as_wanted(warehouse: Warehouse, killed: Killed, where: str) -> None:
    found = warehouse.objects("products", f"{killed.name}-")
    told = sorted((one["metadata"][MARK][-1], one["name"], one["active"]) for one in found)
    assert told == [("1", "Ada L.", True), ("3", "Cy", False), ("4", "Di", True), ("5", "Ed", True)], where
    ids = {one["metadata"][MARK][-1]: one["id"] for one in found}
    known = warehouse.remembered(killed.sync)
    assert {key: known[key] for key in ("1", "4", "5")} == {key: ("sent", ids[key]) for key in ("1", "4", "5")}, where
    assert warehouse.mirrored("products", ids["3"])["active"] is False, where


# Prices: one made, one archived, and one whose amount changed: a new one takes its place and its lookup key, and it is
# archived.


def prices(warehouse: Warehouse, name: str) -> Killed:
    product = next(iter(warehouse.sandbox.state["products"].ids))
    warehouse.write(f"""
create table {name} as select * from (values
  (1, '{name}-1', '{name}_key', 1000), (3, '{name}-3', '{name}_old', 300)) t(id, mark, look, amount)""")
    fields = {
        "product": {"value": product}, "currency": {"value": "usd"}, "unit_amount": "amount", "lookup_key": "look",
        "metadata": {"kind": {"value": "x"}},
    }  # fmt: skip
    warehouse.define(name, name, "prices", fields, replace_prices=True, delete={"how": "remove"})
    warehouse.first(name)
    warehouse.write(
        f"delete from {name} where id = 3",
        f"update {name} set amount = 2000",
        f"insert into {name} values (2, '{name}-2', '{name}_other', 500)",
    )
    return Killed(name, name, 2)


def prices_are_as_wanted(warehouse: Warehouse, killed: Killed, where: str) -> None:
    found = warehouse.objects("prices", f"{killed.name}-")
    told = sorted((one["unit_amount"], one["active"], one["lookup_key"]) for one in found)
    key = f"{killed.name}_key"
    assert told == [
        (300, False, f"{killed.name}_old"), (500, True, f"{killed.name}_other"), (1000, False, None), (2000, True, key),
    ], where  # fmt: skip
    ids = {one["unit_amount"]: one["id"] for one in found}
    known = warehouse.remembered(killed.sync)
    assert (known["1"], known["2"]) == (("sent", ids[2000]), ("sent", ids[500])), where
    assert warehouse.mirrored("prices", ids[1000])["active"] is False, where


# Subscriptions: a new one, one whose items change, and one that is to end.


def subscriptions(warehouse: Warehouse, name: str) -> Killed:
    state = warehouse.sandbox.state
    price, other = _monthly(warehouse)
    customer = next(iter(state["customers"].ids))
    warehouse.write(f"""
create table {name} as select * from (values
  (1, '{name}-1', '{customer}', '{price}', 2), (3, '{name}-3', '{customer}', '{price}', 1))
t(id, mark, customer, price, seats)""")
    fields = {
        "customer": {"id": "customer"}, "items": [{"price": "price", "quantity": "seats"}],
        "collection_method": {"value": "send_invoice"}, "days_until_due": {"value": 30},
        "proration_behavior": {"value": "none"}, "metadata": {"kind": {"value": "x"}},
    }  # fmt: skip
    warehouse.define(name, name, "subscriptions", fields, delete={"how": "remove"})
    warehouse.first(name)
    warehouse.write(
        f"delete from {name} where id = 3",
        f"update {name} set seats = 5, price = '{other}'",
        f"insert into {name} values (2, '{name}-2', '{customer}', '{price}', 3)",
    )
    return Killed(name, name, 1)


def _monthly(warehouse: Warehouse) -> list[str]:
    prices = (warehouse.sandbox.state.full("prices", id_) for id_ in warehouse.sandbox.state["prices"].ids)
    found = [
        one["id"]
        for one in prices
        if one["active"]
        and one["currency"] == "usd"
        and one["recurring"]
        and one["recurring"]["interval"] == "month"
        and one["recurring"]["usage_type"] == "licensed"
        and one["unit_amount"]
    ]
    return found[:2]


def subscriptions_are_as_wanted(warehouse: Warehouse, killed: Killed, where: str) -> None:
    found = {one["metadata"][MARK][-1]: one for one in warehouse.objects("subscriptions", f"{killed.name}-")}
    price, other = _monthly(warehouse)
    items = {
        mark: [(item["price"]["id"] if isinstance(item["price"], dict) else item["price"], item["quantity"])
               for item in one["items"]["data"]]
        for mark, one in found.items()
    }  # fmt: skip
    assert items == {"1": [(other, 5)], "2": [(price, 3)], "3": [(price, 1)]}, where
    assert {mark for mark, one in found.items() if one["cancel_at_period_end"]} == {"3"}, where
    assert len(warehouse.objects("subscriptions", f"{killed.name}-")) == 3, where
    known = warehouse.remembered(killed.sync)
    assert (known["1"], known["2"]) == (("sent", found["1"]["id"]), ("sent", found["2"]["id"])), where


# Invoice items: two made on a draft of another sync, which is then finished.


def invoices(warehouse: Warehouse, name: str) -> Killed:
    customer = next(iter(warehouse.sandbox.state["customers"].ids))
    warehouse.write(
        f"create table {name}_bills as select 1 as id, '{name}-b' as mark",
        f"""create table {name} as select * from (values (1, '{name}-1', 1, 700), (2, '{name}-2', 1, 800))
t(id, mark, bill, amount)""",
    )
    fields = {
        "customer": {"value": customer}, "collection_method": {"value": "send_invoice"},
        "auto_advance": {"value": False}, "days_until_due": {"value": 30},
        "pending_invoice_items_behavior": {"value": "exclude"},
    }  # fmt: skip
    warehouse.define(f"{name}_bills", f"{name}_bills", "invoices", fields, finish="finalized")
    of_item = {
        "customer": {"value": customer}, "invoice": {"sync": f"{name}_bills", "key": "bill"}, "amount": "amount",
        "currency": {"value": "usd"},
    }  # fmt: skip
    warehouse.define(name, name, "invoiceitems", of_item)
    warehouse.first(f"{name}_bills")  # as long as there are no items, the bill stays a draft
    warehouse.approve(name)
    return Killed(name, name, 2)


def invoices_are_as_wanted(warehouse: Warehouse, killed: Killed, where: str) -> None:
    [bill] = warehouse.objects("invoices", f"{killed.name}-b")
    assert (bill["status"], bill["total"]) == ("open", 1500), where
    assert len(warehouse.objects("invoiceitems", f"{killed.name}-")) == 2, where
    assert warehouse.mirrored("invoices", bill["id"])["status"] == "open", where
    assert warehouse.remembered(f"{killed.name}_bills") == {"1": ("sent", bill["id"])}, where


# Invoices: two drafts made, one changed, one deleted.


def drafts(warehouse: Warehouse, name: str) -> Killed:
    customer = next(iter(warehouse.sandbox.state["customers"].ids))
    warehouse.write(f"""
create table {name} as select * from (values (1, '{name}-1', 'One'), (2, '{name}-2', 'Two')) t(id, mark, told)""")
    fields = {
        "customer": {"value": customer}, "collection_method": {"value": "send_invoice"},
        "auto_advance": {"value": False}, "days_until_due": {"value": 30}, "description": "told",
        "pending_invoice_items_behavior": {"value": "exclude"},
    }  # fmt: skip
    warehouse.define(name, name, "invoices", fields, delete={"how": "remove"})
    warehouse.first(name)
    warehouse.write(
        f"update {name} set told = 'First' where id = 1",
        f"delete from {name} where id = 2",
        f"insert into {name} values (3, '{name}-3', 'Three'), (4, '{name}-4', 'Four')",
    )
    return Killed(name, name, 2)


def drafts_are_as_wanted(warehouse: Warehouse, killed: Killed, where: str) -> None:
    found = warehouse.objects("invoices", f"{killed.name}-")
    told = sorted((one["metadata"][MARK][-1], one["description"], one["status"]) for one in found)
    assert told == [("1", "First", "draft"), ("3", "Three", "draft"), ("4", "Four", "draft")], where
    ids = {one["metadata"][MARK][-1]: one["id"] for one in found}
    known = warehouse.remembered(killed.sync)
    assert {key: known[key] for key in ids} == {key: ("sent", id_) for key, id_ in ids.items()}, where
    assert warehouse.mirrored("invoices", ids["1"])["description"] == "First", where


# Quotes: two made and finalised, and an open one canceled.


def quotes(warehouse: Warehouse, name: str) -> Killed:
    price, customer = _monthly(warehouse)[0], next(iter(warehouse.sandbox.state["customers"].ids))
    warehouse.write(f"create table {name} as select 1 as id, '{name}-1' as mark, 'One' as told")
    fields = {
        "customer": {"value": customer}, "line_items": [{"price": {"value": price}}], "description": "told",
        "metadata": {"kind": {"value": "x"}},
    }  # fmt: skip
    warehouse.define(name, name, "quotes", fields, finish="finalized", delete={"how": "remove"})
    warehouse.first(name)
    warehouse.write(
        f"delete from {name}", f"insert into {name} values (2, '{name}-2', 'Two'), (3, '{name}-3', 'Three')"
    )
    return Killed(name, name, 2)


def quotes_are_as_wanted(warehouse: Warehouse, killed: Killed, where: str) -> None:
    found = warehouse.objects("quotes", f"{killed.name}-")
    told = sorted((one["metadata"][MARK][-1], one["description"], one["status"]) for one in found)
    assert told == [("1", "One", "canceled"), ("2", "Two", "open"), ("3", "Three", "open")], where
    ids = {one["metadata"][MARK][-1]: one["id"] for one in found}
    known = warehouse.remembered(killed.sync)
    assert (known["2"], known["3"]) == (("sent", ids["2"]), ("sent", ids["3"])), where
    assert {warehouse.mirrored("quotes", id_)["status"] for id_ in ids.values()} == {"open", "canceled"}, where


KINDS = {
    "customers": (customers, customers_are_as_wanted),
    "products": (products, products_are_as_wanted),
    "prices": (prices, prices_are_as_wanted),
    "subscriptions": (subscriptions, subscriptions_are_as_wanted),
    "invoices": (drafts, drafts_are_as_wanted),
    "invoiceitems": (invoices, invoices_are_as_wanted),
    "quotes": (quotes, quotes_are_as_wanted),
}
SOME = 3
"""At so many steps, one in each equal part of all, runs are killed in the ordinary run."""


@pytest.mark.wide
@pytest.mark.timeout(300)
@pytest.mark.parametrize("resource", KINDS)
def test_a_run_killed_anywhere_and_run_again_makes_each_object_once(
    warehouse: Warehouse, run: killing.Run, resource: str
) -> None:
    _kill(warehouse, run, resource, lambda steps: range(1, steps + 1, EVERY))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "resource", ["customers", *(pytest.param(one, marks=pytest.mark.wide) for one in ("products", "quotes"))]
)
def test_a_run_killed_at_some_steps_and_run_again_makes_each_object_once(
    warehouse: Warehouse, run: killing.Run, resource: str
) -> None:
    _kill(warehouse, run, resource, lambda steps: killing.points(steps, SOME, seed=7))


@pytest.mark.soak
@pytest.mark.timeout(1800)  # a hundred runs, and one more after each
@pytest.mark.parametrize("resource", KINDS)
def test_a_run_killed_at_every_step_and_run_again_makes_each_object_once(
    warehouse: Warehouse, run: killing.Run, resource: str
) -> None:
    _kill(warehouse, run, resource, lambda steps: range(1, steps + 1))


def _kill(warehouse: Warehouse, run: killing.Run, resource: str, chosen: Callable[[int], Sequence[int]]) -> None:
    prepare, check = KINDS[resource]
    clean = prepare(warehouse, f"{resource}_clean")
    steps = run("sync", **_arguments(warehouse, clean.sync)).steps
    _run_again(warehouse, clean, "not killed at all")
    check(warehouse, clean, "not killed at all")
    killed = 0
    places = chosen(steps)
    for place in places:
        one = prepare(warehouse, f"{resource}_{place}")
        before = len(warehouse.sandbox.written())
        ended = run("sync", place, **_arguments(warehouse, one.sync))
        killed += ended.killed
        where = f"killed at step {place} of {steps}: {ended.last}"
        _run_again(warehouse, one, where)
        check(warehouse, one, where)
        asked = [each for each in warehouse.sandbox.written()[before:] if each.path == f"/v1/{resource}"]
        assert len({each.key for each in asked}) == one.creates, f"{where}; {asked}"
        assert warehouse.open() == 0, where
        assert send(warehouse.hub, one.sync)["sent"] == {}, where
    behind = sum(1 for place in places if place > steps - 6)
    assert killed >= len(places) - behind - 1, "the last places may lie behind the end"


def _arguments(warehouse: Warehouse, sync: str) -> dict[str, Any]:
    return {
        "database_url": warehouse.hub.settings.database_url,
        "secret_key": warehouse.hub.settings.secret_key.get_secret_value(),
        "sync": sync,
    }


def _run_again(warehouse: Warehouse, killed: Killed, where: str) -> None:
    """As soon as the killed process's lock is let go of."""

    def look() -> dict[str, Any] | None:
        try:
            return send(warehouse.hub, killed.sync)
        except SyncRunning:
            return None

    done = until(look, "the killed process's lock is let go of")
    assert done
    assert (done["state"], done["failed"]) == ("done", 0), f"{where}: {done}, {warehouse.refused()}"
