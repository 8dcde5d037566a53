"""Why a customer or contact has the MRR it has: each subscription's items with the steps of pricing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.connections.accounts import Account
from tidegate.contacts import directory
from tidegate.errors import CustomerUnknown, LedgerMissing
from tidegate.pricing.value import whole
from tidegate.revenue import editions, load
from tidegate.revenue.history import observed
from tidegate.workflows.contact_customers import CUSTOMER, customers_of


def explain_mrr(db: Connection, account: Account, who: str, as_of: datetime) -> dict[str, Any]:
    """{who, contact, policy, mrr: [{currency, mrr}], reason, subscriptions: [{subscription, customer, status, excluded
    (null: it is not), as `tidegate price` says it, and of each item since when, provenance and source}]}.

    Raises LedgerMissing, CustomerUnknown, ContactUnknown, ContactAmbiguous.
    """
    kept = editions.current(db, account.name)
    if kept is None:
        raise LedgerMissing(connection=account.name)
    customers = customers_of(db, account, who)
    if who.startswith(CUSTOMER) and not db.scalar(_KNOWN, {"connection": account.name, "customer": who}):
        raise CustomerUnknown(connection=account.name, customer=who)
    told = [_subscription(*one, kept, as_of) for one in load.load(db, account.name, customers).items()]
    _place(db, account.name, customers, told)
    sums: dict[str, Any] = {}
    for one in told:
        if one["excluded"] is None:
            sums[one["currency"]] = sums.get(one["currency"], 0) + one.pop("exact")
        else:
            del one["exact"]
    return {
        "who": who,
        "contact": None if who.startswith(CUSTOMER) else directory.find(db, account.livemode, who).ref,
        "policy": kept.policy.name,
        "mrr": [{"currency": currency, "mrr": whole(amount)} for currency, amount in sorted(sums.items())],
        "reason": _reason(customers),
        "subscriptions": sorted(told, key=_largest_first),
    }


def _subscription(id_: str, loaded: load.Loaded, kept: editions.Ledger, as_of: datetime) -> dict[str, Any]:
    """What the subscription is worth by its last version."""
    states = observed.states(loaded.versions, kept.policy, int(as_of.timestamp()))
    value, subscription = states[-1].value, loaded.versions[-1].facts.subscription
    told = {"subscription": id_, "customer": loaded.customer, "status": subscription.status, "excluded": None}
    return told | value.as_json(kept.policy.name) | {"exact": value.mrr}


def _place(db: Connection, connection: str, customers: Sequence[str], told: Sequence[dict[str, Any]]) -> None:
    """Adds to items since when they are so and what tells of that, and to subscriptions why they are excluded."""
    given = {"connection": connection, "customers": list(customers)}
    spans = {(row.subscription, row.item): row for row in db.execute(_SPANS, given)}
    excluded = {row.customer: row.reason for row in db.execute(_EXCLUDED, given)}
    for one in told:
        one["excluded"] = excluded.get(one["customer"])
        for item in one["items"]:
            span = spans.get((one["subscription"], item["item"]))
            item["since"] = span.starts_at.isoformat() if span else None
            item["provenance"] = span.provenance if span else None
            item["source"] = span.source if span else None


def _reason(customers: Sequence[str]) -> str:
    if not customers:
        return "no Stripe customer of this connection is linked to it"
    return f"of {', '.join(customers)} there is none in the mirror"


def _largest_first(one: dict[str, Any]) -> tuple[int, str]:
    return -one["mrr"], one["subscription"]


_KNOWN = text("select exists (select from stripe.customers where connection = :connection and id = :customer)")

_SPANS = text("""
select subscription, item, starts_at, provenance, source from tidegate.spans
where connection = :connection and customer = any(cast(:customers as text[]))
order by starts_at""")

_EXCLUDED = text("""
select customer, reason from tidegate.exclusions
where connection = :connection and customer = any(cast(:customers as text[]))""")
