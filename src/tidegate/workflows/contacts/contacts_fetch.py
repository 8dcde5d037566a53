"""Fetches a contact's subscriptions from Stripe now, for a user who comes back from Checkout, and answers with them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.catalog import snapshot
from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.contacts import directory, explaining
from tidegate.contacts.directory import Contact
from tidegate.entitlements.answers import answer
from tidegate.errors import ConnectionMissing, ContactInvalid, ContactUnknown, CustomerUnknown, StripeObjectMissing
from tidegate.mirror import references, refetches
from tidegate.mirror.apply import apply
from tidegate.mirror.arrivals import Arrival, Lost
from tidegate.mirror.decide import Certainty
from tidegate.mirror.pages import read_objects, retrieve
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources.customers import CUSTOMERS
from tidegate.stripe_api.resources.subscriptions import SUBSCRIPTIONS
from tidegate.workflows.contacts.contacts import now_of
from tidegate.workflows.refresh import refresh

OpenStripe = Callable[[Account], AbstractContextManager[StripeApi]]


@dataclass(slots=True)
class Fetched:
    """What Stripe showed of customers of one connection; `lost` of their subscriptions could not be read."""

    account: Account
    customers: list[Arrival] = field(default_factory=list[Arrival])
    subscriptions: list[Arrival] = field(default_factory=list[Arrival])
    lost_customers: list[Lost] = field(default_factory=list[Lost])
    lost: list[Lost] = field(default_factory=list[Lost])


def fetch(
    engine: Engine,
    open_stripe: OpenStripe,
    livemode: bool,
    ref: str | None,
    *,
    customer: str | None = None,
    account: Account | None = None,
) -> dict[str, Any]:
    """Reads the customers of a contact with all their subscriptions from Stripe, applies them, derives what follows,
    and returns the contact's entitlements with `fetched`: {customers, subscriptions, changed} and, of a `customer`,
    `link`: whose it is and why.

    `customer`: this one of `account` as well, though the mirror may not have it yet, nor the contact be made; without a
    `ref` its contact is answered, if it has one by now (`contact` None otherwise). Nothing is held while Stripe is
    asked. Raises ContactUnknown, CustomerUnknown, ContactInvalid, and the errors of StripeApi: nothing was changed
    then, or nothing is lost.
    """
    if ref is None and customer is None:
        raise ContactInvalid(problem="name a contact, or a customer of Stripe's")
    if customer is not None and account is None:
        raise ConnectionMissing()
    with engine.connect() as db:
        contact = _known_contact(db, livemode, ref, may_lack=customer is not None)
        wanted = _wanted(db, contact, customer, account)
    found = [_ask(engine, open_stripe, one, customers, customer) for one, customers in wanted]
    counts = {"customers": 0, "subscriptions": 0, "changed": 0}
    with engine.begin() as db:
        held = [one for one in found if accounts.hold(db, one.account.name)]  # all of them, before contacts are locked
        for one in held:
            _take(db, one, counts)
        contact = _known_contact(db, livemode, ref, may_lack=False)
        return _answer(db, livemode, contact, customer, account) | {"fetched": counts}


def _known_contact(db: Connection, livemode: bool, ref: str | None, *, may_lack: bool) -> Contact | None:
    try:
        return directory.find(db, livemode, ref) if ref is not None else None
    except ContactUnknown:
        if may_lack:
            return None
        raise


def _wanted(
    db: Connection, contact: Contact | None, customer: str | None, account: Account | None
) -> list[tuple[Account, list[str]]]:
    """Whom to ask for, by connection; only of connections that have a key."""
    customers: dict[str, list[str]] = {}
    if contact is not None:
        for row in db.execute(_LINKED, {"contact": contact.key}):
            customers.setdefault(row.connection, []).append(row.customer)
    if customer is not None and account is not None:
        of_account = customers.setdefault(account.name, [])
        if customer not in of_account:
            of_account.append(customer)
    connected = {one.name: one for one in accounts.every(db, connected=True)}
    return [(connected[name], ids) for name, ids in customers.items() if name in connected]


def _ask(
    engine: Engine, open_stripe: OpenStripe, account: Account, customers: Sequence[str], named: str | None
) -> Fetched:
    """Asks Stripe; what it shows is no older than what was stored when it was asked, whatever its clock says."""
    found = Fetched(account)
    with engine.connect() as db:
        values = {"connection": account.name, "customers": list(customers)}
        known: dict[str, int] = {row.id: row.at for row in db.execute(_KNOWN, values)}
    with open_stripe(account) as api:
        for customer in customers:
            if _ask_for_customer(api, customer, found):
                _ask_for_subscriptions(api, customer, found)
            elif customer == named and not any(one.id == named for one in found.customers):
                raise CustomerUnknown(connection=f"{account.name}, and Stripe itself,", customer=customer)
    for arrival in (*found.customers, *found.subscriptions):
        arrival.at, arrival.certainty = max(arrival.at, known.get(arrival.id, 0)), Certainty.SETTLED
    return found


def _ask_for_customer(api: StripeApi, customer: str, found: Fetched) -> bool:
    """Whether Stripe has the customer, and not as a deleted one, whose subscriptions it does not list."""
    try:
        page = retrieve(api, CUSTOMERS, customer, interactive=True)
    except StripeObjectMissing:
        return False
    found.customers += page.arrivals
    found.lost_customers += page.lost
    return not any(one.deleted for one in page.arrivals)


def _ask_for_subscriptions(api: StripeApi, customer: str, found: Fetched) -> None:
    """Every subscription, canceled ones too, with every nested list whole."""
    after, more, passed = "", True, set[str]()
    params = {"customer": customer, "status": "all"}
    while more:
        page = read_objects(
            api, SUBSCRIPTIONS, "/v1/subscriptions", params, after=after, passed=passed, interactive=True
        )
        found.subscriptions += page.arrivals
        found.lost += page.lost
        after, more = page.last, page.has_more


def _take(db: Connection, found: Fetched, counts: dict[str, int]) -> None:
    """Applies what was read and derives what follows, in one transaction with what was read of the others."""
    name = found.account.name
    customers = {one.id for one in found.customers}
    with refetches.at_the_end(db, name):
        people = apply(db, name, CUSTOMERS, found.customers, found.lost_customers)
        bought = apply(db, name, SUBSCRIPTIONS, found.subscriptions, found.lost)
        references.ask_for_named(db, name, SUBSCRIPTIONS, [one.id for one in found.subscriptions])
    refresh(db, found.account, sorted(customers | people.customers | bought.customers))
    counts["customers"] += len(customers)
    counts["subscriptions"] += len(found.subscriptions)
    counts["changed"] += people.counts.stored + bought.counts.stored


def _answer(
    db: Connection, livemode: bool, contact: Contact | None, customer: str | None, account: Account | None
) -> dict[str, Any]:
    said: dict[str, Any] = {"contact": None}
    if customer is not None and account is not None:
        link = explaining.explain_link(db, account.name, customer)
        said["link"] = {name: link[name] for name in ("customer", "contact", "method", "reason")}
        if contact is None and link["contact"]:
            contact = directory.find(db, livemode, link["contact"])
    if contact is None:
        return said
    return answer(db, directory.of_key(db, contact.key), snapshot.load(db), now_of(db)) | {
        name: value for name, value in said.items() if name != "contact"
    }


_LINKED = text("select connection, customer from tidegate.links where contact = :contact order by 1, 2")

_KNOWN = text("""
select id, extract(epoch from updated_at)::bigint as at from stripe.customers
where connection = :connection and id = any(cast(:customers as text[]))
union all
select id, extract(epoch from updated_at)::bigint from stripe.subscriptions
where connection = :connection and customer = any(cast(:customers as text[]))""")
