"""A connection with a ledger: spans that a test says, and the movements that follow from them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, text
from tests.support.queue import connect

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.revenue import editions, movements, price_days
from tidegate.revenue.rounding import UNIT
from tidegate.store.engine import open_engine

SPAN: Mapping[str, Any] = {
    "connection": "acme", "ends_at": None, "currency": "usd", "trial": 0, "why_not": "", "price": "price_1",
    "product": "prod_1", "quantity": 1, "interval": "month", "interval_count": 1, "metered": False,
    "provenance": "observed", "source": "evt_1",
}  # fmt: skip


def at(said: str) -> datetime:
    """An instant, UTC: `2026-03-31` or `2026-03-31 12:00`."""
    return datetime.fromisoformat(said).replace(tzinfo=UTC)


class Books:
    """The connection `acme` with a ledger in UTC."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        connect(engine, "acme")
        with engine.begin() as db:
            self.account: Account = accounts.named(db, "acme")
            self.ledger = editions.begin(db, "acme")

    def span(self, customer: str, minor: float, begins: str, ends: str | None = None, **more: Any) -> str:
        """What an item of a customer was worth, in minor units a month; its ids follow from the customer's."""
        row: dict[str, Any] = {
            **SPAN, "customer": customer, "subscription": f"sub_{customer}", "item": f"si_{customer}",
            "starts_at": at(begins), "ends_at": None if ends is None else at(ends), "mrr": round(minor * UNIT),
        } | more  # fmt: skip
        row.setdefault("listed", row["mrr"])
        names = ", ".join(f'"{name}"' for name in row)
        with self.engine.begin() as db:
            db.execute(
                text(f"insert into tidegate.spans ({names}) values ({', '.join(f':{name}' for name in row)})"), row
            )
        return customer

    def link(self, contact: str, *customers: str, **properties: str) -> int:
        """Makes an account with these customers."""
        with self.engine.begin() as db:
            key = directory.make(db, False, Making("account", contact, name=contact.title(), properties=properties))
            for customer in customers:
                db.execute(
                    text("""
insert into tidegate.links (connection, customer, contact, method) values ('acme', :customer, :contact, 'manual')"""),
                    {"customer": customer, "contact": key},
                )
        return key

    def keep(self) -> "Books":
        """Derives the movements of all spans, and what they are worth by price."""
        with self.engine.begin() as db:
            customers = list(db.scalars(text("select distinct customer from tidegate.spans order by 1")))
            movements.keep_movements(db, self.ledger, customers)
            db.execute(text("delete from tidegate.price_days where kind = 'worth'"))
            out = set(db.scalars(text("select customer from tidegate.exclusions")))
            for customer in sorted({*customers} - out):
                price_days.add_customer(db, self.ledger, customer, 1)
        return self

    def execute(self, sql: str, **values: Any) -> None:
        with self.engine.begin() as db:
            db.execute(text(sql), values)


@contextmanager
def opened(url: str) -> Iterator[Books]:
    """Books in this database, which has nothing else."""
    engine = open_engine(url)
    yield Books(engine)
    engine.dispose()
