"""The sandbox's own endpoints, beside Stripe's: clock, webhooks, objects, keys, truth, counts."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tidegate.sandbox import clocks
from tidegate.sandbox.answers import Answer, Refusal, Request, as_json, missing
from tidegate.sandbox.faults import Aimed, Faults
from tidegate.sandbox.keys import Key, KeyRing
from tidegate.sandbox.life import advance_to
from tidegate.sandbox.limits import Limits, Stats
from tidegate.sandbox.old_versions import VERSIONS
from tidegate.sandbox.raw_objects import change_often, checked, resource_of
from tidegate.sandbox.resources import RESOURCES, Obj
from tidegate.sandbox.revenue import revenue
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
    faults: Faults

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


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What every control request's JSON is: named fields of given types, and no others."""


class ClockBody(Body):
    """Where to move the clock: by seconds, or to an instant (UTC epoch seconds)."""

    advance_seconds: int = 0
    to: int | None = None


class ObjectBody(Body):
    """An object to store and the type of the event to emit with it."""

    object: Obj
    event: str | None = None


class FaultBody(Body):
    """A fault for the next so many requests of a path, null: until it is taken away."""

    path: Annotated[str, msgspec.Meta(pattern="^/v1/")]
    kind: Literal["429", "500", "reset", "truncate", "slow", "never_ending"]
    times: Annotated[int, msgspec.Meta(ge=1)] | None = 1


class BurstBody(Body):
    """How often to change which object within one second."""

    id: str
    times: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10


class KeyBody(Body):
    """A key to add; without `permissions` it may do everything."""

    secret: Annotated[str, msgspec.Meta(min_length=1)]
    permissions: dict[str, Literal["none", "read", "write"]] | None = None
    revoked: bool = False


B = TypeVar("B")


def body_of(request: Request, kind: type[B]) -> B:
    """A request's JSON body, `{}` when it has none; msgspec.ValidationError says which part is of the wrong type."""
    return msgspec.json.decode(request.body or b"{}", type=kind)


def clock(controls: Controls, request: Request, rest: str) -> Answer:
    """POST /__clock {"advance_seconds": n} or {"to": epoch seconds}; GET tells the time."""
    body = body_of(request, ClockBody)
    now = controls.world.clock.now
    before = len(controls.state["events"])
    to = now + body.advance_seconds if body.to is None else body.to
    if to < now:
        raise Refusal(400, "The sandbox's clock only moves forward, by whole seconds.", param="to")
    advance_to(controls.world, to)
    controls.webhooks.flush()
    return as_json({"now": controls.world.clock.now, "events": len(controls.state["events"]) - before})


def add_webhook(controls: Controls, request: Request, rest: str) -> Answer:
    """POST /__webhooks {"url", "secret", "api_version"?, "enabled_events"?, "lose"?, "duplicate"?, "shuffle"?,
    "delayed"?, "delay"?}: where events go."""
    body = body_of(request, dict[str, Any])
    known = [one.name for one in fields(Endpoint)]
    if unknown := sorted(body.keys() - set(known)):
        raise Refusal(400, f"A webhook has no {unknown[0]}, only {', '.join(known)}.", param=unknown[0])
    identifier = body.get("id") or controls.webhooks.ids.new("we_1", 23)
    endpoint = msgspec.convert({**body, "id": identifier}, Endpoint)
    if endpoint.api_version not in VERSIONS:
        known = " and ".join(VERSIONS)
        raise Refusal(400, f"The sandbox tells events in the API versions {known}.", param="api_version")
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
    """POST /__objects {"object": {…}, "event": type or null}: stores a raw object of any kind.

    What lists hide and the object lacks (tiers, items past ten) stays as it was stored before.
    """
    body = body_of(request, ObjectBody)
    obj = controls.state.completed(checked(body.object))
    controls.state.put(obj, *([body.event] if body.event else []))
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
    if resource == clocks.NAME:
        clocks.delete(controls.world, rest, None if silent else event)
    else:
        controls.state.delete(resource, rest, None if silent else event)
    controls.webhooks.flush()
    return as_json({"id": rest, "deleted": True})


