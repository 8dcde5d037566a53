"""The query of what grants are derived from: items of subscriptions, with what the catalog says of their prices.

Set by set and not item by item: a refresh of all customers reads millions.
"""

# The first failed attempt of an invoice is no field of it: its failed charges tell; else the first version of the
# invoice that had been attempted; else the time it was finalised, an hour or so before.
_OF_OPEN_INVOICE = """
select case when v.collection_method = 'send_invoice' then coalesce(v.due_date, v.finalized_at, v.created)
  else coalesce(
  (select min(c.created) from stripe.charges c
   where c.connection = v.connection and c.customer = s.customer and c.status = 'failed' and c.deleted_at is null
     and (c.invoice = v.id or c.payment_intent = v.payment_intent or exists (
       select from stripe.invoice_payments p
       where p.connection = v.connection and p.invoice = v.id and p.deleted_at is null
         and (p.charge = c.id or p.payment_intent = c.payment_intent)))),
  (select min(k.at) from tidegate.versions k
   where k.connection = v.connection and k.resource = 'invoices' and k.object_id = v.id
     and coalesce((k.data ->> 'attempt_count')::bigint, 0) > 0),
  case when v.attempt_count > 0 then coalesce(v.finalized_at, v.created) end) end as since
from stripe.invoices v
where v.connection = s.connection and v.subscription = s.id and v.status = 'open' and v.deleted_at is null
order by v.created, v.id limit 1"""

# Without an open invoice (written off, voided, or hidden from the key) the versions of the subscription tell: when its
# status changed, else the first that is past due after the last that is not. That may have been so for some time, but
# not before its latest invoice, or the period that this is for.
_OF_VERSIONS = """
with known as (
  select k.at, jsonb_exists(k.previous, 'status') as begun, k.data from tidegate.versions k
  where k.connection = s.connection and k.resource = 'subscriptions' and k.object_id = s.id
  union all
  select coalesce(s.told_at, s.updated_at), false, s.data),
sound as (select max(at) as at from known where data ->> 'status' <> 'past_due')
select greatest(coalesce(max(k.at) filter (where k.begun), min(least(k.at, coalesce(
    (select coalesce(v.finalized_at, v.created) from stripe.invoices v
     where v.connection = s.connection and v.deleted_at is null
       and v.id = coalesce(k.data #>> '{latest_invoice,id}', k.data ->> 'latest_invoice')),
    to_timestamp(coalesce(k.data ->> 'current_period_start',
      k.data #>> '{items,data,0,current_period_start}')::bigint))))), max(sound.at))
from known k, sound
where k.data ->> 'status' = 'past_due' and (sound.at is null or k.at >= sound.at)"""

OVERDUE_SINCE = f"coalesce(({_OF_OPEN_INVOICE}), ({_OF_VERSIONS}), s.updated_at)"
"""Since when the subscription `s` is overdue: never null, or it would have its days of grace for ever."""

ITEMS = f"""
select s.connection, s.id as subscription, i.id as item, l.contact, s.customer, coalesce(i.price, '') as price,
  coalesce(i.product, '') as product, i.quantity, coalesce(i.created, s.start_date, s.created, s.updated_at) as since,
  coalesce(s.billing_cycle_anchor, s.start_date, s.created, s.updated_at) as anchor, i.interval, i.interval_count,
  s.status, s.updated_at as at,
  coalesce(s.cancel_at, case when s.cancel_at_period_end then coalesce((
    select max(e.current_period_end) from stripe.subscription_items e
    where e.connection = s.connection and e.subscription = s.id and e.deleted_at is null), s.current_period_end) end)
    as ends_at,
  case when s.status = 'past_due' then {OVERDUE_SINCE} end as overdue_since,
  s.pause_behavior as pause, s.pause_resumes_at as resumes_at
from tidegate.links l
join stripe.subscriptions s on s.connection = l.connection and s.customer = l.customer and s.deleted_at is null
join stripe.subscription_items i on i.connection = s.connection and i.subscription = s.id and i.deleted_at is null
where l.contact = any(cast(:contacts as bigint[])) and s.status <> 'incomplete_expired' offset 0"""
"""Every item of every subscription of the customers that the contacts `:contacts` (internal keys) have, but of those
that never started. OFFSET 0: found by the contacts, whatever they are joined with.
"""

MEANT = """
select i.*, m.id as mapping, m.package, m.feature, m.terms,
  case when m.per_quantity or i.quantity = 0 then coalesce(i.quantity, 1) else 1 end as times,
  greatest(i.at, m.created_at) as came_at
from items i
left join tidegate.kept_mappings k
  on k.connection = i.connection and k.subscription = i.subscription and k.price = i.price
left join tidegate.mappings p on p.connection = i.connection and p.price = i.price and p.removed_at is null
left join tidegate.mappings q on q.connection = i.connection and q.product = i.product and q.removed_at is null
join tidegate.mappings m on m.id = coalesce(k.mapping, p.id, q.id)"""
"""The `items` with their mapping: one that the subscription keeps, else of the price, else of the product; the unmapped
ones are left out.
"""

# What few items need stands in a CASE, not in a join: a join would look at every item.
DERIVED = f"""
select i.connection, i.subscription, i.item, i.contact, i.customer, i.price, i.mapping, i.package,
  case when i.package is not null then coalesce((
    select h.version from tidegate.holdings h
    where h.connection = i.connection and h.subscription = i.subscription and h.package = i.package), (
    select v.version from tidegate.package_versions v
    where v.package = i.package and v.published_at is not null
    order by v.published_at <= i.came_at desc,
      case when v.published_at <= i.came_at then -v.version else v.version end limit 1)) end as version,
  i.feature, i.terms, i.times, i.since, i.anchor, i.interval, i.interval_count, i.status, i.ends_at,
  case when i.overdue_since is not null then i.overdue_since + make_interval(days => coalesce((
    select (t.settings ->> 'grace_days')::int from tidegate.contact_settings t where t.connection = i.connection),
    :grace_days)) end as grace_until,
  i.pause, i.resumes_at
from ({MEANT}) i"""
"""The rows of `tidegate.grants` that the `items` give.

A subscription stays on the version of a package that it holds; one that comes to a package gets the version that was
the newest when Stripe told so or, later, its price was mapped; before the first the first.
"""
