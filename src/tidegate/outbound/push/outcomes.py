"""What came of a request: done, refused, not sent at all, or nobody knows. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from tidegate.errors import ENDS_THE_WORK, StripeRateLimited, StripeRefused, TidegateError
from tidegate.outbound.push.redaction import redacted, redacted_text
from tidegate.outbound.push.requests import Request
from tidegate.outbound.stored_json import stored
from tidegate.stripe_api.shapes import loose

State = Literal["done", "refused", "unknown", "unsent"]
BEFORE_THE_WORK = frozenset({401, 403, 429})
"""Statuses with which Stripe turns a request away before it looks whether its idempotency key was used: they say
nothing about an earlier try of it (docs.stripe.com/api/idempotent_requests).
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request. `status`: of the answer, None where none came; `response`: its body, redacted.

    `refused`: Stripe said no for good. `unknown`: it may have been done. `unsent`: it was not, and is as if it had
    never been meant: its idempotency key stands for nothing.
    """

    state: State
    status: int | None = None
    request_id: str = ""
    response: str | None = None
    error: str = ""
    object_id: str | None = None
    sent_at: datetime | None = None
    answered_at: datetime | None = None


def body_of(answer: bytes) -> dict[str, Any]:
    """The object of an answer, also of one with text that no JSON should have."""
    try:
        return msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        mended = loose.mended(answer)
        return msgspec.json.decode(mended) if mended is not None else loose.members(answer)


def id_told(body: Mapping[str, Any]) -> str | None:
    """What the object of an answer is known by: its id, or a meter event's identifier."""
    return body.get("id") or body.get("identifier")


def succeeded(answer: bytes, request_id: str, begun: datetime, ended: datetime) -> Outcome:
    """The outcome of an answer."""
    body = body_of(answer)
    said = stored(redacted(body))
    return Outcome("done", 200, request_id, said, "", id_told(body), begun, ended)


def failed(error: TidegateError, request: Request, begun: datetime, ended: datetime) -> Outcome:
    """The outcome of an error; its text without what of the request is personal."""
    status = int(error.facts.get("status") or 0)
    request_id = str(error.facts.get("request_id") or "")
    said = redacted_text(str(error), request.params, request.path.split("/")[2])
    return Outcome(_state(error, status), status or None, request_id, None, said, None, begun, ended)


def _state(error: TidegateError, status: int) -> State:
    answered = isinstance(error, StripeRefused)
    if answered and status < 500 and status != 409 and status not in BEFORE_THE_WORK:
        return "refused"
    if error.facts.get("maybe_done", True):
        return "unknown"
    if isinstance(error, ENDS_THE_WORK) or is_storm(error):
        return "unsent"
    return "refused" if answered else "unknown"


def is_storm(error: TidegateError) -> bool:
    """Whether Stripe takes no more requests now; the lock on one object says nothing about others."""
    return isinstance(error, StripeRateLimited) and error.facts.get("code") != "lock_timeout"


def is_missing(facts: Mapping[str, Any]) -> bool:
    """Whether an error says that there is no such object (docs.stripe.com/error-codes)."""
    return facts.get("code") == "resource_missing"
