"""Everything the simulated account holds, and the one way in which it changes."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import msgspec

from tidegate.sandbox.clock import Clock
from tidegate.sandbox.collection import Collection
from tidegate.sandbox.ids import Ids
from tidegate.sandbox.metering import Metering
from tidegate.sandbox.resources import BY_OBJECT, RESOURCES, Obj, Resource
from tidegate.sandbox.worth import Worth

API_VERSION = "2026-10-28.endive"
SHOWN_CHILDREN = 10
EVENT_DAYS = 30
NO_REQUEST: Obj = {"id": None, "idempotency_key": None}
"""What an event says of its request when none caused it."""

Listener = Callable[[Obj], None]


class State:
    """The collections by resource name; `put` and `delete` store, render and, when told, emit an event."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self.clock = clock
        self.ids = ids
        self.collections = {resource.name: Collection(resource) for resource in RESOURCES}
        self.deleted: dict[str, set[str]] = {resource.name: set() for resource in RESOURCES}
        self.former: dict[str, bytes] = {}
        """Objects that no list shows any more and that can still be read by id, as they were last: detached payment
        methods."""
        self.listeners: list[Listener] = []
        self.worth = Worth()
        self.metering = Metering()
        self.webhook_endpoints = 0
        self.request = NO_REQUEST
        """The request that causes the events emitted now, as they name it."""
        self.livemode = False
        """Whether the account is a live one: every object and event says so."""
        self.events_version = API_VERSION
        self.clock_of: dict[str, str] = {}
        """The test clock of each customer that is on one; what belongs to such a customer gets it, too."""
        self._told: int | None = None
        self.connected: dict[str, State] = {}
        """What the accounts connected to this one hold, by their ids."""
        self.events_from = clock.now
        """Changes before this instant (UTC epoch seconds) emit no event: nobody can ask for events that old."""

    @property
    def now(self) -> int:
        """The instant (UTC epoch seconds) at which events are dated."""
        return self.clock.now if self._told is None else self._told

    @contextmanager
    def telling_at(self, instant: int) -> Generator[None]:
        """Within it events are dated at this instant, whatever time it is for the objects that change."""
        before, self._told = self._told, instant
        try:
            yield
        finally:
            self._told = before

    def __getitem__(self, resource: str) -> Collection:
        return self.collections[resource]

    def look(self, resource: str, identifier: str) -> Obj | None:
        """An object as lists show it; None when there is none."""
        collection = self.collections[resource]
        return collection.shown(identifier) if identifier in collection else None

    def full(self, resource: str, identifier: str) -> Obj:
        """The whole object; KeyError when there is none."""
        return self.collections[resource].full(identifier)

    def retire(self, resource: str, identifier: str, event: str) -> None:
        """Removes an object from every list and count, emits `event`, and keeps it to be read by its id; KeyError when
        there is none."""
        body = self.collections[resource].body(identifier)
        self.delete(resource, identifier, event)
        self.former[identifier] = body

    def completed(self, obj: Obj) -> Obj:
        """The object with what it lacks because lists hide it: the hidden fields, and the elements of its nested list
        past the tenth, as they are stored. An object that is not stored is returned as it is."""
        collection = self.collections[BY_OBJECT[obj["object"]].name]
        if obj["id"] not in collection:
            return obj
        resource, stored = collection.resource, collection.full(obj["id"])
        hidden = {name: stored[name] for name in resource.concealed if name in stored}
        whole = hidden | obj
        given = obj.get(resource.nested or "")
        if given and given.get("has_more") and resource.nested:
            told = {child.get("id") for child in given["data"]}
            rest = stored[resource.nested]["data"][SHOWN_CHILDREN:]
            data = [*given["data"], *(child for child in rest if child["id"] not in told)]
            whole[resource.nested] = {**given, "data": data, "has_more": False}
        return whole

    def put(self, obj: Obj, *events: str) -> None:
        """Stores an object by its `object` and `id`, and emits events of the types that are named.

        Only those of a type `*.updated` say what was before (docs.stripe.com/api/events/object).

        KeyError when the sandbox knows no such kind of object.
        """
        collection = self.collections[BY_OBJECT[obj["object"]].name]
        identifier: str = obj["id"]
        obj = self._on_clock(obj)
        emits = bool(events) and self.now >= self.events_from
        before = collection.shown(identifier) if emits and identifier in collection else None
        body, hidden, overflow = split(collection.resource, obj, livemode=self.livemode)
        created = int(obj.get("created", obj.get("_created", obj.get("date", self.clock.now))))
        collection.put(obj, created, body, hidden, overflow)
        self.worth.note(obj, self.clock.now)
        self.deleted[collection.resource.name].discard(identifier)
        self.former.pop(identifier, None)
        for event in events if emits else ():
            changed = previous(before, collection.shown(identifier)) if before and event.endswith(".updated") else None
            self.emit(event, body, changed)

    def _on_clock(self, obj: Obj) -> Obj:
        if "test_clock" not in obj:
            return obj
        if obj["object"] == "customer":
            if obj["test_clock"]:
                self.clock_of[obj["id"]] = obj["test_clock"]
            return obj
        clock = self.clock_of.get(obj.get("customer") or "")
        return obj | {"test_clock": clock} if clock and obj["test_clock"] is None else obj

    def delete(self, resource: str, identifier: str, event: str | None = None) -> None:
        """Removes an object for good and emits `event`, whose object is the last state; KeyError when there is none."""
        collection = self.collections[resource]
        body = collection.body(identifier)
        collection.remove(identifier)
        self.deleted[resource].add(identifier)
        self.worth.end(identifier, self.clock.now)
        if event is not None:
            self.emit(event, body, None)

    def emit(self, kind: str, body: bytes, previous_attributes: Obj | None) -> None:
        """Records an event about a rendered object and tells the listeners."""
        if self.now < self.events_from:
            return
        data: Obj = {"object": msgspec.Raw(body)}
        if previous_attributes:
            data["previous_attributes"] = previous_attributes
        event: Obj = {
            "id": self.ids.new("evt_", 24),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": self.webhook_endpoints,
            "request": self.request,
            "type": kind,
        }
        rendered = msgspec.json.encode(event)
        self.collections["events"].put(event, self.now, rendered, {}, None)
        for listener in self.listeners:
            listener(msgspec.json.decode(rendered))


def split(
    resource: Resource, obj: Obj, *, livemode: bool = False
) -> tuple[bytes, dict[str, bytes], list[bytes] | None]:
    """What a list shows of an object, its hidden fields, and its nested list when that has more than ten elements.

    The resource's `concealed` fields are never shown.
    """
    shown = dict(obj)
    hidden: dict[str, bytes] = {}
    overflow: list[bytes] | None = None
    for name in shown.keys() & resource.concealed:
        hidden[name] = encoded(shown.pop(name), livemode=livemode)
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
            overflow = [encoded(child, livemode=livemode) for child in children]
    return encoded(shown, livemode=livemode), hidden, overflow


def encoded(value: Any, *, livemode: bool) -> bytes:
    """A value as JSON; in a live account with every `livemode` in it true, whatever the builders said."""
    body = msgspec.json.encode(value)
    return body.replace(b'"livemode":false', b'"livemode":true') if livemode else body


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
