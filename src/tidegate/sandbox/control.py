"""The sandbox's own endpoints, beside Stripe's: clock, webhooks, objects, keys, truth, counts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from tidegate.sandbox.answers import Answer, Refusal, Request, as_json, missing
from tidegate.sandbox.keys import Key, KeyRing
from tidegate.sandbox.life import advance_to
from tidegate.sandbox.limits import Limits, Stats
from tidegate.sandbox.resources import BY_OBJECT, RESOURCES, Obj
from tidegate.sandbox.state import State
from tidegate.sandbox.truth import ids_of, truth
from tidegate.sandbox.webhooks import Endpoint, Webhooks
from tidegate.sandbox.world import World


@dataclass
class Controls:
    """What the control endpoints act on."""

    world: World
    webhooks: Webhooks
    keys: KeyRing
    limits: Limits

    @property
    def state(self) -> State:
        return self.world.state


def answer(controls: Controls, request: Request) -> Answer:
    """Answers a path that starts with `/__`. Raises Refusal."""
    name, _, rest = request.path.removeprefix("/__").partition("/")
    handler = HANDLERS.get((request.method, name))
    if handler is None:
        raise Refusal(404, f"Unrecognized control URL ({request.method}: {request.path}).")
    try:
        return handler(controls, request, rest)
    except (msgspec.DecodeError, msgspec.ValidationError) as problem:
        raise Refusal(400, f"The body is not what {request.path} takes: {problem}") from None


def body_of(request: Request) -> Obj:
    """The JSON object in a request's body, empty when there is none."""
    return msgspec.json.decode(request.body, type=dict[str, Any]) if request.body else {}


def clock(controls: Controls, request: Request, rest: str) -> Answer:
    """POST /__clock {"advance_seconds": n} or {"to": epoch seconds}; GET tells the time."""
    body = body_of(request)
    now = controls.world.clock.now
    before = len(controls.state["events"])
    to = body.get("to", now + body.get("advance_seconds", 0))
    if not isinstance(to, int) or to < now:
        raise Refusal(400, "The sandbox's clock only moves forward, by whole seconds.", param="to")
    advance_to(controls.world, to)
    controls.webhooks.flush()
    return as_json({"now": controls.world.clock.now, "events": len(controls.state["events"]) - before})


def add_webhook(controls: Controls, request: Request, rest: str) -> Answer:
    """POST /__webhooks {"url", "secret", "api_version"?, "enabled_events"?, "lose"?, "duplicate"?, "shuffle"?}."""
    body = body_of(request)
    identifier = body.get("id") or controls.state.ids.new("we_", 24)
    endpoint = msgspec.convert({**body, "id": identifier}, Endpoint)
    if not endpoint.url.startswith("http://"):
        raise Refusal(400, "The sandbox delivers webhooks over plain http:// only.", param="url")
    controls.webhooks.add(endpoint)
    return as_json({"id": identifier, "url": endpoint.url, "api_version": endpoint.api_version})


def remove_webhook(controls: Controls, request: Request, rest: str) -> Answer:
    """DELETE /__webhooks/{id}, or all of them without an id."""
    for identifier in [rest] if rest else list(controls.webhooks.endpoints):
        if not controls.webhooks.remove(identifier):
            raise missing("webhook", identifier)
    return as_json({"deleted": True})


def put_object(controls: Controls, request: Request, rest: str) -> Answer:
    """POST /__objects {"object": {…}, "event": type or null}: stores a raw object of any kind."""
    body = body_of(request)
    obj = msgspec.convert(body.get("object"), Obj)
    if obj.get("object") not in BY_OBJECT or not isinstance(obj.get("id"), str):
        raise Refusal(400, "An object needs the id and the object of a kind that the sandbox serves.", param="object")
    controls.state.put(obj, *([body["event"]] if body.get("event") else []))
    controls.webhooks.flush()
    return as_json({"id": obj["id"], "stored": True})


def get_object(controls: Controls, request: Request, rest: str) -> Answer:
    """GET /__objects/{id}: the whole object, nothing hidden."""
    return as_json(controls.state.full(resource_of(controls.state, rest), rest))


def delete_object(controls: Controls, request: Request, rest: str) -> Answer:
    """DELETE /__objects/{id}[?event=false]: removes an object for good, with its event if there is one."""
    resource = resource_of(controls.state, rest)
    event = controls.state[resource].resource.removed
    silent = ("event", "false") in request.query
    controls.state.delete(resource, rest, None if silent else event)
    controls.webhooks.flush()
    return as_json({"id": rest, "deleted": True})


def resource_of(state: State, identifier: str) -> str:
    """The resource that has an object of this id. Raises Refusal (404)."""
    for name, collection in state.collections.items():
        if identifier in collection:
            return name
    raise missing("object", identifier)


def add_key(controls: Controls, request: Request, rest: str) -> Answer:
    """POST /__keys {"secret", "permissions"?: {resource: none|read|write}, "revoked"?}."""
    body = body_of(request)
    permissions = body.get("permissions")
    known = {resource.name for resource in RESOURCES} | {"balance", "webhook_endpoints"}
    if permissions is not None and not known >= set(permissions):
        raise Refusal(400, f"Permissions name resources: {', '.join(sorted(known))}.", param="permissions")
    if not isinstance(body.get("secret"), str):
        raise Refusal(400, "A key needs its secret.", param="secret")
    controls.keys.add(Key(body["secret"], permissions, bool(body.get("revoked"))))
    return as_json({"secret": body["secret"], "revoked": bool(body.get("revoked"))})


def show_truth(controls: Controls, request: Request, rest: str) -> Answer:
    """GET /__truth: counts a complete mirror must have; with ?ids=resource also that resource's ids."""
    report: Obj = {"now": controls.world.clock.now, "counts": truth(controls.state)}
    for resource in [value for name, value in request.query if name == "ids"]:
        found = ids_of(controls.state, resource)
        if found is None:
            raise Refusal(400, f"There is no resource named {resource}.", param="ids")
        report.setdefault("ids", {})[resource] = found
    return as_json(report)


def show_stats(controls: Controls, request: Request, rest: str) -> Answer:
    """GET /__stats: requests per endpoint, 429s per reason, the busiest second, webhook outcomes."""
    return as_json(controls.limits.stats.report() | {"webhooks": controls.webhooks.report()})


def reset_stats(controls: Controls, request: Request, rest: str) -> Answer:
    """POST /__reset_stats: counts from zero."""
    controls.limits.stats = Stats()
    controls.webhooks.outcomes.clear()
    return as_json({"reset": True})


HANDLERS: dict[tuple[str, str], Callable[[Controls, Request, str], Answer]] = {
    ("GET", "clock"): clock,
    ("POST", "clock"): clock,
    ("POST", "webhooks"): add_webhook,
    ("DELETE", "webhooks"): remove_webhook,
    ("POST", "objects"): put_object,
    ("GET", "objects"): get_object,
    ("DELETE", "objects"): delete_object,
    ("POST", "keys"): add_key,
    ("GET", "truth"): show_truth,
    ("GET", "stats"): show_stats,
    ("POST", "reset_stats"): reset_stats,
}
