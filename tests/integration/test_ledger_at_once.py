"""An edition written at once: the same rows by every way of reading, a partition of its own, gone with its ledger."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from tests.support.books import Books
from tests.support.histories import day
from tests.support.shop import opened

from tidegate.revenue import checks, editions, exchange, partitions, rebuild
from tidegate.revenue.editions import Terms
from tidegate.store import snapshots
from tidegate.workflows.operation import retention
from tidegate.workflows.revenue import ledger_policy
from tidegate.workflows.revenue.ledger_policy import write_movements

pytestmark = pytest.mark.further

NAMED = ", ".join(f'"{name}"' for name in rebuild.ROW)
ROWS = f"""
select {NAMED} from tidegate.movements
where connection = 'acme' and edition = {{}} and superseded_at is null order by {NAMED}"""


@pytest.fixture
def books(fresh_database_url: str) -> Iterator[Books]:
    with opened(fresh_database_url) as shop:
        books = Books(shop)
        for who in books.who(*"abcdefgh", "a"):
            of = books.pays(who, 1000)
            books.pays(who, 1000, day("2026-03-01"), of, quantity=3)
        books.refresh()
        yield books


def rows(db: Connection, edition: int) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in db.execute(text(ROWS.format(edition)))]


@pytest.mark.parametrize("way", ["beside", "alone"])
def test_what_is_written_is_the_same_by_every_way_of_reading(
    books: Books, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[str] = []
    saved = exchange.saved

    def save(db: Connection, wanted: exchange.Wanted, directory: Path) -> Path:
        files.append(wanted.name)
        return saved(db, wanted, directory)

    monkeypatch.setattr(exchange, "saved", save)
    engine = books.shop.engine
    engine.dispose()  # what a connection wrote a moment ago counts as the transaction's own
    with engine.begin() as db:
        if way == "alone":
            db.execute(text("update tidegate.spans set listed = listed"))
        ledger = editions.draft(db, "acme", Terms("default", {}, "", "America/New_York"))
        written = write_movements(db, ledger)
        assert rows(db, ledger.edition) == rows(db, editions.FIRST)
        assert (written.added, written.superseded) == (18, 0)
        assert write_movements(db, ledger) == (0, 0)
        editions.adopt(db, ledger)
    with engine.connect() as db:
        assert {name: found for name, found in checks.broken(db, "acme").items() if found} == {}
    read = ["spans", "links", "exclusions"]
    assert files == [*(read if way == "alone" else []), *read, "standing", "mrr_days", "price_days"]


def test_an_edition_is_a_partition_of_its_own_that_nobody_waits_for(books: Books) -> None:
    engine, given = books.shop.engine, {"choices": {"unit": "customer"}}
    with engine.connect() as reading, reading.begin():
        reading.execute(text("select count(*) from tidegate.movements"))
        told = ledger_policy.adopt(engine, books.shop.account, given, "me")
    assert told["edition"] == 2
    named = "select relid::regclass::text from pg_partition_tree('tidegate.movements') where isleaf order by 1"
    assert books.shop.rows(named) == [("movements_acme_1",), ("movements_acme_2",)]
    [who] = books.who("z")
    books.pays(who, 700)
    assert books.refresh() == (1, 1)
    held = "select count(*) from tidegate.movements_acme_{}"
    assert (books.shop.scalar(held.format(1)), books.shop.scalar(held.format(2))) == (18, 19)


def test_superseding_touches_the_edition_in_force_alone(books: Books) -> None:
    ledger_policy.adopt(books.shop.engine, books.shop.account, {"choices": {"unit": "customer"}}, "me")
    with books.shop.engine.begin() as db:
        db.execute(text("update tidegate.spans set mrr = mrr * 2"))
        ledger = editions.begin(db, "acme")
        assert write_movements(db, ledger) == (18, 18)
    superseded = "select edition, count(*) from tidegate.movements where superseded_at is not null group by 1"
    assert books.shop.rows(superseded) == [(2, 18)]


def test_what_stands_is_brought_up_to_the_spans_by_connections_beside_too(books: Books) -> None:
    engine = books.shop.engine
    with engine.begin() as db:
        db.execute(text("update tidegate.spans set mrr = mrr * 2 where subscription like '%_1'"))
        db.execute(text("delete from tidegate.spans where subscription like '%_2'"))
    engine.dispose()
    with engine.begin() as db:
        ledger = editions.begin(db, "acme")
        assert snapshots.exported(db, ["spans"])
        assert write_movements(db, ledger) == (2, 4)
    with engine.connect() as db:
        assert {name: found for name, found in checks.broken(db, "acme").items() if found} == {}


WRONG = {
    "unit": "unit = 'contact:0'",
    "customer": "customer = 'cus_nobody'",
    "subscription and item": "subscription = item, item = subscription",
    "currency": "currency = 'eur'",
    "price and product": "price = product, product = price",
    "kind": "kind = 'unheard of'",
    "at": "at = at - interval '1 second'",
    "moved_at": "moved_at = moved_at + interval '1 second'",
    "day": "day = day + 1",
    "amount": "amount = amount + 1, closing = closing + 1",
    "opening": "opening = opening - 1",
}
"""What a row may be wrong about, and how it gets so."""


@pytest.mark.parametrize("way", ["beside", "alone"])
def test_rows_that_are_wrong_about_anything_are_superseded_by_right_ones(books: Books, way: str) -> None:
    with books.shop.engine.connect() as db:
        ledger, right = editions.begin(db, "acme"), rows(db, editions.FIRST)
        places = db.scalars(text("select ctid from tidegate.movements order by ctid")).all()
        for (what, wrong), place in zip(WRONG.items(), places, strict=False):
            hurt = text(f"update tidegate.movements set {wrong} where ctid = '{place}' and superseded_at is null")
            assert db.execute(hurt).rowcount == 1, what
        if way == "beside":
            db.commit()
            db.invalidate()  # the next one has written nothing
        assert write_movements(db, ledger) == (len(WRONG), len(WRONG))
        assert rows(db, editions.FIRST) == right


@pytest.mark.parametrize(
    "wrong",
    [
        "update tidegate.mrr_days set movements = movements + 1 where kind = 'new'",
        "update tidegate.mrr_days set kind = 'churn' where kind = 'expansion'",
        "delete from tidegate.mrr_days",
        "update tidegate.price_days set amount = amount + 1 where kind = 'new'",
        "update tidegate.price_days set price = 'price_nobody_has' where kind = 'worth'",
        "delete from tidegate.price_days",
        "insert into tidegate.price_days select connection, edition + 1, currency, day, price, product, kind, amount"
        " from tidegate.price_days",
    ],
)
def test_sums_that_are_wrong_are_put_right(books: Books, wrong: str) -> None:
    engine = books.shop.engine
    kept = [f"select * from tidegate.{table} order by 1, 2, 3, 4, 5, 6, 7" for table in ("mrr_days", "price_days")]
    right = [books.shop.rows(one) for one in kept]
    with engine.begin() as db:
        assert db.execute(text(wrong)).rowcount
    engine.dispose()
    with engine.begin() as db:
        assert write_movements(db, editions.begin(db, "acme")) == (0, 0)
    assert [books.shop.rows(one) for one in kept] == right


@pytest.mark.wide
def test_old_editions_go_with_their_partitions_unless_somebody_looks_at_them(books: Books) -> None:
    engine, account = books.shop.engine, books.shop.account
    for zone in ("UTC", "Asia/Tokyo", "Europe/Berlin", "Asia/Dubai", "Asia/Seoul"):
        ledger_policy.adopt(engine, account, {"time_zone": zone}, "me")
    with engine.connect() as reading, reading.begin():
        reading.execute(text("select from tidegate.movements"))
        assert _forgotten(engine) == 0
    assert _forgotten(engine) == 36
    assert _forgotten(engine) == 0
    left = "select count(*), count(distinct edition) from tidegate.movements"
    assert books.shop.rows(left) == [(18 * 4, 4)]
    with engine.connect() as db:
        assert not partitions.there(db, "acme", 2)
        assert partitions.there(db, "acme", 3)


def _forgotten(engine: Engine) -> int:
    return retention.forget_old(engine)["ledgers"]


def test_the_longest_name_of_a_connection_has_a_partition_of_its_own(engine: Engine) -> None:
    one, other = "c" * 59 + "1", "c" * 59 + "2"
    with engine.connect() as db:
        for name in (one, other):
            partitions.make(db, name, 12345)
            assert partitions.there(db, name, 12345)
        assert partitions.named(one, 12345) != partitions.named(other, 12345)
        assert db.scalar(text("select count(*) from tidegate.movements where connection = :c"), {"c": one}) == 0
