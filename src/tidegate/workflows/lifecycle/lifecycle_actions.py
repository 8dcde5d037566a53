"""Actions as people and tokens handle them: written, switched on and off, tried on the past, and reported."""

import calendar
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tidegate.catalog import journal
from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.conditions.parse import parse
from tidegate.delivery import stored as destinations
from tidegate.errors import ActionInvalid, ManagedByFile, UsageError
from tidegate.errors.wrong import Wrong
from tidegate.lifecycle import rulebook
from tidegate.lifecycle.actions import dry_run, firing, presets, reading, report, stored
from tidegate.lifecycle.actions.reading import NO_EVENTS
from tidegate.lifecycle.actions.spec import Action
from tidegate.lifecycle.actions.stored import FILE, Stored
from tidegate.lifecycle.named import allowed
from tidegate.lifecycle.places import missing_places
from tidegate.lifecycle.rules import named
from tidegate.workflows.lifecycle.lifecycle import now

PERIOD_DAYS = 30
"""Days of a dry run where no period is said: the last ones."""
_MONTH = re.compile(r"(\d{4})-(\d{2})")


def read(db: Connection, said: Any) -> tuple[Action | None, list[Wrong]]:
    """The action that is to be written, or None and all that is wrong with it: that its condition names what there is
    not, too, unless it did so before.
    """
    known = stored.known(db)
    action, wrong = reading.read(said, known)
    if action is None or action.when is None:
        return action, wrong
    before = stored.find(db, action.key)
    whens = [before.spec["when"]] if before is not None and before.spec.get("when") is not None else []
    node, _ = parse(action.when, CONTACT_FIELDS, named())
    missing = [Wrong("when", one) for one in missing_places(node, allowed(db, whens))]
    return (None, missing) if missing else (action, wrong)


def checked(db: Connection, said: Mapping[str, Any]) -> Action:
    """The action. Raises ActionInvalid with everything that is wrong."""
    action, wrong = read(db, said)
    if action is None:
        raise ActionInvalid(problem="; ".join(f"{one.where}: {one.problem}" for one in wrong))
    return action


def put(
    db: Connection, said: Mapping[str, Any], by: str, *, managed_by: str = "", as_of: datetime | None = None
) -> tuple[Stored | None, Stored]:
    """Writes an action, in the caller's transaction; returns it as it was (None: it is new) and as it is.

    It fires for what happens from now on where it is switched on or its trigger is another one; else it goes on where
    it was. Raises ActionInvalid and ManagedByFile.
    """
    rulebook.lock(db)
    action = checked(db, said)
    before = stored.find(db, action.key)
    _require_ours(before, managed_by)
    spec = {name: value for name, value in said.items() if name not in ("key", "enabled")}
    if before is not None and (before.spec, before.enabled, before.managed_by) == (spec, action.enabled, managed_by):
        return before, before
    at = as_of or now(db)
    anew = before is None or before.spec.get("on") != spec["on"] or (action.enabled and not before.enabled)
    stored.put(db, action.key, spec, enabled=action.enabled, managed_by=managed_by, since=at if anew else None)
    after = stored.one(db, action.key)
    if anew and action.enabled:
        firing.begin(db, after, at)
    journal.note(db, by, "action.defined", action.key, enabled=action.enabled)
    return before, after


def switch(db: Connection, key: str, by: str, *, enabled: bool, as_of: datetime | None = None) -> Stored:
    """Switches an action on or off. Raises ActionUnknown, ManagedByFile, and ActionInvalid for one that names what
    there is not any more.
    """
    one = stored.one(db, key)
    _require_ours(one, "")
    said = {"key": key, **one.spec, "enabled": enabled}
    if enabled:
        return put(db, said, by, as_of=as_of)[1]
    rulebook.lock(db)
    stored.put(db, key, one.spec, enabled=False, managed_by=one.managed_by, since=None)
    journal.note(db, by, "action.disabled", key)
    return stored.one(db, key)


def remove(db: Connection, key: str, by: str, *, managed_by: str = "") -> None:
    """Removes an action; what it did stays known. Raises ActionUnknown and ManagedByFile."""
    _require_ours(stored.one(db, key), managed_by)
    rulebook.lock(db)
    stored.remove(db, key)
    journal.note(db, by, "action.removed", key)


def _require_ours(one: Stored | None, managed_by: str) -> None:
    if one is not None and one.managed_by == FILE and managed_by != FILE:
        raise ManagedByFile(what=f"The action {one.key}")


def listing(db: Connection) -> list[dict[str, Any]]:
    """The actions by key, as `shown`."""
    counted = stored.counts(db)
    return [_shown(one, counted) for one in stored.every(db)]


