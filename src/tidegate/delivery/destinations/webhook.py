"""Signed webhooks: each event as JSON to a URL of yours, in the way of standardwebhooks.com."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from pydantic import Field, field_validator

from tidegate.delivery.judging import judged
from tidegate.delivery.messages import UPDATED, Answer, Exchange, Message, Request, Verdict
from tidegate.delivery.options import HttpOptions
from tidegate.delivery.shapes import instant
from tidegate.delivery.signing import key_of, signed


class WebhookOptions(HttpOptions):
    """`secrets`: one `whsec_…` or, while one takes the place of another, several: each signs. `headers`: more."""

    secret: ClassVar[frozenset[str]] = frozenset({"secrets", "headers"})

    secrets: tuple[str, ...] = Field(min_length=1)
    headers: Mapping[str, str] = Field(default_factory=dict[str, str])

    @field_validator("secrets", mode="before")
    @classmethod
    def _listed(cls, said: Any) -> Any:
        return tuple(said.split()) if isinstance(said, str) else said

    @field_validator("secrets")
    @classmethod
    def _keys(cls, secrets: tuple[str, ...]) -> tuple[str, ...]:
        for one in secrets:
            key_of(one)
        return secrets


class Webhook:
    """One request for each message."""

    options = WebhookOptions
    batch = 1
    properties: tuple[str, ...] = ()
    events = ("*",)

    def exchanges(self, options: WebhookOptions, messages: Sequence[Message], as_of: datetime) -> list[Exchange]:
        """A POST for each; its time is that of sending, which receivers compare with their clock."""
        return [Exchange([_request(options, one, as_of)], [one]) for one in messages]

    def judged(self, answer: Answer, messages: Sequence[Message], as_of: datetime) -> list[Verdict]:
        """By the status."""
        return [judged(answer, as_of)] * len(messages)


def _request(options: WebhookOptions, message: Message, as_of: datetime) -> Request:
    body = msgspec.json.encode(payload(options, message))
    headers = {"content-type": "application/json", **options.headers}
    headers |= signed(options.secrets, message.id, int(as_of.timestamp()), body)
    return Request("POST", options.url, headers, body)


def payload(options: WebhookOptions, message: Message) -> dict[str, Any]:
    """`type`, `timestamp` and `data` (the specification, Payload structure). `data.contact` is who it is about;
    `data.changed`, of a contact, what is another than it was told last.
    """
    data: dict[str, Any] = {}
    if message.person is not None:
        data["contact"] = message.person.ref
    if message.type == UPDATED:
        data["changed"] = options.renamed(message.data)
        data["properties"] = options.renamed(message.properties)
    else:
        data |= message.data
        if message.properties:
            data["properties"] = options.renamed(message.properties)
    return {"type": options.called(message.type), "timestamp": instant(message.at), "data": data}
