"""What an answer that is no success means: whether to try again, when, and which error it ends as."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from tidegate.errors import (
    StripeAccessRevoked,
    StripeCursorGone,
    StripeEndpointMissing,
    StripeKeyInvalid,
    StripeObjectMissing,
    StripePermissionMissing,
    StripeRateLimited,
    StripeRefused,
)

FIRST_PAUSE = 0.5
"""Seconds: the first retry waits a random part of this, each later one of twice as much."""
LONGEST_PAUSE = 8.0
"""Seconds; only Retry-After asks for more."""
MESSAGE_LENGTH = 500
"""Characters of Stripe's message (or of an answer that is none of Stripe's) that an error repeats."""

SECRET = re.compile(r"\b((?:sk|rk|pk|whsec)_(?:live_|test_)?)[A-Za-z0-9*+/=-]{4,}")


def without_secrets(text: str) -> str:
    """The text with keys and webhook secrets cut down to their kind (`sk_live_…`), to be shown in an error or a log."""
    return SECRET.sub(r"\1…", text)


class Details(msgspec.Struct):
    """The `error` object of an answer (docs.stripe.com/api/errors), as far as a decision needs it."""

    type: str = ""
    code: str = ""
    param: str = ""
    message: str = ""


class _Envelope(msgspec.Struct):
    error: Details


class _OfOAuth(msgspec.Struct):
    """An error as the endpoints of OAuth word it (RFC 6749, 5.2)."""

    error: str
    error_description: str = ""


_decode = msgspec.json.Decoder(_Envelope).decode
_decode_of_oauth = msgspec.json.Decoder(_OfOAuth).decode


def _details(body: bytes) -> Details:
    """Raises msgspec.DecodeError for what is neither Stripe's error nor OAuth's."""
    try:
        return _decode(body).error
    except msgspec.ValidationError:
        told = _decode_of_oauth(body)
        return Details(code=told.error, message=told.error_description)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer whose status is no 2xx. `retry_after`: seconds. `advice`: Stripe-Should-Retry, None when absent."""

    status: int
    details: Details
    request_id: str
    retry_after: float | None
    reason: str | None
    advice: bool | None


def refusal(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Refusal:
    """Read an answer that is no success; `headers` are looked up case-insensitively by their owner, `now` is UTC."""
    try:
        details = _details(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body[: 4 * MESSAGE_LENGTH].decode("utf-8", "replace")
        details = Details(message=" ".join(text.split()) or "the answer was empty.")
    return Refusal(
        status,
        msgspec.structs.replace(details, message=without_secrets(details.message)[:MESSAGE_LENGTH]),
        headers.get("Request-Id") or "none",
        _seconds(headers.get("Retry-After"), now),
        # A 429 for the lock on one object carries no reason and says nothing about the rate.
        headers.get("Stripe-Rate-Limited-Reason") or ("resource-specific" if details.code == "lock_timeout" else None),
        {"true": True, "false": False}.get((headers.get("Stripe-Should-Retry") or "").lower()),
    )


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        return _seconds_until(retry_after, now)


def _seconds_until(date: str, now: datetime) -> float | None:
    """The header's other form: a date."""
    try:
        until = parsedate_to_datetime(date)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def is_temporary(answer: Refusal) -> bool:
    """Whether the same request may succeed later: Stripe's own advice, else 409, 429 and 5xx.

    A plain 429 is always tried again: the advice on it is about clients that keep no budget.
    """
    if answer.status == 429:
        return True
    if answer.advice is not None:
        return answer.advice
    return answer.status == 409 or answer.status >= 500


def pause_before(retry: int, retry_after: float | None, chance: float) -> float:
    """Seconds to wait before the `retry`-th retry (from 1): exponential with full jitter, never less than Retry-After.

    `chance` is a random number in [0, 1).
    """
    return (retry_after or 0.0) + chance * min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (retry - 1))


def error_of(answer: Refusal, endpoint: str, tries: int) -> StripeRefused:
    """The error that an answer ends as; `endpoint` is the method and path, `tries` how often it was asked."""
    return _kind(answer)(
        endpoint=endpoint,
        status=answer.status,
        code=answer.details.code or answer.details.type or "no code",
        param=answer.details.param,
        message=answer.details.message,
        request_id=answer.request_id,
        tries=tries,
    )


def _kind(answer: Refusal) -> type[StripeRefused]:
    missing = answer.details.code == "resource_missing"
    match answer.status:
        case 401:
            return StripeKeyInvalid
        case 403 if answer.details.code == "account_invalid":  # Connect: no access to the account, or no longer
            return StripeAccessRevoked
        case 403:
            return StripePermissionMissing
        case 429:
            return StripeRateLimited
        case 400 | 404 if missing and answer.details.param in {"starting_after", "ending_before"}:
            return StripeCursorGone
        case 404 if missing:
            return StripeObjectMissing
        case 404:  # a proxy's page, a wrong address, a path this server lacks: it says nothing about any object
            return StripeEndpointMissing
        case _:
            return StripeRefused
