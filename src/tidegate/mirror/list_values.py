"""What items of subscriptions come to at list price: before discounts, each interval of their price."""

from collections.abc import Iterable
from fractions import Fraction

import msgspec
from sqlalchemy import Connection, text

from tidegate.pricing.facts import Facts
from tidegate.pricing.terms import Unpriced, charges
from tidegate.stripe_api.shapes.catalog import Price
from tidegate.stripe_api.shapes.decoders import decoder
from tidegate.stripe_api.shapes.subscriptions import Subscription, SubscriptionItem


def list_values(db: Connection, connection: str, items: Iterable[tuple[str, str]]) -> dict[str, Fraction]:
    """Of items, each with its subscription (sub_…, si_…), by item (si_…) minor units of its subscription's currency,
    tiers and packages of units included; without the items of which nothing can be said: those billed by use, or whose
    price tells no amount.
    """
    wanted = sorted(set(items))
    if not wanted:
        return {}
    found: dict[str, Fraction] = {}
    subscriptions, ids = zip(*wanted, strict=True)
    given = {"connection": connection, "subscriptions": list(subscriptions), "ids": list(ids)}
    for row in db.execute(_ITEMS, given):
        value = _value(row.data, row.price, row.currency)
        if value is not None:
            found[row.id] = value
    return found


def _value(data: str, known: str | None, currency: str | None) -> Fraction | None:
    try:
        item = decoder(SubscriptionItem).decode(data)
        prices = {item.price or "": decoder(Price).decode(known)} if known else {}
    except msgspec.MsgspecError:
        return None
    facts = Facts(Subscription(currency_told=currency), [item], prices=prices)
    price = facts.price_of(item, facts.currency)
    if price is None or price.usage_type == "metered":
        return None
    told = charges(price, 1 if item.quantity is None else item.quantity, facts.currency)
    return None if isinstance(told, Unpriced) else sum((one.amount for one in told), Fraction(0))


_ITEMS = text(
    """
    select i.id, i.data::text as data, p.data::text as price, s.currency
    from unnest(cast(:subscriptions as text[]), cast(:ids as text[])) as w(subscription, id)
    join stripe.subscription_items i on i.connection = :connection and i.subscription = w.subscription and i.id = w.id
    join stripe.subscriptions s on s.connection = i.connection and s.id = i.subscription
    left join stripe.prices p on p.connection = i.connection and p.id = i.price
    """
)
