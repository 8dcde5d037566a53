"""What the sandbox's API answers: a status and a body, or one of Stripe's errors."""

from dataclasses import dataclass, field
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; `query` keeps order and repetitions, header names are lower case."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[bytes, bytes]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response; `headers` are those beside the usual ones."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass
class Refusal(Exception):
    """An error as Stripe words it (docs.stripe.com/api/errors)."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    type: str = "invalid_request_error"
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())
    decline_code: str | None = None

    def answer(self) -> Answer:
        """The error as a response."""
        error: dict[str, Any] = {"message": self.message, "type": self.type}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        if self.decline_code:
            error["decline_code"] = self.decline_code
        if self.param:
            error["param"] = self.param
        return Answer(self.status, msgspec.json.encode({"error": error}), self.headers)


def missing(kind: str, identifier: str, *, param: str = "id", status: int = 404) -> Refusal:
    """No such object. `kind` is the object's name, for example payment_method."""
    return Refusal(status, f"No such {kind.replace('.', ' ')}: '{identifier}'", "resource_missing", param)


def unknown_parameter(name: str) -> Refusal:
    """A parameter that the endpoint does not take."""
    return Refusal(400, f"Received unknown parameter: {name}", "parameter_unknown", name)


def as_json(value: Any) -> Answer:
    """A 200 with a JSON body."""
    return Answer(200, msgspec.json.encode(value))
