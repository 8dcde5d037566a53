"""HubSpot: properties of contacts and companies, upserted by a property that is your id (developers.hubspot.com, batch
upsert; 100 records a request, 207 where some of them failed).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, cast

import msgspec
from pydantic import field_validator

from tidegate.delivery.judging import judged, said
from tidegate.delivery.messages import UPDATED, Answer, Exchange, Message, Request, Verdict
from tidegate.delivery.options import Options, checked_url
from tidegate.delivery.shapes import flat

OBJECTS = {"user": "contacts", "account": "companies"}


class HubspotOptions(Options):
    """`token`: of a private app, with the scopes to write contacts and companies. `id_property`: the name of a property
    with unique values, of both objects, that holds your id; for contacts it may be `email`.
    """

    secret: ClassVar[frozenset[str]] = frozenset({"token"})

    token: str
    id_property: str = "tidegate_id"
    contact_id_property: str | None = None
    rate: float | None = 10
    url: str = "https://api.hubapi.com"

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        return checked_url(url).rstrip("/")

    def id_of(self, message: Message) -> tuple[str, str]:
        """The property that a record is found by, and its value."""
        person = message.person
        assert person is not None
        name = (self.contact_id_property or self.id_property) if person.kind == "user" else self.id_property
        return name, person.email if name == "email" else person.id


class Hubspot:
    """Up to 100 records of one kind in a request."""

    options = HubspotOptions
    batch = 100
    properties = (
        "name", "mrr", "status", "packages", "renews_at", "customer_since", "churned_at", "stage", "health",
    )  # fmt: skip
    events: tuple[str, ...] = ()

    def exchanges(self, options: HubspotOptions, messages: Sequence[Message], as_of: datetime) -> list[Exchange]:
        """A batch for contacts, one for companies. Of several messages of one record, what the last says of each
        property holds: HubSpot refuses a batch that names a record twice. A user without an e-mail address where that
        is the id is in none.
        """
        by_object: dict[str, list[Message]] = {}
        for one in messages:
            if one.type == UPDATED and one.person is not None and options.id_of(one)[1]:
                by_object.setdefault(OBJECTS[one.person.kind], []).append(one)
        headers = {"content-type": "application/json", "authorization": f"Bearer {options.token}"}
        found: list[Exchange] = []
        for name, some in by_object.items():
            records: dict[str, dict[str, Any]] = {}
            for one in some:
                property_, id_ = options.id_of(one)
                record = records.setdefault(id_, {"id": id_, "idProperty": property_, "properties": {}})
                record["properties"] |= {property_: id_, **flat(options.renamed(one.data), "")}
            url = f"{options.url}/crm/v3/objects/{name}/batch/upsert"
            body = msgspec.json.encode({"inputs": list(records.values())})
            found.append(Exchange([Request("POST", url, headers, body)], some))
        return found

    def judged(self, answer: Answer, messages: Sequence[Message], as_of: datetime) -> list[Verdict]:
        """By the status; of a 207 the errors name the records by id, and one that names none of them is of the whole
        batch.
        """
        if answer.status != 207:
            return [judged(answer, as_of)] * len(messages)
        failed = _failed(answer)
        names = [_names(one) for one in messages]
        if failed is None or not failed.keys() <= {name for those in names for name in those}:
            return [Verdict("permanent", 207, said(answer))] * len(messages)
        errors = [[failed[name] for name in those if name in failed] for those in names]
        return [Verdict("permanent", 207, found[0]) if found else Verdict("delivered", 207) for found in errors]


def _names(message: Message) -> set[str]:
    """By what an answer may name a record: its id, or its e-mail address, of which HubSpot keeps the lower case."""
    person = message.person
    return {person.id, person.email, person.email.lower()} - {""} if person is not None else set()


def _failed(answer: Answer) -> dict[str, str] | None:
    """The message of each record that was refused, by the id it was sent under; None where an error names no record."""
    try:
        told: Any = msgspec.json.decode(answer.body)
        errors = cast("list[dict[str, Any]]", told.get("errors") or [])
    except (msgspec.DecodeError, AttributeError):
        return None
    found: dict[str, str] = {}
    for error in errors:
        context = cast("dict[str, list[str]]", error.get("context") or {})
        ids = context.get("ids") or []
        if not ids:
            return None
        found |= dict.fromkeys(ids, str(error.get("message", "refused"))[:300])
    return found
