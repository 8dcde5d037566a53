"""What a digest says: alerts opened, resolved and still open, renewals and tasks to come, movements of MRR."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from tidegate.conditions.compile import Compiled
from tidegate.delivery.hidden import Hidden
from tidegate.lifecycle import own_worth, system_alerts
from tidegate.lifecycle.alert_rules import rules_of
from tidegate.lifecycle.digest_periods import LENGTH, Every
from tidegate.money import shown
from tidegate.revenue.rounding import whole

MOST = 20
"""Alerts, renewals and tasks that are named; the rest is counted."""
AHEAD: Mapping[Every, timedelta] = {"daily": timedelta(days=7), "weekly": timedelta(days=30)}
"""How far renewals are looked ahead for; tasks as long as the period."""
SECTIONS = ("opened", "resolved", "still_open")
NAMES = {rule.key: rule.name for rule in rules_of({})} | dict(system_alerts.NAMES)
TITLES = {"opened": "Opened", "resolved": "Resolved", "still_open": "Still open"}


def gathered(
    db: Connection, owner: str, livemode: bool, since: datetime, until: datetime, every: Every, zone: ZoneInfo
) -> dict[str, Any]:
    """The contents of a period, by numbers: {opened, resolved, still_open: {count, alerts}, renewals: {count, mrr,
    contacts}, movements: [{kind, currency, contacts, amount}], tasks: {count, tasks}, mode, days}. Amounts are in minor
    units. `owner` empty: of everybody, with the alerts of the hub itself. Days are those of `zone`; that of a renewal
    is its connection's, as in revenue.
    """
    values = {"owner": owner or None, "livemode": livemode, "since": since, "until": until, "most": MOST}
    due = (until + LENGTH[every]).astimezone(zone).date()
    ahead = values | {"ahead": until + AHEAD[every], "due": due, "zone": zone.key}
    found: dict[str, Any] = {name: {"count": 0, "alerts": []} for name in SECTIONS}
    for row in db.execute(_ALERTS, values):
        found[row.section] = {"count": row.count, "alerts": row.alerts}
    into = Compiled()
    statement = text(_RENEWALS.format(mrr=own_worth.mrr(db, into)))
    renewals = db.execute(statement, ahead | into.values).one()
    named: list[dict[str, Any]] = [one | {"mrr": _minor(one["mrr"])} for one in renewals.contacts]
    found["renewals"] = {"count": renewals.count, "mrr": _minor(renewals.mrr), "contacts": named}
    found["movements"] = [
        dict(row) | {"amount": whole(int(row["amount"]))} for row in db.execute(_MOVEMENTS, values).mappings()
    ]
    found["tasks"] = dict(db.execute(_TASKS, ahead).mappings().one())
    return found | {"mode": "live" if livemode else "test", "days": AHEAD[every].days}


def filled(db: Connection, head: Mapping[str, Any], data: Mapping[str, Any], hidden: Hidden) -> dict[str, Any]:
    """The contents with who everybody is, and a `title` and a `text` for people; names, reasons and MRR of contacts
    are left out where they are `hidden`, and who was suppressed since is told of by number alone.
    """
    alerts = {row["id"]: dict(row) for row in db.execute(_NAMED_ALERTS, {"ids": _ids(data)}).mappings()}
    contacts = [one["contact"] for one in data["renewals"]["contacts"]]
    people = {row.key: dict(row._mapping) for row in db.execute(_PEOPLE, {"keys": contacts})}  # pyright: ignore[reportPrivateUsage]
    tasks = {row["id"]: dict(row) for row in db.execute(_NAMED_TASKS, {"ids": data["tasks"]["tasks"]}).mappings()}
    for named in (*alerts.values(), *people.values(), *tasks.values()):
        named["name"] = "" if hidden.holds("name") else named["name"]
    for alert in alerts.values():
        alert["owner"] = "" if hidden.holds("owner") else alert["owner"]
        alert["reasons"] = hidden.reasons(alert["reasons"])
    told: dict[str, Any] = dict(head) | {"mode": data["mode"], "days": data["days"], "movements": data["movements"]}
    for name in SECTIONS:
        those = [alerts[number] for number in data[name]["alerts"] if number in alerts]
        told[name] = {"count": data[name]["count"], "alerts": those}
    unsaid: dict[str, Any] = {"mrr": {}} if hidden.holds("mrr") else {}
    known = [one for one in data["renewals"]["contacts"] if one["contact"] in people]
    undated = hidden.holds("renews_at")
    renewing = [one | _who(people[one["contact"]]) | unsaid for one in known if not undated]
    told["renewals"] = data["renewals"] | {"contacts": renewing} | unsaid
    due = [tasks[number] for number in data["tasks"]["tasks"] if number in tasks]
    told["tasks"] = {"count": data["tasks"]["count"], "tasks": due}
    return told | {"title": _title(told), "text": written(told)}


def written(told: Mapping[str, Any]) -> str:
    """The digest as plain text."""
    lines: list[str] = []
    for name in SECTIONS:
        section = told[name]
        lines += _part(TITLES[name], section["count"], [_alert(one) for one in section["alerts"]])
    renewals = told["renewals"]
    worth = _amounts(renewals["mrr"])
    title = f"Renewals in the next {told['days']} days{f', {worth} a month' if worth else ''}"
    lines += _part(title, renewals["count"], [_renewal(one) for one in renewals["contacts"]])
    lines += _part("Tasks due", told["tasks"]["count"], [_task(one) for one in told["tasks"]["tasks"]])
    moved = told["movements"]
    lines += _part("Movements of MRR", sum(one["contacts"] for one in moved), [_movement(one) for one in moved])
    return "\n".join(lines)


def _part(title: str, count: int, named: Sequence[str]) -> list[str]:
    more = [f"- and {count - len(named):,} more"] if title != "Movements of MRR" and count > len(named) else []
    return [f"{title}: {count:,}", *(f"- {one}" for one in named), *more, ""]


def _title(told: Mapping[str, Any]) -> str:
    whose = f" of {told['recipient']}" if told["recipient"] else ""
    mode = "" if told["mode"] == "live" else ", test data"
    return f"Digest{whose}, {told['period']}{mode}"


def _alert(one: Mapping[str, Any]) -> str:
    why = "; ".join(one["reasons"])
    who = one["subject"] or one["name"] or one["contact"]
    return f"{NAMES.get(one['rule'], one['rule'])}: {who}{f' ({why})' if why else ''}"


def _renewal(one: Mapping[str, Any]) -> str:
    worth = _amounts(one["mrr"])
    return f"{one['day']} {one['name'] or one['ref']}{f': {worth} a month' if worth else ''}"


def _task(one: Mapping[str, Any]) -> str:
    day: date | None = one["due_on"]
    return f"{day.isoformat() if day else 'some day'} {one['name'] or one['contact']}: {one['text']}"


def _movement(one: Mapping[str, Any]) -> str:
    sign = "+" if one["amount"] > 0 else ""
    return f"{one['kind']}: {one['contacts']:,} contacts, {sign}{shown(one['amount'], one['currency'])} a month"


def _amounts(mrr: Mapping[str, int]) -> str:
    return ", ".join(shown(amount, currency) for currency, amount in sorted(mrr.items()))


def _minor(mrr: Mapping[str, Any]) -> dict[str, int]:
    return {currency: whole(int(amount)) for currency, amount in sorted(mrr.items())}


def _who(row: Mapping[str, Any]) -> dict[str, str]:
    return {"ref": row["ref"], "name": row["name"]}


def _ids(data: Mapping[str, Any]) -> list[int]:
    nested: Iterable[list[int]] = (data[name]["alerts"] for name in SECTIONS)
    return [one for those in nested for one in those]


_WHOSE = """
  c.livemode = :livemode and (cast(:owner as text) is null or c.owner = :owner)
  and c.merged_into is null and c.forgotten_at is null
  and not exists (select from tidegate.suppressed_contacts u where u.contact = c.key)"""

_ALERTS = text(f"""
with theirs as (
  select a.id, a.state, a.opened_at, a.changed_at, coalesce(l.mrr_total, 0) as mrr
  from tidegate.alerts a left join tidegate.contacts c on c.key = a.contact
  left join tidegate.contact_lifecycle l on l.contact = a.contact
  where ({_WHOSE} or (a.contact is null and cast(:owner as text) is null))
    and (a.state in ('open', 'acknowledged', 'snoozed') or a.changed_at > :since)),
