"""Taking back runs of products, invoices, their items and quotes: fields go back, what was made goes, or is named."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.desk import FEW, Desk

from tidegate.workflows.outbound import revert_sync

pytestmark = pytest.mark.further

MARK = {"metadata": {"row": "mark"}}
SENT = {"collection_method": {"value": "send_invoice"}, "days_until_due": {"value": 30}}


@pytest.fixture
def customer(desk: Desk) -> str:
    return desk.v1.customers.create({"email": "reverted@links.example"}).id


def run(desk: Desk, key: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    desk.table(key, *rows)
    return desk.run(key, part=FEW)


def revert(desk: Desk, run: Mapping[str, Any], **how: Any) -> dict[str, Any]:
    """What was asked of the sandbox to take a run back, and why some of it was not."""
    desk.asked()
    done = revert_sync.revert(desk.hub.engine, run["run"], desk.hub.stripe_writing, "me", **how)
    shown = [one["why"] for kind in ("conflict", "skip") for one in done["sample"].get(kind, [])]
    return {"asked": desk.asked(), "left": shown, "state": done["state"]}


def test_products_have_their_fields_again_and_are_deleted_or_archived(desk: Desk) -> None:
    desk.sync("goods", "products", {"id": "id"}, {"name": "name", "description": "text", "metadata": {"tier": "tier"}})
    rows = [{"id": f"good_{n}", "name": f"Good {n}", "text": None, "tier": "a"} for n in (1, 2)]
    made = run(desk, "goods", rows)
    assert made["sent"] == {"create": 2}
    changed = run(
        desk, "goods", [one | {"name": "Better", "text": "Now with", "tier": "b"} for one in rows[:1]] + rows[1:]
    )
    assert changed["sent"] == {"update": 1}
    assert revert(desk, changed) == {
        "asked": [("POST", "products/good_1", {"name": "Good 1", "description": "", "metadata": {"tier": "a"}})],
        "left": [], "state": "done",
    }  # fmt: skip
    desk.v1.prices.create({"product": "good_2", "currency": "usd", "unit_amount": 100})
    desk.catch_up()
    taken = revert(desk, made, despite_edits=True)
    taken["asked"].sort()  # the two are asked for side by side
    assert taken == {
        "asked": [("DELETE", "products/good_1", {}), ("POST", "products/good_2", {"active": "false"})],
        "left": [], "state": "done",
    }  # fmt: skip
    assert desk.full("products", "good_2")["active"] is False
    assert (desk.run("goods", part=FEW)["sent"], desk.asked()) == ({}, []), "rows wait until they change"


@pytest.mark.wide
def test_invoices_go_back_as_drafts_and_what_was_finished_is_named(desk: Desk, customer: str) -> None:
    desk.learn()
    fields = {"customer": {"id": "customer"}, "currency": {"value": "usd"}, "description": "text", **SENT}
    desk.sync("notes", "invoices", MARK, fields)
    row = {"id": "1", "mark": "note-1", "customer": customer, "text": "First"}
    made = run(desk, "notes", [row])
    changed = run(desk, "notes", [row | {"text": "Second"}])
    [note] = desk.marked("invoices", "row", "note-1")
    assert revert(desk, changed)["asked"] == [("POST", f"invoices/{note['id']}", {"description": "First"})]
    desk.table("notes", row)
    assert revert(desk, made, despite_edits=True) == {
        "asked": [("DELETE", f"invoices/{note['id']}", {})], "left": [], "state": "done"
    }  # fmt: skip
    assert desk.marked("invoices", "row", "note-1") == []

    desk.sync("bills", "invoices", MARK, fields, finish="finalized")
    desk.table("bills", row | {"mark": "bill-1"})
    done = desk.run("bills")
    assert done["sent"] == {"create": 1, "finalize": 1}
    [bill] = desk.marked("invoices", "row", "bill-1")
    assert bill["status"] in {"open", "paid"}
    way = revert(desk, done)
    assert way["left"] == ["it was finalized; what is open can be voided by hand"] + (
        ["it is paid"] if bill["status"] == "paid" else []
    )
    assert way["state"] == "incomplete"
    assert way["asked"] == ([("POST", f"invoices/{bill['id']}/void", {})] if bill["status"] == "open" else [])


@pytest.mark.wide
def test_invoice_items_go_until_their_invoice_is_finished(desk: Desk, customer: str) -> None:
    desk.learn()
    fields = {"customer": {"id": "customer"}, "currency": {"value": "usd"}, "amount": "amount", "description": "text"}
    desk.sync("extras", "invoiceitems", MARK, fields)
    rows = [{"id": str(n), "mark": f"extra-{n}", "customer": customer, "amount": 500, "text": "Extra"} for n in (1, 2)]
    made = run(desk, "extras", rows)
    ids = [desk.marked("invoiceitems", "row", f"extra-{n}")[0]["id"] for n in (1, 2)]
    changed = run(desk, "extras", [rows[0] | {"amount": 700, "text": "Other"}, rows[1]])
    assert changed["sent"] == {"update": 1}
    back = revert(desk, changed)["asked"]
    assert back == [("POST", f"invoiceitems/{ids[0]}", {"amount": "500", "description": "Extra"})]
    invoice = desk.v1.invoices.create({"customer": customer, "pending_invoice_items_behavior": "include"}).id
    desk.v1.invoices.finalize_invoice(invoice)
    desk.sync("extras", "invoiceitems", MARK, fields)
    third = run(desk, "extras", [*rows, rows[0] | {"id": "3", "mark": "extra-3"}])
    desk.catch_up()
    [free] = desk.marked("invoiceitems", "row", "extra-3")
    assert revert(desk, third)["asked"] == [("DELETE", f"invoiceitems/{free['id']}", {})]
    left = revert(desk, made, despite_edits=True)
    assert (left["asked"], left["state"]) == ([], "incomplete")
    assert {one.partition(" is ")[0] for one in left["left"]} == {"its invoice"}


@pytest.mark.wide
def test_quotes_go_back_and_are_canceled_and_what_was_finalised_is_named(desk: Desk, customer: str) -> None:
    product = desk.v1.products.create({"name": "Reverted quotes"}).id
    told: dict[str, Any] = {"product": product, "currency": "usd", "recurring": {"interval": "month"}}
    price = desk.v1.prices.create(told | {"unit_amount": 900}).id
    desk.learn()
    fields = {"customer": {"id": "customer"}, "line_items": [{"price": {"id": "price"}, "quantity": "seats"}],
              "header": "text"}  # fmt: skip
    desk.sync("offers", "quotes", MARK, fields)
    row = {"id": "1", "mark": "offer-1", "customer": customer, "price": price, "seats": 2, "text": "Hello"}
    made = run(desk, "offers", [row])
    changed = run(desk, "offers", [row | {"seats": 5, "text": None}])
    assert changed["sent"] == {"update": 1}, desk.states("offers")
    [offer] = desk.marked("quotes", "row", "offer-1")
    [(_, path, form)] = revert(desk, changed)["asked"]
    assert (path, form["header"]) == (f"quotes/{offer['id']}", "Hello")
    now = desk.full("quotes", offer["id"])
    assert (now["header"], [one["quantity"] for one in now["line_items"]["data"]]) == ("Hello", [2])
    assert revert(desk, made, despite_edits=True)["asked"] == [("POST", f"quotes/{offer['id']}/cancel", {})]
    assert desk.full("quotes", offer["id"])["status"] == "canceled"

    desk.sync("firm", "quotes", MARK, fields, finish="finalized")
    desk.table("firm", row | {"mark": "firm-1"})
    done = desk.run("firm")
    assert done["sent"] == {"create": 1, "finalize": 1}
    way = revert(desk, done)
    [firm] = desk.marked("quotes", "row", "firm-1")
    assert way["left"] == ["it was finalized; what is open can be voided by hand"]
    assert (way["asked"], firm["status"]) == ([("POST", f"quotes/{firm['id']}/cancel", {})], "canceled")
