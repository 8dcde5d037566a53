"""Objects as they are put, found and changed from outside of the simulated company, of any kind."""

import msgspec

from tidegate.sandbox.answers import Refusal, missing
from tidegate.sandbox.resources import BY_OBJECT, Obj, values_at
from tidegate.sandbox.state import State

UPDATES = {
    "customers": "customer.updated",
    "products": "product.updated",
    "prices": "price.updated",
    "coupons": "coupon.updated",
    "subscriptions": "customer.subscription.updated",
    "invoices": "invoice.updated",
    "charges": "charge.updated",
}


def checked(obj: Obj) -> Obj:
    """The object, when it is one that the sandbox can hold and search. Raises Refusal (400) else."""
    resource = BY_OBJECT.get(obj["object"]) if isinstance(obj.get("object"), str) else None
    if resource is None or not isinstance(obj.get("id"), str) or not obj["id"]:
        raise Refusal(400, "An object needs the id and the object of a kind that the sandbox serves.", param="object")
    if not isinstance(obj.get("created", 0), int):
        raise Refusal(400, f"{obj['id']}: created is in whole epoch seconds.", param="object[created]")
    nested = resource.nested
    if nested and nested in obj:
        try:
            msgspec.convert(obj[nested], NestedList)
        except msgspec.ValidationError as problem:
            raise Refusal(400, f"{obj['id']}: {nested} is no list object: {problem}", param="object") from None
    for name, lens in (*resource.filters, *resource.ranges):
        try:
            values_at(lens, obj)
        except (AttributeError, KeyError, TypeError) as problem:
            raise Refusal(
                400, f"{obj['id']} does not have what lists are filtered by ({name}): {problem!r}", param="object"
            ) from None
    return obj


class NestedList(msgspec.Struct):
    """The envelope of a list inside an object."""

    data: list[Obj]
    has_more: bool = False


def resource_of(state: State, identifier: str) -> str:
    """The resource that has an object of this id. Raises Refusal (404)."""
    for name, collection in state.collections.items():
        if identifier in collection:
            return name
    raise missing("object", identifier)


def change_often(state: State, resource: str, identifier: str, times: int) -> str:
    """Changes an object's metadata so often, each time with its event, whose type is returned.

    Raises Refusal (400) for a kind of object that has no such event.
    """
    event = UPDATES.get(resource)
    if event is None:
        raise Refusal(
            400, f"A burst changes one of {', '.join(UPDATES)}; {identifier} is one of {resource}.", param="id"
        )
    for number in range(1, times + 1):
        obj = state.full(resource, identifier)
        state.put(obj | {"metadata": {**obj["metadata"], "burst": str(number)}}, event)
    return event
