"""What templates of actions see of a contact and of what happened; and whether a template can be filled with it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, cast

from tidegate import money
from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.delivery import templates
from tidegate.delivery.shapes import instant, plain
from tidegate.errors import DestinationInvalid
from tidegate.lifecycle.actions.spec import KINDS, Trigger

_CONTACT = ("kind", "id", "name", "email", "owner")
_SAMPLES: Mapping[str, Any] = {
    "number": 42,
    "text": "something",
    "instant": "2026-05-03T12:00:00Z",
    "flag": True,
    "list": ["one", "other"],
    "any": "anything",
}
ANYTHING = ("contact.properties", "trigger.before", "trigger.now")
"""What may hold anything: nobody can say what is in it."""


def values(
    contact: Mapping[str, Any], facts: Mapping[str, Any], what: Mapping[str, Any], reasons: Sequence[str], **said: str
) -> dict[str, Any]:
    """What a template sees. `contact`: {kind, id, name, email, owner, properties}; `facts`: by the names of fields;
    `what`: what the trigger says. `said`: `action`, its key, and `name`; `kind` of the trigger, and `at`.
    """
    nested: dict[str, Any] = {}
    for name, value in facts.items():
        into = nested
        *path, last = name.split(".")
        for part in path:
            into = into.setdefault(part, {})
        into[last] = shown(value)
    trigger: dict[str, Any] = dict(what) | {"kind": said["kind"], "at": said["at"]}
    if isinstance(trigger.get("amount"), int) and trigger.get("currency"):
        trigger["amount"] = str(money.decimal(trigger["amount"], str(trigger["currency"])))
    return {
        "contact": dict(contact),
        "facts": nested,
        "trigger": trigger,
        "reasons": list(reasons),
        "reason": "; ".join(reasons),
        "action": {"key": said["action"], "name": said["name"]},
    }


def shown(value: Any) -> Any:
    """A fact as a template shows it: times as text, numbers with two decimals at most."""
    if isinstance(value, datetime):
        return instant(value.astimezone(UTC).replace(microsecond=0))
    if isinstance(value, Decimal):
        return plain(round(value, 2))
    return value


def sample(on: Trigger) -> dict[str, Any]:
    """Values of nobody, with everything that there can be."""
    contact: dict[str, Any] = {**dict.fromkeys(_CONTACT, "something"), "properties": {}}
    facts = {name: field.values[0] if field.values and field.kind == "text" else _SAMPLES[field.kind]
             for name, field in CONTACT_FIELDS.known.items()}  # fmt: skip
    says = KINDS[on.kind].says
    return values(
        contact, facts, says, ["a reason"], action="key", name="Name", kind=on.kind, at="2026-05-03T12:00:00Z"
    )


def wrong(name: str, template: str, on: Trigger) -> list[str]:
    """What is wrong with a template: it cannot be read, names what there is not, or cannot be filled."""
    try:
        templates.check(name, template)
    except ValueError as error:
        return [str(error)]
    known = sample(on)
    found = [problem for path in templates.paths(template) if (problem := _unknown(path, known))]
    if found:
        return found
    try:
        templates.rendered(name, template, known)
    except DestinationInvalid as error:
        return [str(error.facts["problem"])]
    return []


def _unknown(path: Sequence[str], known: Mapping[str, Any]) -> str:
    """Why a path leads nowhere; empty: it leads somewhere."""
    at: Any = known
    for place, part in enumerate(path):
        before = ".".join(path[:place])
        if before in ANYTHING or not isinstance(at, Mapping):
            return ""
        there = cast("Mapping[str, Any]", at)
        if part not in there:
            near = get_close_matches(part, there, 1, 0.5)
            perhaps = f", perhaps {'.'.join((*path[:place], near[0]))}" if near else ""
            inside = f"{before} has" if before else "there are"
            return f"there is no {'.'.join(path)}{perhaps}; {inside}: {', '.join(there)}"
        at = there[part]
    return ""