told as (
  select 'opened' as section, * from theirs where opened_at > :since and opened_at <= :until
  union all
  select 'resolved', * from theirs where state = 'resolved' and changed_at > :since and changed_at <= :until
  union all
  select 'still_open', * from theirs where state in ('open', 'acknowledged', 'snoozed') and opened_at <= :since),
placed as (
  select *, row_number() over (partition by section order by mrr desc, id) as place from told)
select section, count(*) as count,
  coalesce(jsonb_agg(id order by place) filter (where place <= :most), '[]') as alerts
from placed group by section""")

_RENEWALS = f"""
with renewing as (
  select c.key, r.renews_at, {{mrr}} as mrr, cast(r.renews_at at time zone coalesce((
      select nullif(g.time_zone, '') from tidegate.links k
      join tidegate.ledgers g on g.connection = k.connection and g.adopted_at is not null and g.retired_at is null
      where k.contact = c.key order by k.connection limit 1), :zone) as date) as day
  from tidegate.contacts c
  left join tidegate.contact_facts f on f.contact = c.key left join tidegate.contact_lifecycle l on l.contact = c.key
  cross join lateral (select coalesce(l.renewals[1], f.renews_at) as renews_at) r
  where {_WHOSE} and r.renews_at > :until and r.renews_at <= :ahead)
