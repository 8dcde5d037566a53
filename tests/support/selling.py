"""A shop that sells from the hub: packages with prices in a sandbox, and a contact that buys."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import stripe
from sqlalchemy import text
from tests.support.importing import connected, imported
from tests.support.live import Live

from tidegate.catalog import features, mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.connections.accounts import Account
from tidegate.contacts import directory, policy
from tidegate.contacts.directory import Making
from tidegate.mirror.tables import STRIPE_TABLES
from tidegate.outbound.selling.wish import Wish
from tidegate.sandbox import Sandbox
from tidegate.sandbox.config import SandboxConfig
from tidegate.settings import Settings
from tidegate.store.engine import open_engine
from tidegate.wiring import Hub
from tidegate.workflows.contacts.contacts_fetch import fetch
from tidegate.workflows.selling import sell

BY = "cli:ada"
TABLES = (
    "tidegate.connections, tidegate.packages, tidegate.features, tidegate.contacts, tidegate.requests, tidegate.runs, "
    "tidegate.pauses"
)
SOLD = {
    "basic": ("base", {"seats": 2}, [(1000, "month"), (10_000, "year")]),
    "pro": ("base", {"seats": 10, "sso": True}, [(5000, "month"), (50_000, "year")]),
    "support": ("add_on", {"helpline": True}, [(2000, "month"), (20_000, "year")]),
}
"""What is sold: kind, features, and prices in dollars."""


@dataclass
class Till:
    """A hub, a sandbox, and what is sold: `prices` by package and interval."""

    hub: Hub
    sandbox: Sandbox
    account: Account
    live: Live
    client: stripe.StripeClient
    prices: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def v1(self) -> Any:
        """The official SDK on the sandbox: what somebody else does in Stripe."""
        return self.client.v1

    @property
    def doors(self) -> sell.Doors:
        return sell.Doors(self.hub.engine, self.hub.stripe, self.hub.stripe_writing)

    def contact(self, external_id: str = "acme", **said: Any) -> str:
        """A contact without a customer; returns how it is called."""
        made = {"name": external_id.capitalize(), "email": f"ada@{external_id}.example"} | said
        with self.hub.engine.begin() as db:
            directory.make(db, False, Making("account", external_id, **made))
        return f"account:{external_id}"

    def customer(self, contact: str = "acme", card: str | None = "pm_card_visa", **params: Any) -> str:
        """A customer of the contact's with a card, if any, known to the hub; returns its id."""
        given = {"name": contact.capitalize(), "metadata": {"workspace_id": contact}, **params}
        made = self.v1.customers.create(given)
        if card:
            self.card(made.id, card)
        fetch(self.hub.engine, self.hub.stripe, False, contact, customer=made.id, account=self.account)
        return made.id

    def card(self, customer: str, card: str = "pm_card_visa") -> None:
        """Gives a customer a card to be charged."""
        held = self.v1.payment_methods.attach(card, {"customer": customer})
        self.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": held.id}})

    def preview(self, action: Any, package: str, contact: str = "acme", **said: Any) -> dict[str, Any]:
        return sell.preview(self.doors, self.account, contact, Wish(action, package, **said))

    def do(self, action: Any, package: str, contact: str = "acme", **said: Any) -> dict[str, Any]:
        """Does it without a look."""
        wish = Wish(action, package, **said)
        return sell.carry_out(self.doors, self.account, contact, wish, BY, anyway=True)

    def by_token(self, token: str, action: Any, package: str, contact: str = "acme", **said: Any) -> dict[str, Any]:
        return sell.carry_out(self.doors, self.account, contact, Wish(action, package, **said), BY, token)

    def all(self, resource: str) -> list[dict[str, Any]]:
        """The sandbox's objects of a resource."""
        return self.sandbox.call(
            lambda: [self.sandbox.state.full(resource, id_) for id_ in list(self.sandbox.state[resource].ids)]
        )

    def of(self, contact: str, resource: str) -> list[dict[str, Any]]:
        """The sandbox's objects that are of a contact's customers; customers themselves by what made them."""
        customers = [one for one in self.all("customers") if contact in one["metadata"].values()]
        if resource == "customers":
            return customers
        return [one for one in self.all(resource) if one["customer"] in {customer["id"] for customer in customers}]

    def sold(self, contact: str = "acme") -> list[tuple[str, list[tuple[str, int]]]]:
        """Status and items, as (price by its name, quantity), of each subscription of a contact that is not over."""
        named = {id_: name for name, id_ in self.prices.items()}
        return [
            (one["status"], [(named[item["price"]["id"]], item["quantity"]) for item in one["items"]["data"]])
            for one in self.of(contact, "subscriptions")
            if one["status"] not in {"canceled", "incomplete_expired"}
        ]

    def features(self, contact: str = "acme") -> set[str]:
        """What the contact may use by what is stored."""
        query = """
select e.entitlements from tidegate.entitlements_told e join tidegate.contacts c on c.key = e.contact
where c.external_id = :id"""
        with self.hub.engine.connect() as db:
            return set(db.scalar(text(query), {"id": contact}) or {})

    def requests(self, contact: str = "acme") -> list[tuple[str, str, str]]:
        """Operation, path without ids, and state of every request to a contact that is journalled."""
        query = text("""
select r.operation, r.path, r.state from tidegate.requests r join tidegate.contacts c on r.sync = 'contact:' || c.key
where c.external_id = :id order by r.id""")
        with self.hub.engine.connect() as db:
            rows = db.execute(query, {"id": contact}).all()
        return [(row.operation, "/".join(row.path.split("/")[2:3]), row.state) for row in rows]

    def half_way(self, contact: str = "acme") -> None:
        """Moves Stripe's clock to the middle of the period of the contact's first subscription."""
        item = self.of(contact, "subscriptions")[0]["items"]["data"][0]
        middle = (item["current_period_start"] + item["current_period_end"]) // 2
        self.sandbox.advance(middle - self.sandbox.call(lambda: self.sandbox.world.clock.now))


