"""What is sent to a destination, and what became of it: plain values, for every kind of destination the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from tidegate.delivery.options import Options

UPDATED = "contact.updated"
"""The type of what tells how a contact is now; every other type is one of the outbox."""
FIRED = "action.fired"
"""The type of what an action sends; it says `event`, `title` and `text` itself, as far as the action does."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a message is about. `id` is yours, `email` may be empty; `customers` are Stripe's ids, the newest live one
    first. `user`: of an account, who is billed, as (id, e-mail); of a user itself.
    """

    kind: str
    id: str
    name: str = ""
    email: str = ""
    customers: Sequence[str] = ()
    user: tuple[str, str] = ("", "")
    livemode: bool = False

    @property
    def ref(self) -> str:
        """`account:acme`."""
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery. `id` is the same whenever the same is sent again. `at`: when it came about, UTC.

    Of what the outbox tells, `data` is what it says; of a contact (`UPDATED`) it is what changed since the destination
    was last sent it, None for what is gone. `properties`: those chosen, as they are now. `second`: the epoch second
    that is kept for it where a destination tells events apart by their second.
    """

    delivery: int
    id: str
    type: str
    at: datetime
    data: Mapping[str, Any]
    person: Person | None = None
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])
    second: int | None = None

    @property
    def name(self) -> str:
        """What an analytics destination calls it: the name of a billing event or of what an action sends, else the
        type.
        """
        if self.type.startswith("billing_event."):
            return str(self.data.get("name") or self.type)
        if self.type == FIRED:
            return str(self.data.get("event") or self.type)
        return self.type


class Request(NamedTuple):
    """An HTTP request as it is sent. `body`: bytes, empty for none."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Answer(NamedTuple):
    """An HTTP answer; `headers` by names in lower case, `body` as far as it was read."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Exchange(NamedTuple):
    """Requests that are sent one after the other, for these messages; it has succeeded when all have."""

    requests: Sequence[Request]
    messages: Sequence[Message]


Kind = Literal["delivered", "temporary", "limited", "permanent", "refused"]


class Verdict(NamedTuple):
    """What became of a message. `temporary`: try again; `limited`: the destination as a whole wants to be left alone;
    `permanent`: this message will never be taken; `refused`: nothing will be, until a person mends the destination.

    `after`: seconds to wait, where the answer named them.
    """

    kind: Kind
    status: int | None = None
    error: str = ""
    after: float | None = None


DELIVERED = Verdict("delivered")


class Destination(Protocol):
    """A kind of destination that is spoken to over HTTP. `batch`: most messages of one exchange. `properties`: what of
    contacts is kept in sync where nothing was chosen. `events`: what is sent where nothing was chosen.
    """

    @property
    def options(self) -> type[Options]: ...
    @property
    def batch(self) -> int: ...
    @property
    def properties(self) -> tuple[str, ...]: ...
    @property
    def events(self) -> tuple[str, ...]: ...

    def exchanges(self, options: Any, messages: Sequence[Message], as_of: datetime) -> list[Exchange]:
        """The requests for these messages, of which each is in one exchange at most; what has nothing to send is in
        none. Pure.
        """
        ...

    def judged(self, answer: Answer, messages: Sequence[Message], as_of: datetime) -> list[Verdict]:
        """What an answer says of each of the messages."""
        ...


class Writer(Protocol):
    """A kind of destination that does its own input and output, in a thread of its own."""

    @property
    def options(self) -> type[Options]: ...
    @property
    def batch(self) -> int: ...
    @property
    def properties(self) -> tuple[str, ...]: ...
    @property
    def events(self) -> tuple[str, ...]: ...

    def shown(self, options: Any, messages: Sequence[Message], as_of: datetime) -> list[Mapping[str, Any]]:
        """What would be written, by message. Pure."""
        ...

    def write(self, options: Any, messages: Sequence[Message], as_of: datetime) -> list[Verdict]:
        """Writes them, in the order given."""
        ...
