"""Looks in Stripe for what a request did whose answer nobody got, or which was told that there is no such object."""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from tidegate.errors import StripeObjectMissing
from tidegate.outbound.push.outcomes import body_of
from tidegate.outbound.push.requests import Request
from tidegate.stripe_api.calls import Answer
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES

MAKES = ("create", "replace")
NOT_DONE = "it was not done, as Stripe shows; it is decided about anew"
CLOCKS_APART = 86_400
"""Seconds by which an object that is looked for may seem older than the request to make it."""


def looked_for(
    api: StripeApi, resource: str, request: Request, age: float, matched_by: tuple[str, str], known: Collection[str]
) -> Answer | None:
    """The object that a request was to make, found by what its row was matched by then (the way, and the metadata key),
    or which it was to change; the stub of a deleted one where Stripe has it no more. `age`: seconds since the request
    was meant, before which nothing can have been made. `known`: the ids of what was made of the row before, which it is
    none of. None: what was to be made is not there. Raises as StripeApi does.
    """
    if request.operation in MAKES:
        return _made(api, resource, request, age, matched_by, known)
    return seen_now(api, resource, request.path.split("/")[3])


def seen_now(api: StripeApi, resource: str, id_: str) -> Answer:
    """An object as Stripe shows it; the stub of a deleted one where Stripe has it no more. Raises as StripeApi does."""
    return _object(api, f"/v1/{resource}/{id_}") or _gone(resource, id_)


def _object(api: StripeApi, path: str) -> Answer | None:
    try:
        return api.get(path)
    except StripeObjectMissing:
        return None


def _gone(resource: str, id_: str) -> Answer:
    """What Stripe answers to a deletion (docs.stripe.com/api/customers/delete), for who comes after it."""
    stub = {"id": id_, "object": RESOURCES[resource].object, "deleted": True}
    return Answer(msgspec.json.encode(stub), datetime.now(UTC).replace(microsecond=0), 0.0, "")


def _made(
    api: StripeApi, resource: str, request: Request, age: float, matched_by: tuple[str, str], known: Collection[str]
) -> Answer | None:
    (way, name), params = matched_by, request.params
    if way == "id" and request.operation == "create":
        return _object(api, f"{request.path}/{params.get('id')}")
    asked: dict[str, Any] = {"limit": 100}
    if way == "email":
        asked |= {"email": params.get("email")}
    elif way == "lookup_key":
        asked |= {"lookup_keys": [params.get("lookup_key")]}
    else:
        asked |= {"customer": params["customer"]} if params.get("customer") else {}
        asked |= {"status": "all"} if resource == "subscriptions" else {}
    on_a_clock = resource == "customers" and params.get("test_clock")
    if on_a_clock:  # of which a list has none otherwise, and which are as old as their clock says
        asked |= {"test_clock": params["test_clock"]}
    if not (_mark(params, name) if way == "metadata" else params.get(way)):
        return None  # nothing tells it from others
    every = on_a_clock or "customer" in asked  # which may be on a clock, too
    for body in every_object(api, request.path, asked, age + CLOCKS_APART, every=bool(every)):
        marked = way != "metadata" or _mark(body, name) == _mark(params, name)
        if marked and body["id"] not in known and not _replaced(request, body):
            return _object(api, f"{request.path}/{body['id']}")
    return None


def _replaced(request: Request, body: Mapping[str, Any]) -> bool:
    """Whether it is what the new object was to take the place of, or what that had taken the place of before."""
    return request.operation == "replace" and (body["id"] == request.object_id or body.get("active") is False)


def _mark(said: Mapping[str, Any], name: str) -> str:
    return str(cast("Mapping[str, Any]", said.get("metadata") or {}).get(name) or "")


def _made_at(body: Mapping[str, Any]) -> int:
    """When an object was made, epoch seconds; an invoice item calls it its date."""
    return int(body.get("created") or body.get("date") or 0)


def every_object(
    api: StripeApi, path: str, asked: Mapping[str, Any], longest: float | None = None, *, every: bool = False
) -> Iterator[Mapping[str, Any]]:
    """The objects of a list, newest first, that were made within so many seconds by Stripe's clock; None: all. `every`:
    also those on a test clock, which are as old as that says, so the list is read to its end.
    """
    params = dict(asked)
    while True:
        answer = api.get(path, params)
        page = body_of(answer.body)
        since = None if longest is None else answer.at.timestamp() - longest
        found = [one for one in page["data"] if since is None or one.get("test_clock") or _made_at(one) >= since]
        yield from found
        if not page.get("has_more") or (len(found) < len(page["data"]) and not every):
            return
        params["starting_after"] = page["data"][-1]["id"]
