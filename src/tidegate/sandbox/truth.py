"""How many live objects there are of each kind: what a complete mirror must have."""

from tidegate.sandbox.resources import RESOURCES
from tidegate.sandbox.state import State

CHILDREN = {
    "subscription_items": "subscriptions",
    "invoice_lines": "invoices",
    "quote_lines": "quotes",
    "credit_note_lines": "credit_notes",
}


def truth(state: State) -> dict[str, int]:
    """Counts per resource, named as the mirror's tables; deleted customers under customers_deleted."""
    counts = {resource.name: len(state[resource.name]) for resource in RESOURCES if resource.counted}
    counts["customers_deleted"] = len(state.deleted["customers"])
    for children, parents in CHILDREN.items():
        collection = state[parents]
        counts[children] = sum(len(collection.children(parent)) for parent in collection.ids)
    return dict(sorted(counts.items()))


def ids_of(state: State, resource: str) -> list[str] | None:
    """The ids of a resource's live objects, oldest first; None when there is no such resource."""
    if resource in CHILDREN:
        collection = state[CHILDREN[resource]]
        nested = collection.resource.nested or ""
        return [child["id"] for parent in collection.ids for child in collection.full(parent)[nested]["data"]]
    if resource == "customers_deleted":
        return sorted(state.deleted["customers"])
    if resource not in state.collections:
        return None
    return list(state[resource].ids)
