"""Reads one page of a Stripe list, with every nested list of its objects whole."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import msgspec

from tidegate.errors import StripeBodyUnreadable, StripeCursorGone, StripeObjectMissing
from tidegate.mirror.arrivals import Arrival, Lost, arrive, text_of
from tidegate.mirror.decide import Certainty
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.endpoints import list_path, object_path
from tidegate.stripe_api.mode import require_mode
from tidegate.stripe_api.resources.resource import Nested, Resource
from tidegate.stripe_api.shapes.read import Reading, Unreadable, read, read_page

LIMIT = 100  # Stripe's largest page


class Page(NamedTuple):
    """The objects of one page, newest first; `last` is the id after which the next page begins, `reached` its
    `created`.
    """

    arrivals: list[Arrival]
    lost: list[Lost]
    has_more: bool
    last: str
    reached: int | None


def read_objects(
    api: StripeApi,
    resource: Resource,
    path: str,
    params: Mapping[str, Any],
    *,
    after: str = "",
    passed: set[str],
    parent: str = "",
    interactive: bool = False,
) -> Page:
    """One page of `path`, at most 100 objects following the object `after`.

    `passed` holds the last id of each page of this list that was read, and is given this one's. `parent` is the id of
    the object listed under; objects that do not name it are given it, so that it is not lost. Raises the errors of
    StripeApi; StripeModeWrong when an object is not of the key's mode; StripeBodyUnreadable also for a list that would
    never end (it says that there is more and goes back to where it was, or nowhere). `interactive`: somebody waits.
    """
    asked = {**params, "limit": LIMIT, "expand": [f"data.{one}" for one in resource.expand]}
    if after:
        asked["starting_after"] = after
    bodies, has_more, at = _fetch(api, path, {k: v for k, v in asked.items() if v != []}, interactive)
    if parent and resource.parent_field:
        bodies = [_owned(body, resource.parent_field, parent) for body in bodies]
    arrivals, lost = arrive(resource, bodies, at, Certainty.READ)
    for arrival in arrivals:
        require_mode(api, f"GET {path}", arrival.id, arrival.reading.livemode)
        if resource.nested:
            complete(api, resource, arrival, interactive=interactive)
    last, reached = _end(resource, bodies)
    if has_more:
        _move_on(path, last, passed | {after})
        passed.add(last)
    return Page(arrivals, lost, has_more, last, reached)


def _move_on(path: str, last: str, passed: Collection[str]) -> None:
    """Raises StripeBodyUnreadable when a page that is not the last ends where an earlier one did."""
    if not last or last in passed:
        raise StripeBodyUnreadable(
            endpoint=f"GET {path}",
            problem="the list says that more follows but does not move on",
            tries=1,
            request_id="-",
        )


def _owned(body: msgspec.Raw, field: str, parent: str) -> msgspec.Raw:
    """The object with its parent's id, which Stripe only has in the path."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return body  # reading it will say what is wrong
    return msgspec.Raw(msgspec.json.encode({**fields, field: parent}))


def belonging(api: StripeApi, resource: Resource, owner: str) -> Page:
    """All objects of a resource that belong to one other object, by its id. Raises as `read_objects` does."""
    arrivals: list[Arrival] = []
    lost: list[Lost] = []
    passed: set[str] = set()
    after = ""
    while True:
        page = read_objects(api, resource, str(resource.path), {resource.listed_by: owner}, after=after, passed=passed)
        arrivals += page.arrivals
        lost += page.lost
        if not page.has_more:
            return Page(arrivals, lost, False, page.last, page.reached)
        after = page.last


def retrieve(api: StripeApi, resource: Resource, object_id: str = "", *, interactive: bool = False) -> Page:
    """One object by id (without one: a singleton), as a page of one. Raises as `read_objects` does."""
    path = object_path(str(resource.path), object_id) if object_id else str(resource.path)
    answer = api.get(path, {"expand": list(resource.expand)} if resource.expand else {}, interactive=interactive)
    arrivals, lost = arrive(resource, [answer.body], int(answer.at.timestamp()), Certainty.READ)
    for arrival in arrivals:
        require_mode(api, f"GET {path}", arrival.id, arrival.reading.livemode)
        arrival.deleted = arrival.deleted or _let_go(resource, answer.body)
        complete(api, resource, arrival, interactive=interactive)
    return Page(arrivals, lost, False, object_id, None)


