"""The report of what in the data makes figures of revenue doubtful, with what only pricing can tell."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.connections.accounts import Account
from tidegate.pricing.policy import Policy
from tidegate.pricing.subscription import value
from tidegate.pricing.taxes import GUESSED
from tidegate.revenue import editions, load, quality
from tidegate.stripe_api import dashboard

BATCH = 500
"""Customers that are priced at a time."""


def data_quality(db: Connection, account: Account, as_of: datetime) -> dict[str, Any]:
    """{connection, checks: [{check, about, remedy, objects}], objects: [{check, object, id, name, detail, link}]}.
    `link`: in Stripe's dashboard; None where it has no page there, and of what is simulated.
    """
    kept = editions.current(db, account.name)
    policy = kept.policy if kept else Policy()
    rows = [*quality.found(db, account.name), *_taxed(db, account, policy, int(as_of.timestamp()))]
    where: dict[str, Any] = {"account": account.account, "livemode": account.livemode}
    objects = [
        row | {"link": None if account.sandbox else dashboard.page(row["object"], row["id"], **where)} for row in rows
    ]
    return {
        "connection": account.name,
        "checks": quality.counts(rows),
        "objects": objects,
    }


def _taxed(db: Connection, account: Account, policy: Policy, as_of: int) -> Iterator[dict[str, Any]]:
    """Items of which pricing says that their tax is guessed."""
    customers = list(db.scalars(_INCLUSIVE, {"connection": account.name}))
    for start in range(0, len(customers), BATCH):
        for id_, loaded in load.load(db, account.name, customers[start : start + BATCH]).items():
            facts = loaded.versions[-1].facts
            if facts.subscription.status not in {"trialing", "active", "past_due", "unpaid", "paused"}:
                continue
            for item in value(facts, policy, as_of).items:
                if item.problem == GUESSED:
                    detail = f"item {item.item}, price {item.price}: {item.problem}"
                    yield {"check": quality.TAX, "object": "subscription", "id": id_, "name": "", "detail": detail}


_INCLUSIVE = text("""
select distinct s.customer from stripe.subscription_items i
join stripe.subscriptions s on s.connection = i.connection and s.id = i.subscription and s.deleted_at is null
  and s.status in ('trialing', 'active', 'past_due', 'unpaid', 'paused') and s.test_clock is null
join stripe.prices p on p.connection = i.connection and p.id = i.price
where i.connection = :connection and i.deleted_at is null
  and (p.tax_behavior = 'inclusive' or p.data -> 'currency_options' @? '$.* ? (@.tax_behavior == "inclusive")')
order by 1""")
