"""What every write has in hand: the world, the identifiers in its path, its checked parameters."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tidegate.sandbox.answers import Refusal, missing
from tidegate.sandbox.params import empty, required
from tidegate.sandbox.resources import BY_NAME, Obj
from tidegate.sandbox.state import State
from tidegate.sandbox.webhooks import Webhooks
from tidegate.sandbox.world import World
from tidegate.sandbox.writes.pace import Pace

METADATA_KEYS, METADATA_KEY, METADATA_VALUE = 50, 40, 500
"""docs.stripe.com/api/metadata: how many keys, how long a key and a value may be."""


@dataclass
class Call:
    """One write under way; `given` are its typed parameters by name, None for one to be unset."""

    world: World
    webhooks: Webhooks
    pace: Pace
    names: list[str]
    given: dict[str, Any]
    later: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    """What follows once the answer is there, caused by no request: at Stripe it takes a while."""

    @property
    def state(self) -> State:
        return self.world.state

    @property
    def now(self) -> int:
        """The sandbox's time, UTC epoch seconds."""
        return self.world.clock.now

    def addressed(self, resource: str) -> Obj:
        """The whole object that the path names. Raises Refusal (404)."""
        return found(self.state, resource, self.names[-1], "id", 404)

    def referred(self, resource: str, identifier: str, param: str) -> Obj:
        """The whole object that a parameter names. Raises Refusal (400)."""
        return found(self.state, resource, identifier, param, 400)

    def stored(self, obj: Obj, *events: str) -> Obj:
        """Stores an object with its events and returns it as it then stands."""
        self.state.put(obj, *events)
        return self.state.full(BY_NAME_OF[obj["object"]], obj["id"])


BY_NAME_OF = {resource.object: name for name, resource in BY_NAME.items()}

Do = Callable[[Call], Obj]


@dataclass(frozen=True)
class Write:
    """An endpoint that changes something.

    `params` is the SDK's type of its parameters, of which the sandbox acts on those of `served`. `kind` is the object
    that it answers, for `expand`; `permission` is the resource that a restricted key must be allowed to write.
    """

    method: str
    template: str
    permission: str
    kind: str
    params: str
    do: Do
    served: tuple[str, ...] = field(default=())
    reads: bool = False
    """Whether it only reads: such endpoints stand here when what they read is not in the state."""


def found(state: State, resource: str, identifier: str, param: str, status: int) -> Obj:
    """The whole object of an id. Raises Refusal with this status."""
    if identifier not in state[resource]:
        raise missing(BY_NAME[resource].object, identifier, param=param, status=status)
    return state.full(resource, identifier)


def deleted(kind: str, identifier: str) -> Obj:
    """The stub that answers a deletion."""
    return {"id": identifier, "object": kind, "deleted": True}


def needs(given: dict[str, Any], *names: str, within: str = "") -> None:
    """Raises Refusal (400) when one of the parameters, which are `within` another, is missing or empty."""
    for name in names:
        if not given.get(name):
            raise required(f"{within}[{name}]" if within else name)


def owner(call: Call, other: Obj | None, param: str) -> Obj:
    """The customer whom a new object is for: the one that is named, else that of the object that `param` names.

    Raises Refusal (400) when there is none, or these are two.
    """
    name = call.given.get("customer") or (other or {}).get("customer")
    if name is None:
        raise required("customer")
    customer = call.referred("customers", name, "customer")
    if other and other["customer"] != customer["id"]:
        raise Refusal(400, f"The {param} belongs to another customer.", param=param)
    return customer


def taken(given: dict[str, Any], *names: str) -> Obj:
    """Those of the parameters that are given, as they are."""
    return {name: given[name] for name in names if name in given}


def needs_value(given: dict[str, Any], *names: str) -> None:
    """Raises Refusal (400) when one of the parameters is to be unset and cannot."""
    for name in names:
        if name in given and given[name] is None:
            raise empty(name)


def metadata(known: dict[str, str], given: dict[str, Any]) -> Obj:
    """The `metadata` that follows: keys are set one by one, an empty value takes one away, an empty whole all.

    Raises Refusal (400) for what is too much or too long (docs.stripe.com/api/metadata).
    """
    if "metadata" not in given:
        return {}
    changes: dict[str, str] | None = given["metadata"]
    merged = {} if changes is None else {**known, **changes}
    merged = {key: value for key, value in merged.items() if value != ""}
    for key, value in merged.items():
        for what, text, most in (("keys", key, METADATA_KEY), ("values", value, METADATA_VALUE)):
            if len(text) > most:
                raise Refusal(
                    400,
                    f"Metadata {what} can have up to {most} characters, but you passed in one that is {len(text)} "
                    f"characters. Invalid {what[:-1]}: {text}",
                    param=f"metadata[{key}]",
                )
    if len(merged) > METADATA_KEYS:
        raise Refusal(
            400,
            f"You can only have up to {METADATA_KEYS} metadata keys, but this object would have {len(merged)}.",
            param="metadata",
        )
    return {"metadata": merged}


def currency_of(given: dict[str, Any], param: str = "currency") -> str:
    """A currency's code in lower case. Raises Refusal (400) for what is none."""
    code = str(given["currency"]).lower()
    if len(code) != 3 or not (code.isascii() and code.isalpha()):
        raise Refusal(400, f"Invalid currency: {code}. Use a three-letter ISO code, for example usd.", param=param)
    return code


def exclusive(given: dict[str, Any], *names: str) -> None:
    """Raises Refusal (400) when more than one of the parameters is given."""
    both = [name for name in names if given.get(name) is not None]
    if len(both) > 1:
        raise Refusal(
            400, f"You may only specify one of these parameters: {', '.join(both)}.", "parameters_exclusive", both[0]
        )


def not_negative(given: dict[str, Any], *names: str) -> None:
    """Raises Refusal (400) when one of the numbers is below 0."""
    for name in names:
        if given.get(name) is not None and float(given[name]) < 0:
            raise Refusal(400, "This value must be greater than or equal to 0.", "parameter_invalid_integer", name)
