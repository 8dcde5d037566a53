"""A shop and its ledger: customers that pay, and what the ledger then says."""

from itertools import count
from typing import Any

from sqlalchemy import text
from tests.support.builders import customer, item, price, subscription
from tests.support.histories import MILLION, day
from tests.support.shop import Shop

ACCOUNT = {"id": "acct_1", "object": "account", "settings": {"dashboard": {"timezone": "America/New_York"}}}
BEGUN = day("2026-01-10")
NUMBERS = count(1)


class Books:
    """A shop and its ledger; `who` makes customers that no other test has."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        shop.settings(create_missing=True)
        with shop.engine.begin() as db:
            db.execute(text("update tidegate.connections set account = 'acct_1'"))
        shop.has(ACCOUNT)

    def who(self, *emails: str) -> list[str]:
        """Customers (Stripe ids), one for each address; the same address is the same contact."""
        number = next(NUMBERS)
        ids = [f"cus_{number}_{place}" for place in range(len(emails))]
        for place, (id_, email) in enumerate(zip(ids, emails, strict=True)):
            self.shop.has(customer(id_, 10 + place, email=f"{email}{number}@example.com"))
        return ids

    def pays(self, who: str, amount: int, at: int = BEGUN, of: str = "", quantity: int = 1, **more: Any) -> str:
        """A subscription of a customer, told of by an event; returns its id."""
        id_ = of or f"sub_{who}"
        interval = {"interval": more.pop("every", "month"), "interval_count": 1, "usage_type": "licensed"}
        told = price(f"price_{amount}", unit_amount=amount, unit_amount_decimal=str(amount), recurring=interval)
        told["currency"] = more.get("currency", "usd")
        items = [item(f"si_{id_}", id_, quantity, price=told)]
        of_one = subscription(id_, items, customer=who, created=BEGUN, start_date=BEGUN) | more
        self.shop.told(of_one, at=at)
        return id_

    def refresh(self) -> tuple[int, int]:
        """Spans and rows of movements that were written."""
        done = self.shop.refresh()
        return done.spans, done.movements

    def moves(self, *who: str) -> list[tuple[str, str, float, str]]:
        """Standing movements of these customers: (customer's place, kind, amount, day)."""
        return [
            (row[0].rsplit("_", 1)[1], row[1], row[2] / MILLION, f"{row[3]}")
            for row in self.shop.rows(f"""
select customer, kind, amount, day from tidegate.movements
where superseded_at is null and customer in ({", ".join(f"'{one}'" for one in who)}) order by at, customer""")
        ]

    def facts(self, who: str) -> dict[str, Any]:
        with self.shop.engine.connect() as db:
            row = db.execute(
                text(
                    "select f.* from tidegate.contact_facts f join tidegate.links l using (contact) where customer = :c"
                ),
                {"c": who},
            )
            return dict(row.mappings().one())
