"""An adoption of a revenue policy that is killed, wherever: the edition before is whole, and nothing else is left."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from tests.support import killing
from tests.support.books import Books
from tests.support.histories import day
from tests.support.shop import opened

from tidegate.revenue import checks
from tidegate.workflows.revenue import ledger_policy

PLACES = 4


@pytest.fixture
def books(fresh_database_url: str) -> Iterator[Books]:
    with opened(fresh_database_url) as shop:
        books = Books(shop)
        for who in books.who(*"abc", "a"):
            of = books.pays(who, 1000)
            books.pays(who, 1000, day("2026-03-01"), of, quantity=3)
        books.refresh()
        yield books


def state(books: Books) -> dict[str, Any]:
    told = {
        "ledgers": "select edition, adopted_at is not null, retired_at is not null from tidegate.ledgers order by 1",
        "movements": "select edition, count(*), sum(amount) from tidegate.movements group by 1 order by 1",
        "days": "select edition, sum(amount), sum(movements) from tidegate.mrr_days group by 1 order by 1",
        "tables": """select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = 'tidegate' and c.relname like 'movements%' and c.relkind = 'r' order by 1""",
    }
    return {name: books.shop.rows(sql) for name, sql in told.items()}


@pytest.mark.wide
@pytest.mark.timeout(400)  # ten adoptions
def test_an_adoption_that_is_killed_leaves_the_edition_before_as_it_was(
    books: Books, fresh_database_url: str, secret_key: str, run: killing.Run
) -> None:
    before, edition = state(books), 1
    given = {"database_url": fresh_database_url, "secret_key": secret_key, "connection": "acme"}
    steps = run("adopt", **given, choices={"unit": "customer"}).steps
    edition += 1
    whole = state(books)
    assert [row[0] for row in whole["movements"]] == [1, 2]
    assert whole["tables"] == [("movements_acme_1",), ("movements_acme_2",)]
    assert whole["movements"][0] == before["movements"][0]
    for place in killing.points(steps, PLACES, 7):
        wanted = {"unit": "customer" if edition % 2 else "contact"}
        ended = run("adopt", place, **given, choices=wanted)
        where = f"killed at {place} of {steps}: {ended.last}"
        now = state(books)
        if now == whole:
            ledger_policy.adopt(books.shop.engine, books.shop.account, {"choices": wanted}, "me")
            now = state(books)
        edition += 1
        assert now["ledgers"] == [*((row[0], True, True) for row in whole["ledgers"]), (edition, True, False)], where
        assert now["movements"][:-1] == whole["movements"], where
        assert len(now["tables"]) == edition, where
        with books.shop.engine.connect() as db:
            assert {name: found for name, found in checks.broken(db, "acme").items() if found} == {}, where
        whole = now
    with books.shop.engine.connect() as db:
        assert db.scalar(text("select count(*) from tidegate.ledgers")) == PLACES + 2
