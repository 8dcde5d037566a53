"""Items of a subscription by their own ids, added, changed and taken away."""

from tidegate.sandbox.answers import missing
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.writes import items
from tidegate.sandbox.writes.calls import Call, Write, deleted

SERVED = (*items.SERVED, "proration_behavior")


def create(call: Call) -> Obj:
    """Adds an item to a subscription."""
    subscription = call.referred("subscriptions", call.given["subscription"], "subscription")
    known = {item["id"] for item in subscription["items"]["data"]}
    _carry_out(call, subscription, None)
    after = call.state.full("subscriptions", subscription["id"])["items"]["data"]
    return next(item for item in after if item["id"] not in known)


def update(call: Call) -> Obj:
    """Changes an item's price, quantity, metadata or discounts."""
    subscription = parent(call)
    identifier = call.names[-1]
    _carry_out(call, subscription, items.item_of(subscription, identifier, "id", 404))
    return items.item_of(call.state.full("subscriptions", subscription["id"]), identifier, "id", 404)


def delete(call: Call) -> Obj:
    """Takes an item away."""
    subscription = parent(call)
    item = items.item_of(subscription, call.names[-1], "id", 404)
    wish = items.Wish(item, None, None, {}, None, None)
    items.fits([wish], subscription)
    _change(call, subscription, wish)
    return deleted("subscription_item", item["id"])


def parent(call: Call) -> Obj:
    """The subscription of the item that the path names. Raises Refusal (404)."""
    found = next(call.state["subscriptions"].find("_item", call.names[-1]), None)
    if found is None:
        raise missing("subscription_item", call.names[-1])
    return call.state.full("subscriptions", found)


def _carry_out(call: Call, subscription: Obj, item: Obj | None) -> None:
    wish = items.wish(call, call.given, item, subscription["customer"], "")
    items.fits([wish], subscription)
    _change(call, subscription, wish)


def _change(call: Call, subscription: Obj, wish: items.Wish) -> None:
    prorations = call.given.get("proration_behavior") or "create_prorations"
    items.admit(call, subscription, [wish], prorations)
    items.carry_out(call, subscription, [wish], prorations)


WRITES = (
    Write(
        "POST",
        "/v1/subscription_items",
        "subscriptions",
        "subscription_item",
        "SubscriptionItemCreateParams",
        create,
        (*SERVED, "subscription"),
    ),
    Write(
        "POST",
        "/v1/subscription_items/{id}",
        "subscriptions",
        "subscription_item",
        "SubscriptionItemUpdateParams",
        update,
        SERVED,
    ),
    Write(
        "DELETE",
        "/v1/subscription_items/{id}",
        "subscriptions",
        "leaf",
        "SubscriptionItemDeleteParams",
        delete,
        ("proration_behavior",),
    ),
)
