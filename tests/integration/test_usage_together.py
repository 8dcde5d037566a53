"""Usage when many want it at once, and when the same order comes twice."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.product import ADA, Product, sold

from tidegate.entitlements import holders
from tidegate.errors import TidegateError, UsageInvalid
from tidegate.workflows.entitlements.entitlements import Check, Use, check, settle, use


@pytest.fixture
def product(fresh_database_url: str) -> Iterator[Product]:
    with sold(fresh_database_url) as product:
        yield product


def order(operation: str = "consume", amount: int = 1, key: str | None = None, **more: Any) -> Use:
    return Use(
        **({"livemode": False, "contact": ADA, "feature": "calls"} | more), operation=operation, amount=amount, key=key
    )


def done(product: Product, *orders: Use) -> list[dict[str, Any]]:
    answers = use(product.engine, orders)
    assert not [one for one in answers if isinstance(one, TidegateError)], answers
    return [one for one in answers if isinstance(one, dict)]


def used(product: Product, feature: str = "calls") -> int:
    return product.scalar(f"select coalesce(sum(used), 0)::int from tidegate.usage where feature = '{feature}'")


def test_twenty_processes_want_the_last_unit_and_one_gets_it(product: Product) -> None:
    product.limit("calls", 1)
    ready = threading.Barrier(20)

    def consume(_n: int) -> bool:
        ready.wait(20)
        return done(product, order())[0]["allowed"]

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(consume, range(20))) == [False] * 19 + [True]
    assert used(product) == 1


def test_twenty_requests_want_the_last_unit_and_one_gets_it(product: Product) -> None:
    product.limit("calls", 1)
    with product.client("entitlements") as client, ThreadPoolExecutor(20) as pool:
        answers = [one.json() for one in pool.map(lambda _n: product.consume(client, 1), range(20))]
    assert sorted(one["allowed"] for one in answers) == [False] * 19 + [True]
    assert {one["reason"] for one in answers if not one["allowed"]} == {"usage_limit_reached"}
    assert used(product) == 1


def test_one_key_twenty_times_at_once_debits_once(product: Product) -> None:
    with product.client("entitlements") as client, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _n: product.consume(client, 5, idempotency_key="k").json(), range(20)))
    assert used(product) == 5
    assert sorted("repeated" in one for one in answers) == [False] + [True] * 19
    assert all(one | {"repeated": True} == answers[0] | {"repeated": True} for one in answers)


def test_orders_that_come_together_are_done_in_their_order(product: Product) -> None:
    product.limit("calls", 10)
    answers = done(
        product, order(amount=8), order(amount=3), order("release", 1), order(amount=3), order("reserve", 1, "r"),
        order("reserve", 1, "r"), order("set", 4), order(amount=6),
    )  # fmt: skip
    assert [one["allowed"] for one in answers] == [True, False, True, True, False, False, True, True]
    assert answers[5] == answers[4] | {"repeated": True}
    assert used(product) == 10


def test_one_key_twice_together_for_different_orders_is_refused(product: Product) -> None:
    first, second = use(product.engine, [order(amount=1, key="k"), order(amount=2, key="k")])
    assert isinstance(first, dict)
    assert isinstance(second, UsageInvalid)
    assert used(product) == 1


def test_what_is_wrong_with_one_order_is_nothing_to_the_others(product: Product) -> None:
    orders = [
        order(contact="nobody"),
        order(),
        order(feature="nothing"),
        order(feature="sso"),
        order(amount=0),
        order(),
    ]
    answers = use(product.engine, orders)
    assert [isinstance(one, dict) for one in answers] == [False, True, False, False, False, True]
    assert used(product) == 2


def test_reservations_are_settled_once_however_many_try(product: Product) -> None:
    number = done(product, order("reserve", 10))[0]["reservation"]

    def confirm(amount: int) -> int | None:
        try:
            return settle(product.engine, False, ADA, "calls", number, amount)["settled"]
        except UsageInvalid:
            return None

    with ThreadPoolExecutor(6) as pool:
        settled = set(pool.map(confirm, [1, 2, 3, 4, 5, 6]))
    [amount] = settled - {None}
    assert used(product) == amount


def test_another_contacts_reservation_is_not_to_be_settled(product: Product) -> None:
    number = done(product, order("reserve", 10))[0]["reservation"]
    product.member("u1")
    settle(product.engine, False, "u1", "calls", number, 4)
    assert used(product) == 4
    other = done(product, order("reserve", 10))[0]["reservation"]
    with product.engine.begin() as db:
        db.execute(text("delete from tidegate.contact_members"))
    with pytest.raises(UsageInvalid, match="there is no reservation"):
        settle(product.engine, False, "u1", "calls", other, 4)


def test_an_expired_reservation_is_given_back_once(product: Product) -> None:
    product.limit("calls", 10)
    number = done(product, order("reserve", 10))[0]["reservation"]
    product.expire(number)
    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(lambda _n: done(product, order(amount=3))[0]["allowed"], range(8)))
    assert (sum(allowed), used(product)) == (3, 9)


def test_a_usage_that_resets_begins_anew(product: Product) -> None:
    done(product, order(amount=400))
    with product.engine.begin() as db:
        db.execute(
            text(
                "update tidegate.usage set period_start = period_start - interval '1 month', period_end = period_start"
            )
        )
        standing = holders.ask(db, False, [ADA], ["calls"], as_of=datetime.now(UTC))
        assert not isinstance(standing.asked[ADA], TidegateError)
    assert done(product, order(amount=1000))[0]["used"] == 1000


def test_what_no_database_holds_is_refused_alone(product: Product) -> None:
    orders = [order(contact="a\0b"), order(feature="c\0d"), order(contact=""), order(key="\ud800"), order()]
    answers = use(product.engine, orders)
    assert [isinstance(one, dict) for one in answers] == [False, False, False, False, True]
    checks = [Check(False, "a\0b", "sso"), Check(False, ADA, "c\0d"), Check(False, "\udfff"), Check(False, ADA, "sso")]
    assert [isinstance(one, dict) for one in check(product.engine, checks)] == [False, False, False, True]
    assert [type(one).__name__ for one in use(product.engine, [order(contact="")])] == ["ContactUnknown"]
