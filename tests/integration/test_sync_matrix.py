"""Each resource, matched in each way, in each mode: which requests a run makes, and what Stripe then has."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.desk import FEW, Asked, Shop, opened, stocked

pytestmark = pytest.mark.wide

MARK = "row"
METADATA = {"metadata": {MARK: "mark"}}
SENT = {"collection_method": {"value": "send_invoice"}, "days_until_due": {"value": 30}}


@dataclass(frozen=True)
class Case:
    """A resource as the matrix writes it. `make`: the parameters of an object; `name`: the field that differs.

    `matches`: by what rows are matched, beside metadata. `fields`: its map; `form`: what a creation asks for, beside
    the name and what it is matched by.
    """

    resource: str
    name: str
    make: Callable[["Shop"], dict[str, Any]]
    fields: Mapping[str, Any]
    form: Callable[["Shop"], dict[str, Any]]
    matches: Mapping[str, Any] = field(default_factory=dict[str, Any])
    settable: bool = False
    sends_along: Mapping[str, Any] = field(default_factory=dict[str, Any])


CASES = {
    one.resource: one
    for one in (
        Case("customers", "name", lambda _: {}, {}, lambda _: {}, {"email": "email"}),
        Case("products", "name", lambda _: {}, {}, lambda _: {}, settable=True),
        Case(
            "prices", "nickname",
            lambda shop: {"product": shop.product, "currency": "usd", "unit_amount": 700},
            {"product": {"id": "product"}, "currency": {"value": "usd"}, "unit_amount": {"value": 700}},
            lambda shop: {"product": shop.product, "currency": "usd", "unit_amount": "700"},
            {"lookup_key": "lookup_key"},
        ),
        Case(
            "subscriptions", "description",
            lambda shop: {"customer": shop.customer, "items": [{"price": shop.price, "quantity": 2}],
                          "collection_method": "send_invoice", "days_until_due": 30},
            {"customer": {"id": "customer"}, "items": [{"price": {"id": "price"}, "quantity": {"value": 2}}],
             "proration_behavior": {"value": "none"}, **SENT},
            lambda shop: {"customer": shop.customer, "items": {"0": {"price": shop.price, "quantity": "2"}},
                          "collection_method": "send_invoice", "days_until_due": "30", "proration_behavior": "none"},
        ),
        Case(
            "invoices", "description",
            lambda shop: {"customer": shop.customer, "collection_method": "send_invoice", "days_until_due": 30},
            {"customer": {"id": "customer"}, **SENT},
            lambda shop: {"customer": shop.customer, "collection_method": "send_invoice", "days_until_due": "30"},
        ),
        Case(
            "invoiceitems", "description",
            lambda shop: {"customer": shop.customer, "amount": 500, "currency": "usd"},
            {"customer": {"id": "customer"}, "amount": {"value": 500}, "currency": {"value": "usd"}},
            lambda shop: {"customer": shop.customer, "amount": "500", "currency": "usd"},
        ),
        Case(
            "quotes", "description",
            lambda shop: {"customer": shop.customer, "line_items": [{"price": shop.price, "quantity": 2}]},
            {"customer": {"id": "customer"}, "line_items": [{"price": {"id": "price"}, "quantity": {"value": 2}}]},
            lambda shop: {"customer": shop.customer, "line_items": {"0": {"price": shop.price, "quantity": "2"}}},
        ),
    )
}  # fmt: skip
MODES = ("upsert", "update", "insert")
WAYS = [(one.resource, way) for one in CASES.values() for way in ("metadata", "id", *one.matches)]


@pytest.fixture(scope="module")
def shop(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """All objects that are there before, imported once: of each way and mode one that differs and one that does not."""
    with opened(database_url, secret_key, tmp_path_factory.mktemp("desk")) as desk:
        shop = stocked(desk)
        for resource, way in WAYS:
            for mode in MODES:
                shop.there[resource, way, mode] = _made(shop, resource, way, mode)
        desk.learn()
        desk.asked()
        yield shop


def _made(shop: Shop, resource: str, way: str, mode: str) -> tuple[str, str]:
    case, ids = CASES[resource], list[str]()
    for what in ("other", "same"):
        mark = f"{way}-{mode}-{what}"
        params = case.make(shop) | {case.name: "Then" if what == "other" else "Now"}
        params |= {"metadata": {MARK: mark}} if way == "metadata" else {}
        params |= {way: _value(way, mark)} if way in case.matches else {}
        ids.append(getattr(shop.desk.v1, _sdk(resource)).create(params).id)
    return ids[0], ids[1]


def _sdk(resource: str) -> str:
    return {"invoiceitems": "invoice_items"}.get(resource, resource)


def _value(way: str, mark: str) -> str:
    """Addresses are matched whatever the case of their letters."""
    return f"{mark}@Shop.example" if way == "email" else mark


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("resource", "way"), WAYS)
def test_a_row_that_is_there_one_that_is_not_and_one_that_is_the_same(
    shop: Shop, resource: str, way: str, mode: str
) -> None:
    desk, case = shop.desk, CASES[resource]
    key = f"{resource}_{way}_{mode}"
    other, same = shop.there[resource, way, mode]
    marks = {what: f"{way}-{mode}-{what}" for what in ("other", "same", "new")}
    ids = {"other": other, "same": same, "new": f"own_{mode}"}
    desk.table(
        key,
        *(
            {"id": what, "mark": mark, "oid": ids[what], "name": "Now", "customer": shop.customer, "price": shop.price,
             "product": shop.product, **({way: _value(way, mark).lower()} if way in case.matches else {})}
            for what, mark in marks.items()
        ),
    )  # fmt: skip
    match = METADATA if way == "metadata" else {way: "oid" if way == "id" else case.matches[way]}
    desk.sync(key, resource, match, {**case.fields, case.name: "name"}, mode=mode)
    reads = desk.reads()
    done = desk.run(key, part=FEW)
    assert sorted(desk.asked()) == sorted(_wanted(shop, case, way, mode, other, marks["new"]))
    assert desk.reads() == reads, "the mirror is asked, and not Stripe"
    creates = _creates(case, way, mode)
    assert done["sent"] == dict.fromkeys(["create"] * creates + ["update"] * (mode != "insert"), 1)
    assert desk.full(resource, other)[case.name] == ("Then" if mode == "insert" else "Now")
    again = desk.run(key)
    assert (again["sent"], desk.asked(), desk.reads()) == ({}, [], reads)
    states = {row: state for row, (state, _) in desk.states(key).items()}
    there = "skipped" if mode == "insert" else "sent"
    absent = "sent" if creates else "skipped" if mode == "update" else "invalid"
    assert states == {"other": there, "same": there, "new": absent}


def _creates(case: Case, way: str, mode: str) -> bool:
    """Whether what is not there is made: under an id of its own only where Stripe lets one choose it."""
    return mode != "update" and (way != "id" or case.settable)


def _wanted(shop: Shop, case: Case, way: str, mode: str, other: str, mark: str) -> list[Asked]:
    found: list[Asked] = []
    if mode != "insert":
        found.append(("POST", f"{case.resource}/{other}", {case.name: "Now"}))
    if _creates(case, way, mode):
        form = case.form(shop) | {case.name: "Now"}
        form |= {"metadata": {MARK: mark}} if way == "metadata" else {}
        form |= {"id": f"own_{mode}"} if way == "id" else {}
        form |= {way: _value(way, mark).lower()} if way in case.matches else {}
        found.append(("POST", case.resource, form))
    return found
