"""Rows that leave the model: what each delete behaviour asks of Stripe, by the state that their objects are in."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.desk import FEW, Asked, Shop, opened, stocked

from tidegate.outbound.resources import MATCHES

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
    Case("price archived before", "prices", "remove", why="archived already",
         then=lambda shop, id_: shop.desk.v1.prices.update(id_, {"active": False})),
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


# ── by each other way to match: objects that were there before ──────────────────────────────────────────────────────
#
# `specs.MATCHES` says which ways a resource has; that there is no other, no delete in another mode than upsert, none of
# usage, and no option of another resource, is in tests/unit/outbound/test_specs.py and test_sync_usage.py.

MAKE: Mapping[str, Callable[[Shop], dict[str, Any]]] = {
    "customers": lambda shop: {},
    "products": lambda shop: {},
    "prices": lambda shop: {"product": shop.product, "currency": "usd", "unit_amount": 700},
    "subscriptions": lambda shop: {"customer": shop.customer, "items": [{"price": shop.price}], **BILLED},
    "invoices": lambda shop: {"customer": shop.customer, **BILLED},
    "invoiceitems": lambda shop: {"customer": shop.customer, "amount": 500, "currency": "usd"},
    "quotes": lambda shop: {"customer": shop.customer, "line_items": [{"price": shop.price}]},
}


@dataclass
class Group:
    """The cases of one delete behaviour of a resource, matched in one way: a sync, each case a row that leaves."""

    resource: str
    way: str
    delete: Any
    cases: list[Case]
    ids: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def key(self) -> str:
        told = self.delete if isinstance(self.delete, str) else "_".join(map(str, self.delete.values()))
        return f"{self.resource}_{self.way}_{told}"


def _groups() -> Iterator[Group]:
    for resource in FIELDS:
        for way in sorted(MATCHES[resource] - {"metadata"}):
            found: list[Group] = []
            for case in (one for one in CASES if one.resource == resource):
                same = next((one for one in found if one.delete == case.delete), None)
                if same is None:
                    found.append(same := Group(resource, way, case.delete, []))
                same.cases.append(case)
            yield from found


GROUPS = {one.key: one for one in _groups()}


@pytest.fixture(scope="module")
def adopted(shop: Shop) -> Shop:
    """What is made of `GROUPS` in Stripe is found by a first run of each, and then what becomes of it happens."""
    rows = {key: [_made(shop, group, case) for case in [*group.cases, STAYS]] for key, group in GROUPS.items()}
    shop.desk.learn()
    for key, group in GROUPS.items():
        shop.desk.table(key, *rows[key])
        by = {"id": "oid"}.get(group.way, group.way)
        shop.desk.sync(key, group.resource, {group.way: by}, FIELDS[group.resource], delete=group.delete)
        done = shop.desk.run(key, part=FEW)
        assert (done["failed"], set(done["sent"]) - {"update"}) == (0, set()), shop.desk.states(key)
        shop.desk.table(key, rows[key][-1])
    for key, group in GROUPS.items():
        for case, row in zip(group.cases, rows[key], strict=False):
            if case.then:
                case.then(Shop(shop.desk, row["customer"], shop.price, shop.product), row["oid"])
    shop.desk.learn()
    shop.desk.asked()
    return shop


STAYS = Case("stays", "", "nothing")


def _made(shop: Shop, group: Group, case: Case) -> dict[str, Any]:
    name = f"{group.key} {case.name}"
    own = {"name": name} if group.resource in ("customers", "products") else {}
    own |= {} if group.way == "id" else {group.way: f"{name.replace(' ', '')}@shop.example"}
    customer = shop.desk.v1.customers.create({}).id if "customer" in FIELDS[group.resource] else shop.customer
    params = MAKE[group.resource](Shop(shop.desk, customer, shop.price, shop.product)) | own
    service = getattr(shop.desk.v1, {"invoiceitems": "invoice_items"}.get(group.resource, group.resource))
    id_ = group.ids[case.name] = service.create(params).id
    row = {"id": case.name, "oid": id_, "name": name, "customer": customer, "price": shop.price}
    return row | {"product": shop.product} | ({} if group.way == "id" else {group.way: own[group.way]})


@pytest.mark.parametrize("key", GROUPS)
def test_rows_that_left_of_what_was_there_before(adopted: Shop, key: str) -> None:
    desk, group = adopted.desk, GROUPS[key]
    reads = desk.reads()
    done = desk.run(key)
    wanted = [
        (method, path.format(id=group.ids[case.name]), form)
        for case in group.cases
        for method, path, form in case.asked
    ]
    assert sorted(desk.asked(), key=lambda one: one[:2]) == sorted(wanted, key=lambda one: one[:2])
    assert desk.reads() == reads, "the mirror is asked, and not Stripe"
    assert (done["failed"], sum(done["sent"].values())) == (0, len(wanted))
    states = desk.states(key)
    assert states.pop("stays")[0] == "sent"
    for case in group.cases:
        if not case.asked:
            assert case.why in states[case.name][1]


# ── by the metadata that the sync wrote itself ──────────────────────────────────────────────────────────────────────


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
