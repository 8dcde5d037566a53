"""Writes the row of `contact_facts` of contacts: what they are worth now, in what state, and what comes next."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from tidegate.revenue.standing import ENDS, RENEWING, RENEWS
from tidegate.store.driver import rows


def keep_facts(db: Connection, contacts: Sequence[int]) -> int:
    """Brings the facts of these contacts (internal keys) up to their spans, movements and subscriptions; returns how
    many rows were written or dropped. A contact without a customer has none.
    """
    return rows(db, _PUT, {"contacts": list(contacts)})[0].written if contacts else 0


_DATA = (
    "mrr", "listed", "trial", "statuses", "subscriptions", "customer_since", "churned_at", "renews_at", "ends_at",
    "trial_ends_at", "last_moved_at",
)  # fmt: skip


def _columns(of: str = "") -> str:
    return ", ".join(f"{of}{name}" for name in _DATA)


# What is excluded counts for nothing here, but its subscriptions still have a state, renewals and ends.
_PUT = text(f"""
with these as materialized (
  select unnest(cast(:contacts as bigint[])) as contact),
theirs as materialized (
  select l.contact, l.connection, l.customer, not exists (
    select from tidegate.exclusions e where e.connection = l.connection and e.customer = l.customer) as counts
  from these join tidegate.links l on l.contact = these.contact),
spans as materialized (
  select t.contact, s.* from theirs t
  join tidegate.spans s on s.connection = t.connection and s.customer = t.customer
  where t.counts),
amounts as (
  select contact, currency, sum(mrr)::bigint as mrr, sum(listed) filter (where why_not = '')::bigint as listed,
    sum(trial)::bigint as trial
  from spans where ends_at is null group by contact, currency),
worth as (
  select contact, jsonb_object_agg(currency, mrr) filter (where mrr <> 0) as mrr,
    jsonb_object_agg(currency, listed) filter (where listed <> 0) as listed,
    jsonb_object_agg(currency, trial) filter (where trial <> 0) as trial
  from amounts group by contact),
lives as (
  select contact, min(starts_at) as customer_since,
    case when not bool_or(ends_at is null) then max(ends_at) end as churned_at,
    count(distinct (connection, subscription)) filter (where ends_at is null) as subscriptions
  from spans where mrr > 0 group by contact),
moves as (
  select t.contact, max(m.moved_at) as last_moved_at from theirs t
  join tidegate.ledgers g on g.connection = t.connection and g.adopted_at is not null and g.retired_at is null
  join tidegate.movements m on m.connection = t.connection and m.customer = t.customer and m.superseded_at is null
    and m.edition = g.edition and m.kind <> 'transfer'
  group by t.contact),
subscribed as materialized (
  select t.contact, s.status, s.trial_end, s.pause_behavior, s.pause_resumes_at,
    s.status in ('active', 'past_due', 'trialing') as live, e.ends_at, n.renews_at
  from theirs t
  join stripe.subscriptions s on s.connection = t.connection and s.customer = t.customer
  {ENDS}{RENEWS}
  where s.deleted_at is null and s.test_clock is null),
states as (
  select contact, array_agg(distinct status order by status) as statuses,
    min(renews_at) filter (where live and {RENEWING}) as renews_at,
    min(ends_at) filter (where live) as ends_at,
    min(trial_end) filter (where status = 'trialing') as trial_ends_at
  from subscribed group by contact),
fresh as materialized (
  select t.contact, coalesce(w.mrr, '{{}}') as mrr, coalesce(w.listed, '{{}}') as listed,
    coalesce(w.trial, '{{}}') as trial, coalesce(s.statuses, '{{}}') as statuses,
    coalesce(l.subscriptions, 0)::int as subscriptions, l.customer_since, l.churned_at, s.renews_at, s.ends_at,
    s.trial_ends_at, m.last_moved_at
  from (select distinct contact from theirs) t
  left join worth w using (contact) left join lives l using (contact) left join states s using (contact)
  left join moves m using (contact)),
gone as (
  delete from tidegate.contact_facts f using these
  where f.contact = these.contact and not exists (select from fresh where fresh.contact = f.contact) returning 1),
put as (
  insert into tidegate.contact_facts as f (contact, {_columns()})
  select contact, {_columns()} from fresh n where not exists (
    select from tidegate.contact_facts o
    where o.contact = n.contact and ({_columns("o.")}) is not distinct from ({_columns("n.")}))
  order by contact
  on conflict (contact) do update set ({_columns()}) = ({_columns("excluded.")}), updated_at = clock_timestamp()
  returning 1)
select (select count(*) from gone) + (select count(*) from put) as written""")
