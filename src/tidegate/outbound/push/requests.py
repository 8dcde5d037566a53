"""The request that carries a decision out, and the idempotency key that makes it happen once."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tidegate.outbound.metering.events import BACK, PATH
from tidegate.outbound.plan.decide import Decision

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to Stripe for a row. `lane`: requests of one lane are sent one after the other.

    `kind`, `hash` and `wanted`: the decision's that it carries out, and of what the row said then.
    """

    key: str
    kind: str
    hash: int
    wanted: Json
    operation: str
    method: str
    path: str
    params: Json
    before: Json
    object_id: str | None
    lane: str
    generation: int
    idempotency_key: str


def request(
    account: str, sync: str, resource: str, decision: Decision, live: Json | None, generation: int, hash_: int
) -> Request:
    """The request of a decision that sends something. `live`: the object as the mirror has it."""
    operation, method, path, params = _call(resource, decision)
    said = [account, sync, resource, decision.key, operation, decision.object_id, generation, params]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
    return Request(
        decision.key,
        decision.kind,
        hash_,
        decision.wanted,
        operation,
        method,
        path,
        params,
        {one.field: one.before for one in decision.changes},
        decision.object_id,
        lane(resource, decision, live),
        generation,
        f"tidegate-{digest[:48]}",
    )


def lane(resource: str, decision: Decision, live: Json | None) -> str:
    """The customer whose request it is: Stripe locks a customer while it is written, and refuses a second writer with
    lock_timeout (docs.stripe.com/rate-limits, object lock timeouts). Without one, the object or the row.
    """
    if resource == "meter_events":  # one at a time for each customer and meter, as the guide to recording usage says
        said = cast("Json", decision.payload.get("payload") or {})
        named = [str(one) for one in said.values() if str(one).startswith("cus_")]
        return named[0] if named else str(decision.payload.get("event_name"))
    if resource == "customers":
        return decision.object_id or f"row:{decision.key}"
    customer = decision.payload.get("customer") or (live or {}).get("customer")
    if isinstance(customer, Mapping):
        customer = customer.get("id")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return str(customer or decision.object_id or f"row:{decision.key}")  # pyright: ignore[reportUnknownArgumentType]


def _call(resource: str, decision: Decision) -> tuple[str, str, str, Json]:
    """Operation, method, path and parameters."""
    if resource == "meter_events":
        create = decision.kind == "create"
        return ("create", "post", PATH, decision.payload) if create else ("cancel", "post", BACK, decision.payload)
    if decision.kind in {"create", "replace"}:
        return decision.kind, "post", f"/v1/{resource}", decision.payload
    path = f"/v1/{resource}/{decision.object_id}"
    if decision.kind == "update" or (decision.kind == "revert" and "do" not in decision.payload):
        return "update", "post", path, decision.payload
    do = decision.payload["do"]
    more = {name: value for name, value in decision.payload.items() if name != "do"}
    match resource, do:
        case _, "archive":
            return do, "post", path, {"active": False}
        case "subscriptions", "end":
            return do, "post", path, {"cancel_at_period_end": True}
        case "subscriptions", "cancel":
            return do, "delete", path, more
        case _, "void" | "cancel" | "finalize" | "send":
            return do, "post", f"{path}/{do}", {}
        case _:
            return do, "delete", path, {}
