"""Rules about the prices that a payload names, which are known from the mirror."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from tidegate.outbound.fields.catalogue import Operation
from tidegate.outbound.fields.problems import Problem

Json = Mapping[str, Any]

LISTS: Mapping[str, str] = {"subscriptions": "items", "quotes": "line_items"}
"""Where a resource names prices, one by entry."""


def named(resource: str, payload: Json) -> list[tuple[str, str, Json]]:
    """The prices that a payload names: where, the id, and the entry that it is in."""
    if resource == "invoiceitems":
        pricing = payload.get("pricing")
        told: Json = cast(Json, pricing) if isinstance(pricing, Mapping) else {}
        return [("pricing.price", str(told["price"]), payload)] if told.get("price") else []
    if resource not in LISTS:
        return []
    name = LISTS[resource]
    entries = cast(Sequence[Json], payload.get(name) or ())
    return [(f"{name}.{place}.price", str(one["price"]), one) for place, one in enumerate(entries) if one.get("price")]


def unfit(resource: str, operation: Operation, payload: Json, prices: Mapping[str, Json]) -> list[Problem]:
    """What is wrong with the prices of a payload. `prices`: those that are known, by id; of others nothing is said.

    Sources: docs.stripe.com/api/subscriptions/create (recurring prices, of one currency; no quantity where usage is
    metered), docs.stripe.com/api/invoiceitems/create (prices that are paid once).
    """
    known = [one for one in named(resource, payload) if one[1] in prices]
    if not known:
        return []
    found: list[Problem] = []
    currencies: dict[str, str] = {}
    for path, id_, entry in known:
        found += _of_price(resource, operation, path, prices[id_], entry)
        currencies[path] = str(prices[id_].get("currency"))
    if resource in LISTS and len(set(currencies.values())) > 1:
        (_, first), *others = currencies.items()
        path, other = next((path, other) for path, other in others if other != first)
        found.append(Problem(path, f"its currency is {other}, and that of the price before it {first}"))
    wanted = payload.get("currency")
    if wanted and not found:
        found += [
            Problem("currency", f"the price at {path} is in {currency}", wanted)
            for (path, currency), (_, id_, _) in zip(currencies.items(), known, strict=True)
            if not _offers(prices[id_], wanted)
        ]
    return found


def _of_price(resource: str, operation: Operation, path: str, price: Json, entry: Json) -> Iterator[Problem]:
    recurring = cast(Json, price.get("recurring") or {})
    if operation == "create" and price.get("active") is False:
        yield Problem(path, "the price is archived", price.get("id"))
    if resource == "subscriptions" and not recurring:
        yield Problem(path, "the price is paid once, and a subscription takes recurring ones", price.get("id"))
    if resource == "invoiceitems" and recurring:
        yield Problem(path, "the price recurs, and an invoice item takes one that is paid once", price.get("id"))
    if recurring.get("usage_type") == "metered" and entry.get("quantity") is not None:
        where = f"{path.rpartition('.')[0]}.quantity"
        yield Problem(where, "a metered price takes no quantity", entry["quantity"])


def _offers(price: Json, currency: str) -> bool:
    return price.get("currency") == currency or currency in cast(Json, price.get("currency_options") or {})
