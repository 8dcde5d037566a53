"""Lists as Stripe pages them: newest first, by cursor, filtered, with an envelope."""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import merge

import msgspec

from tidegate.sandbox.answers import Refusal, missing, unknown_parameter
from tidegate.sandbox.collection import SEQUENCE_BITS, Collection

COMPARISONS = ("gt", "gte", "lt", "lte")
FOREVER = 1 << 38
_ELEMENT = re.compile(r"\[\d*\]$")
_COMPARED = re.compile(r"^(\w+)\[(\w+)\]$")
STATUSES = {
    "subscriptions": [
        "active",
        "past_due",
        "unpaid",
        "canceled",
        "incomplete",
        "incomplete_expired",
        "trialing",
        "paused",
        "all",
        "ended",
    ],
    "invoices": ["draft", "open", "paid", "uncollectible", "void"],
    "quotes": ["draft", "open", "accepted", "canceled"],
    "invoice_payments": ["open", "paid", "canceled"],
}


@dataclass
class ListRequest:
    """A list's parameters: a cursor, a limit, filters (any of the values), ranges (lowest and highest, inclusive)."""

    limit: int = 10
    starting_after: str | None = None
    ending_before: str | None = None
    filters: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    expand: list[str] = field(default_factory=list[str])


def read(query: list[tuple[str, str]], filters: set[str], ranges: set[str]) -> ListRequest:
    """The parameters of a list request. Raises Refusal (400) for one unknown or out of range."""
    request = ListRequest()
    for raw, value in query:
        name = _ELEMENT.sub("", raw)
        compared = _COMPARED.match(raw)
        if name == "limit":
            request.limit = limit_of(value)
        elif name in ("starting_after", "ending_before"):
            setattr(request, name, value)
        elif name == "expand":
            request.expand.append(value)
        elif name in filters:
            request.filters.setdefault(name, []).append(value)
        elif name in ranges or (compared and compared[1] in ranges and compared[2] in COMPARISONS):
            base, comparison = (compared[1], compared[2]) if compared else (name, "")
            low, high = request.ranges.get(base, (0, FOREVER))
            request.ranges[base] = narrowed(low, high, comparison, whole(value, raw))
        else:
            raise unknown_parameter(raw)
    if request.starting_after and request.ending_before:
        raise Refusal(400, "You may only specify one of these parameters: starting_after, ending_before.")
    return request


def limit_of(value: str) -> int:
    """A page size of 1 to 100. Raises Refusal (400)."""
    limit = whole(value, "limit")
    if limit < 1:
        raise Refusal(400, "This value must be greater than or equal to 1.", "parameter_invalid_integer", "limit")
    if limit > 100:
        raise Refusal(400, "This value must be less than or equal to 100.", "parameter_invalid_integer", "limit")
    return limit


def whole(value: str, param: str) -> int:
    """An integer parameter. Raises Refusal (400)."""
    try:
        return int(value)
    except ValueError:
        raise Refusal(400, f"Invalid integer: {value}", "parameter_invalid_integer", param) from None


def narrowed(low: int, high: int, comparison: str, value: int) -> tuple[int, int]:
    """The inclusive bounds after one more comparison."""
    match comparison:
        case "gt":
            return max(low, value + 1), high
        case "gte":
            return max(low, value), high
        case "lt":
            return low, min(high, value - 1)
        case "lte":
            return low, min(high, value)
        case _:
            return max(low, value), min(high, value)


def page_of(collection: Collection, request: ListRequest) -> tuple[list[str], bool]:
    """The ids on the page, newest first, and whether more follow. Raises Refusal (400) for an unknown cursor."""
    keys = candidates(collection, request)
    low, high = request.ranges.get("created", (0, FOREVER))
    first = bisect_left(keys, low << SEQUENCE_BITS)
    last = bisect_left(keys, (high + 1) << SEQUENCE_BITS)
    if request.ending_before:
        first = max(first, bisect_right(keys, cursor(collection, request.ending_before, "ending_before")))
        page, more = keys[first : min(last, first + request.limit)], last - first > request.limit
    else:
        if request.starting_after:
            last = min(last, bisect_left(keys, cursor(collection, request.starting_after, "starting_after")))
        page, more = keys[max(first, last - request.limit) : max(first, last)], last - first > request.limit
    if keys is collection.keys and len(page):
        start = bisect_left(collection.keys, page[0])
        return collection.ids[start : start + len(page)][::-1], more
    return [collection.id_at(key) for key in reversed(page)], more


def cursor(collection: Collection, identifier: str, param: str) -> int:
    """The key of the object a cursor names. Raises Refusal (400) when it does not exist."""
    key = collection.key_of.get(identifier)
    if key is None:
        raise missing(collection.resource.object, identifier, param=param, status=400)
    return key


def candidates(collection: Collection, request: ListRequest) -> Sequence[int]:
    """The keys, rising, of the objects that the filters let through, without those that lists hide by default."""
    name = collection.resource.name
    filters = dict(request.filters)
    if name in STATUSES:
        for value in filters.get("status", []):
            if value not in STATUSES[name]:
                raise Refusal(400, f"Invalid status: must be one of {', '.join(STATUSES[name])}", param="status")
    for one, value in collection.resource.defaults:
        filters.setdefault(one, [value])
    hides = bool(collection.apart) and not collection.resource.unless & filters.keys()
    chosen: list[Sequence[int]] = [
        union([collection.matching(one, value) for value in values]) for one, values in filters.items()
    ]
    chosen += [
        union(collection.between(one, low, high)) for one, (low, high) in request.ranges.items() if one != "created"
    ]
    if not chosen:
        return collection.listed() if hides else collection.keys
    few, *others = sorted(chosen, key=len)
    if hides:
        few = [key for key in few if key not in collection.apart]
    return [key for key in few if all(holds(many, key) for many in others)] if others else few


def union(arrays: "list[array[int]]") -> Sequence[int]:
    """Rising keys of any of the arrays, each once."""
    if len(arrays) == 1:
        return arrays[0]
    return list(dict.fromkeys(merge(*arrays)))


def holds(keys: Sequence[int], key: int) -> bool:
    """Whether rising keys contain a key."""
    position = bisect_left(keys, key)
    return position < len(keys) and keys[position] == key


def page_of_children(children: list[bytes], request: ListRequest, kind: str) -> tuple[list[bytes], bool]:
    """A page of a nested list, in the list's own order. Raises Refusal (400) for an unknown cursor."""
    after = request.starting_after or request.ending_before
    if after is None:
        return children[: request.limit], len(children) > request.limit
    ids = [msgspec.json.decode(child)["id"] for child in children]
    if after not in ids:
        raise missing(kind, after, param="starting_after" if request.starting_after else "ending_before", status=400)
    at = ids.index(after)
    if request.starting_after:
        return children[at + 1 : at + 1 + request.limit], len(children) > at + 1 + request.limit
    return children[max(0, at - request.limit) : at], at > request.limit


def envelope(bodies: list[bytes], more: bool, url: str) -> bytes:
    """The list object around rendered elements."""
    data, has_more = b",".join(bodies), b"true" if more else b"false"
    return b'{"object":"list","data":[%s],"has_more":%s,"url":"%s"}' % (data, has_more, url.encode())
