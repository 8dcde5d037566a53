"""Apprise: Slack, PagerDuty, SMS, e-mail and a hundred others, each by its URL (github.com/caronc/apprise)."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# apprise leaves its functions without types.

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from pydantic import field_validator, model_validator

from tidegate.delivery import addresses, guarding
from tidegate.delivery.messages import DELIVERED, FIRED, UPDATED, Message, Verdict
from tidegate.delivery.options import Options
from tidegate.delivery.shapes import flat, instant
from tidegate.delivery.templates import check, rendered
from tidegate.errors import DestinationInvalid


class AppriseOptions(Options):
    """`url`: such as `slack://…` or `mailto://user:password@example.com`, which holds a secret nearly always, so it is
    kept as one. `title` and `body` are Liquid templates over `event` (type, name, at), `contact`, `data` and
    `properties`; what an action sends brings its own text, and a title where it says one.
    """

    secret: ClassVar[frozenset[str]] = frozenset({"url"})

    url: str
    title: str = (
        "{{ data.title | default: event.name }}{% if contact.id %}: {{ contact.name | default: contact.id }}{% endif %}"
    )
    body: str = (
        "{% if data.text %}{{ data.text }}{% else %}"
        "{% for one in lines %}{{ one[0] }}: {{ one[1] }}\n{% endfor %}{% endif %}"
    )
    in_flight: int = 2

    @field_validator("url")
    @classmethod
    def _known(cls, url: str) -> str:
        if "://" not in url:
            raise ValueError("an Apprise URL begins with its service, such as slack:// or mailto://")
        return url

    @model_validator(mode="after")
    def _templates(self) -> "AppriseOptions":
        check("title", self.title)
        check("body", self.body)
        return self


class Apprise:
    """One notification for each message. Apprise connects by itself: every host that the URL names is looked at
    beforehand, every address as it is connected to (`guarding`), and no redirect is followed.
    """

    options = AppriseOptions
    batch = 1
    properties: tuple[str, ...] = ()
    events = ("sync.failed",)

    def shown(self, options: AppriseOptions, messages: Sequence[Message], as_of: datetime) -> list[Mapping[str, Any]]:
        """Title and body of each."""
        return [dict(zip(("title", "body"), _text(options, one), strict=True)) for one in messages]

    def write(self, options: AppriseOptions, messages: Sequence[Message], as_of: datetime) -> list[Verdict]:
        """Notifies. Apprise tells whether a service took it, not why it did not; what it logged then is the reason."""
        try:
            notifier = _notifier(options)
        except OSError as error:
            return [Verdict("temporary", None, f"its host is not found: {error.strerror or error}")] * len(messages)
        if options.allow_private:
            return [_notified(notifier, *_text(options, one)) for one in messages]
        with guarding.public_only("What Apprise connects to") as refused:
            verdicts = [_notified(notifier, *_text(options, one)) for one in messages]
        if refused and any(one.kind != "delivered" for one in verdicts):
            raise refused[0]
        return verdicts


def _notifier(options: AppriseOptions) -> Any:
    """Raises DestinationInvalid for a URL that Apprise does not know, and AddressRefused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what its services import
        import apprise  # a quarter of a second, and one more when a first URL is looked at

        found = apprise.Apprise()
        known = found.add(options.url)
    if not known:
        service = options.url.partition("://")[0]
        raise DestinationInvalid(problem=f"Apprise does not understand its URL; see its page for {service}://")
    for one in found:
        one.redirects = False
        for host in () if options.allow_private else _hosts(one):
            addresses.checked(host, 0)
    return found


def _hosts(service: Any) -> Iterator[str]:
    """Where a service of Apprise's connects to, by what its URL says: its host, a server for mail, and the like."""
    for name, said in vars(service).items():
        if (name == "host" or name.endswith("_host")) and isinstance(said, str) and said:
            host = (said.partition("://")[2] or said).partition("/")[0]
            if host.startswith("["):
                yield host[1:].partition("]")[0]
            else:  # what has several colons is an address of IPv6
                yield host.partition(":")[0] if host.count(":") == 1 else host


def _notified(notifier: Any, title: str, body: str) -> Verdict:
    import apprise

    capture: Any = apprise.LogCapture(level=logging.WARNING)
    with capture as said:
        done = notifier.notify(title=title, body=body or title)
        if done:
            return DELIVERED
        lines = [line.strip() for line in said.getvalue().splitlines() if line.strip()]
    return Verdict("temporary", None, (lines[-1] if lines else "the service did not take it")[:300])


def _text(options: AppriseOptions, message: Message) -> tuple[str, str]:
    person = message.person
    of = {"kind": person.kind, "id": person.id, "name": person.name, "email": person.email} if person else {}
    data: Mapping[str, Any] = message.data
    if message.type.startswith("billing_event."):
        data = message.data.get("data", {}).get("properties") or {}
    values: dict[str, Any] = {
        "event": {"type": message.type, "name": options.called(message.name), "at": instant(message.at)},
        "contact": of,
        "data": message.data,
        "properties": message.properties,
        "lines": list(flat(options.renamed(data if message.type != UPDATED else message.data), "").items()),
    }
    if message.type == FIRED and message.data.get("text"):
        title = str(message.data.get("title") or rendered("title", options.title, values))
        return " ".join(title.split()), str(message.data["text"]).strip()
    title, body = rendered("title", options.title, values), rendered("body", options.body, values)
    return " ".join(title.split()), body.strip()
