"""Why a customer or contact has the MRR it has: each subscription's items with the steps of pricing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.connections.accounts import Account
from tidegate.contacts import directory
from tidegate.errors import CustomerUnknown, LedgerMissing
from tidegate.pricing.value import instant, millionths
from tidegate.revenue import editions, load
from tidegate.revenue.history.history import History, history
from tidegate.revenue.history.span import State
from tidegate.revenue.rounding import minor
from tidegate.revenue.standing import ENDS
from tidegate.workflows.contacts.contact_customers import CUSTOMER, customers_of


def explain_mrr(db: Connection, account: Account, who: str, as_of: datetime) -> dict[str, Any]:
    """{who, contact, policy, mrr: [{currency, mrr}], reason (why there are no subscriptions; null: there are some),
    subscriptions: [{subscription, customer, status, excluded (null: it is not), as `tidegate price` says it, and of
    each item since when it counts so, provenance and source}]}. An item of one that is over says since when it is.

    It is the ledger's own number: the end of the history that its spans are made of. Raises LedgerMissing,
    CustomerUnknown, ContactUnknown, ContactAmbiguous.
    """
    kept = editions.current(db, account.name)
    if kept is None:
        raise LedgerMissing(connection=account.name)
    customers = customers_of(db, account, who)
    if who.startswith(CUSTOMER) and not db.scalar(_KNOWN, {"connection": account.name, "customer": who}):
        raise CustomerUnknown(connection=account.name, customer=who)
    given = {"connection": account.name, "customers": list(customers)}
    excluded = {row.customer: row.reason for row in db.execute(_EXCLUDED, given)}
    ends = {row.id: row.ends_at for row in db.execute(_ENDS, given)}
    told: list[dict[str, Any]] = []
    sums: dict[str, int] = {}
    for id_, loaded in load.load(db, account.name, customers).items():
        past = history(loaded.versions, loaded.billed, kept.policy, int(as_of.timestamp()), loaded.stood)
        if past.stands is None:
            continue
        reason, value = excluded.get(loaded.customer), past.stands.value
        beside = {"excluded": reason, "ends_at": instant(ends.get(id_))}
        told.append(_subscription(id_, loaded, past, past.stands, kept.policy.name) | beside)
        if reason is None:
            sums[value.currency] = sums.get(value.currency, 0) + sum(millionths(item.monthly) for item in value.items)
    return {
        "who": who,
        "contact": None if who.startswith(CUSTOMER) else directory.find(db, account.livemode, who).ref,
        "policy": kept.policy.name,
        "mrr": [{"currency": currency, "mrr": minor(amount)} for currency, amount in sorted(sums.items())],
        "reason": None if told else _reason(customers),
        "subscriptions": sorted(told, key=_largest_first),
    }


def _subscription(id_: str, loaded: load.Loaded, past: History, stands: State, policy: str) -> dict[str, Any]:
    """What the subscription is worth as it stands in the end, since when, and what tells of that."""
    told: dict[str, Any] = {"subscription": id_, "customer": loaded.customer}
    told["status"] = loaded.versions[-1].facts.subscription.status
    told |= stands.value.as_json(policy)
    open_ = {span.item: span for span in past.spans if span.ends_at is None}
    for item in told["items"]:
        span = open_.get(item["item"])
        item["since"] = instant(span.starts_at if span else stands.at)
        item["provenance"] = span.provenance if span else stands.provenance
        item["source"] = span.source if span else stands.source
    return told


def _reason(customers: Sequence[str]) -> str:
    if not customers:
        return "no Stripe customer of this connection is linked to it"
    return f"of {', '.join(customers)} there is none in the mirror"


def _largest_first(one: dict[str, Any]) -> tuple[int, str]:
    return -one["mrr"], one["subscription"]


_KNOWN = text("select exists (select from stripe.customers where connection = :connection and id = :customer)")

_ENDS = text(f"""
select s.id, extract(epoch from e.ends_at)::bigint as ends_at from stripe.subscriptions s {ENDS}
where s.connection = :connection and s.customer = any(cast(:customers as text[]))""")

_EXCLUDED = text("""
select customer, reason from tidegate.exclusions
where connection = :connection and customer = any(cast(:customers as text[]))""")