select (select count(*) from renewing) as count,
  (select coalesce(jsonb_object_agg(currency, amount), '{{{{}}}}') from (
    select m.key as currency, sum(m.value::numeric) as amount from renewing r, jsonb_each_text(r.mrr) m group by 1) s)
    as mrr,
  (select coalesce(jsonb_agg(jsonb_build_object('contact', key, 'mrr', mrr, 'day', day, 'renews_at',
      to_char(renews_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS"Z"')) order by renews_at, key), '[]')
    from (select * from renewing order by renews_at, key limit :most) n) as contacts"""

_MOVEMENTS = text(f"""
select m.kind, m.currency, sum(m.amount) as amount, count(distinct
    case when m.unit like 'contact\\:%' then '' else m.connection end || ' ' || m.unit) as contacts
from tidegate.movements m
join tidegate.ledgers l on l.connection = m.connection and l.edition = m.edition and l.adopted_at is not null
  and l.retired_at is null
join tidegate.connections n on n.name = m.connection and n.livemode = :livemode
where m.superseded_at is null and m.moved_at > :since and m.moved_at <= :until
  and m.day >= cast(cast(:since as timestamptz) at time zone 'UTC' as date) - 2 and m.kind <> 'transfer'
  and (cast(:owner as text) is null or m.unit in (
    select 'contact\\:' || c.key from tidegate.contacts c where {_WHOSE}) or (m.connection, m.unit) in (
    select k.connection, k.customer from tidegate.links k join tidegate.contacts c on c.key = k.contact where {_WHOSE}))
group by m.kind, m.currency
order by array_position(array['new', 'reactivation', 'expansion', 'contraction', 'churn'], m.kind), m.currency""")

_TASKS = text(f"""
with due as (
  select t.id, t.due_on from tidegate.contact_tasks t join tidegate.contacts c on c.key = t.contact
  where {_WHOSE} and t.done_at is null and t.due_on <= :due)
select (select count(*) from due) as count,
  (select coalesce(jsonb_agg(id order by due_on, id), '[]')
   from (select * from due order by due_on, id limit :most) n) as tasks""")

_TOLD = "not exists (select from tidegate.suppressed_contacts u where u.contact = c.key)"

_NAMED_ALERTS = text(f"""
select a.id, a.rule, a.state, a.subject, coalesce(c.kind || ':' || c.external_id, '') as contact,
  coalesce(c.name, '') as name, coalesce(c.owner, '') as owner, a.reasons, a.opened_at
from tidegate.alerts a left join tidegate.contacts c on c.key = a.contact
where a.id = any(cast(:ids as bigint[])) and {_TOLD}""")

_PEOPLE = text(f"""
select key, kind || ':' || external_id as ref, name from tidegate.contacts c
where key = any(cast(:keys as bigint[])) and {_TOLD}""")

_NAMED_TASKS = text(f"""
select t.id, t.text, t.due_on, c.kind || ':' || c.external_id as contact, c.name
from tidegate.contact_tasks t join tidegate.contacts c on c.key = t.contact
where t.id = any(cast(:ids as bigint[])) and {_TOLD}""")
