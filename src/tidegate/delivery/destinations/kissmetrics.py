"""KISSmetrics: events, properties and aliases as its API takes them (support.kissmetrics.io, API Specifications).

There an event counts once for each person, name and second ("Detecting duplicates"), so one of the same second is dated
a second later; which one it is stays with it, so that sending it again is no other event.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from pydantic import field_validator

from tidegate.delivery.judging import judged
from tidegate.delivery.messages import UPDATED, Answer, Exchange, Message, Person, Request, Verdict
from tidegate.delivery.options import Options, checked_url
from tidegate.delivery.shapes import flat

LONGEST = 255
"""Characters of a person and of a name."""


class KissmetricsOptions(Options):
    """`api_key`: the product's. `alias`: says once of a contact that its id and its e-mail address are the same person,
    which cannot be undone there; only where the address is the contact's by a link that is certain.
    """

    secret: ClassVar[frozenset[str]] = frozenset({"api_key"})

    api_key: str
    alias: bool = True
    url: str = "https://trk.kissmetrics.io"

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        return checked_url(url).rstrip("/")


class Kissmetrics:
    """One request for each event, one for the properties of a contact, one for an alias."""

    options = KissmetricsOptions
    batch = 1
    properties = (
        "name", "mrr", "status", "packages", "renews_at", "customer_since", "churned_at", "stage", "health",
    )  # fmt: skip
    events = ("billing_event.*",)

    def exchanges(self, options: KissmetricsOptions, messages: Sequence[Message], as_of: datetime) -> list[Exchange]:
        """`/e` for an event, `/s` for properties, dated by themselves (`_t` with `_d=1`)."""
        found: list[Exchange] = []
        for one in messages:
            requests = _contact(options, one) if one.type == UPDATED else [_event(options, one)]
            found.append(Exchange(requests, [one]))
        return found

    def judged(self, answer: Answer, messages: Sequence[Message], as_of: datetime) -> list[Verdict]:
        """By the status; it says 200 even to what it cannot use."""
        return [judged(answer, as_of)] * len(messages)

    def second_of(self, options: KissmetricsOptions, message: Message) -> tuple[str, int] | None:
        """What may stand once in a second, as a hash, and the second of the message; None: nothing of the sort."""
        if message.type == UPDATED:
            return None
        said = f"{_who(message)}\0{_name(options.called(message.name))}"
        return hashlib.sha256(said.encode()).hexdigest()[:32], int(message.at.timestamp())


def _event(options: KissmetricsOptions, message: Message) -> Request:
    properties: Mapping[str, Any] = message.data.get("data", {}).get("properties") or {}
    if not message.type.startswith("billing_event."):
        properties = message.data
    said = flat(options.renamed({**properties, **message.properties}), "")
    at = message.second if message.second is not None else int(message.at.timestamp())
    return _get(options, "e", {"_p": _who(message), "_n": _name(options.called(message.name)), "_t": at, "_d": 1}, said)


def _contact(options: KissmetricsOptions, message: Message) -> list[Request]:
    assert message.person is not None
    who = _name(message.person.id)
    said = flat(options.renamed(message.data), "")
    said.pop("alias", None)
    at = int(message.at.timestamp())
    requests = [_get(options, "s", {"_p": who, "_t": at, "_d": 1}, said)] if said else []
    alias = message.data.get("alias")
    if options.alias and alias and _name(str(alias)) != who:
        requests.insert(0, _get(options, "a", {"_p": who, "_n": _name(str(alias))}, {}))
    return requests


def _who(message: Message) -> str:
    """Whom an event is of: who a billing event says, else the contact by its id."""
    said = message.data.get("identity") if message.type.startswith("billing_event.") else None
    person: Person | None = message.person
    return _name(str(said or (person.id if person else message.data.get("customer") or "tidegate")))


def _name(said: str) -> str:
    """A person or a name: commas and colons become spaces there, so they do here, and equal ones are equal."""
    return said.replace(",", " ").replace(":", " ")[:LONGEST]


def _get(options: KissmetricsOptions, path: str, first: Mapping[str, Any], then: Mapping[str, Any]) -> Request:
    query = urlencode({"_k": options.api_key, **first, **{k: v for k, v in then.items() if k}}, quote_via=quote)
    return Request("GET", f"{options.url}/{path}?{query}")
