"""Any HTTP API that makes or changes a record: its URL, method and body are templates over a contact.

Recipes for Vitally and Salesforce are in docs/howto/send-events-on.md.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

import msgspec
from pydantic import Field, field_validator, model_validator

from tidegate.delivery.judging import judged
from tidegate.delivery.messages import UPDATED, Answer, Exchange, Message, Request, Verdict
from tidegate.delivery.options import HttpOptions
from tidegate.delivery.shapes import plain
from tidegate.delivery.templates import check, rendered


class HttpUpsertOptions(HttpOptions):
    """`url` and `body` are Liquid templates over `contact` (kind, id, name, email), `properties` (those chosen, as
    they are) and `changed` (what is another than it was sent last). Without a body it is the properties as JSON, with
    your id as `key`. In the URL `{{ contact.id | url_encode }}` is the contact's id.
    """

    secret: ClassVar[frozenset[str]] = frozenset({"headers"})

    method: Literal["POST", "PUT", "PATCH"] = "POST"
    key: str = "id"
    body: str = ""
    headers: Mapping[str, str] = Field(default_factory=dict[str, str])
    kinds: tuple[Literal["user", "account"], ...] = ("user", "account")

    @field_validator("kinds", mode="before")
    @classmethod
    def _each(cls, said: Any) -> Any:
        return (said,) if isinstance(said, str) else said

    @model_validator(mode="after")
    def _templates(self) -> "HttpUpsertOptions":
        for name, template in (("url", self.url), ("body", self.body)):
            check(name, template)
        return self


class HttpUpsert:
    """One request for each contact that changed."""

    options = HttpUpsertOptions
    batch = 1
    properties = (
        "name", "email", "mrr", "status", "packages", "renews_at", "customer_since", "churned_at", "stage", "health",
    )  # fmt: skip
    events: tuple[str, ...] = ()

    def exchanges(self, options: HttpUpsertOptions, messages: Sequence[Message], as_of: datetime) -> list[Exchange]:
        """Of contacts of the kinds that are wanted. Raises DestinationInvalid for a template that cannot be filled."""
        wanted = [one for one in messages if one.type == UPDATED and one.person and one.person.kind in options.kinds]
        return [Exchange([_request(options, one)], [one]) for one in wanted]

    def judged(self, answer: Answer, messages: Sequence[Message], as_of: datetime) -> list[Verdict]:
        """By the status. 300 is of this record alone: several have the key (Salesforce, upsert by external id)."""
        if answer.status == 300:
            return [Verdict("permanent", 300, "several records there have this key")] * len(messages)
        return [judged(answer, as_of)] * len(messages)


def _request(options: HttpUpsertOptions, message: Message) -> Request:
    person = message.person
    assert person is not None
    properties = {name: plain(value) for name, value in options.renamed(message.properties).items()}
    values = {
        "contact": {"kind": person.kind, "id": person.id, "name": person.name, "email": person.email},
        "properties": properties,
        "changed": {name: plain(value) for name, value in options.renamed(message.data).items()},
    }
    if options.body:
        body = rendered("body", options.body, values).encode()
    else:
        body = msgspec.json.encode({options.key: person.id, **properties})
    headers = {"content-type": "application/json", "idempotency-key": message.id, **options.headers}
    return Request(options.method, rendered("url", options.url, values), headers, body)
