"""Whether an object shows that a request was carried out whose answer nobody got. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from tidegate.outbound.plan.compare import ASKED_ONLY, flat, id_of, listed, same, shown

Json = Mapping[str, Any]

STATUS: Mapping[tuple[str, str], frozenset[str]] = {
    ("subscriptions", "cancel"): frozenset({"canceled", "incomplete_expired"}),
    ("invoices", "void"): frozenset({"void"}),
    ("invoices", "finalize"): frozenset({"open", "paid", "uncollectible", "void"}),
    ("invoices", "send"): frozenset({"open", "paid", "uncollectible", "void"}),
    ("quotes", "cancel"): frozenset({"canceled"}),
    ("quotes", "finalize"): frozenset({"open", "accepted", "canceled"}),
}
"""The statuses of objects of which something was done."""


def is_done(resource: str, operation: str, params: Json, live: Json) -> bool:
    """Whether the object is as the request would have made it, whoever did it."""
    if live.get("deleted"):
        return operation == "delete"
    match operation:
        case "delete":
            return False
        case "archive":
            return live.get("active") is False
        case "end":
            return bool(live.get("cancel_at_period_end")) or live.get("status") == "canceled"
        case "update":
            fields = ((name, value) for name, value in flat(params).items() if name not in ASKED_ONLY[resource])
            return all(_shows(resource, name, value, live) for name, value in fields)
        case _:
            return live.get("status") in STATUS.get((resource, operation), ())


def _shows(resource: str, name: str, value: Any, live: Json) -> bool:
    if (resource, name) == ("subscriptions", "items"):
        return all(_item(one, listed(live.get("items"))) for one in cast("Sequence[Json]", value))
    return same(value, shown(resource, name, live))


def _item(said: Json, items: Sequence[Json]) -> bool:
    """Whether a subscription's items are as an entry of `items` would have made them."""
    found = [one for one in items if not said.get("id") or one.get("id") == said["id"]]
    if said.get("deleted"):
        return not found
    wanted = {name: value for name, value in said.items() if name != "id"}
    return any(same(wanted, {**one, "price": id_of(one.get("price"))}) for one in found)
