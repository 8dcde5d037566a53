"""What an action would have done in a past period, out of the same histories; nothing is written."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.lifecycle.actions import happened
from tidegate.lifecycle.actions.deciding import Decision
from tidegate.lifecycle.actions.firing import decisions
from tidegate.lifecycle.actions.spec import Action

SHOWN = 50


def dry_run(
    db: Connection, action: Action, seed: str, begin: datetime, end: datetime, *, limit: int = SHOWN
) -> dict[str, Any]:
    """{action, from, until, would_have_fired, held_out, contacts, passed, occurrences, notes} of the time from `begin`
    until before `end`. `occurrences`: the first of those that would have fired or been held out, each {at, contact,
    name, state, reasons, trigger}; `passed`: how many were not, by why.
    """
    found = happened.past(db, action.on, begin, end)
    made: list[Decision] = decisions(db, action, seed, found, end, dry=True)
    would = [one for one in made if one.state != "passed"]
    states = Counter(one.state for one in made)
    return {
        "action": action.key,
        "from": begin,
        "until": end,
        "would_have_fired": states["fired"],
        "held_out": states["held_out"],
        "contacts": len({one.candidate.contact for one in would}),
        "passed": dict(Counter(one.why for one in made if one.state == "passed")),
        "occurrences": [_shown(one) for one in would[:limit]],
        "notes": _notes(db, action, begin),
    }


def _shown(one: Decision) -> dict[str, Any]:
    there = one.candidate
    return {
        "at": there.at.astimezone(UTC),
        "contact": there.ref,
        "name": there.name,
        "state": one.state,
        "reasons": one.reasons,
        "trigger": there.what,
    }


def _notes(db: Connection, action: Action, begin: datetime) -> Sequence[str]:
    """What the past does not tell."""
    notes: list[str] = []
    if action.when is not None:
        notes.append("`when` is asked of the contacts as they are now; what they were then is not kept.")
    since = _SINCE.get(action.on.kind)
    if since is not None and ((first := db.scalar(text(since))) is None or first > begin):
        known = f"since {first.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if first is not None else "of nothing yet"
        notes.append(f"What sets it off is known {known}; what came before is not counted.")
    return notes


_PLACED = "select min(entered_at) from tidegate.memberships where kind = '{}'"
_SINCE = {
    "enters_stage": _PLACED.format("stage"),
    "leaves_stage": _PLACED.format("stage"),
    "enters_segment": _PLACED.format("segment"),
    "leaves_segment": _PLACED.format("segment"),
    "alert_opened": "select min(opened_at) from tidegate.alerts",
    "alert_resolved": "select min(opened_at) from tidegate.alerts",
    "entitlement_changed": "select min(at) from tidegate.outbox",
}
"""Since when the histories go back that are not of Stripe's."""
