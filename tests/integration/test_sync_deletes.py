"""Rows that leave the model: what each delete behaviour asks of Stripe, by the state that their objects are in."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.desk import FEW, Asked, Shop, opened, stocked

pytestmark = pytest.mark.wide

SENT = {"collection_method": {"value": "send_invoice"}, "days_until_due": {"value": 30}}
BILLED = {"collection_method": "send_invoice", "days_until_due": 30}


@dataclass(frozen=True)
class Case:
    """A delete behaviour. `then`: what somebody does with the object in Stripe once it is made (its id is given);
    `asked`: the requests, `{id}` is the object's; `why`: of a row about whose object nothing is asked.
    """

    name: str
    resource: str
    delete: Any
    asked: list[Asked] = field(default_factory=list[Asked])
    why: str = ""
    then: Callable[[Shop, str], Any] | None = None


FIELDS: Mapping[str, Mapping[str, Any]] = {
    "customers": {"name": "name"},
    "products": {"name": "name"},
    "prices": {"product": {"id": "product"}, "currency": {"value": "usd"}, "unit_amount": {"value": 700}},
    "subscriptions": {
        "customer": {"id": "customer"}, "items": [{"price": {"id": "price"}}], "proration_behavior": {"value": "none"},
        **SENT,
    },
    "invoices": {"customer": {"id": "customer"}, **SENT},
    "invoiceitems": {"customer": {"id": "customer"}, "amount": {"value": 500}, "currency": {"value": "usd"}},
    "quotes": {"customer": {"id": "customer"}, "line_items": [{"price": {"id": "price"}}]},
}  # fmt: skip


def subscribed(shop: Shop, id_: str) -> None:
    shop.desk.v1.subscriptions.create({"customer": id_, "items": [{"price": shop.price}], **BILLED})


def priced(shop: Shop, id_: str) -> None:
    shop.desk.v1.prices.create({"product": id_, "currency": "usd", "unit_amount": 1})


def archived(shop: Shop, id_: str) -> None:
    priced(shop, id_)
    shop.desk.v1.products.update(id_, {"active": False})


def finalized(shop: Shop, id_: str) -> None:
    item = {"customer": shop.customer, "invoice": id_, "amount": 100, "currency": "usd"}
    shop.desk.v1.invoice_items.create(item)
    shop.desk.v1.invoices.finalize_invoice(id_)


def given_up(shop: Shop, id_: str) -> None:
    finalized(shop, id_)
    shop.desk.v1.invoices.mark_uncollectible(id_)


def paid(shop: Shop, id_: str) -> None:
    finalized(shop, id_)
    shop.desk.v1.invoices.pay(id_, {"paid_out_of_band": True})


def billed(shop: Shop, _id: str) -> None:
    """The item is put on an invoice, which is finalised."""
    made = shop.desk.v1.invoices.create(
        {"customer": shop.customer, "pending_invoice_items_behavior": "include", **BILLED}
    )
    shop.desk.v1.invoices.finalize_invoice(made.id)
    shop.desk.learn()  # no event tells that an item was put on an invoice


def drafted(shop: Shop, _id: str) -> None:
    shop.desk.v1.invoices.create({"customer": shop.customer, "pending_invoice_items_behavior": "include", **BILLED})
    shop.desk.learn()


def offered(shop: Shop, id_: str) -> None:
    shop.desk.v1.quotes.finalize_quote(id_)


def withdrawn(shop: Shop, id_: str) -> None:
    shop.desk.v1.quotes.cancel(id_)


CANCEL = {"prorate": "false", "invoice_now": "false"}
REMOVE = {"how": "remove"}
CASES = [
    *(Case(f"{one}, nothing", one, "nothing", why="deletes nothing") for one in FIELDS),
    Case("customer", "customers", "remove", [("DELETE", "customers/{id}", {})]),
    Case("customer with a subscription", "customers", "remove", why="live subscriptions", then=subscribed),
    Case("customer with one to be canceled", "customers", REMOVE | {"cancel_subscriptions": True},
         [("DELETE", "customers/{id}", {})], then=subscribed),
    Case("product", "products", "remove", [("DELETE", "products/{id}", {})]),
    Case("product with a price", "products", "remove", [("POST", "products/{id}", {"active": "false"})], then=priced),
    Case("product archived before", "products", "remove", why="archived already", then=archived),
    Case("price", "prices", "remove", [("POST", "prices/{id}", {"active": "false"})]),
    Case("subscription", "subscriptions", "remove",
         [("POST", "subscriptions/{id}", {"cancel_at_period_end": "true"})]),
    Case("subscription now", "subscriptions", REMOVE | {"at": "now"}, [("DELETE", "subscriptions/{id}", CANCEL)]),
    Case("subscription now, prorated and invoiced", "subscriptions",
         REMOVE | {"at": "now", "prorate": True, "invoice_now": True},
         [("DELETE", "subscriptions/{id}", {"prorate": "true", "invoice_now": "true"})]),
    Case("subscription canceled before", "subscriptions", "remove", why="it is canceled already",
         then=lambda shop, id_: shop.desk.v1.subscriptions.cancel(id_)),
    Case("invoice, a draft", "invoices", "remove", [("DELETE", "invoices/{id}", {})]),
    Case("invoice, open", "invoices", "remove", [("POST", "invoices/{id}/void", {})], then=finalized),
    Case("invoice, uncollectible", "invoices", "remove", [("POST", "invoices/{id}/void", {})], then=given_up),
    Case("invoice, open and left", "invoices", REMOVE | {"void": False}, why="it is open", then=finalized),
    Case("invoice, paid", "invoices", "remove", why="it is paid", then=paid),
    Case("item that waits", "invoiceitems", "remove", [("DELETE", "invoiceitems/{id}", {})]),
    Case("item on a draft", "invoiceitems", "remove", [("DELETE", "invoiceitems/{id}", {})], then=drafted),
    Case("item that was billed", "invoiceitems", "remove", why="its invoice is open", then=billed),
    Case("quote, a draft", "quotes", "remove", [("POST", "quotes/{id}/cancel", {})]),
    Case("quote, open", "quotes", "remove", [("POST", "quotes/{id}/cancel", {})], then=offered),
    Case("quote, canceled", "quotes", "remove", why="it is canceled", then=withdrawn),
]  # fmt: skip


@pytest.fixture(scope="module")
def shop(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(database_url, secret_key, tmp_path_factory.mktemp("desk")) as desk:
        shop = stocked(desk)
        desk.learn()
        desk.asked()
        yield shop


@pytest.mark.parametrize("case", CASES, ids=lambda one: one.name)
def test_a_row_that_left(shop: Shop, case: Case) -> None:
    desk, key = shop.desk, case.name.replace(" ", "_").replace(",", "")
    customer = desk.v1.customers.create({"email": f"{key}@shop.example"}).id
    mine = Shop(desk, customer, shop.price, shop.product)
    staying = desk.v1.customers.create({"email": f"{key}-2@shop.example"}).id
    row = {"mark": key, "name": key, "price": shop.price, "product": shop.product}
    rows = [
        row | {"id": "leaves", "customer": customer},
        row | {"id": "stays", "customer": staying, "mark": f"{key}-2"},
    ]
    desk.table(key, *rows)
    desk.sync(key, case.resource, {"metadata": {"row": "mark"}}, FIELDS[case.resource], delete=case.delete)
    done = desk.run(key, part=FEW)
    assert (done["sent"], done["failed"]) == ({"create": 2}, 0), desk.states(key)
    [made] = desk.marked(case.resource, "row", key)
    if case.then:
        case.then(mine, made["id"])
        desk.catch_up()
    desk.asked()
    reads = desk.reads()
    desk.table(key, rows[1])
    done = desk.run(key)
    assert desk.asked() == [(method, path.format(id=made["id"]), form) for method, path, form in case.asked]
    assert desk.reads() == reads, "the mirror is asked, and not Stripe"
    if case.asked:
        assert (done["failed"], sum(done["sent"].values())) == (0, 1)
        assert {name: state for name, (state, _) in desk.states(key).items()} in (
            {"stays": "sent"}, {"stays": "sent", "leaves": "gone"}  # how it was removed is known, while it is there
        )  # fmt: skip
    else:
        assert case.why in desk.states(key)["leaves"][1]
    [stays] = desk.marked(case.resource, "row", f"{key}-2")
    assert stays["id"]
    assert (desk.run(key)["sent"], desk.asked()) == ({}, [])
