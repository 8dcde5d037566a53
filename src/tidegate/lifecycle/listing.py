"""What pages, commands and the API show of the lifecycle: stages and segments with their numbers, alerts, health."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.lifecycle import report
from tidegate.lifecycle.alerts import STANDING
from tidegate.lifecycle.health import moved
from tidegate.lifecycle.rules import Rule
from tidegate.revenue.rounding import whole


def stages(db: Connection, rules: Sequence[Rule], livemode: bool | None) -> list[dict[str, Any]]:
    """The stages in their order: {key, name, when, contacts, mrr, median_days}, of live or of test contacts (None:
    there is no connection that says which). MRR as `amounts` has it; `median_days`: how long those that left it had
    been there, as `report.stages` has it.
    """
    given = {"livemode": livemode}
    there, stays = report.contacts(db, livemode), report.stays(db, livemode)
    worth = amounts(db.execute(_STAGES_WORTH, given))
    return [
        _counted(rule, there, worth) | {"median_days": stays[rule.key].median_days if rule.key in stays else None}
        for rule in rules
    ]


def segments(db: Connection, rules: Sequence[Rule], livemode: bool | None) -> list[dict[str, Any]]:
    """The segments, of whom as `stages`: {key, name, when, contacts, mrr}."""
    given = {"livemode": livemode}
    there = {row.key: row.contacts for row in db.execute(_SEGMENTS, given)}
    worth = amounts(db.execute(_SEGMENTS_WORTH, given))
    return [_counted(rule, there, worth) for rule in rules]


def amounts(rows: Iterable[Any]) -> dict[str, list[dict[str, Any]]]:
    """By key the amounts of rows (key, currency, mrr in millionths of a minor unit): [{currency, mrr}] in minor units,
    each currency for itself.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row.currency):
        if amount := whole(int(row.mrr)):
            found.setdefault(row.key, []).append({"currency": row.currency, "mrr": amount})
    return found


def _counted(rule: Rule, there: Mapping[str, int], worth: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    told: dict[str, Any] = {"key": rule.key, "name": rule.name, "when": rule.when}
    return told | {"contacts": there.get(rule.key, 0), "mrr": worth.get(rule.key, [])}


def alerts(
    db: Connection,
    *,
    states: Sequence[str] = STANDING,
    rule: str = "",
    owner: str | None = None,
    contact: int | None = None,
    livemode: bool | None = None,
    system: bool = False,
    after: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Alerts of contacts (of whom as `stages`), or with `system` those of the hub itself, newest first: {id, rule,
    state, contact, kind, name, owner, subject, occurrence, reasons, opened_at, changed_at, changed_by, note,
    snoozed_until, routed_to}. `owner`: of the contact ("": nobody); `contact`: its internal key;
    `after`: the id of the last one of the page before.
    """
    values = {
        "states": list(states), "rule": rule or None, "owner": owner, "contact": contact, "livemode": livemode,
        "system": system, "after": after, "limit": limit,
    }  # fmt: skip
    return [dict(row) for row in db.execute(_ALERTS, values).mappings()]


def alert(db: Connection, number: int) -> dict[str, Any]:
    """One alert, as `alerts` shows them; it is known."""
    return dict(db.execute(_ALERT, {"id": number}).mappings().one())


def referred(alert: Mapping[str, Any]) -> dict[str, Any]:
    """An alert of `alerts` with its contact as other lists name it: `account:acme`; None of a system alert."""
    return {**alert, "contact": alert["contact"] and f"{alert['kind']}:{alert['contact']}"}


def history(db: Connection, contact: int, *, limit: int = 100) -> list[dict[str, Any]]:
    """Where a contact (internal key) was, newest first: {kind, key, entered_at, left_at, reasons, because}."""
    return [dict(row) for row in db.execute(_HISTORY, {"contact": contact, "limit": limit}).mappings()]


def health(db: Connection, contact: int) -> dict[str, Any] | None:
    """The health of a contact: {health, coverage, parts, unhealthy_since, history}; None where nothing is known.
    `history`, the newest first: {at, health, coverage, parts, moved}; `moved`: `health.moved`.
    """
    row = db.execute(_HEALTH, {"contact": contact}).mappings().first()
    if row is None:
        return None
    kept = [dict(one) for one in db.execute(_HEALTH_HISTORY, {"contact": contact}).mappings()]
    for one in kept:
        one["moved"] = moved(one.pop("points_before") or {}, one.pop("points"))
    return dict(row) | {"history": kept}


LIVING = """tidegate.contact_lifecycle l
join tidegate.contacts c on c.key = l.contact and c.merged_into is null and c.forgotten_at is null
  and (cast(:livemode as boolean) is null or c.livemode = :livemode)"""
"""Contacts `c` with their lifecycle `l`. One that was merged keeps its row, for when it is parted again, and is nobody
meanwhile; one that was forgotten is nobody from then on.
"""

_PAID = """
join tidegate.contact_facts f on f.contact = l.contact cross join lateral jsonb_each_text(f.mrr) as m"""

_STAGES_WORTH = text(f"""
select l.stage as key, m.key as currency, sum(m.value::numeric) as mrr from {LIVING} {_PAID}
where l.stage is not null group by 1, 2""")

_SEGMENTS_WORTH = text(f"""
select s.key, m.key as currency, sum(m.value::numeric) as mrr from {LIVING} {_PAID}
cross join lateral unnest(l.segments) as s(key) group by 1, 2""")

_SEGMENTS = text(f"""
select s.key, count(*) as contacts from {LIVING} cross join lateral unnest(l.segments) as s(key)
group by s.key""")

_SHOWN = """
select a.id, a.rule, a.state, c.external_id as contact, c.kind, coalesce(c.name, '') as name,
  coalesce(c.owner, '') as owner, a.subject, a.occurrence, a.reasons, a.opened_at, a.changed_at, a.changed_by, a.note,
  a.snoozed_until, a.routed_to
from tidegate.alerts a left join tidegate.contacts c on c.key = a.contact"""

_ALERT = text(f"{_SHOWN} where a.id = :id")

_ALERTS = text(f"""{_SHOWN}
where a.state = any(cast(:states as text[])) and (cast(:rule as text) is null or a.rule = :rule)
  and (a.contact is null) = :system and (cast(:owner as text) is null or c.owner = :owner)
  and (:system or cast(:livemode as boolean) is null or c.livemode = :livemode)
  and (cast(:contact as bigint) is null or a.contact = :contact)
  and (cast(:after as bigint) is null or a.id < :after)
order by a.id desc limit :limit""")

_HISTORY = text("""
select kind, key, entered_at, left_at, reasons, because from tidegate.memberships
where contact = :contact order by entered_at desc, id desc limit :limit""")

_HEALTH = text("""
select health::float8, health_coverage::float8 as coverage, health_parts as parts, unhealthy_since
from tidegate.contact_lifecycle where contact = :contact""")

_HEALTH_HISTORY = text("""
select at, health::float8, coverage::float8, parts, points, lag(points) over (order by at) as points_before
from tidegate.health_history where contact = :contact order by at desc limit 100""")
