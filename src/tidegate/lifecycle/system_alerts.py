"""Alerts of the hub itself: opened for what stands wrong, resolved once it has been right for a while, told to the
default route.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from tidegate.delivery.outbox import Told, tell
from tidegate.lifecycle import alerts, routes
from tidegate.lifecycle.alerts import Kept

CALM = timedelta(minutes=5)
"""How long the facts must not say it before it is resolved: what comes and goes is one alert."""
NAMES: Mapping[str, str] = {
    "key_invalid": "Stripe refuses the key",
    "oauth_revoked": "The account took its access back",
    "account_gone": "The platform has the account no more",
    "mode_wrong": "The key is of the other mode",
    "account_not_activated": "The account is not activated",
    "permission_missing": "The key lacks a permission",
    "unreachable": "Stripe cannot be reached",
    "webhook_silent": "No webhooks come",
    "import_incomplete": "The import is not complete",
    "events_lost": "Events were lost",
    "inbox_parked": "Events could not be handled",
    "refetch_failing": "Objects cannot be fetched",
    "behind": "Stripe's events are not read",
    "queue_old": "Behind: what waits is older than 5 minutes",
    "no_worker": "No worker is alive",
    "audit_incomplete": "An audit could not compare everything",
    "audit_failed": "The audit found differences",
    "sync_failed": "A sync failed",
    "sync_invalid": "A sync cannot be read",
    "sync_rows_failed": "Rows of a sync fail",
    "sync_late": "A sync is late",
    "sync_slow": "A sync lasts too long",
    "sync_unfinished": "Drafts wait to be finished",
    "usage_failed": "Usage was refused by Stripe",
    "usage_late": "Usage is not told to Stripe",
    "destination_paused": "A destination is paused because it failed",
    "destination_failing": "A destination takes nothing",
    "dead_letters": "A destination refused messages for good",
    "deliveries_late": "Deliveries wait for more than 15 minutes",
    "action_unusable": "An action cannot do what it says",
    "action_idle": "An action waits for what is switched off",
    "rates_missing": "Exchange rates are missing",
    "owner_idle": "The rule of an owner names what there is not",
    "disk_low": "The disk is nearly full",
}
"""The rules, by the code under which `tidegate status` shows the same."""
LEFT_OUT = frozenset({"not_imported", "outbound_paused"})
"""What status shows beside them: somebody has begun or paused it, and knows."""
ITSELF = "nobody was told: the default route, {destination}, is the destination that this is about"


@dataclass(frozen=True, slots=True)
class Fact:
    """What stands wrong. `subject`: `connection:acme`, `sync:people`, `destination:ops`, `action:welcome`, `owner:ada`,
    `worker`, `rates` or `disk`.
    """

    rule: str
    subject: str
    detail: str
    remedy: str = ""


def keep(db: Connection, facts: Iterable[Fact], as_of: datetime) -> Kept:
    """Opens and resolves system alerts: one for each rule and subject while it lasts, told in this transaction, which
    is to hold `lock`.
    """
    kept = Kept(woken=alerts.wake(db, as_of))
    found = _together(facts)
    standing = {(row.rule, row.subject): row for row in db.execute(_STANDING)}
    kept.opened = _open(db, [one for place, one in found.items() if place not in standing], as_of)
    again = [(row.id, found[place]) for place, row in standing.items() if place in found]
    values = {
        "ids": [number for number, _ in again],
        "reasons": [json.dumps(_reasons(one)) for _, one in again],
    }
    db.execute(_STANDS, values)
    gone = [row.id for place, row in standing.items() if place not in found]
    db.execute(_GONE, {"ids": gone, "as_of": as_of})
    kept.resolved = _resolve(db, gone, as_of)
    db.execute(_WATCHED, {"as_of": as_of})
    return kept


def lock(db: Connection) -> None:
    """One at a time looks, in the caller's transaction."""
    db.execute(text("select pg_advisory_xact_lock(hashtext('tidegate.system_alerts'))"))


def standing(db: Connection) -> list[dict[str, Any]]:
    """Those that stand, the oldest first: {id, rule, subject, state, opened_at, reasons, routed_to}."""
    return [dict(row) for row in db.execute(_SHOWN).mappings()]


def forget(db: Connection, words: Sequence[str]) -> Counter[str]:
    """Erases what is said of the hub, in alerts and in what was told of them, wherever one of these `words` (lower
    case) stands in it: it quotes what destinations and Stripe answered. Returns how many rows changed, by table.
    """
    values = {"words": list(words)}
    return Counter({table: db.execute(statement, values).rowcount for table, statement in _FORGET.items()})


