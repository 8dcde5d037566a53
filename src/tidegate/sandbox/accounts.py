"""The accounts that a key may look at: its own, and on a Connect platform those connected to it."""

import msgspec

from tidegate.sandbox import expansion
from tidegate.sandbox.answers import Answer, Refusal, Request
from tidegate.sandbox.collection import Collection
from tidegate.sandbox.keys import masked, presented
from tidegate.sandbox.listing import envelope, page_of, read
from tidegate.sandbox.resources import BY_NAME
from tidegate.sandbox.state import State


def own(state: State) -> str:
    """The id of the account whose objects these are."""
    return state["accounts"].ids[0]


def no_access(request: Request, account: str) -> Refusal:
    """The answer to a key that asks for an account which is not connected to its own."""
    secret = masked(presented(request.headers.get(b"authorization", b"")))
    return Refusal(
        403,
        f"The provided key '{secret}' does not have access to account '{account}' (or that account does not exist). "
        "Application access may have been revoked.",
        "account_invalid",
    )


def list_connected(state: State, request: Request, names: list[str]) -> Answer:
    """Answers /v1/accounts: the accounts connected to this one, newest first; its own is none of them."""
    asked = read(request.query, set(), {"created"})
    tree = expansion.parse(asked.expand, "list:account").get("data", {})
    connected = Collection(BY_NAME["accounts"])
    for identifier, other in state.connected.items():
        body = other["accounts"].body(identifier)
        obj = msgspec.json.decode(body)
        connected.put(obj, obj["created"], body, {}, None)
    page, more = page_of(connected, asked)
    bodies = [expansion.rendered(state, connected, identifier, tree) for identifier in page]
    return Answer(200, envelope(bodies, more, request.path))


def retrieve(state: State, request: Request, names: list[str]) -> Answer:
    """Answers /v1/accounts/{id}: the key's own account or one connected to it."""
    tree = expansion.parse([value for name, value in request.query if name.startswith("expand")], "account")
    identifier = names[-1]
    holder = state if identifier == own(state) else state.connected.get(identifier)
    if holder is None:
        raise no_access(request, identifier)
    return Answer(200, expansion.rendered(holder, holder["accounts"], identifier, tree))
