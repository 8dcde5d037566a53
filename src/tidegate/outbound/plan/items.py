"""The items of a subscription: what has to be sent so that it has exactly the wanted ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.outbound.plan.compare import id_of, same

Json = Mapping[str, Any]


def updates(wanted: Sequence[Json], has: Sequence[Json]) -> list[dict[str, Any]]:
    """The entries of `items` that turn what a subscription has into what is wanted; none: nothing differs.

    An entry without an item's id would add an item (docs.stripe.com/api/subscriptions/update), so each wanted one is
    given the id of the item that it becomes: the one that it names, else the one of its price, else, where one is left
    on each side, that one; what is left over is deleted.
    """
    left = {str(one["id"]): one for one in has}
    pairs: list[tuple[Json, Json | None]] = []
    for one in wanted:
        found = left.get(str(one["id"])) if one.get("id") else _priced(one, left)
        if found is not None:
            del left[str(found["id"])]
        pairs.append((one, found))
    alone = [place for place, (one, found) in enumerate(pairs) if found is None and not one.get("id")]
    if len(alone) == 1 and len(left) == 1:
        [place] = alone
        pairs[place] = (pairs[place][0], left.popitem()[1])
    sent = [entry for one, found in pairs if (entry := _entry(one, found))]
    return sent + [{"id": id_, "deleted": True} for id_ in left]


def _priced(one: Json, left: Mapping[str, Json]) -> Json | None:
    return next((item for item in left.values() if one.get("price") and id_of(item.get("price")) == one["price"]), None)


def _entry(one: Json, found: Json | None) -> dict[str, Any]:
    if found is None:
        return dict(one)
    has = {**found, "price": id_of(found.get("price"))}
    differing = {name: value for name, value in one.items() if name != "id" and not same(value, has.get(name))}
    return {"id": found["id"], **differing} if differing else {}
