"""A company is lived through for two simulated years: what is derived of the mirror is the same when derived anew."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.importing import imported
from tests.support.live import Live

from tidegate.catalog import features, mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.contacts import policy
from tidegate.sandbox.life import advance_to
from tidegate.wiring import Hub
from tidegate.workflows import refresh as refreshing
from tidegate.workflows.catalog import catalog_changes
from tidegate.workflows.previewing import settle

DERIVED = {
    "links": "select connection, customer, contact from tidegate.links order by 1, 2",
    "reviews": "select connection, customer, reason, candidates from tidegate.reviews order by 1, 2",
    "contacts": "select key, kind, external_id, name, email from tidegate.contacts order by 1",
    "grants": "select * from tidegate.grants order by connection, subscription, item",
    "holdings": "select * from tidegate.holdings order by connection, subscription, package",
    "kept_mappings": "select * from tidegate.kept_mappings order by connection, subscription, price",
    "unmapped_prices": "select connection, price, product from tidegate.unmapped_prices order by connection, price",
    "told": "select contact, entitlements, changes_at from tidegate.entitlements_told order by contact",
    "spans": "select * from tidegate.spans order by subscription, item, starts_at",
    "movements": """
        select edition, unit, customer, subscription, item, currency, at, moved_at, kind, amount, opening, closing
        from tidegate.movements where superseded_at is null order by subscription, item, at""",
    "mrr_days": "select * from tidegate.mrr_days where amount <> 0 order by edition, currency, day, kind",
    "price_days": "select * from tidegate.price_days where amount <> 0 order by currency, day, price, product, kind",
    "contact_facts": """
        select contact, mrr, listed, trial, statuses, subscriptions, customer_since, churned_at, renews_at, ends_at,
          last_moved_at
        from tidegate.contact_facts order by contact""",
    "billing_events": "select id, name, at, identity, amount, data from tidegate.billing_events order by id",
}
STEP = 29 * 86400 + 21_600
"""Seconds: Stripe keeps events for 30 days. 25 of them are two years."""
BEGIN = int(datetime(2024, 9, 1, tzinfo=UTC).timestamp())
"""Two years before today at the latest: a ledger tells nothing of what is yet to come."""


def rows(hub: Hub) -> dict[str, list[tuple[Any, ...]]]:
    with hub.engine.connect() as db:
        return {name: [tuple(row) for row in db.execute(text(sql))] for name, sql in DERIVED.items()}


def catalog(live: Live) -> None:
    """A package for every product but the one that most have, which waits in the queue."""
    _, *others = products(live)
    with live.hub.engine.begin() as db:
        policy.store(db, "acme", policy.checked({"create_missing": True}))
        features.define(db, "seats", "metered", reset="never")
        features.define(db, "sso", "boolean")
        for n, product in enumerate(others):
            packages.define(db, f"package-{n}", kind="add_on" if n % 2 else "base")
            packages.draft(db, f"package-{n}", {"seats": n + 1, "sso": True})
            packages.publish(db, f"package-{n}")
            mappings.set_(db, Wanted("acme", product=product, package=f"package-{n}"))


def products(live: Live) -> list[str]:
    """The products by how many have them."""
    return [row["id"] for row in live.rows(PRODUCTS)]


PRODUCTS = """
select p.id from stripe.products p left join stripe.subscription_items i on i.product = p.id
group by p.id order by count(i.id) desc, p.id"""


def changes_its_mind(live: Live, month: int) -> None:
    """What the company does to its catalog in this month."""
    most, second, *_ = products(live)
    wanted = {
        2: lambda: catalog_changes.set_mapping(Wanted("acme", product=most, package="package-0")),
        4: lambda: catalog_changes.publish_package("package-0", "ada", features={"seats": 20, "sso": True}),
        8: lambda: catalog_changes.set_mapping(Wanted("acme", product=most, package="package-1")),
        10: lambda: catalog_changes.publish_package("package-1", "ada", features={"seats": 30}),
        13: lambda: catalog_changes.set_mapping(
            Wanted("acme", product=second, feature="seats", terms=3), keep_holders=False
        ),
        16: lambda: catalog_changes.migrate_package("package-0", "ada"),
        18: lambda: catalog_changes.publish_package("package-0", "ada", features={"seats": 25, "sso": True}),
        21: lambda: catalog_changes.set_mapping(Wanted("acme", product=most, package="package-0")),
    }
    if month in wanted:
        settle(live.hub.engine, wanted[month](), anyway=True)


def lives_on(live: Live, month: int) -> None:
    """A month passes; the events come in, and what they change is derived, now and then before Stripe was looked at."""
    live.sandbox.call(lambda: advance_to(live.sandbox.world, live.now + STEP))
    live.catch_up(look=month % 5 == 0)
    refreshing.refresh_changed(live.hub.engine, live.account)


@pytest.mark.wide
def test_deriving_everything_anew_changes_nothing(hub: Hub, make_sandbox: Callable[..., Any]) -> None:
    live = Live(hub, make_sandbox(customers=3, months=9, as_of=BEGIN))
    imported(hub, live.account)
    catalog(live)
    refreshing.refresh_changed(hub.engine, live.account)
    for month in range(1, 26):
        lives_on(live, month)
        changes_its_mind(live, month)
    before, told = rows(hub), live.one("select count(*) from tidegate.outbox")
    assert before["kept_mappings"]
    assert live.one("select count(distinct version) from tidegate.holdings where package = 'package-0'") > 1
    assert live.one("select count(distinct status) from tidegate.grants") > 1
    again = refreshing.refresh_all(hub.engine, live.account)
    assert (again.grants, again.told, again.created, again.linked) == (0, 0, 0, 0)
    assert (again.spans, again.movements, again.events) == (0, 0, 0)
    assert (rows(hub), live.one("select count(*) from tidegate.outbox")) == (before, told)
    live.run("truncate tidegate.grants, tidegate.entitlements_told, tidegate.reviews, tidegate.unmapped_prices")
    live.run(
        "truncate tidegate.spans, tidegate.movements, tidegate.mrr_days, tidegate.price_days, tidegate.contact_facts"
    )
    live.run("delete from tidegate.links where method not in ('manual', 'billing_id')")
    refreshing.refresh_all(hub.engine, live.account)
    assert rows(hub) == before
