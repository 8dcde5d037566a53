"""Pages of lists whose objects are not in the state."""

from collections.abc import Sequence

from tidegate.sandbox.answers import Refusal, missing
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.writes.calls import Call

LARGEST_PAGE = 100
SERVED = ("limit", "starting_after")


def page(call: Call, found: Sequence[Obj], kind: str, url: str) -> Obj:
    """The list object with the page of `found` that is asked for. Raises Refusal (400) for an unknown cursor."""
    limit: int = call.given.get("limit", 10)
    if not 1 <= limit <= LARGEST_PAGE:
        raise Refusal(400, f"This value must be from 1 to {LARGEST_PAGE}.", "parameter_invalid_integer", "limit")
    after = call.given.get("starting_after")
    if after is not None:
        identifiers = [one["id"] for one in found]
        if after not in identifiers:
            raise missing(kind, after, param="starting_after", status=400)
        found = found[identifiers.index(after) + 1 :]
    return {"object": "list", "data": list(found[:limit]), "has_more": len(found) > limit, "url": url}
