"""Deletes what is kept only for a while, by batches, each its own transaction (semantics, Operation).

What is not named here is kept for ever, the versions of objects above all: the revenue history is made of them.
"""

import threading
from collections.abc import Mapping

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from tidegate.revenue import partitions
from tidegate.store.trouble import held_by_others

BATCH = 1000

DAYS: Mapping[str, int] = {
    "inbox": 30,
    "jobs": 7,
    "runs": 90,
    "usage": 90,
    "outbox": 14,
    "movements": 90,
    "requests": 30,
    "lifecycle": 730,
}
"""Events that wait or are parked are kept whatever their age; so are jobs that are not finished, and of the runs what
`BATCHES` says. Revoked tokens go with the runs, and what actions passed over; what they did stays. Answers kept for
their Idempotency-Key go after a day, as do tries to sign in that failed. Of usage go the single debits, with their
idempotency keys; what is used in all stays counted, and a reservation that nobody settled stays. Of the outbox stays
what a destination still waits for, and a dead letter as long after it was given up, so that somebody can replay it. Of
movements go those that a recomputation superseded, and whole ledgers that are older than the last `LEDGERS`. Of what
was sent to Stripe stays what has no known outcome, and with the requests go the plans of syncs that were looked at; but
usage that was told stays as long as Stripe would take it again: 35 days. Of the lifecycle go stays in stages and
segments that ended, scores of health with a newer one, changes of entitlements, and alerts that are over; what is open
or holds now stays.
"""

LEDGERS = 3
"""Editions of a connection's ledger that stay beside the one in force, for comparison."""
OLD_LEDGERS = f"""
  select connection, edition from tidegate.ledgers l
  where retired_at is not null and (
    select count(*) from tidegate.ledgers n
    where n.connection = l.connection and n.retired_at is not null and n.edition > l.edition) >= {LEDGERS}"""

# What to delete, per table: one batch of rows past their days. Of runs (with their ranges and comparisons) stay the
# last of each kind, the last whole import (it says that there was one, and that lost events were made good), and an
# audit whose verdict on some resource is the newest.
BATCHES = {
    "inbox": """
delete from tidegate.inbox where ctid = any(array(
  select ctid from tidegate.inbox
  where state in ('handled', 'skipped') and received_at < now() - make_interval(days => :days)
  limit :batch))""",
    "jobs": """
delete from tidegate.procrastinate_jobs where id = any(array(
  select j.id from tidegate.procrastinate_jobs j
  where j.status in ('succeeded', 'failed', 'cancelled', 'aborted') and not exists (
    select from tidegate.procrastinate_events e where e.job_id = j.id and e.at >= now() - make_interval(days => :days))
  order by j.id limit :batch))""",
    "runs": """
with whole as (
  select id, connection from tidegate.runs
  where kind = 'import' and state = 'done' and coalesce(options -> 'resources', '[]') = '[]')
delete from tidegate.runs where id = any(array(
  select r.id from tidegate.runs r
  where greatest(r.started_at, r.heartbeat_at, r.finished_at) < now() - make_interval(days => :days)
    and exists (
      select from tidegate.runs n where n.connection = r.connection and n.kind = r.kind and n.id > r.id)
    and (not exists (select from whole w where w.id = r.id)
         or exists (select from whole w where w.connection = r.connection and w.id > r.id))
    and not exists (
      select from tidegate.comparisons c where c.run = r.id and not exists (
        select from tidegate.comparisons n
        where n.connection = c.connection and n.resource = c.resource and n.run > c.run))
  order by r.id limit :batch))""",
    # Their numbers grow with time: the oldest are found without an index on it, which every debit would pay for.
    "usage": """
delete from tidegate.usage_debits where id = any(array(
  select id from (select id, at from tidegate.usage_debits where state <> 'reserved' order by id limit :batch) oldest
  where at < now() - make_interval(days => :days)))""",
    "meter_forwards": """
delete from tidegate.meter_forwards where id = any(array(
  select id from tidegate.meter_forwards where state in ('sent', 'taken_back', 'discarded')
    and settled_at < now() - make_interval(days => greatest(:days, 36)) limit :batch))""",
    "outbox": """
with old as materialized (
  select id from tidegate.outbox o where at < now() - make_interval(days => :days) and not exists (
    select from tidegate.deliveries d where d.outbox = o.id and (
      d.state = 'waiting' or (d.state = 'dead' and d.done_at >= now() - make_interval(days => :days))))
  order by at limit :batch),
due as (delete from tidegate.deliveries where outbox in (select id from old)),
seconds as (delete from tidegate.destination_seconds where outbox in (select id from old))
delete from tidegate.outbox where id in (select id from old)""",
    # What comes near is passed over until its date is over, however far ahead that is.
    "action_occurrences": """
delete from tidegate.action_occurrences where id = any(array(
  select id from tidegate.action_occurrences where state = 'passed'
    and decided_at < now() - make_interval(days => greatest(:days, 30))
    and coalesce(what ->> 'renews_at', what ->> 'trial_ends_at', '2000-01-01')::timestamptz < now() - interval '30 days'
  order by id limit :batch))""",
    # Also what was told while its destination was removed.
    "deliveries": """
delete from tidegate.deliveries where id = any(array(
  select id from tidegate.deliveries d
  where (state = 'dead' and outbox is null and done_at < now() - make_interval(days => :days))
    or (state = 'waiting' and not exists (select from tidegate.destinations t where t.key = d.destination))
  limit :batch))""",
    "movements": """
delete from tidegate.movements m using (
  select tableoid as of, ctid as at from tidegate.movements
  where superseded_at < now() - make_interval(days => :days) limit :batch) old
where m.tableoid = old.of and m.ctid = old.at""",
    "requests": """
delete from tidegate.requests where id = any(array(
  select id from (
    select id, state, intended_at from tidegate.requests
    where state not in ('intended', 'unknown')
      and not (path = '/v1/billing/meter_events' and intended_at > now() - interval '36 days')
    order by id limit :batch) oldest
  where intended_at < now() - make_interval(days => :days)))""",
    "sync_plans": """
delete from tidegate.sync_plans where id = any(array(
  select id from tidegate.sync_plans where at < now() - make_interval(days => :days) order by id limit :batch))""",
    # The last of each recipient says from where the next one goes on.
    "digests": """
delete from tidegate.digests where (recipient, period) in (
  select d.recipient, d.period from tidegate.digests d
  where d.made_at < now() - make_interval(days => :days) and exists (
    select from tidegate.digests n where n.recipient = d.recipient and n.until > d.until)
  limit :batch)""",
    "memberships": """
delete from tidegate.memberships where id = any(array(
  select id from tidegate.memberships where left_at < now() - make_interval(days => :days) limit :batch))""",
    # The newest of each contact is what its health is.
    "health_history": """
delete from tidegate.health_history where ctid = any(array(
  select h.ctid from tidegate.health_history h
  where h.at < now() - make_interval(days => :days) and exists (
    select from tidegate.health_history n where n.contact = h.contact and n.at > h.at)
  limit :batch))""",
    # One that was dismissed is about what may hold still, until the contact has another of its rule.
    "alerts": """
delete from tidegate.alerts where id = any(array(
  select a.id from tidegate.alerts a
  where a.changed_at < now() - make_interval(days => :days) and (a.state = 'resolved' or (
    a.state = 'dismissed' and exists (
      select from tidegate.alerts n where n.contact = a.contact and n.rule = a.rule and n.id > a.id)))
  order by a.id limit :batch))""",
    "entitlement_changes": """
delete from tidegate.entitlement_changes where id = any(array(
  select id from (select id, at from tidegate.entitlement_changes order by id limit :batch) oldest
  where at < now() - make_interval(days => :days)))""",
    "tokens": """
delete from tidegate.tokens where id = any(array(
  select id from tidegate.tokens where revoked_at < now() - make_interval(days => :days) limit :batch))""",
    "failed_tries": """
delete from tidegate.failed_tries where id = any(array(
  select id from tidegate.failed_tries
  where at < now() - make_interval(days => least(:days, 1)) limit :batch))""",
    "kept_answers": """
delete from tidegate.kept_answers where id = any(array(
  select id from tidegate.kept_answers
  where begun_at < now() - make_interval(days => least(:days, 1)) limit :batch))""",
}


