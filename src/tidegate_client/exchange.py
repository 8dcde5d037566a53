"""The requests of the hub's HTTP API, and what its answers mean; nothing is sent here."""

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from tidegate_client.answers import Check, Consumed, read_check, read_consumed
from tidegate_client.buffer import Waiting
from tidegate_client.errors import HubRefused
from tidegate_client.memory import Memory

TROUBLE = (httpx.TransportError,)
"""What the transport raises when the hub cannot be reached."""


def options(url: str, token: str, timeout: float) -> dict[str, Any]:
    """Of an httpx client that talks to the hub."""
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "tidegate-client"}
    return {"base_url": url, "headers": headers, "timeout": timeout}


def parameters(connection: str | None) -> Mapping[str, str]:
    """The query that says which mode's contacts are meant."""
    return {"connection": connection} if connection is not None else {}


def check_path(contact: str, feature: str) -> str:
    """Where a check is asked for."""
    return f"/api/contacts/{quote(contact, safe='')}/entitlements/{quote(feature, safe='')}"


def tagged(tag: str | None) -> dict[str, str]:
    """The header that asks whether an answer still holds."""
    return {"If-None-Match": tag} if tag else {}


def new_usage(contact: str, feature: str, amount: int, key: str | None) -> Waiting:
    """Usage to be counted once. Raises ValueError for an amount below 1."""
    if amount < 1:
        raise ValueError(f"the amount is {amount}; it is a whole number from 1 on")
    return Waiting(key or uuid.uuid4().hex, contact, feature, amount)


def consume_body(usage: Waiting) -> dict[str, Any]:
    """The body of a debit."""
    return {"amount": usage.amount, "idempotency_key": usage.key}


def is_trouble(answer: httpx.Response) -> bool:
    """Whether the hub, or what stands before it, could not serve the request just now."""
    return answer.status_code >= 500 or answer.status_code in (408, 429)


def checked(memory: Memory, contact: str, feature: str, answer: httpx.Response, now: float) -> Check:
    """The answer to a check, kept. Raises HubRefused."""
    memory.reached()
    if answer.status_code == 304:
        kept = memory.holds(contact, feature, now)
        return kept if kept is not None else memory.stand_in(contact, feature, now)
    said = _known(answer)
    return memory.put(read_check(contact, feature, said), answer.headers.get("etag", ""), now)


def consumed(memory: Memory, usage: Waiting, answer: httpx.Response) -> Consumed:
    """The answer to a debit. Raises HubRefused."""
    memory.reached()
    memory.age(usage.contact, usage.feature)
    return read_consumed(usage.key, _known(answer))


def kept_for_later(memory: Memory, usage: Waiting, now: float) -> Consumed:
    """The answer to a debit that the hub could not be asked for: allowed when the contact may use the feature as far
    as is known.
    """
    known = memory.stand_in(usage.contact, usage.feature, now)
    return Consumed(known.granted, known.reason, usage.key, stale=True)


def _known(answer: httpx.Response) -> dict[str, Any]:
    """The body of an answer, a refusal with a reason included. Raises HubRefused."""
    try:
        said: Any = answer.json()
    except ValueError as error:
        raise HubRefused(answer.status_code, f"what answers at {answer.url} is no Tidegate hub") from error
    if answer.status_code == 404 and isinstance(said, dict) and "reason" in said:
        return said  # pyright: ignore[reportUnknownVariableType]
    if answer.status_code != 200 or not isinstance(said, dict):
        detail = said.get("detail", "") if isinstance(said, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        raise HubRefused(answer.status_code, str(detail or answer.reason_phrase))  # pyright: ignore[reportUnknownArgumentType]
    return said  # pyright: ignore[reportUnknownVariableType]
