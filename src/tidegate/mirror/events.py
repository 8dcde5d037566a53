"""What an event of Stripe says, as versions of mirrored objects."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec
import stripe

from tidegate.mirror.arrivals import Arrival, text_of
from tidegate.mirror.decide import Certainty
from tidegate.mirror.refetches import Ask
from tidegate.stripe_api.resources import by_object
from tidegate.stripe_api.resources.resource import Resource
from tidegate.stripe_api.shapes.read import Unreadable, read, read_event

AUTHORIZATIONS = frozenset({"account.application.authorized", "account.application.deauthorized"})
"""Events about who is connected to a platform, sent to its own endpoint (docs.stripe.com/connect/webhooks)."""

PREVIEWS = frozenset({"invoice.upcoming"})
"""Events whose object does not exist: a look ahead (docs.stripe.com/api/events/types)."""


class Skipped(NamedTuple):
    """An event that changes nothing mirrored, and why."""

    reason: str


class AccountsChanged(NamedTuple):
    """An account was connected to the platform, or is so no more."""


class Broken(NamedTuple):
    """An event that should change the mirror and cannot be read."""

    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """The version of an object that an event carries, and a look at Stripe it makes necessary."""

    resource: Resource
    arrival: Arrival
    ask: Ask | None


def told(
    body: str, account: str = "", *, api_version: str = stripe.api_version
) -> Told | Skipped | AccountsChanged | Broken:
    """What the event in `body` (its raw JSON) says to a connection of `account` (acct_…; empty: to any).

    An event of another API version counts at once and asks for one look at the object; so does an event of a resource
    whose events carry less than its lists.
    """
    event = read_event(body.encode())
    if isinstance(event, Unreadable):
        return Broken(event.reason)
    if event.type in AUTHORIZATIONS:
        return AccountsChanged()
    if account and event.account not in (None, account):
        return Skipped(f"about another account: {event.account}")
    resource = by_object.get(event.object_type or "")
    if resource is None:
        return Skipped(f"not mirrored: {event.object_type or 'no object'}")
    if event.type in PREVIEWS:
        return Skipped("a preview, not an object")
    if not event.object_id:
        return Skipped(f"{event.object_type} without an id")
    reading = read(resource, event.object)
    if isinstance(reading, Unreadable):
        return Broken(f"{resource.object} {event.object_id}: {reading.reason}")
    deleted = event.type in resource.deleted_by or reading.deleted
    whole = not resource.refetch and not any(has_more for _, _, has_more in reading.nested)
    whole = whole and not _unexpanded(resource, event.object)
    arrival = Arrival(
        reading,
        text_of(event.object),
        event.created,
        Certainty.TOLD,
        deleted=deleted,
        whole=whole or deleted,
        event=event.id,
        previous=_storable(event.previous_attributes) if event.previous_attributes is not None else None,
    )
    return Told(resource, arrival, None if deleted else _ask(resource, arrival, event.api_version, api_version))


def _unexpanded(resource: Resource, body: msgspec.Raw) -> bool:
    """Whether the body only names what a list shows whole, such as the discounts of a subscription."""
    if not resource.expand:
        return False
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:  # no jsonb either: it will be kept as text, whole or not
        return False
    return any(_names_only(found, path.split(".")) for path in resource.expand)


def _names_only(value: Any, path: Sequence[str]) -> bool:
    if isinstance(value, list):
        return any(_names_only(each, path) for each in cast("list[Any]", value))
    if not path:
        return isinstance(value, str)
    return isinstance(value, dict) and _names_only(cast("dict[str, Any]", value).get(path[0]), path[1:])


def _storable(previous: msgspec.Raw) -> str:
    """The attributes as jsonb takes them: what no jsonb holds (U+0000, half a surrogate pair) is shown as U+FFFD.

    Else the event that mends such an attribute could never be stored.
    """
    told = text_of(previous)
    if not _ESCAPED.search(told):
        return told
    return json.dumps(_mended(json.loads(told)))


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mended(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {_mended(name): _mended(each) for name, each in cast("dict[str, Any]", value).items()}
    return value


_ESCAPED = re.compile(r"\\u(0000|[dD][89a-fA-F])")


def _ask(resource: Resource, arrival: Arrival, told_in: str | None, wanted: str) -> Ask | None:
    if not resource.askable:
        return None
    if resource.refetch:
        return Ask(arrival.id, "event", arrival.at)
    if told_in != wanted:
        return Ask(arrival.id, "other_version", arrival.at)
    return None
