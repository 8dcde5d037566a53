"""Looks in Stripe for what a request did whose answer nobody got, or which was told that there is no such object."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from tidegate.errors import StripeObjectMissing
from tidegate.outbound.push.outcomes import body_of
from tidegate.outbound.push.requests import Request
from tidegate.outbound.specs import Sync
from tidegate.stripe_api.calls import Answer
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES

MAKES = ("create", "replace")
NOT_DONE = "it was not done, as Stripe shows; it is decided about anew"
CLOCKS_APART = 86_400
"""Seconds by which an object that is looked for may seem older than the request to make it."""


def looked_for(api: StripeApi, sync: Sync, request: Request, age: float) -> Answer | None:
    """The object that a request was to make, found by what its row is matched by, or which it was to change; the stub
    of a deleted one where Stripe has it no more. `age`: seconds since the request was meant, before which nothing can
    have been made. None: what was to be made is not there. Raises as StripeApi does.
    """
    if request.operation in MAKES:
        return _made(api, sync, request, age)
    return seen_now(api, sync.resource, request.path.split("/")[3])


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


def _made(api: StripeApi, sync: Sync, request: Request, age: float) -> Answer | None:
    way, name, _ = sync.matched_by
    params = request.params
    if way == "id" and request.operation == "create":
        return _object(api, f"{request.path}/{params.get('id')}")
    asked: dict[str, Any] = {"limit": 100}
    if way == "email":
        asked |= {"email": params.get("email")}
    elif way == "lookup_key":
        asked |= {"lookup_keys": [params.get("lookup_key")]}
    else:
        asked |= {"customer": params["customer"]} if params.get("customer") else {}
        asked |= {"status": "all"} if sync.resource == "subscriptions" else {}
    on_a_clock = sync.resource == "customers" and params.get("test_clock")
    if on_a_clock:  # of which a list has none otherwise, and which are as old as their clock says
        asked |= {"test_clock": params["test_clock"]}
    if not (_mark(params, name) if way == "metadata" else params.get(way)):
        return None  # nothing tells it from others
    longest = None if on_a_clock or "customer" in asked else age + CLOCKS_APART
    for body in every_object(api, request.path, asked, longest):
        marked = way != "metadata" or _mark(body, name) == _mark(params, name)
        if marked and not _replaced(request, body):
            return _object(api, f"{request.path}/{body['id']}")
    return None


def _replaced(request: Request, body: Mapping[str, Any]) -> bool:
    """Whether it is what the new object was to take the place of, or what that had taken the place of before."""
    return request.operation == "replace" and (body["id"] == request.object_id or body.get("active") is False)


def _mark(said: Mapping[str, Any], name: str) -> str:
    return str(cast("Mapping[str, Any]", said.get("metadata") or {}).get(name) or "")


def every_object(
    api: StripeApi, path: str, asked: Mapping[str, Any], longest: float | None = None
) -> Iterator[Mapping[str, Any]]:
    """The objects of a list, newest first, that were made within so many seconds by Stripe's clock; None: all."""
    params = dict(asked)
    while True:
        answer = api.get(path, params)
        page = body_of(answer.body)
        since = None if longest is None else answer.at.timestamp() - longest
        found = [one for one in page["data"] if since is None or one["created"] >= since]
        yield from found
        if not page.get("has_more") or len(found) < len(page["data"]):
            return
        params["starting_after"] = page["data"][-1]["id"]
