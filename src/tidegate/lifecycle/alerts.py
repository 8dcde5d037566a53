"""Alerts of contacts: opened once per occurrence where a rule holds, resolved by the facts, moved by people between."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, text

from tidegate.conditions.compile import compiled
from tidegate.conditions.contact_fields import CONTACTS
from tidegate.conditions.explain import reasons
from tidegate.conditions.nodes import Node
from tidegate.conditions.parse import parse
from tidegate.delivery.outbox import Told, tell
from tidegate.errors import AlertUnknown, LifecycleInvalid
from tidegate.lifecycle import newcomers, routes
from tidegate.lifecycle.alert_rules import AlertRule
from tidegate.lifecycle.placing import CHUNK, asked
from tidegate.lifecycle.rules import NEVER, named
from tidegate.security import audit_log
from tidegate.store.planning import BY_INDEX, planned

State = Literal["open", "acknowledged", "snoozed", "dismissed", "resolved"]
STANDING = ("open", "acknowledged", "snoozed")
"""States of what the facts still say, or nobody has put aside for good."""
BATCH = 2_000


def condition(rule: AlertRule) -> Node:
    """The rule's condition; of one that is not enabled it never holds."""
    if not rule.enabled:
        return NEVER
    node, wrong = parse(rule.when, rule.fields, named())
    assert not wrong, wrong
    return node


class _Everybody(frozenset[int]):
    def __contains__(self, _contact: object) -> bool:
        return True


EVERYBODY: Collection[int] = _Everybody()
"""As `untold`: nobody is told of anything, since rules changed and not what they look at."""


@dataclass(slots=True)
class Kept:
    """How many alerts were opened, resolved, and came back from being snoozed."""

    opened: int = 0
    resolved: int = 0
    woken: int = 0


def keep(
    db: Connection,
    rules: Sequence[AlertRule],
    as_of: datetime,
    untold: Collection[int] = (),
    by_rules: Collection[int] = (),
) -> Kept:
    """Opens and resolves alerts of all contacts; each is told where it is routed (`routes`), in this transaction.
    `untold`: contacts (internal keys) that came with a past, or were imported: nobody is told of it, but of what
    happened a short time ago (`newcomers.happened`); `by_rules`: those of them whom other rules of their worth changed.

    What was resolved opens again when it is so again, and is told again: who heard of its end would think it over.
    """
    kept = Kept(woken=wake(db, as_of))
    for rule in rules:
        kept.opened += _open(db, rule, as_of, untold, by_rules) if rule.enabled else 0
        kept.resolved += _resolve(db, rule, as_of, untold, by_rules)
    return kept


def wake(db: Connection, as_of: datetime) -> int:
    """Opens alerts again whose time to be put aside is over; returns how many."""
    return db.execute(_WAKE, {"as_of": as_of}).rowcount


def _open(db: Connection, rule: AlertRule, as_of: datetime, untold: Collection[int], by_rules: Collection[int]) -> int:
    node = condition(rule)
    made = compiled(node)
    statement = text(f"""
select n.contact, n.occurrence from (
  select c.key as contact, unnest({rule.occurrences}) as occurrence {CONTACTS} and c.key >= :after and {made.sql}) n
where not exists (
  select from tidegate.alerts a
  where a.contact = n.contact and a.rule = :rule and a.occurrence = n.occurrence and a.state <> 'resolved')
order by n.contact, n.occurrence limit :limit""")
    values = made.values | {"rule": rule.key, "as_of": as_of, "limit": CHUNK}
    opened, after = 0, 0
    while rows := db.execute(statement, values | {"after": after}).all():
        with planned(db, BY_INDEX):
            for at in range(0, len(rows), BATCH):
                some = rows[at : at + BATCH]
                _open_some(db, rule, node, some, as_of, _silent(db, rule, some, as_of, untold, by_rules))
        opened, after = opened + len(rows), rows[-1].contact
        if len(rows) < CHUNK:
            break
    return opened


def _silent(
    db: Connection,
    rule: AlertRule,
    some: Sequence[Any],
    as_of: datetime,
    untold: Collection[int],
    by_rules: Collection[int],
) -> set[tuple[int, str]]:
    """Of which of these occurrences nobody is told."""
    silent = {(row.contact, row.occurrence) for row in some if row.contact in untold}
    asked = [] if untold is EVERYBODY else sorted(one for one in silent if one[0] not in by_rules)
    contacts, occurrences = [one for one, _ in asked], [one for _, one in asked]
    return silent - newcomers.happened(db, rule.happened, contacts, occurrences, as_of)


def _open_some(
    db: Connection, rule: AlertRule, node: Node, some: Sequence[Any], as_of: datetime, silent: set[tuple[int, str]]
) -> None:
    told = asked(db, node, sorted({row.contact for row in some}), as_of)
    why = [reasons(told[row.contact]) for row in some]
    route = routes.of_contacts(db, [row.contact for row in some if (row.contact, row.occurrence) not in silent])
    values = {
        "contacts": [row.contact for row in some],
        "occurrences": [row.occurrence for row in some],
        "reasons": [json.dumps(one) for one in why],
        "history": [(row.contact, row.occurrence) in silent for row in some],
        "routes": ["" if (row.contact, row.occurrence) in silent else route.get(row.contact, "") for row in some],
        "rule": rule.key,
        "as_of": as_of,
    }
    opened = {(row.contact, row.occurrence): row.id for row in db.execute(_OPEN, values)}
    tell(
        db,
        [
            Told(
                "alert.opened",
                {
                    "alert": opened[row.contact, row.occurrence],
                    "rule": rule.key,
                    "title": rule.name,
                    "occurrence": row.occurrence,
                    "reasons": reason,
                    "text": "\n".join(reason),
                },
                row.contact,
                route=route.get(row.contact),
            )
            for row, reason in zip(some, why, strict=True)
            if (row.contact, row.occurrence) in opened and (row.contact, row.occurrence) not in silent
        ],
    )