def _together(facts: Iterable[Fact]) -> dict[tuple[str, str], Fact]:
    """One fact for each rule and subject, with all that is said of it."""
    found: dict[tuple[str, str], Fact] = {}
    for one in facts:
        if one.rule not in NAMES:
            continue
        known = found.get((one.rule, one.subject))
        detail = one.detail if known is None else f"{known.detail} {one.detail}"
        found[one.rule, one.subject] = Fact(one.rule, one.subject, detail, one.remedy)
    return found


def _reasons(one: Fact) -> list[str]:
    return [said for said in (one.detail, one.remedy) if said]


def _open(db: Connection, new: Sequence[Fact], as_of: datetime) -> int:
    if not new:
        return 0
    default = routes.load(db).destination
    default = default if default in set(db.scalars(text("select key from tidegate.destinations"))) else ""
    told: list[Told] = []
    for one in new:
        itself = bool(default) and one.subject == f"destination:{default}"
        route = "" if itself else default
        reasons = [*_reasons(one), *([ITSELF.format(destination=default)] if itself else [])]
        values = {"rule": one.rule, "subject": one.subject, "reasons": json.dumps(reasons)}
        number = db.scalar(_OPEN, values | {"route": route, "as_of": as_of})
        if number is None:
            continue
        data = {"alert": number, "rule": one.rule, "subject": one.subject, "title": _title(one.rule, one.subject)}
        data |= {"reasons": reasons, "text": "\n".join(reasons)}
        told.append(Told("system_alert.opened", data, route=route or None))
    tell(db, told)
    return len(told)


def _resolve(db: Connection, gone: Sequence[int], as_of: datetime) -> int:
    rows = db.execute(_RESOLVE, {"ids": list(gone), "as_of": as_of, "before": as_of - CALM}).all()
    tell(
        db,
        [
            Told(
                "system_alert.resolved",
                {
                    "alert": row.id,
                    "rule": row.rule,
                    "subject": row.subject,
                    "title": f"{_title(row.rule, row.subject)}: over",
                },
                route=row.routed_to or None,
            )
            for row in rows
        ],
    )
    return len(rows)


def _title(rule: str, subject: str) -> str:
    return f"{NAMES[rule]} ({subject})"


_STANDING = text("""
select id, rule, subject from tidegate.alerts where contact is null and state <> 'resolved' order by id for update""")

_SHOWN = text("""
select id, rule, subject, state, opened_at, reasons, routed_to from tidegate.alerts
where contact is null and state in ('open', 'acknowledged', 'snoozed') order by id""")

_OPEN = text("""
insert into tidegate.alerts (subject, rule, occurrence, state, reasons, opened_at, changed_at, routed_to)
values (:subject, :rule, to_char(cast(:as_of as timestamptz) at time zone 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS"Z"'),
  'open', cast(:reasons as jsonb), :as_of, :as_of, :route)
on conflict do nothing returning id""")

# What was said of whom it was not told to stays.
_STANDS = text("""
update tidegate.alerts a set gone_since = null, reasons = s.reasons || coalesce((
  select jsonb_agg(r) from jsonb_array_elements(a.reasons) r where r #>> '{}' like 'nobody was told: %'), '[]')
from unnest(cast(:ids as bigint[]), cast(:reasons as jsonb[])) as s(id, reasons) where a.id = s.id""")

_GONE = text("""
update tidegate.alerts set gone_since = :as_of where id = any(cast(:ids as bigint[])) and gone_since is null""")

# One that was dismissed ends with its facts, too: the next time is another one.
_RESOLVE = text("""
update tidegate.alerts set state = 'resolved', changed_at = :as_of, changed_by = '', snoozed_until = null
where id = any(cast(:ids as bigint[])) and gone_since <= :before
returning id, rule, subject, routed_to""")

_WATCHED = text("""
insert into tidegate.lifecycle_state (watched_at) values (:as_of)
on conflict (alone) do update set watched_at = excluded.watched_at""")

_NAMES_THEM = """exists (
  select from unnest(cast(:words as text[])) word where position(word in lower(cast({of} as text))) > 0)"""

_FORGET = {
    "tidegate.alerts": text(f"""
update tidegate.alerts set reasons = '["It names somebody who was forgotten since."]'
where contact is null and {_NAMES_THEM.format(of="reasons")}"""),
    "tidegate.outbox": text(f"""
update tidegate.outbox set data = data - cast('{{reasons,text}}' as text[]) || '{{"redacted": true}}'
where type like 'system_alert.%' and {_NAMES_THEM.format(of="data")}"""),
}
