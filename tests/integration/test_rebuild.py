"""Two simulated years of a company: what is derived of the mirror is the same when all of it is derived anew."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import text
from tests.support.importing import connected, imported

from tidegate.catalog import features, mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.contacts import policy
from tidegate.wiring import Hub
from tidegate.workflows import refresh as refreshing

DERIVED = {
    "links": "select connection, customer, contact, method, evidence from tidegate.links order by 1, 2",
    "reviews": "select connection, customer, reason, candidates from tidegate.reviews order by 1, 2",
    "contacts": "select key, kind, external_id, name, email from tidegate.contacts order by 1",
    "grants": "select * from tidegate.grants order by connection, subscription, item",
    "holdings": "select * from tidegate.holdings order by connection, subscription, package",
    "kept_mappings": "select * from tidegate.kept_mappings order by connection, subscription, price",
    "unmapped_prices": "select * from tidegate.unmapped_prices order by connection, price",
    "entitlements_told": "select * from tidegate.entitlements_told order by contact",
    "outbox": "select * from tidegate.outbox order by id",
}


def rows(hub: Hub) -> dict[str, list[tuple[Any, ...]]]:
    with hub.engine.connect() as db:
        return {name: [tuple(row) for row in db.execute(text(sql))] for name, sql in DERIVED.items()}


def catalog(hub: Hub) -> None:
    """A package for every product but the last, which waits in the queue."""
    with hub.engine.begin() as db:
        policy.store(db, "acme", policy.checked({"create_missing": True}))
        features.define(db, "seats", "metered", reset="never")
        features.define(db, "sso", "boolean")
        *products, _ = db.scalars(text("select id from stripe.products where deleted_at is null order by id"))
        for n, product in enumerate(products):
            key = f"package-{n}"
            packages.define(db, key, kind="base" if n % 2 == 0 else "add_on")
            packages.draft(db, key, {"seats": n + 1, "sso": True})
            packages.publish(db, key)
            mappings.set_(db, Wanted("acme", product=product, package=key))


def test_deriving_everything_anew_changes_nothing(hub: Hub, make_sandbox: Callable[..., Any]) -> None:
    account = connected(hub, make_sandbox(customers=40, months=24))
    imported(hub, account)
    catalog(hub)
    done = refreshing.refresh_changed(hub.engine, account)
    assert done.grants
    before = rows(hub)
    assert all(before[name] for name in ("links", "contacts", "grants", "holdings", "entitlements_told", "outbox"))
    again = refreshing.refresh_all(hub.engine, account)
    assert again.customers >= 40
    assert (again.grants, again.told, again.created, again.linked) == (0, 0, 0, 0)
    assert rows(hub) == before
    with hub.engine.begin() as db:
        for table in ("grants", "holdings", "entitlements_told"):
            db.execute(text(f"truncate tidegate.{table}"))
    refreshing.refresh_all(hub.engine, account)
    rebuilt = rows(hub)
    assert rebuilt["grants"] == before["grants"]
    same = [[row[:-1] for row in found["holdings"]] for found in (rebuilt, before)]
    assert same[0] == same[1]
    assert [row[:3] for row in rebuilt["entitlements_told"]] == [row[:3] for row in before["entitlements_told"]]