def _resolve(
    db: Connection, rule: AlertRule, as_of: datetime, untold: Collection[int], by_rules: Collection[int]
) -> int:
    """What the facts do not say any more, or say of another occurrence. Whoever was told that it opened is told that it
    is over, whatever it is over by.
    """
    made = compiled(condition(rule))
    everybody = untold is EVERYBODY
    rows = db.execute(
        text(f"""
update tidegate.alerts a set state = 'resolved', changed_at = :as_of, changed_by = '', snoozed_until = null,
  resolved_because = case when :everybody or a.contact = any(cast(:by_rules as bigint[])) then 'rules'
    when a.contact = any(cast(:untold as bigint[])) then 'begin' else 'facts' end
where a.rule = :rule and a.state not in ('dismissed', 'resolved') and not exists (
  select {CONTACTS} and c.key = a.contact and {made.sql} and a.occurrence = any({rule.occurrences}))
returning a.id, a.contact, a.occurrence, a.routed_to, a.history"""),
        made.values
        | {
            "rule": rule.key,
            "as_of": as_of,
            "everybody": everybody,
            "untold": [] if everybody else sorted(untold),
            "by_rules": sorted(by_rules),
        },
    ).all()
    tell(
        db,
        [
            Told(
                "alert.resolved",
                {"alert": row.id, "rule": rule.key, "title": f"{rule.name}: over", "occurrence": row.occurrence},
                row.contact,
                route=row.routed_to or None,
            )
            for row in rows
            if not row.history
        ],
    )
    return len(rows)


def move(
    db: Connection,
    alert: int,
    state: Literal["acknowledged", "snoozed", "dismissed", "open"],
    by: str,
    as_of: datetime,
    *,
    until: datetime | None = None,
    note: str = "",
) -> None:
    """A person moves an alert, which the audit log tells. `until`: of one that is snoozed, UTC where it has no zone;
    `note`: for others, and why one is dismissed; without one, what was noted before stays.

    Raises AlertUnknown, and LifecycleInvalid for what cannot be: one that is resolved, a dismissal without its reason.
    """
    rule = _movable(db, alert)
    if state == "dismissed" and not note.strip():
        raise LifecycleInvalid(problem=f"Alert {alert} is dismissed with a reason, so that others know.")
    if until is not None and until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    if (state == "snoozed") != (until is not None) or (until is not None and until <= as_of):
        raise LifecycleInvalid(problem="An alert is snoozed until a time that is still to come.")
    values = {"id": alert, "state": state, "by": by, "until": until, "note": note.strip(), "as_of": as_of}
    db.execute(_MOVE, values)
    audit_log.record(db, by, f"alert.{'reopened' if state == 'open' else state}", f"alert {alert}", rule=rule)


def write_note(db: Connection, alert: int, note: str, by: str, as_of: datetime) -> None:
    """A person writes beside an alert what others should know, in place of what was noted before; its state stays. The
    audit log tells that they did, and not their words, which may be about somebody.

    Raises AlertUnknown, and LifecycleInvalid for one that is resolved and for a note without a word.
    """
    rule = _movable(db, alert)
    if not note.strip():
        raise LifecycleInvalid(problem="A note says something.")
    db.execute(_NOTE, {"id": alert, "note": note.strip(), "by": by, "as_of": as_of})
    audit_log.record(db, by, "alert.noted", f"alert {alert}", rule=rule)


def _movable(db: Connection, alert: int) -> str:
    """The rule of an alert that people may move or write about, held. Raises AlertUnknown, LifecycleInvalid."""
    known = db.execute(text("select state, rule from tidegate.alerts where id = :id for update"), {"id": alert}).first()
    if known is None:
        raise AlertUnknown(alert=alert)
    if known.state == "resolved":
        raise LifecycleInvalid(problem=f"Alert {alert} was resolved by the facts; there is nothing left to do.")
    return known.rule


_WAKE = text("""
update tidegate.alerts set state = 'open', changed_at = :as_of, changed_by = '', snoozed_until = null
where state = 'snoozed' and snoozed_until <= :as_of""")

_OPEN = text("""
insert into tidegate.alerts (contact, rule, occurrence, state, reasons, opened_at, changed_at, history, routed_to)
select contact, :rule, occurrence, 'open', reasons, :as_of, :as_of, history, routed_to
from unnest(cast(:contacts as bigint[]), cast(:occurrences as text[]), cast(:reasons as jsonb[]),
  cast(:history as boolean[]), cast(:routes as text[])) as found(contact, occurrence, reasons, history, routed_to)
order by contact, occurrence
on conflict (contact, rule, occurrence) do update set state = 'open', reasons = excluded.reasons,
  opened_at = excluded.opened_at, changed_at = excluded.changed_at, changed_by = '', note = '',
  history = excluded.history, routed_to = excluded.routed_to, resolved_because = null
  where alerts.state = 'resolved'
returning id, contact, occurrence""")

_MOVE = text("""
update tidegate.alerts set state = :state, changed_at = :as_of, changed_by = :by,
  snoozed_until = cast(:until as timestamptz), note = coalesce(nullif(:note, ''), note)
where id = :id""")

_NOTE = text("""
update tidegate.alerts set note = :note, changed_at = :as_of, changed_by = :by where id = :id""")
