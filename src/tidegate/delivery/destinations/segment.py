"""Segment: track, identify and group calls by its HTTP API's batch endpoint (segment.com/docs, HTTP API source).

Events are of a user there, and an account is a group: what is told of an account is its billing user's, with the
account as `groupId`.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from pydantic import field_validator

from tidegate.delivery.judging import judged
from tidegate.delivery.messages import UPDATED, Answer, Exchange, Message, Request, Verdict
from tidegate.delivery.options import Options, checked_url
from tidegate.delivery.shapes import instant, plain

LARGEST = 500_000
"""Bytes of a batch, of which each call has at most 32 KB."""
LARGEST_CALL = 32_000


class SegmentOptions(Options):
    """`write_key`: the source's. `url`: of another region, such as https://eu1.api.segmentapis.com/v1/batch."""

    secret: ClassVar[frozenset[str]] = frozenset({"write_key"})

    write_key: str
    url: str = "https://api.segment.io/v1/batch"

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        return checked_url(url)


class Segment:
    """Up to 100 calls in a request."""

    options = SegmentOptions
    batch = 100
    properties = (
        "name", "email", "mrr", "status", "packages", "renews_at", "customer_since", "churned_at", "stage", "health",
    )  # fmt: skip
    events = ("billing_event.*",)

    def exchanges(self, options: SegmentOptions, messages: Sequence[Message], as_of: datetime) -> list[Exchange]:
        """Batches of no more than what is allowed, in the order given."""
        basic = base64.b64encode(f"{options.write_key}:".encode()).decode()
        headers = {"content-type": "application/json", "authorization": f"Basic {basic}"}
        found: list[Exchange] = []
        for some in _fitting([(one, msgspec.json.encode(call(options, one))) for one in messages]):
            calls = b",".join(encoded for _, encoded in some)
            body = b'{"batch":[' + calls + b'],"sentAt":"' + instant(as_of).encode() + b'"}'
            found.append(Exchange([Request("POST", options.url, headers, body)], [one for one, _ in some]))
        return found

    def judged(self, answer: Answer, messages: Sequence[Message], as_of: datetime) -> list[Verdict]:
        """By the status: 400 for what is too large or no JSON."""
        return [judged(answer, as_of)] * len(messages)


def call(options: SegmentOptions, message: Message) -> dict[str, Any]:
    """One call. `messageId` is what Segment tells a repeated one by."""
    person = message.person
    said: dict[str, Any] = {"messageId": message.id, "timestamp": instant(message.at)}
    user = _user(message)
    group = person.id if person is not None and person.kind == "account" else None
    if message.type == UPDATED:
        assert person is not None
        traits = {name: plain(value) for name, value in options.renamed(message.data).items()}
        if group is not None:
            return said | {"type": "group", "groupId": group, "userId": user, "traits": traits}
        return said | {"type": "identify", "userId": user, "traits": traits}
    properties: Mapping[str, Any] = message.data
    if message.type.startswith("billing_event."):
        properties = message.data.get("data", {}).get("properties") or {}
        if message.data.get("currency"):
            properties = {**properties, "currency": str(message.data["currency"]).upper()}
    said |= {"type": "track", "userId": user, "event": options.called(message.name)}
    said["properties"] = {n: plain(v) for n, v in options.renamed({**properties, **message.properties}).items()}
    return said | ({"context": {"groupId": group}} if group is not None else {})


def _user(message: Message) -> str:
    """The billing user of an account, by id, else by e-mail; a user itself; else who a billing event says."""
    person = message.person
    if person is None:
        return str(message.data.get("identity") or message.data.get("customer") or "tidegate")
    if person.kind == "user":
        return person.id
    return person.user[0] or person.user[1] or person.email or person.id


def _fitting(calls: Sequence[tuple[Message, bytes]]) -> list[list[tuple[Message, bytes]]]:
    batches: list[list[tuple[Message, bytes]]] = []
    size = 0
    for one in calls:
        length = len(one[1]) + 1
        alone = length > LARGEST_CALL  # it is refused, and the others are not with it
        if not batches or size + length > LARGEST - 100 or alone:
            batches.append([])
            size = 0
        batches[-1].append(one)
        size = LARGEST if alone else size + length
    return batches