def advance_test_clock(controls: Controls, request: Request, rest: str) -> Answer:
    """POST /__test_clocks/{id} {"advance_seconds": n} or {"to": epoch seconds}: moves a test clock on."""
    body = body_of(request, ClockBody)
    if rest not in controls.state[clocks.NAME]:
        raise missing(clocks.KIND, rest)
    stands = controls.state.full(clocks.NAME, rest)["frozen_time"]
    to = stands + body.advance_seconds if body.to is None else body.to
    if to < stands:
        raise Refusal(400, f"A test clock only moves forward; this one stands at {stands}.", param="to")
    clock = clocks.advance(controls.world, rest, to)
    controls.webhooks.flush()
    return as_json(clock)


def add_fault(controls: Controls, request: Request, rest: str) -> Answer:
    """POST /__faults {"path", "kind", "times"?}: lets the next requests of one path fail."""
    body = body_of(request, FaultBody)
    controls.faults.aimed.append(Aimed(body.path, body.kind, body.times))
    return as_json({"path": body.path, "kind": body.kind, "times": body.times})


def remove_faults(controls: Controls, request: Request, rest: str) -> Answer:
    """DELETE /__faults: takes all aimed faults away."""
    controls.faults.aimed.clear()
    return as_json({"deleted": True})


def burst(controls: Controls, request: Request, rest: str) -> Answer:
    """POST /__burst {"id", "times"?}: changes an object's metadata so often within one second, each with its event."""
    body = body_of(request, BurstBody)
    resource = resource_of(controls.state, body.id)
    event = change_often(controls.state, resource, body.id, body.times)
    controls.webhooks.flush()
    return as_json({"id": body.id, "event": event, "times": body.times})


def add_key(controls: Controls, request: Request, rest: str) -> Answer:
    """POST /__keys {"secret", "permissions"?: {resource: none|read|write}, "revoked"?}."""
    body = body_of(request, KeyBody)
    known = {resource.name for resource in RESOURCES} | {"balance", "webhook_endpoints"}
    if body.permissions is not None and not known >= set(body.permissions):
        raise Refusal(400, f"Permissions name resources: {', '.join(sorted(known))}.", param="permissions")
    permissions = None if body.permissions is None else {name: str(what) for name, what in body.permissions.items()}
    controls.keys.add(Key(body.secret, permissions, body.revoked))
    return as_json({"secret": body.secret, "revoked": body.revoked})


def show_truth(controls: Controls, request: Request, rest: str) -> Answer:
    """GET /__truth: counts a complete mirror must have; with ?ids=resource also that resource's ids. GET
    /__truth/revenue: see `show_revenue`."""
    if rest == "revenue":
        return show_revenue(controls, request)
    report: Obj = {"now": controls.world.clock.now, "counts": truth(controls.state)}
    for resource in [value for name, value in request.query if name == "ids"]:
        found = ids_of(controls.state, resource)
        if found is None:
            raise Refusal(400, f"There is no resource named {resource}.", param="ids")
        report.setdefault("ids", {})[resource] = found
    return as_json(report)


def show_revenue(controls: Controls, request: Request) -> Answer:
    """GET /__truth/revenue[?zone=Europe/Berlin]: by month (UTC's unless a time zone is given) what every customer was
    worth, the sum of it, and how that moved."""
    if controls.world.config.profile == "bulk":
        raise Refusal(400, "A company of profile bulk did not live: it has no history of revenue.")
    name = next((value for key, value in request.query if key == "zone"), "UTC")
    try:
        zone = ZoneInfo(name)
    except (ValueError, ZoneInfoNotFoundError, OSError):
        raise Refusal(400, f"There is no time zone named {name}.", param="zone") from None
    months = [month.as_json() for month in revenue(controls.world, zone)]
    return as_json({"now": controls.world.clock.now, "zone": name, "months": months})


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
    ("POST", "test_clocks"): advance_test_clock,
    ("POST", "faults"): add_fault,
    ("DELETE", "faults"): remove_faults,
    ("POST", "burst"): burst,
    ("POST", "keys"): add_key,
    ("GET", "truth"): show_truth,
    ("GET", "stats"): show_stats,
    ("POST", "reset_stats"): reset_stats,
}
