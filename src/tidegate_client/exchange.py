"""The requests of the hub's HTTP API, and what its answers mean; nothing is sent here."""

import logging
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from tidegate_client.answers import LIMIT_REACHED, Check, Consumed, less, read_check, read_consumed, standing
from tidegate_client.buffer import Buffer, Waiting
from tidegate_client.errors import HubRefused
from tidegate_client.memory import Memory

log = logging.getLogger(__name__)

TROUBLE = (httpx.RequestError, TimeoutError)
"""What is raised when the hub cannot be reached."""
UNKNOWN = ("contact_not_found", "feature_not_found")
"""Why a check is answered with 404. Any other 404 means that something else than the hub's API was asked."""
JUDGED = (400, 409, 413, 422)
"""The statuses by which the hub refuses one debit; others (a token, a wrong address) are of all, and are mended."""


def options(url: str, token: str, timeout: float) -> dict[str, Any]:
    """Of an httpx client that talks to the hub."""
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "tidegate-client"}
    return {"base_url": url, "headers": headers, "timeout": timeout}


def parameters(connection: str | None) -> Mapping[str, str]:
    """The query that says which mode's contacts are meant."""
    return {"connection": connection} if connection is not None else {}


def check_path(contact: str, feature: str) -> str:
    """Where a check is asked for."""
    return f"/api/contacts/{_segment(contact)}/entitlements/{_segment(feature)}"


def _segment(text: str) -> str:
    """Text as one segment of a path; `.` and `..` would be taken for steps."""
    return quote(text, safe="").replace(".", "%2E") if text in (".", "..") else quote(text, safe="")


def tagged(tag: str | None) -> dict[str, str]:
    """The header that asks whether an answer still holds."""
    return {"If-None-Match": tag} if tag else {}


def new_usage(contact: str, feature: str, amount: int, key: str | None) -> Waiting:
    """Usage to be counted once. Raises ValueError for an amount below 1."""
    if amount < 1:
        raise ValueError(f"the amount is {amount}; it is a whole number from 1 on")
    return Waiting(key or uuid.uuid4().hex, contact, feature, amount)


def consume_body(usage: Waiting, *, happened: bool = False) -> dict[str, Any]:
    """The body of a debit; of one that `happened` while the hub could not be asked, and is counted whatever is left."""
    return {"amount": usage.amount, "idempotency_key": usage.key, **({"happened": True} if happened else {})}


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


def consumed(memory: Memory, usage: Waiting, answer: httpx.Response, now: float) -> Consumed:
    """The answer to a debit; how the usage stands is kept. Raises HubRefused."""
    memory.reached()
    memory.age(usage.contact, usage.feature, now)
    said = _known(answer)
    if not said.get("repeated"):  # it tells how the usage stood then
        memory.stands(standing(usage.contact, usage.feature, said), now)
    return read_consumed(usage.key, said)


def stand_in(memory: Memory, buffer: Buffer, contact: str, feature: str, now: float) -> Check:
    """What to go by while the hub cannot be reached: as `Memory.stand_in`, less what waits to be counted."""
    return less(memory.stand_in(contact, feature, now), buffer.amount(contact, feature))


def kept_for_later(memory: Memory, buffer: Buffer, usage: Waiting, now: float) -> Consumed:
    """The answer to a debit that the hub could not be asked for: kept when the contact may use the feature as far as is
    known, and as much of it as was left, less what waits already.
    """
    known = memory.stand_in(usage.contact, usage.feature, now)
    if not known.granted:
        return Consumed(False, known.reason, usage.key, known.used, known.remaining, stale=True)
    waiting = buffer.add(usage, known.remaining)
    memory.age(usage.contact, usage.feature, now)
    left = less(known, buffer.amount(usage.contact, usage.feature) if waiting is None else waiting)
    reason = LIMIT_REACHED if waiting is None else known.reason
    return Consumed(waiting is not None, reason, usage.key, left.used, left.remaining, stale=True)


def settle(memory: Memory, buffer: Buffer, usage: Waiting, answer: httpx.Response, now: float) -> None:
    """What becomes of usage that waited: counted and forgotten, or put aside as refused.

    Raises HubRefused for what concerns all usage, such as a wrong token; it then waits on.
    """
    try:
        done = consumed(memory, usage, answer, now)
    except HubRefused as error:
        if error.status not in JUDGED:
            raise
        reason = str(error)
    else:
        if done.allowed:
            return buffer.counted(usage.key)
        if done.raw.get("repeated"):  # refused when it was asked for; its answer was lost, and it happened after all
            return buffer.renew(usage.key)
        reason = done.reason
    log.error("the hub refuses to count %s: %s. It is kept aside, see `refused`.", usage, reason)
    return buffer.refuse(usage, reason)


def say_what_is_left(buffer: Buffer) -> None:
    """Logs what is not counted when a client ends."""
    fate = "they stay in its file" if buffer.lasting else "they are lost, since there is no `usage_path`"
    if left := len(buffer):
        log.warning("%d debits are not counted yet; %s", left, fate)
    if refused := len(buffer.refused()):
        log.error("%d debits were refused by the hub; %s", refused, fate)


def _known(answer: httpx.Response) -> dict[str, Any]:
    """The body of an answer, a refusal with a reason included. Raises HubRefused."""
    try:
        said: Any = answer.json()
    except ValueError as error:
        raise HubRefused(answer.status_code, f"what answers at {answer.url} is no Tidegate hub") from error
    if answer.status_code == 404 and isinstance(said, dict) and said.get("reason") in UNKNOWN:  # pyright: ignore[reportUnknownMemberType]
        return said  # pyright: ignore[reportUnknownVariableType]
    if answer.status_code != 200 or not isinstance(said, dict):
        detail = said.get("detail", "") if isinstance(said, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        raise HubRefused(answer.status_code, str(detail or answer.reason_phrase))  # pyright: ignore[reportUnknownArgumentType]
    return said  # pyright: ignore[reportUnknownVariableType]
