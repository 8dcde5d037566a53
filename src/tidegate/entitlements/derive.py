"""Subscription items and the catalog's mappings to grants: what each item gives, in which version (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tidegate.catalog.terms import Terms


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a subscription as the mirror has it; times are UTC.

    `overdue_since`: of a `past_due` subscription the first failed attempt of its oldest open invoice, or its due date.
    """

    connection: str
    customer: str
    contact: int
    subscription: str
    item: str
    price: str
    product: str | None
    quantity: int | None
    interval: str | None
    interval_count: int | None
    created: datetime
    anchor: datetime
    status: str
    at: datetime
    cancel_at: datetime | None = None
    cancels_at_period_end: bool = False
    period_end: datetime | None = None
    overdue_since: datetime | None = None
    pause: str | None = None
    resumes_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a price or product is mapped to: a package, or a feature on terms of its own."""

    id: int
    package: str | None
    feature: str | None
    terms: Terms | None
    per_quantity: bool


@dataclass(frozen=True, slots=True)
class Meanings:
    """What the prices of a batch of items mean.

    `kept`: removed mappings that hold on for a subscription, by (connection, subscription, price). `prices`,
    `products`: mappings in force by (connection, id). `holdings`: the version of a package that a subscription holds,
    by (connection, subscription, package). `published`: a package's versions with their times, oldest first.
    """

    kept: Mapping[tuple[str, str, str], Meaning]
    prices: Mapping[tuple[str, str], Meaning]
    products: Mapping[tuple[str, str], Meaning]
    holdings: Mapping[tuple[str, str, str], int]
    published: Mapping[str, Sequence[tuple[int, datetime]]]

    def of(self, item: Item) -> Meaning | None:
        """The mapping of the item's price, else of its product; None: unmapped."""
        return (
            self.kept.get((item.connection, item.subscription, item.price))
            or self.prices.get((item.connection, item.price))
            or self.products.get((item.connection, item.product or ""))
        )


def version_at(published: Sequence[tuple[int, datetime]], at: datetime) -> int | None:
    """The version that was the newest at an instant; before the first one, the first. None: nothing is published."""
    if not published:
        return None
    return max((version for version, since in published if since <= at), default=published[0][0])


def derive(items: Iterable[Item], meanings: Meanings, grace_days: Mapping[str, int]) -> list[dict[str, Any]]:
    """The rows of `tidegate.grants` that these items give, ordered by their key; an unmapped item gives none.

    `grace_days` by connection. A subscription stays on the version of a package that it holds; one that comes to a
    package gets the version that was published when Stripe told so.
    """
    rows: list[dict[str, Any]] = []
    for item in items:
        meaning = meanings.of(item)
        if meaning is None:
            continue
        version = None
        if meaning.package is not None:
            held = meanings.holdings.get((item.connection, item.subscription, meaning.package))
            version = held or version_at(meanings.published.get(meaning.package, ()), item.at)
        rows.append(_row(item, meaning, version, grace_days[item.connection]))
    return sorted(rows, key=lambda row: (row["connection"], row["subscription"], row["item"]))


def _row(item: Item, meaning: Meaning, version: int | None, grace_days: int) -> dict[str, Any]:
    quantity = 1 if item.quantity is None else item.quantity
    return {
        "connection": item.connection,
        "subscription": item.subscription,
        "item": item.item,
        "contact": item.contact,
        "customer": item.customer,
        "price": item.price,
        "mapping": meaning.id,
        "package": meaning.package,
        "version": version,
        "feature": meaning.feature,
        "terms": meaning.terms.as_json() if meaning.terms is not None else None,
        "times": quantity if meaning.per_quantity else 1,
        "since": item.created,
        "anchor": item.anchor,
        "interval": item.interval,
        "interval_count": item.interval_count,
        "status": item.status,
        "ends_at": _ends_at(item),
        "grace_until": item.overdue_since + timedelta(days=grace_days) if item.overdue_since is not None else None,
        "pause": item.pause,
        "resumes_at": item.resumes_at,
    }


def _ends_at(item: Item) -> datetime | None:
    """When the subscription is to end: the earlier of `cancel_at` and, where it is to cancel then, its period's end."""
    known = [item.cancel_at, item.period_end if item.cancels_at_period_end else None]
    return min((at for at in known if at is not None), default=None)