_WITH = {
    "failed_tries": "jobs",
    "kept_answers": "jobs",
    "meter_forwards": "usage",
    "tokens": "runs",
    "action_occurrences": "runs",
    "digests": "runs",
    "memberships": "lifecycle",
    "health_history": "lifecycle",
    "alerts": "lifecycle",
    "entitlement_changes": "lifecycle",
    "sync_plans": "requests",
    "deliveries": "outbox",
}
"""Tables that go by the days of another."""


def forget_old(
    engine: Engine, days: Mapping[str, int] = DAYS, *, stop: threading.Event | None = None
) -> dict[str, int]:
    """Deletes the rows of each table that are older than its `days`; returns how many there were."""
    deleted = dict.fromkeys([*BATCHES, "ledgers"], 0)
    for table, batch in BATCHES.items():
        kept = days[_WITH.get(table, table)]
        while not (stop and stop.is_set()):
            with engine.begin() as db:
                count = db.execute(text(batch), {"days": kept, "batch": BATCH}).rowcount
            deleted[table] += count
            if count < BATCH:
                break
    if not (stop and stop.is_set()):
        deleted["ledgers"] = _forget_ledgers(engine)
        with engine.begin() as db:
            db.execute(text("analyze tidegate.movements"))  # of the whole PostgreSQL itself takes no statistics
    return deleted


def _forget_ledgers(engine: Engine) -> int:
    """Drops the movements of old editions; returns how many rows they were. Where somebody looks at movements for too
    long it is left to the next time.
    """
    with engine.connect() as db:
        old = [(row.connection, row.edition) for row in db.execute(text(OLD_LEDGERS))]
    rows = 0
    for connection, edition in old:
        try:
            with engine.begin() as db:
                db.execute(text("set local lock_timeout = '500ms'"))  # whoever comes after it waits as long
                rows += partitions.drop(db, connection, edition)
        except OperationalError as error:
            if not held_by_others(error):
                raise
    return rows
