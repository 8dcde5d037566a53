"""Discounts that stand whole in other objects are versions of their own."""

from typing import Any

import pytest
from tests.support.builders import arrival, customer, invoice, item, line, price, subscription

from tidegate.mirror.decide import Certainty
from tidegate.mirror.discounts import HOLDERS, inside
from tidegate.stripe_api.resources import RESOURCES


def discount(id_: str = "di_1", **fields: Any) -> dict[str, Any]:
    return {"id": id_, "object": "discount", "customer": "cus_1", "start": 10, "end": None, **fields}


def found(resource: str, *bodies: dict[str, Any]) -> list[str]:
    here = inside(RESOURCES[resource], [arrival(resource, body, 100) for body in bodies])
    assert here.lost == []
    assert {(one.at, one.certainty) for one in here.arrivals} <= {(100, Certainty.READ)}
    return [one.id for one in here.arrivals]


@pytest.mark.parametrize(
    ("resource", "body", "ids"),
    [
        ("customers", customer(discount=discount()), ["di_1"]),
        ("customers", customer(discount=None), []),
        ("subscriptions", subscription(discounts=[discount(), discount("di_2")]), ["di_1", "di_2"]),
        ("subscriptions", subscription(discounts=["di_1"]), []),
        ("subscriptions", subscription(items=[item("si_1", discounts=[discount()])], discounts=["di_2"]), ["di_1"]),
        ("invoices", invoice(lines=[line("il_1", discounts=[discount()])], discounts=[discount()]), ["di_1"]),
        ("invoiceitems", {"id": "ii_1", "object": "invoiceitem", "discounts": [discount()]}, ["di_1"]),
        ("prices", price(discount=discount()), []),
        ("customers", customer(discount=discount(), items={"data": "odd"}), []),
        ("customers", customer(discount=discount(), deleted=True), []),
    ],
)
def test_a_discount_is_found_where_it_stands_whole(resource: str, body: dict[str, Any], ids: list[str]) -> None:
    assert found(resource, body) == ids


def test_a_version_is_taken_once() -> None:
    twice = [subscription(f"sub_{n}", discounts=[discount()]) for n in range(2)]
    later = subscription("sub_9", discounts=[discount(end=99)])
    assert found("subscriptions", *twice, later) == ["di_1", "di_1"], "another version of it is another"
    resource = RESOURCES["subscriptions"]
    arrivals = [arrival("subscriptions", one, 100) for one in twice]
    known = inside(resource, arrivals).digests
    assert inside(resource, arrivals, known).arrivals == []


def test_one_that_cannot_be_read_is_kept() -> None:
    bad = discount() | {"id": None, "customer": None}
    here = inside(RESOURCES["customers"], [arrival("customers", customer(discount=bad), 100)])
    assert ([one.reason for one in here.lost] != [], here.arrivals) == (True, [])


def test_holders_are_stored_before_their_discounts() -> None:
    order = list(RESOURCES)
    assert all(order.index(name) < order.index("discounts") for name in HOLDERS)
