"""What billing events are worked out of, as SQL: all that was billed, paid and given back, with whom it names."""

from sqlalchemy import text

from tidegate.mirror.changed import KNOWN_UNTIL

AROUND = 60
"""Seconds after an invoice counted an attempt in which its charge may be dated."""

# A payment names its invoice by the payment intent, or by the charge alone; a charge itself did so until 2025. That an
# attempt was made without a charge, only a version of the invoice says, told by an event that counts one more; and that
# there is no charge, only everything that happened around that time: until all of it is known, the attempt is awaited.
TOLD = text(rf"""
with mine as materialized (
  select i.id, i.customer, i.payment_intent, i.charge, i.data from stripe.invoices i
  where i.connection = :connection and i.customer = any(cast(:ids as text[])) and i.deleted_at is null
    and i.test_clock is null and i.status <> 'draft' and not exists (
      select from tidegate.exclusions x where x.connection = i.connection and x.customer = i.customer)),
paying as materialized (
  select p.invoice, p.payment_intent, p.charge from stripe.invoice_payments p join mine m on m.id = p.invoice
  where p.connection = :connection and p.deleted_at is null
  union select id, payment_intent, charge from mine),
charged as materialized (
  select c.id, coalesce(c.invoice, by_intent.invoice, by_charge.invoice) as invoice, c.status, c.created,
    c.data
  from stripe.charges c
  left join (select payment_intent, min(invoice) as invoice from paying where payment_intent is not null group by 1)
    by_intent on by_intent.payment_intent = c.payment_intent
  left join (select charge, min(invoice) as invoice from paying where charge is not null group by 1)
    by_charge on by_charge.charge = c.id
  where c.connection = :connection and c.customer = any(cast(:ids as text[])) and c.deleted_at is null)
select 'invoice' as what, customer as owner, id, id as invoice, data\:\:text as data, 0 as told_at, 0 as place from mine
union all
select 'note', '', n.id, n.invoice, n.data\:\:text, 0, 1 from stripe.credit_notes n join mine m on m.id = n.invoice
where n.connection = :connection and n.deleted_at is null
union all
select 'failure', '', id, invoice, data\:\:text, 0, 1 from charged where status = 'failed' and invoice is not null
union all
select 'refund', '', r.id, c.invoice, r.data\:\:text, extract(epoch from case when r.certainty = 0 then r.updated_at
  else r.created end)\:\:bigint, 1
from stripe.refunds r join charged c on c.id = r.charge
where r.connection = :connection and r.deleted_at is null and c.invoice is not null
union all
select 'dispute', '', d.id, c.invoice, d.data\:\:text, extract(epoch from case when d.certainty = 0 then d.updated_at
  else d.created end)\:\:bigint, 1
from stripe.disputes d join charged c on c.id = d.charge
where d.connection = :connection and d.deleted_at is null and c.invoice is not null
union all
select case when t.told_before or t.known then 'attempt' else 'awaited' end, '', t.invoice, t.invoice, t.number,
  extract(epoch from t.at)\:\:bigint, 1
from (
  select v.invoice, v.number, v.at,
    exists (select from tidegate.billing_events e
      where e.connection = :connection and e.id = 'failed:' || v.invoice || ':' || v.number) as told_before,
    coalesce(v.at + interval '{AROUND} seconds' < {KNOWN_UNTIL}, false) and not exists (
      select from tidegate.refetches r where r.connection = :connection and r.resource = 'invoice_payments'
      and r.object_id = v.invoice and r.next_try_at < 'infinity') as known
  from (
    select v.object_id as invoice, v.data ->> 'attempt_count' as number, min(v.at) as at
    from tidegate.versions v join mine m on m.id = v.object_id
    where v.connection = :connection and v.resource = 'invoices' and v.previous ? 'attempt_count'
      and v.data ->> 'attempt_count' is not null and v.data ->> 'status' <> 'paid'
    group by 1, 2) v
  where not exists (
    select from charged c where c.invoice = v.invoice
    and c.created between v.at - interval '5 minutes' and v.at + interval '{AROUND} seconds')) t
order by place, id""")

