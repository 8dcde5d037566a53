"""Usage when the process that counts it is killed: the order that is sent again is done once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import killing
from tests.support.killing import Run, points
from tests.support.product import ADA, Product, sold

from tidegate.workflows.entitlements.entitlements import Use, use


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with killing.parent(Path(__file__).with_name("victims.py")) as run:
        yield run


@pytest.fixture
def product(fresh_database_url: str) -> Iterator[Product]:
    with sold(fresh_database_url) as product:
        yield product


def used(product: Product) -> int:
    return product.scalar("select coalesce(sum(used), 0)::int from tidegate.usage")


def test_a_killed_process_debits_once_or_not_at_all(product: Product, fresh_database_url: str, run: Run) -> None:
    work = {"database_url": fresh_database_url, "contact": ADA, "amount": 7}
    steps = run("consume", key="whole", **work).steps
    assert used(product) == 7
    outcomes: set[int] = set()
    for number, kill_at in enumerate([*points(steps - 1, 8, seed=7), steps]):
        key, before = f"k{number}", used(product)
        ended = run("consume", kill_at, key=key, **work)
        assert ended.killed
        outcomes.add(used(product) - before)
        [again] = use(product.engine, [Use(False, ADA, "calls", "consume", 7, key)])
        assert isinstance(again, dict)
        assert again["allowed"]
        assert used(product) == before + 7, ended.last
    assert outcomes == {0, 7}
    assert product.rows("select count(*)::int, sum(amount)::int from tidegate.usage_debits") == [(10, 70)]