def _let_go(resource: Resource, body: bytes) -> bool:
    """Whether an object that was fetched by its id shows that it is in no list any more, for good.

    A customer may be an account of Stripe's Accounts v2, and then stands in a field of its own.
    """
    if not resource.kept_by:
        return False
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return False  # no jsonb either: it will be kept as text
    kept = [fields[name] for name in resource.kept_by if name in fields]
    return bool(kept) and all(bytes(one) == b"null" for one in kept)


def complete(api: StripeApi, resource: Resource, arrival: Arrival, *, interactive: bool = False) -> None:
    """Follows every nested list that Stripe cut off, and puts the whole list into the object's JSON.

    An object that is deleted or whose list changes while it is followed stays as it came, marked as not whole.
    """
    cut = [(nested, bodies) for nested, bodies, has_more in arrival.reading.nested if has_more]
    if not cut:
        return
    try:
        body = msgspec.json.decode(arrival.body, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return  # it holds half of a surrogate pair: no jsonb, it will be kept as text as it came
    try:
        whole = {nested: [*bodies, *_rest(api, nested, arrival.id, bodies, interactive)] for nested, bodies in cut}
    except (StripeObjectMissing, StripeCursorGone):
        arrival.whole = False
        return
    for nested, bodies in whole.items():
        envelope = msgspec.json.decode(body[nested.field], type=dict[str, msgspec.Raw])
        envelope["data"] = msgspec.Raw(msgspec.json.encode(bodies))
        envelope["has_more"] = msgspec.Raw(b"false")
        body[nested.field] = msgspec.Raw(msgspec.json.encode(envelope))
    encoded = msgspec.json.encode(body)
    reading = read(resource, encoded)
    if isinstance(reading, Reading):
        arrival.reading, arrival.body, arrival.whole = reading, text_of(encoded), True


def _rest(
    api: StripeApi, nested: Nested, parent: str, bodies: list[msgspec.Raw], interactive: bool
) -> list[msgspec.Raw]:
    """The objects of a nested list that follow those in the parent's body."""
    path = list_path(nested.path, parent)
    params = {name: value.format(id=parent) for name, value in nested.params.items()}
    rest: list[msgspec.Raw] = []
    more = True
    last = _id(bodies[-1]) if bodies else ""
    passed = {last}
    while more:
        after = {"starting_after": last} if last else {}
        found, more, _ = _fetch(api, path, {**params, **after, "limit": LIMIT}, interactive)
        rest += found
        last = _id(found[-1]) if found else ""
        if more:
            _move_on(path, last, passed)
            passed.add(last)
    return rest


def _fetch(
    api: StripeApi, path: str, params: Mapping[str, Any], interactive: bool = False
) -> tuple[list[msgspec.Raw], bool, int]:
    page, answer = api.read(path, _decode_page, params, interactive=interactive)
    return page[0], page[1], int(answer.at.timestamp())


def _decode_page(body: bytes) -> tuple[list[msgspec.Raw], bool]:
    page = read_page(body)
    if isinstance(page, Unreadable):
        raise msgspec.DecodeError(page.reason)
    return page.data, page.has_more


class _Envelope(msgspec.Struct):
    id: str = ""
    created: int | None = None


_envelope = msgspec.json.Decoder(_Envelope)


def _id(body: msgspec.Raw) -> str:
    try:
        return _envelope.decode(body).id
    except msgspec.DecodeError:
        return ""


def _end(resource: Resource, bodies: list[msgspec.Raw]) -> tuple[str, int | None]:
    """Id and `created` of the last object that has an id."""
    for body in reversed(bodies):
        try:
            envelope = _envelope.decode(body)
        except msgspec.DecodeError:
            continue  # it is among the page's lost ones; the one before it serves as cursor
        if envelope.id:
            return envelope.id, envelope.created
    return "", None