KNOWN = text(r"""
with mine as materialized (
  select n.id, coalesce(c.email, '') as email from unnest(cast(:ids as text[])) as n(id)
  left join stripe.customers c on c.connection = :connection and c.id = n.id where c.test_clock is null
    and not exists (select from tidegate.exclusions x where x.connection = :connection and x.customer = n.id)),
known_by as materialized (
  select coalesce((select identity from tidegate.ledgers
    where connection = :connection and adopted_at is not null and retired_at is null), 'own_id') as identity),
subscribed as materialized (
  select s.id, s.customer, s.status, s.ended_at, coalesce(s.cancellation_feedback, s.cancellation_reason, '') as reason
  from stripe.subscriptions s join mine m on m.id = s.customer
  where s.connection = :connection and s.deleted_at is null and s.test_clock is null),
spanned as materialized (
  select s.* from tidegate.spans s join mine m on m.id = s.customer where s.connection = :connection),
back as materialized (
  select v.customer, v.subscription, v.currency, min(v.at) as at, sum(v.amount) as amount,
    json_agg(json_build_array(v.price, v.product) order by v.amount desc, v.item) as prices
  from tidegate.movements v join mine m on m.id = v.customer
  join tidegate.ledgers l on l.connection = v.connection and l.edition = v.edition
    and l.adopted_at is not null and l.retired_at is null
  where v.connection = :connection and v.superseded_at is null and v.kind = 'reactivation' and v.amount > 0
  group by v.customer, v.subscription, v.currency, v.moved_at),
named as materialized (
  select price, product from spanned
  union select l.price, l.product from stripe.invoice_lines l join stripe.invoices i
    on i.connection = l.connection and i.id = l.invoice
  join mine m on m.id = i.customer
  where i.connection = :connection and l.deleted_at is null and l.price is not null),
priced as materialized (
  select n.price, coalesce(p.product, n.product, '') as product, coalesce(p."interval", i."interval", '') as interval,
    coalesce(p.interval_count, i.interval_count, 1) as interval_count,
    coalesce(p.usage_type, i.usage_type, '') = 'metered' as metered
  from (select price, max(product) as product from named group by price) n
  left join stripe.prices p on p.connection = :connection and p.id = n.price
  left join lateral (
    select i."interval", i.interval_count, i.usage_type from stripe.subscription_items i
    where p.id is null and i.connection = :connection and i.price = n.price limit 1) i on true)
select 'customer' as what, m.id as owner, m.id, json_build_array(
    coalesce(case when :by_contact then 'contact:' || k.contact end, m.id), m.email,
    coalesce(case when c.made_by <> 'stripe' and b.identity = 'own_id' then c.external_id end, ''),
    b.identity <> 'customer' and s.customer is not null)\:\:text as data
from mine m cross join known_by b
left join tidegate.links k on k.connection = :connection and k.customer = m.id
left join tidegate.contacts c on c.key = k.contact
left join (select distinct customer from subscribed where status not in ('incomplete', 'incomplete_expired')) s
  on s.customer = m.id
union all
select 'ended', customer, id, json_build_array(id, extract(epoch from ended_at)\:\:bigint, reason)\:\:text
from subscribed where status = 'canceled' and ended_at is not null
union all
select 'stretch', customer, item, json_build_array(subscription, item, extract(epoch from starts_at)\:\:bigint,
  extract(epoch from ends_at)\:\:bigint, currency, mrr, listed, trial, price, product, quantity,
  provenance = 'inferred')\:\:text from spanned
union all
select 'return', customer, subscription, json_build_array(subscription, extract(epoch from at)\:\:bigint, currency,
  amount\:\:bigint, prices, exists (select from spanned s
    where s.subscription = back.subscription and s.ends_at = back.at and s.provenance = 'inferred'))\:\:text from back
union all
select 'price', '', price, json_build_array(interval, interval_count, metered, product)\:\:text from priced
union all
select 'product', '', p.id, coalesce(p.name, '') from stripe.products p
where p.connection = :connection and p.id in (select product from priced)
union all
select 'package', '', coalesce(m.price, m.product), case when p.kind = 'base' then p.key else '' end
from tidegate.mappings m left join tidegate.packages p on p.key = m.package
where m.connection = :connection and m.removed_at is null
  and (m.price in (select price from priced) or m.product in (select product from priced))""")