def shown(db: Connection, key: str) -> dict[str, Any]:
    """{key, name, enabled, since, spec, problem, managed_by, fired, held_out, failed, last_fired_at}. `problem`: what
    it names that there is not any more, or that is switched off; empty: nothing. Raises ActionUnknown.
    """
    return _shown(stored.one(db, key), stored.counts(db))


def _shown(one: Stored, counted: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    own = counted.get(one.key, {})
    return {
        "key": one.key,
        "name": one.action.name if one.action else one.spec.get("name") or one.key,
        "enabled": one.enabled,
        "since": one.since if one.enabled else None,
        "spec": dict(one.spec),
        "problem": "; ".join(f"{fault.where}: {fault.problem}" for fault in [*one.wrong, *one.idle]),
        "managed_by": one.managed_by,
        "fired": own.get("fired", 0),
        "held_out": own.get("held_out", 0),
        "failed": own.get("failed", 0),
        "last_fired_at": own.get("last_fired_at"),
    }


def preview(db: Connection, action: Action, seed: str = "", period: str | None = None, *, limit: int = 50) -> Any:
    """What an action would have done in a period (`period_of`): `dry_run.dry_run`."""
    begin, end = period_of(period, now(db))
    return dry_run.dry_run(db, action, seed, begin, end, limit=limit)


def preview_of(db: Connection, key: str, period: str | None = None, *, limit: int = 50) -> Any:
    """The same of a stored action, which would be held out as it is. Raises ActionUnknown and ActionInvalid."""
    one = stored.one(db, key)
    action = one.action or checked(db, one.said)
    return preview(db, action, one.seed, period, limit=limit)


def period_of(period: str | None, as_of: datetime) -> tuple[datetime, datetime]:
    """A month (`2026-05`) or two days (`2026-05-01..2026-05-14`, both included) in UTC; None: the last 30 days. Raises
    UsageError.
    """
    if period is None:
        return as_of - timedelta(days=PERIOD_DAYS), as_of
    try:
        if match := _MONTH.fullmatch(period):
            year, month = int(match[1]), int(match[2])
            first = datetime(year, month, 1, tzinfo=UTC)
            return first, first + timedelta(days=calendar.monthrange(year, month)[1])
        begin, end = (datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) for day in period.split(".."))
    except ValueError:
        raise UsageError(
            problem=f"{period!r} is no period; say a month, 2026-05, or two days, 2026-05-01..2026-05-14."
        ) from None
    if end < begin:
        raise UsageError(problem=f"{period} ends before it begins.")
    return begin, end + timedelta(days=1)


def reported(db: Connection, key: str) -> dict[str, Any]:
    """Whether an action reached its goal: `report.report`. Raises ActionUnknown."""
    return report.report(db, stored.one(db, key), now(db))


def fired(
    db: Connection,
    key: str,
    *,
    passed: bool = False,
    state: str = "",
    before: int | None = None,
    limit: int | None = 50,
) -> list[dict[str, Any]]:
    """What an action decided, newest first: `report.recent`. Raises ActionUnknown, and ActionInvalid for a state that
    there is not.
    """
    stored.one(db, key)
    if state and state not in report.STATES:
        raise ActionInvalid(problem=f"nothing comes to {state[:40]!r}, but to {', '.join(report.STATES)}")
    return report.recent(db, key, passed=passed, state=state, before=before, limit=limit)


def counted(
    db: Connection, key: str, group: str, number: str, *, before: int | None = None, limit: int | None = 50
) -> list[dict[str, Any]]:
    """What a number of a group of the report counts: `report.counted`. Raises ActionUnknown, and ActionInvalid for a
    group or a number that there is not.
    """
    one = stored.one(db, key)
    for said, known in ((group, report.GROUPS), (number, report.NUMBERS)):
        if said not in known:
            raise ActionInvalid(problem=f"nothing is counted as {said[:40]!r}, but as {', '.join(known)}")
    return report.counted(db, one, now(db), group, number, before=before, limit=limit)


def suggested(db: Connection) -> list[dict[str, Any]]:
    """Actions that are offered, as entries of tidegate.yaml, switched off; sent to the first destination that takes
    events, or `your-destination` where there is none.
    """
    able = [one["key"] for one in destinations.every(db) if one["kind"] not in NO_EVENTS]
    return presets.suggested(able[0] if able else "your-destination")


def refuse_in_use(db: Connection, destination: str) -> None:
    """Raises ActionInvalid where actions send to a destination that is to go."""
    if named := stored.naming(db, destination):
        told = ", ".join(named)
        raise ActionInvalid(problem=f"the destination {destination} cannot go while actions send to it: {told}")
