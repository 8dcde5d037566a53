"""Every type of event that the outbox tells, and what its data says (pure): the reference is made of this."""

from typing import NamedTuple

from tidegate.delivery.outbox import EventType


class EventTypeDoc(NamedTuple):
    """`when` one is told; `data`: the names in its data, each with what it holds."""

    when: str
    data: dict[str, str]


_LINKED = {"customer": "Stripe's id", "method": "what linked it: `manual`, `billing_id` or a rule of matching"}
_ALERT = {
    "alert": "its number",
    "rule": "its key",
    "title": "in words",
    "reasons": "what made it hold, a text each",
    "text": "the reasons, a line each",
}
_GIVEN = "what is granted of it: limit, period, source; null: nothing"
_RUN = {"sync": "its key", "run": "its number", "state": "how it ended", "sent": "rows", "failed": "rows"}

EVENT_TYPES: dict[EventType, EventTypeDoc] = {
    "contact.created": EventTypeDoc(
        "a contact came to be: of a list of yours, or of a customer where matching may make contacts",
        {"kind": "`user` or `account`", "external_id": "your id", "customer": "Stripe's id, if it was made of one"},
    ),
    "contact.linked": EventTypeDoc(
        "a Stripe customer became a contact's", _LINKED | {"evidence": "what speaks for it, by name"}
    ),
    "contact.unlinked": EventTypeDoc(
        "a Stripe customer is a contact's no more",
        {"customer": "Stripe's id", "by": "who did it; or `method`: the rule"},
    ),
    "contact.merged": EventTypeDoc(
        "two contacts became one", {"into": "the one that stays, as kind:id", "from": "the one that went, as kind:id"}
    ),
    "contact.unmerged": EventTypeDoc(
        "a merge was taken back", {"from": "the one that stayed, as kind:id", "contact": "the one that is back"}
    ),
    "contact.renamed": EventTypeDoc(
        "a contact has another id of yours", {"from": "kind:id before", "to": "kind:id now"}
    ),
    "contact.forgotten": EventTypeDoc(
        "a person was forgotten: erase what you hold of them", {"kind": "`user` or `account`", "external_id": "your id"}
    ),
    "entitlement.granted": EventTypeDoc(
        "a contact may use a feature that it might not", {"feature": "its key", "before": "null", "now": _GIVEN}
    ),
    "entitlement.changed": EventTypeDoc(
        "a contact may use another amount of a feature, or by another right",
        {"feature": "its key", "before": _GIVEN, "now": _GIVEN},
    ),
    "entitlement.revoked": EventTypeDoc(
        "a contact may use a feature no more", {"feature": "its key", "before": _GIVEN, "now": "null"}
    ),
    "mapping.unmapped": EventTypeDoc(
        "something is subscribed to whose price is mapped to no package",
        {"price": "Stripe's id", "product": "Stripe's id"},
    ),
    "billing_event.recorded": EventTypeDoc(
        "money moved, or a subscription did: one billing event",
        {
            "id": "stable: the same event has it whenever it is derived",
            "name": "one of the names below",
            "at": "its date, UTC",
            "customer": "Stripe's id",
            "identity": "whose it is to you",
            "subscription": "Stripe's id, or null",
            "invoice": "Stripe's id, or null",
            "currency": "lower case",
            "amount": "minor units, or null",
            "reverses": "the id of the event that this one takes back, or null",
            "data": "amounts in minor units and ids; `properties`: as analytics tools take them",
        },
    ),
    "stage.changed": EventTypeDoc(
        "a contact came to another stage",
        {"before": "the stage's key; empty: it had none", "now": "the stage's key", "reasons": "what made it hold"},
    ),
    "segment.entered": EventTypeDoc(
        "a segment's condition holds for a contact now", {"segment": "its key", "reasons": "what made it hold"}
    ),
    "segment.left": EventTypeDoc("it holds no more", {"segment": "its key"}),
    "alert.opened": EventTypeDoc(
        "an alert of a contact opened; once for each occurrence",
        _ALERT | {"occurrence": "what sets it apart from others"},
    ),
    "alert.resolved": EventTypeDoc(
        "the facts ended an alert",
        {name: said for name, said in _ALERT.items() if name in {"alert", "rule", "title"}}
        | {"occurrence": "as when it opened"},
    ),
    "system_alert.opened": EventTypeDoc(
        "something is wrong with the hub itself, as `tidegate status` says", _ALERT | {"subject": "what it is about"}
    ),
    "system_alert.resolved": EventTypeDoc(
        "it is over",
        {name: said for name, said in _ALERT.items() if name in {"alert", "rule", "title"}}
        | {"subject": "what it is about"},
    ),
    "digest.made": EventTypeDoc(
        "a digest is ready; sent to its recipient alone", {"recipient": "whose", "period": "which day, week or month"}
    ),
    "sync.finished": EventTypeDoc("a run of a sync came to its end, rows that failed or not", _RUN),
    "sync.failed": EventTypeDoc("a run of a sync ended before its end", _RUN | {"error": "what ended it"}),
    "action.fired": EventTypeDoc(
        "an action fired for a contact; sent to the destinations that the action names, alone",
        {
            "action": "its key",
            "trigger": "`kind`, `at`, and what happened",
            "occurrence": "what it fires once for",
            "reasons": "what made its condition hold",
            "event": "the name that the step gives it; `title` and `text`: its templates, filled in",
        },
    ),
}
