"""Rows that name others: by what, what they wait for and fail at; prices replaced, invoices and quotes finished."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.desk import FEW, Desk
from tests.support.importing import connected

from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.errors import SyncInvalid
from tidegate.outbound import specs, syncs
from tidegate.workflows.contacts import contacts_edit
from tidegate.workflows.outbound import sync_history, sync_plan, sync_problems

SENT = {"collection_method": {"value": "send_invoice"}, "days_until_due": {"value": 30}}
MONTH = {"interval": {"value": "month"}}
NO_PRORATION = {"proration_behavior": {"value": "none"}}


def moved(desk: Desk, key: str) -> set[str]:
    """What rows of a sync name that stands for another object than when they were sent."""
    with sync_plan.planned(desk.hub.engine, key, lambda source: source.shown) as made:
        return {str(one) for one in made.moved}


def state(desk: Desk, key: str, row: str = "1") -> str:
    return desk.states(key)[row][0]


@pytest.mark.wide
def test_rows_wait_for_what_they_name_and_pass_once_it_is_there(desk: Desk) -> None:
    mark = {"metadata": {"row": "mark"}}
    desk.table("products", {"id": "1", "mark": "p1", "name": "Plan"})
    desk.sync("products", "products", {"metadata": {"sku": "mark"}}, {"name": "name"})
    desk.table("prices", {"id": "1", "sku": "p1", "code": "plan-month", "amount": 900})
    desk.sync("prices", "prices", {"lookup_key": "code"},
              {"product": {"metadata": {"sku": "sku"}}, "currency": {"value": "EUR"}, "unit_amount": "amount",
               "recurring": MONTH})  # fmt: skip
    desk.table("people", {"id": "1", "email": "Pat@Links.example"})
    desk.sync("people", "customers", {"email": "email"}, {"email": "email"})
    rows = {"id": "1", "mark": "s1", "owner": "pat@links.EXAMPLE", "code": "plan-month", "person": "1"}
    desk.table("subs", rows)
    desk.sync(
        "subs",
        "subscriptions",
        mark,
        {"customer": {"email": "owner"}, "items": [{"price": {"lookup_key": "code"}}], **NO_PRORATION, **SENT},
    )
    desk.table("quotes", rows)
    desk.sync(
        "quotes",
        "quotes",
        mark,
        {"customer": {"sync": "people", "key": "person"}, "line_items": [{"price": {"lookup_key": "code"}}]},
    )
    desk.table("bills", rows)
    desk.sync("bills", "invoices", mark, {"customer": {"email": "owner"}, "currency": {"value": "eur"}, **SENT})
    desk.table("lines", rows | {"bill": "1"})
    desk.sync("lines", "invoiceitems", mark,
              {"customer": {"email": "owner"}, "invoice": {"sync": "bills", "key": "bill"}, "amount": {"value": 500},
               "currency": {"value": "eur"}})  # fmt: skip
    for key in ("lines", "bills", "quotes", "subs", "prices"):
        assert desk.plan(key)["counts"]["held"] == 1, desk.plan(key)
        assert desk.run(key, part=FEW)["state"] == "incomplete"
        assert state(desk, key) == "held"
    assert desk.asked() == []
    assert desk.states("subs")["1"][1] == (
        "waits for prices with lookup key plan-month, customers with email pat@links.example"
    )
    assert desk.states("quotes")["1"][1].startswith("waits for customers with sync people 1")
    for key in ("products", "prices", "people", "subs", "quotes", "bills", "lines"):
        assert desk.run(key, part=FEW)["failed"] == 0
        assert state(desk, key) == "sent", desk.states(key)
    assert [path for _, path, _ in desk.asked()] == [
        "products", "prices", "customers", "subscriptions", "quotes", "invoices", "invoiceitems"
    ]  # fmt: skip
    [bill] = desk.marked("invoices", "row", "s1")
    assert [one["amount"] for one in bill["lines"]["data"]] == [500]
    for key in ("products", "prices", "people", "subs", "quotes", "bills", "lines"):
        assert desk.run(key)["sent"] == {}
    assert desk.asked() == []
    with desk.hub.engine.begin() as db:
        assert moved(desk, "quotes") == set()
        db.execute(text("update tidegate.sync_rows set object_id = 'cus_another' where sync = 'people'"))
    assert moved(desk, "quotes") == {"customers with sync people 1"}


@pytest.mark.wide
def test_a_customer_is_named_by_an_id_of_ones_own_also_an_old_one(desk: Desk) -> None:
    made = [desk.v1.customers.create({"email": f"own{n}@links.example"}).id for n in range(3)]
    desk.learn()
    desk.asked()
    with desk.hub.engine.begin() as db:
        keys = {}
        for name in ("acme", "user:odd"):
            keys[name] = directory.make(db, False, Making("account", name))
        for customer, name in ((made[0], "acme"), (made[1], "acme"), (made[2], "user:odd")):
            values = {"customer": customer, "contact": keys[name]}
            db.execute(text("delete from tidegate.links where customer = :customer"), values)
            db.execute(text("""
