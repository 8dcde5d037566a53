"""Everything the simulated account holds, and the one way in which it changes."""

from collections.abc import Callable
from typing import Any, cast

import msgspec

from tidegate.sandbox.clock import Clock
from tidegate.sandbox.collection import Collection
from tidegate.sandbox.ids import Ids
from tidegate.sandbox.resources import BY_OBJECT, RESOURCES, Obj, Resource

API_VERSION = "2026-10-28.endive"
SHOWN_CHILDREN = 10
EVENT_DAYS = 30

Listener = Callable[[Obj], None]


class State:
    """The collections by resource name; `put` and `delete` store, render and, when told, emit an event."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self.clock = clock
        self.ids = ids
        self.collections = {resource.name: Collection(resource) for resource in RESOURCES}
        self.deleted: dict[str, set[str]] = {resource.name: set() for resource in RESOURCES}
        self.listeners: list[Listener] = []
        self.webhook_endpoints = 0
        self.connected: dict[str, State] = {}
        """What the accounts connected to this one hold, by their ids."""
        self.events_from = clock.now
        """Changes before this instant (UTC epoch seconds) emit no event: nobody can ask for events that old."""

    def __getitem__(self, resource: str) -> Collection:
        return self.collections[resource]

    def full(self, resource: str, identifier: str) -> Obj:
        """The whole object; KeyError when there is none."""
        return self.collections[resource].full(identifier)

    def put(self, obj: Obj, *events: str) -> None:
        """Stores an object by its `object` and `id`, and emits events of the types that are named.

        Only those of a type `*.updated` say what was before (docs.stripe.com/api/events/object).

        KeyError when the sandbox knows no such kind of object.
        """
        collection = self.collections[BY_OBJECT[obj["object"]].name]
        identifier: str = obj["id"]
        emits = bool(events) and self.clock.now >= self.events_from
        before = collection.shown(identifier) if emits and identifier in collection else None
        body, hidden, overflow = split(collection.resource, obj)
        created = int(obj.get("created", obj.get("_created", obj.get("date", self.clock.now))))
        collection.put(obj, created, body, hidden, overflow)
        self.deleted[collection.resource.name].discard(identifier)
        for event in events if emits else ():
            changed = previous(before, collection.shown(identifier)) if before and event.endswith(".updated") else None
            self.emit(event, body, changed)

    def delete(self, resource: str, identifier: str, event: str | None = None) -> None:
        """Removes an object for good and emits `event`, whose object is the last state; KeyError when there is none."""
        collection = self.collections[resource]
        body = collection.body(identifier)
        collection.remove(identifier)
        self.deleted[resource].add(identifier)
        if event is not None:
            self.emit(event, body, None)

    def emit(self, kind: str, body: bytes, previous_attributes: Obj | None) -> None:
        """Records an event about a rendered object and tells the listeners."""
        if self.clock.now < self.events_from:
            return
        data: Obj = {"object": msgspec.Raw(body)}
        if previous_attributes:
            data["previous_attributes"] = previous_attributes
        event: Obj = {
            "id": self.ids.new("evt_", 24),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.clock.now,
            "data": data,
            "livemode": False,
            "pending_webhooks": self.webhook_endpoints,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        rendered = msgspec.json.encode(event)
        self.collections["events"].put(event, self.clock.now, rendered, {}, None)
        for listener in self.listeners:
            listener(msgspec.json.decode(rendered))


def split(resource: Resource, obj: Obj) -> tuple[bytes, dict[str, bytes], list[bytes] | None]:
    """What a list shows of an object, its hidden fields, and its nested list when that has more than ten elements.

    The resource's `concealed` fields are never shown.
    """
    shown = dict(obj)
    hidden: dict[str, bytes] = {}
    overflow: list[bytes] | None = None
    for name in shown.keys() & resource.concealed:
        hidden[name] = msgspec.json.encode(shown.pop(name))
    if resource.nested and resource.nested in shown:
        envelope = shown[resource.nested]
        children: list[Any] = envelope["data"]
        url = resource.nested_url.format(id=obj["id"])
        shown[resource.nested] = {
            "object": "list",
            "data": children[:SHOWN_CHILDREN],
            "has_more": len(children) > SHOWN_CHILDREN,
            "url": url,
        }
        if len(children) > SHOWN_CHILDREN:
            overflow = [msgspec.json.encode(child) for child in children]
    return msgspec.json.encode(shown), hidden, overflow


def previous(before: Obj, after: Obj) -> Obj:
    """What Stripe calls previous_attributes: the old values of what changed, objects by their changed parts only."""
    changed: Obj = {}
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            changed[name] = previous(cast(Obj, old), cast(Obj, new))
        else:
            changed[name] = old
    return changed