def till(hub: Hub, sandbox: Sandbox, *, write_key: str | None = None) -> Till:
    """Opens a shop in an empty hub, with what is `SOLD`; `write_key`: another one than the sandbox's open key."""
    with hub.engine.begin() as db:
        db.execute(text(f"truncate {TABLES}, {', '.join(one.fullname for one in STRIPE_TABLES.values())} cascade"))
    account = connected(hub, sandbox, write_key=sandbox.key if write_key is None else write_key)
    client = stripe.StripeClient(sandbox.key, base_addresses={"api": sandbox.url}, max_network_retries=0)
    made = Till(hub, sandbox, account, Live(hub, sandbox, account=account), client)
    for package, (_, _, amounts) in SOLD.items():
        product = made.v1.products.create({"name": package.capitalize()})
        for amount, interval in amounts:
            price = made.v1.prices.create(
                {"product": product.id, "currency": "usd", "unit_amount": amount, "recurring": {"interval": interval}}
            )
            made.prices[f"{package} {interval}"] = price.id
    imported(hub, account)
    _catalog(made)
    return made


def _catalog(made: Till) -> None:
    with made.hub.engine.begin() as db:
        policy.store(db, made.account.name, {"metadata_keys": ["workspace_id"], "only_subscribed": False})
        features.define(db, "seats", "metered", unit="seat")
        features.define(db, "sso", "boolean")
        features.define(db, "helpline", "boolean")
        for package, (kind, given, _) in SOLD.items():
            packages.define(db, package, kind=kind)
            packages.draft(db, package, given)
            packages.publish(db, package)
        for name, price in made.prices.items():
            mappings.set_(db, Wanted(made.account.name, price=price, package=name.split()[0]))


@contextmanager
def opened(url: str, secret_key: str, folder: Path, **config: Any) -> Generator[Till]:
    """A shop on a database, with a sandbox without customers unless told otherwise."""
    # What ends by itself ends by the database's clock, which is the machine's: Stripe's is to be the same.
    given: dict[str, Any] = {"customers": 0, "months": 1, "as_of": int(time.time()), **config}
    engine = open_engine(url, pool_size=10)
    hub = Hub(Settings(home=folder, database_url=url, secret_key=secret_key), engine)  # pyright: ignore[reportArgumentType]
    try:
        with Sandbox.start(SandboxConfig(**given)) as sandbox:
            yield till(hub, sandbox)
    finally:
        hub.close()
        engine.dispose()
