"""Reading lists page by page: what a list that never ends is answered with."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.support.builders import arrival, customer, invoice, line

from tidegate.errors import StripeBodyUnreadable
from tidegate.mirror.pages import complete, read_objects, retrieve
from tidegate.mirror.plan import Load
from tidegate.mirror.ranges import Range
from tidegate.stripe_api.calls import Answer
from tidegate.stripe_api.resources import RESOURCES

ROUND = [["a"], ["a", "b"], ["a", "b", "c", "b"], [""]]


class Circle:
    """Stripe with a list whose pages end with these ids, again and again."""

    livemode = None

    def __init__(self, build: Callable[[str], dict[str, Any]], ids: list[str]) -> None:
        self.pages = [
            msgspec.json.encode({"object": "list", "has_more": True, "data": [build(id_)] if id_ else []})
            for id_ in ids
        ]
        self.asked = 0

    def read(self, path: str, decode: Callable[[bytes], Any], params: Any, **_: Any) -> tuple[Any, Answer]:
        body = self.pages[self.asked % len(self.pages)]
        self.asked += 1
        assert self.asked < 50
        return decode(body), Answer(body, datetime.now(UTC), 0.0, "req_1")


@pytest.mark.parametrize("ids", ROUND)
def test_a_list_that_goes_round_in_a_circle_is_an_error(ids: list[str]) -> None:
    circle: Any = Circle(customer, ids)
    with pytest.raises(StripeBodyUnreadable, match="does not move on"):
        _read_to_the_end(circle, Load(Range(1, RESOURCES["customers"])))


def _read_to_the_end(circle: Any, load: Load) -> None:
    resource, after, more = load.range.resource, "", True
    while more:
        page = read_objects(circle, resource, "/v1/customers", {}, after=after, passed=load.passed)
        after, more = page.last, page.has_more


def test_a_range_that_goes_on_after_a_crash_notices_the_page_it_came_from() -> None:
    circle: Any = Circle(customer, ["cus_9"])
    with pytest.raises(StripeBodyUnreadable, match="does not move on"):
        read_objects(circle, RESOURCES["customers"], "/v1/customers", {}, after="cus_9", passed=set())


@pytest.mark.parametrize("ids", ROUND)
def test_a_nested_list_that_goes_round_in_a_circle_is_an_error(ids: list[str]) -> None:
    body = invoice(lines=[line("il_1")])
    body["lines"]["has_more"] = True
    circle: Any = Circle(line, ids)
    with pytest.raises(StripeBodyUnreadable, match="does not move on"):
        complete(circle, RESOURCES["invoices"], arrival("invoices", body, at=100))


@pytest.mark.parametrize(
    ("fields", "gone"),
    [
        ({"customer": None}, True),
        ({"customer": None, "customer_account": None}, True),
        ({"customer": None, "customer_account": "acct_1"}, False),
        ({"customer": "cus_1", "customer_account": None}, False),
        ({}, False),
    ],
    ids=["nobody's", "nobody's in words of today", "of an account", "of a customer", "it does not say"],
)
def test_a_payment_method_that_is_fetched_and_is_nobodys_is_deleted(fields: dict[str, Any], gone: bool) -> None:
    class One:
        livemode = None

        def get(self, path: str, params: Any, **_: Any) -> Answer:
            body = msgspec.json.encode({"id": "pm_1", "object": "payment_method", "type": "card", **fields})
            return Answer(body, datetime.now(UTC), 0.0, "req_1")

    api: Any = One()
    (found,) = retrieve(api, RESOURCES["payment_methods"], "pm_1").arrivals
    assert found.deleted is gone