insert into tidegate.links (connection, customer, contact, method) values ('acme', :customer, :contact, 'manual')"""),
                       values)  # fmt: skip
    contacts_edit.rename(desk.hub.engine, False, "account:acme", "acme-2", "ada")
    desk.v1.customers.delete(made[1])
    desk.catch_up()
    desk.asked()
    names = ("acme", "acme-2", "account:acme-2", "user:acme-2", "user:odd", "nobody")
    desk.table("owned", *({"id": name, "mark": f"own {name}", "owner": name} for name in names))
    fields = {"customer": {"own_id": "owner"}, **SENT}
    desk.sync("owned", "invoices", {"metadata": {"row": "mark"}}, fields)
    desk.run("owned", part=FEW)
    whose = {form["metadata"]["row"].removeprefix("own "): form["customer"] for _, _, form in desk.asked()}
    assert whose == {"acme": made[0], "acme-2": made[0], "account:acme-2": made[0], "user:odd": made[2]}
    assert desk.states("owned")["nobody"] == ("held", "waits for customers with own id nobody")
    assert state(desk, "owned", "user:acme-2") == "held"
    assert moved(desk, "owned") == set()
    with desk.hub.engine.begin() as db:
        values = {"customer": made[0], "contact": keys["user:odd"]}
        db.execute(text("update tidegate.links set contact = :contact where customer = :customer"), values)
    assert moved(desk, "owned") == {
        f"customers with own id {name}" for name in ("acme", "acme-2", "account:acme-2", "user:odd")
    }


@pytest.mark.wide
def test_two_live_matches_fail_and_are_named(desk: Desk) -> None:
    twins = [desk.v1.customers.create({"email": f"{one}win@links.example"}).id for one in "Tt"]
    desk.learn()
    desk.asked()
    desk.table("twins", {"id": "1", "email": "TWIN@links.example", "name": "Twin"})
    desk.sync("twins", "customers", {"email": "email"}, {"name": "name"})
    desk.run("twins", part=FEW)
    assert desk.states("twins")["1"] == ("invalid", f"several live objects match: {', '.join(twins)}")
    desk.table("of_twins", {"id": "1", "mark": "t1", "owner": "twin@links.example"})
    fields = {"customer": {"email": "owner"}, **SENT}
    desk.sync("of_twins", "invoices", {"metadata": {"row": "mark"}}, fields)
    desk.run("of_twins", part=FEW)
    said = f"customer: several customers with email twin@links.example: {', '.join(twins)}"
    assert desk.states("of_twins")["1"] == ("invalid", said)
    assert desk.asked() == []
    desk.v1.customers.delete(twins[1])
    desk.catch_up()
    desk.asked()
    assert desk.run("twins")["sent"] == {"update": 1}
    assert desk.asked() == [("POST", f"customers/{twins[0]}", {"name": "Twin"})]


@pytest.mark.wide
def test_a_price_that_changes_is_replaced_when_asked_and_refused_otherwise(desk: Desk) -> None:
    product = desk.v1.products.create({"name": "Replaced"}).id
    desk.learn()
    desk.asked()
    row = {"id": "1", "code": "replaced", "product": product, "amount": 900}
    fields = {"product": {"id": "product"}, "currency": {"value": "usd"}, "unit_amount": "amount"}
    desk.table("tariffs", row)
    desk.sync("tariffs", "prices", {"lookup_key": "code"}, fields)
    desk.run("tariffs", part=FEW)
    [(_, _, form)] = desk.asked()
    desk.table("tariffs", row | {"amount": 1000})
    desk.run("tariffs")
    assert desk.states("tariffs")["1"] == ("invalid", "unit_amount: it cannot be changed any more; Stripe has 900")
    assert desk.asked() == []
    desk.sync("tariffs", "prices", {"lookup_key": "code"}, fields, replace_prices=True)
    plan = desk.plan("tariffs")
    done = desk.run("tariffs")
    assert done["sent"] == {"archive": 1, "replace": 1}, plan
    [(_, path, replaced), (_, old, archived)] = desk.asked()
    assert (path, replaced) == ("prices", form | {"unit_amount": "1000", "transfer_lookup_key": "true"})
    assert archived == {"active": "false"}
    before = desk.full("prices", old.removeprefix("prices/"))
    assert (before["unit_amount"], before["active"], before["lookup_key"]) == (900, False, None)
    [now] = desk.v1.prices.list({"lookup_keys": ["replaced"]}).data
    assert (now.unit_amount, now.active) == (1000, True)
    assert (desk.run("tariffs")["sent"], desk.asked()) == ({}, [])
    desk.table("tariffs", row)
    assert desk.run("tariffs")["sent"] == {"archive": 1, "replace": 1}, "and back again"


def waits(desk: Desk, key: str) -> str | None:
    """What the drafts of a sync wait for, as the list of syncs says it; the same is a problem once it is late."""
    with desk.hub.engine.connect() as db:
        [drafts] = [one["unfinished"] for one in sync_history.standing(db) if one["key"] == key]
        later = datetime.now(UTC) + timedelta(minutes=31)
        late = {one.subject: one for one in sync_problems.of_connection(db, desk.account.name, later)
                if one.code == "sync_unfinished"}  # fmt: skip
        assert "sync_unfinished" not in {
            one.code for one in sync_problems.of_connection(db, desk.account.name, later - timedelta(minutes=10))
        }
    assert (key in late) == (drafts is not None)
    if drafts is not None:
        assert late[key].detail == f"{key}: drafts wait to be finished: {drafts['why']}."
    return drafts["why"] if drafts else None


@pytest.mark.wide
@pytest.mark.parametrize(("finish", "ends"), [("draft", None), ("finalized", "finalize"), ("sent", "send")])
@pytest.mark.wide
def test_an_invoice_is_finished_once_all_its_items_passed(desk: Desk, finish: str, ends: str | None) -> None:
    customer = desk.v1.customers.create({"email": f"{finish}@links.example"}).id
    desk.learn()
    desk.asked()
    bills, lines = f"bills_{finish}", f"lines_{finish}"
    mark = {"metadata": {"row": "mark"}}
    desk.table(bills, {"id": "1", "mark": f"{finish}-1", "customer": customer})
    desk.sync(
        bills, "invoices", mark, {"customer": {"id": "customer"}, "currency": {"value": "usd"}, **SENT}, finish=finish
    )
    rows = [
        {"id": str(n), "mark": f"{finish}-{n}", "customer": customer, "bill": "1", "amount": amount}
        for n, amount in ((1, "500"), (2, "many"))
    ]
    desk.table(lines, *rows)
    desk.sync(lines, "invoiceitems", mark,
              {"customer": {"id": "customer"}, "invoice": {"sync": bills, "key": "bill"}, "amount": "amount",
               "currency": {"value": "usd"}})  # fmt: skip
    desk.run(bills, part=FEW)
    [made] = desk.marked("invoices", "row", f"{finish}-1")
    if ends:
        assert waits(desk, bills) == f"1 until {lines} went through all of their rows"
    desk.run(lines, part=FEW)
    assert desk.states(lines)["2"] == ("invalid", "amount: it takes a number")
    assert [path for _, path, _ in desk.asked()] == ["invoices", "invoiceitems"], "some rows may be left"
    shown = desk.plan(bills)["sample"].get("finish", [])
    assert [(one["key"], one["object"]) for one in shown] == ([("1", made["id"])] if ends else [])
    assert waits(desk, bills) == (f"1 until {lines} went through all of their rows" if ends else None)
    assert (desk.run(lines)["sent"], desk.run(bills)["sent"], desk.asked()) == ({}, {}, []), "an item did not pass"
    assert waits(desk, bills) == ("1 for items that did not pass" if ends else None)
    assert desk.plan(lines)["counts"]["finish"] == bool(ends)
    desk.table(lines, rows[0], rows[1] | {"amount": "700"})
    desk.run(lines)
    paths = [path for _, path, _ in desk.asked()]
    assert paths == ["invoiceitems", *([f"invoices/{made['id']}/{ends}"] if ends else [])]
    now = desk.full("invoices", made["id"])
    assert (now["status"], now["total"]) == ("open" if ends else "draft", 1200)
    assert waits(desk, bills) is None
    assert (desk.run(bills)["sent"], desk.run(lines)["sent"], desk.asked()) == ({}, {}, [])


@pytest.mark.wide
def test_a_quote_is_finalised(desk: Desk) -> None:
    product = desk.v1.products.create({"name": "Quoted"}).id
    price = {"product": product, "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}}
    row: dict[str, Any] = {
        "id": "1", "mark": "q1", "price": desk.v1.prices.create(price).id,
        "customer": desk.v1.customers.create({"email": "quoted@links.example"}).id,
    }  # fmt: skip
    desk.learn()
    desk.asked()
    desk.table("offers", row)
    fields = {"customer": {"id": "customer"}, "line_items": [{"price": {"id": "price"}}]}
    desk.sync("offers", "quotes", {"metadata": {"row": "mark"}}, fields, finish="finalized")
    plan = desk.plan("offers")
    assert (plan["counts"]["create"], plan["counts"]["finish"]) == (1, 1)
    desk.run("offers", part=FEW)
    assert [path for _, path, _ in desk.asked()] == ["quotes"], "a part finishes nothing"
    desk.run("offers")
    [made] = desk.marked("quotes", "row", "q1")
    assert made["status"] == "open"
    assert [path for _, path, _ in desk.asked()] == [f"quotes/{made['id']}/finalize"]
    assert (desk.run("offers")["sent"], desk.asked()) == ({}, [])


@pytest.mark.wide
def test_a_row_is_looked_at_again_when_what_it_names_stands_for_another_object(desk: Desk) -> None:
    """A lookup key that another price took over, an e-mail address that another customer has by now, a row of another
    sync that is another object: nothing of the row itself changed.
    """
    product = desk.v1.products.create({"name": "Moving"}).id
    one: dict[str, Any] = {"product": product, "currency": "usd", "recurring": {"interval": "month"}}
    old = desk.v1.prices.create(one | {"unit_amount": 900, "lookup_key": "moving"}).id
    first = desk.v1.customers.create({"email": "moving@links.example"}).id
    desk.learn()
    desk.table("movers", {"id": "1", "mark": "m1", "code": "moving", "owner": "Moving@links.example "},
               {"id": "2", "mark": "m2", "code": "moving", "owner": None})  # fmt: skip
    fields = {"customer": {"email": "owner"}, "line_items": [{"price": {"lookup_key": "code"}}]}
    desk.sync("movers", "quotes", {"metadata": {"row": "mark"}}, fields, mode="upsert")
    desk.run("movers", part=FEW)
    assert desk.states("movers")["2"][0] == "invalid", "it has no customer"
    [quote] = desk.marked("quotes", "row", "m1")
    desk.asked()
    assert (moved(desk, "movers"), desk.run("movers")["sent"], desk.asked()) == (set(), {}, [])

    new = desk.v1.prices.create(one | {"unit_amount": 950, "lookup_key": "moving", "transfer_lookup_key": True}).id
    desk.catch_up()
    desk.asked()
    assert moved(desk, "movers") == {"prices with lookup key moving"}
    [planned] = desk.plan("movers")["sample"]["update"]
    assert [(change["field"], change["after"]) for change in planned["changes"]] == [
        ("line_items", [{"price": new}])
    ], old  # fmt: skip
    assert desk.run("movers", part=sync_plan.Part(keys=("2",)))["sent"] == {}
    assert desk.run("movers")["sent"] == {"update": 1}, "a run of other rows has not settled it"
    assert [path for _, path, _ in desk.asked()] == [f"quotes/{quote['id']}"]

    second = desk.v1.customers.create({"email": "other@links.example"}).id
    desk.v1.customers.update(first, {"email": "gone@links.example"})
    desk.v1.customers.update(second, {"email": "moving@links.example"})
    desk.catch_up()
    desk.asked()
    assert desk.run("movers")["sent"] == {"update": 1}
    assert [(path, form["customer"]) for _, path, form in desk.asked()] == [(f"quotes/{quote['id']}", second)]
    assert moved(desk, "movers") == set()
    assert (desk.run("movers")["sent"], desk.asked()) == ({}, [])

    desk.v1.customers.update(second, {"email": "nobody@links.example"})
    desk.catch_up()
    desk.run("movers")
    assert desk.states("movers")["1"] == ("held", "waits for customers with email moving@links.example")


@pytest.mark.wide
def test_rows_of_a_sync_that_is_not_there_or_of_other_objects_are_no_answer(desk: Desk) -> None:
    desk.table("owners", {"id": "1", "email": "owner@links.example"})
    desk.sync("owners", "customers", {"email": "email"}, {})
    for field, problem in (
        ({"customer": {"sync": "nobody", "key": "id"}}, "the sync nobody, which is not there"),
        ({"subscription": {"sync": "owners", "key": "id"}}, "subscriptions by rows of the sync owners, and these are"),
    ):
        with pytest.raises(SyncInvalid, match=problem):
            desk.sync("bad", "invoices", {"metadata": {"row": "id"}}, {**field, **SENT})
    connected(desk.hub, desk.sandbox, "other")
    said = {"key": "bad", "model": "owners", "resource": "invoices", "match": {"metadata": {"row": "id"}},
            "fields": {"customer": {"sync": "owners", "key": "id"}, **SENT}}  # fmt: skip
    with pytest.raises(SyncInvalid, match="which is of the connection acme"), desk.hub.engine.begin() as db:
        syncs.define_sync(db, specs.sync(said), "other")


@pytest.mark.wide
def test_a_row_waits_for_a_parent_that_was_deleted_in_stripe(desk: Desk) -> None:
    desk.table("parents", {"id": "1", "email": "parent@links.example"})
    desk.sync("parents", "customers", {"email": "email"}, {})
    desk.run("parents")
    [made] = desk.v1.customers.list({"email": "parent@links.example"}).data
    desk.v1.customers.delete(made.id)
    desk.catch_up()
    desk.asked()
    desk.table("children", {"id": "1", "parent": "1"})
    fields = {"customer": {"sync": "parents", "key": "parent"}, **SENT}
    desk.sync("children", "invoices", {"metadata": {"child": "id"}}, fields)
    desk.run("children", part=FEW)
    assert (desk.states("children")["1"], desk.asked()) == (("held", "waits for customers with sync parents 1"), [])
    desk.run("parents")
    assert desk.run("children")["sent"] == {"create": 1}
