"""What is settled of a request without an answer is looked for as it was sent, and is never what was there before."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import pytest
from tests.support.desk import Desk, Shop, opened, stocked

from tidegate.connections.accounts import Account
from tidegate.sandbox.faults import Aimed
from tidegate.stripe_api.calls import Patience
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.limits import LocalBudget
from tidegate.workflows.outbound import run_sync
from tidegate.workflows.outbound.run_sync import Wanted

pytestmark = pytest.mark.further


@pytest.fixture(scope="module")
def shop(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(database_url, secret_key, tmp_path_factory.mktemp("desk")) as desk:
        shop = stocked(desk)
        desk.learn()
        yield shop


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return shop.desk


@contextmanager
def failing(desk: Desk, path: str, *, done: bool) -> Iterator[None]:
    """Every request to a path is answered with 500, whether it was done or not."""
    faults = desk.sandbox.server.faults
    faults.late, faults.aimed = lambda: done, [Aimed(path, "500", None)]
    try:
        yield
    finally:
        faults.aimed = []


def unanswered(desk: Desk, key: str) -> dict[str, Any]:
    """A run that tries each request once."""

    def writing(_: Account) -> AbstractContextManager[StripeApi]:
        budget = LocalBudget(0, 0)
        return closing(StripeApi(desk.sandbox.key, base=desk.sandbox.url, budget=budget, patience=Patience(tries=1)))

    return run_sync.run(desk.hub.engine, key, lambda source: source.shown, writing, Wanted(despite_stops=True))


def test_a_request_is_looked_for_by_what_its_row_was_matched_by_then(desk: Desk) -> None:
    desk.table("by_then", {"id": "0", "email": "zero@by-then.example"})
    fields = {"email": "email", "name": {"value": "Ada"}}
    desk.sync("by_then", "customers", {"email": "email"}, fields)
    desk.run("by_then")
    desk.table("by_then", {"id": "0", "email": "zero@by-then.example"}, {"id": "1", "email": "one@by-then.example"})
    with failing(desk, "/v1/customers", done=True):
        assert unanswered(desk, "by_then")["failed"] == 1
    assert desk.plan("by_then")["settles"] == {"create": 1}
    desk.sync("by_then", "customers", {"metadata": {"row": "id"}}, fields)
    desk.run("by_then")
    assert len(desk.v1.customers.list({"email": "one@by-then.example"}).data) == 1
    assert desk.states("by_then")["1"][0] == "sent"
    assert desk.plan("by_then")["settles"] == {}


@pytest.mark.parametrize("done", [False, True])
def test_a_row_that_came_back_never_is_what_was_ended_when_it_left(shop: Shop, done: bool) -> None:
    desk, key = shop.desk, f"again_{done}"
    fields: dict[str, Any] = {
        "customer": {"value": shop.customer}, "items": [{"price": {"value": shop.price}}],
        "proration_behavior": {"value": "none"}, "collection_method": {"value": "send_invoice"},
        "days_until_due": {"value": 7},
    }  # fmt: skip
    there = [{"id": f"{key}-{n}"} for n in range(2)]
    desk.table(key, *there)
    desk.sync(key, "subscriptions", {"metadata": {"row": "id"}}, fields, delete={"how": "remove", "at": "now"})
    desk.run(key)
    desk.table(key, there[0])
    assert desk.run(key)["sent"] == {"cancel": 1}
    desk.table(key, *there)
    with failing(desk, "/v1/subscriptions", done=done):
        assert unanswered(desk, key)["failed"] == 1
    assert desk.run(key)["failed"] == 0
    every = desk.marked("subscriptions", "row", f"{key}-1")
    assert sorted(one["status"] for one in every) == ["active", "canceled"]
    assert desk.states(key)[f"{key}-1"][0] == "sent"
    assert (desk.plan(key)["counts"]["create"], desk.run(key)["sent"]) == (0, {})
