"""A company of many contacts, as it stands after five years: rows in every table that a page reads."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lifecycle import fill as filled_contacts
from sqlalchemy import Connection, Engine, text

from tidegate.catalog import features, mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.lifecycle.actions import presets
from tidegate.outbound import specs, syncs
from tidegate.revenue import editions
from tidegate.workflows.lifecycle import lifecycle, lifecycle_actions
from tidegate.workflows.revenue.ledger_policy import write_movements

BY = "bench"
OWNERS = 12
PRICES = 20
DAYS = 1990
"""Days that the company is old."""


def fill(engine: Engine, contacts: int, folder: Path) -> None:
    """Ten subscriptions of each contact with three or four movements each, five invoices, and a row of one sync that
    was sent ten times as often as there are contacts. `folder`: of the warehouse.
    """
    filled_contacts(engine, contacts, datetime.now(UTC))
    given = {"contacts": contacts, "owners": OWNERS, "prices": PRICES, "days": DAYS}
    _said(engine, given, CONNECTION, CONTACTS, MIRROR)
    with engine.begin() as db:
        _catalog(db)
        _outbound(db, folder)
    _said(engine, given, WORTH)
    with engine.begin() as db:
        write_movements(db, editions.begin(db, "bench"))
    _said(engine, given, FACTS, USED, SENT, PAST)
    vacuumed(engine)
    lifecycle.keep(engine)
    with engine.begin() as db:
        db.execute(text(MOVES))
    vacuumed(engine)


def vacuumed(engine: Engine) -> None:
    """What autovacuum does sooner or later."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("vacuum analyze"))


def _said(engine: Engine, given: dict[str, Any], *statements: str) -> None:
    """Each script in a transaction of its own, without triggers, which would note every row as changed."""
    for script in statements:
        with engine.begin() as db:
            db.execute(text("set local session_replication_role = replica"))
            for statement in script.split(";\n"):
                db.execute(text(statement), {name: v for name, v in given.items() if f":{name}" in statement})


def _catalog(db: Connection) -> None:
    """Ten features and five packages of two versions; every fourth price is mapped to nothing."""
    for n in range(10):
        features.define(db, f"feature-{n}", ("boolean", "config", *["metered"] * 8)[n], unit="unit")
    for n in range(5):
        key = f"package-{n}"
        packages.define(db, key)
        for version in range(2):
            packages.draft(db, key, {"feature-0": True, "feature-1": "eu", "feature-2": 1_000 * (version + 1)})
            packages.publish(db, key)
    for n in range(PRICES):
        if n % 4:
            mappings.set_(db, Wanted("bench", price=f"price_{n}", package=f"package-{n % 5}"))


def _outbound(db: Connection, folder: Path) -> None:
    """A source, a model, a sync; a destination; the actions that are offered, switched off."""
    import duckdb

    file = folder / "rows.duckdb"
    with duckdb.connect(file) as warehouse:
        warehouse.execute("create table rows as select i::varchar as id, 'x' as email from range(1000) t(i)")
    syncs.define_source(db, "files", sealed=None, env="", shown=f"duckdb://{file}")
    syncs.define_model(db, specs.model({"key": "rows", "source": "files", "table": "rows", "primary_key": "id"}))
    said = {"key": "rows", "model": "rows", "resource": "customers", "match": {"email": "email"}}
    syncs.define_sync(db, specs.sync({**said, "fields": {"email": "email"}}), "bench")
    hook: dict[str, Any] = {"url": "https://example.com/hooks", "events": ["stage.changed", "alert.*"]}
    db.execute(text(DESTINATION), {"spec": json.dumps(hook)})
    for entry in presets.suggested("hooks"):
        lifecycle_actions.put(db, entry | {"enabled": False}, BY)


CONNECTION = """
insert into tidegate.connections (name, account, livemode, rate, endpoint_rate, api_key, caught_up_at, display_name)
values ('bench', 'acct_bench', false, 0, 0, '', now(), 'Bench')"""

DESTINATION = """
insert into tidegate.destinations (key, kind, spec, livemode, events, delivered, last_at)
values ('hooks', 'webhook', cast(:spec as jsonb), false, 'stage.changed alert.*', 1000000, now())"""

CONTACTS = """
update tidegate.contacts set owner = case when key % 5 <> 0 then 'owner-' || key % :owners else '' end,
  created_at = now() - (1 + key * 7919 % (:days * 24)) * interval '1 hour',
  properties = jsonb_build_object('plan', (array['free', 'pro', 'team'])[1 + key % 3], 'seats', key % 50);
insert into tidegate.contact_ids (livemode, kind, external_id, contact)
select livemode, kind, external_id, key from tidegate.contacts;
insert into tidegate.contact_emails (contact, folded, email) select key, email, email from tidegate.contacts;
insert into tidegate.contact_domains (contact, domain)
select key, 'company-' || key || '.example' from tidegate.contacts;
insert into tidegate.owners (key, place, name, email)
select 'owner-' || n, n, 'Owner ' || n, 'owner' || n || '@example.com' from generate_series(0, :owners - 1) n;
insert into tidegate.contact_notes (contact, text, by, at)
select key, 'Called about the renewal.', 'bench', now() - key * interval '1 minute' from tidegate.contacts
where key % 5 = 0;
insert into tidegate.contact_tasks (contact, text, due_on, by, at)
select key, 'Call again.', current_date + (key % 60)::int - 30, 'bench', now() from tidegate.contacts
where key % 10 = 0;
insert into tidegate.contact_changes (action, contact, by, at, what, before)
select 'rename', key, 'bench', now() - key * interval '1 minute', '{}', '{}' from tidegate.contacts"""

# A contact begins some day; its subscriptions come one after the other, each a quarter of its age between changes.
_SUBSCRIBED = """
  select n, 1 + n % :contacts as contact, n / :contacts as place
  from generate_series(0, cast(:contacts * 10 - 1 as int)) n"""
_BEGUN = """
  select date_trunc('day', now()) - :days * interval '1 day'
    + (contact * 7919 % (:days * 24 - 240)) * interval '1 hour' as joined"""
_HELD = """
  select joined + (now() - joined) * (place / 12.0) as begun"""
_SPANS = f"""
from ({_SUBSCRIBED}) s, lateral ({_BEGUN}) b, lateral ({_HELD}) h,
  lateral (select least((now() - begun) / 4, (20 + n % 170) * interval '1 day') as held) l"""

MIRROR = f"""
insert into stripe.products (connection, id, created, updated_at, certainty, name, active, data)
select 'bench', 'prod_' || n, now(), now(), 1, 'Product ' || n, true, jsonb_build_object('id', 'prod_' || n)
from generate_series(0, 4) n;
insert into stripe.prices (connection, id, created, updated_at, certainty, product, active, currency, unit_amount,
  interval, interval_count, nickname, data)
select 'bench', 'price_' || n, now(), now(), 1, 'prod_' || n % 5, true, (array['usd', 'eur', 'gbp'])[1 + n % 3],
  1000 + n * 100, 'month', 1, 'Price ' || n, jsonb_build_object('id', 'price_' || n)
from generate_series(0, :prices - 1) n;
insert into stripe.customers (connection, id, created, updated_at, certainty, email, name, country, currency,
  coupons, data)
select 'bench', 'cus_' || key, created_at, created_at, 1, email, name,
  (array['US', 'DE', 'GB', 'FR', 'AT'])[1 + key % 5], 'usd', '{{}}',
  jsonb_build_object('id', 'cus_' || key, 'object', 'customer', 'name', name, 'email', email)
from tidegate.contacts;
insert into tidegate.links (connection, customer, contact, method, evidence)
select 'bench', 'cus_' || key, key, 'created', '{{}}' from tidegate.contacts;
insert into tidegate.matched_by (connection, customer, ids, email, domain)
select 'bench', 'cus_' || key, '{{}}', email, 'company-' || key || '.example' from tidegate.contacts;
insert into stripe.subscriptions (connection, id, created, updated_at, certainty, customer, status, currency,
  start_date, billing_cycle_anchor, current_period_start, current_period_end, cancel_at_period_end, canceled_at,
  ended_at, cancellation_feedback, latest_invoice, coupons, data)
select 'bench', 'sub_' || n, begun, now(), 1, 'cus_' || contact,
  case when n % 4 = 0 then 'canceled' when n % 29 = 0 then 'past_due' when n % 31 = 0 then 'trialing' else 'active' end,
  (array['usd', 'eur', 'gbp'])[1 + contact % 3], begun, begun, now() - (n % 30) * interval '1 day',
  now() + (30 - n % 30) * interval '1 day', n % 37 = 0, case when n % 4 = 0 then begun + 3 * held end,
  case when n % 4 = 0 then begun + 3 * held end,
  case when n % 4 = 0 then (array['too_expensive', 'unused', 'missing_features'])[1 + n % 3] end, 'in_' || n,
  '{{}}', jsonb_build_object('id', 'sub_' || n, 'object', 'subscription', 'customer', 'cus_' || contact)
{_SPANS};
insert into stripe.subscription_items (connection, id, created, updated_at, certainty, subscription, price, product,
  quantity, currency, unit_amount, interval, interval_count, current_period_end, coupons, data)
select 'bench', 'si_' || n, begun, now(), 1, 'sub_' || n, 'price_' || (n + 2) % :prices,
  'prod_' || (n + 2) % :prices % 5, 1, (array['usd', 'eur', 'gbp'])[1 + contact % 3], 1000, 'month', 1,
  now() + (30 - n % 30) * interval '1 day', '{{}}', jsonb_build_object('id', 'si_' || n, 'object', 'subscription_item')
{_SPANS};
insert into stripe.invoices (connection, id, created, updated_at, certainty, customer, subscription, status, number,
  currency, amount_due, amount_paid, amount_remaining, total, subtotal, paid, attempt_count, period_start, period_end,
  finalized_at, paid_at, coupons, data)
select 'bench', 'in_' || n, at, at, 1, 'cus_' || 1 + n % :contacts, 'sub_' || n,
  case when n % 50 = 0 then 'open' else 'paid' end, 'B-' || n, 'usd', 1000, case when n % 50 = 0 then 0 else 1000 end,
  case when n % 50 = 0 then 1000 else 0 end, 1000, 1000, n % 50 <> 0, 1, at, at, at,
  case when n % 50 <> 0 then at end, '{{}}', jsonb_build_object('id', 'in_' || n, 'object', 'invoice')
from generate_series(0, cast(:contacts * 5 - 1 as int)) n, lateral (
  select now() - (n % (:days * 24)) * interval '1 hour' as at) a;
insert into stripe.charges (connection, id, created, updated_at, certainty, customer, invoice, amount, currency, status,
  paid, data)
select 'bench', 'ch_' || n, at, at, 1, 'cus_' || 1 + n % :contacts, 'in_' || n, 1000, 'usd',
  case when n % 50 = 0 then 'failed' else 'succeeded' end, n % 50 <> 0, jsonb_build_object('id', 'ch_' || n)
from generate_series(0, cast(:contacts * 5 - 1 as int)) n, lateral (
  select now() - (n % (:days * 24)) * interval '1 hour' as at) a;
insert into tidegate.versions (connection, resource, object_id, at, certainty, digest, data)
select connection, 'subscriptions', id, created, 1, decode(md5(id), 'hex'), data from stripe.subscriptions"""

WORTH = f"""
insert into tidegate.spans (connection, subscription, item, starts_at, ends_at, customer, currency, mrr, listed, trial,
  price, product, quantity, "interval", interval_count, metered, provenance, source)
select 'bench', 'sub_' || n, 'si_' || n, begun + k * held,
  case when k < 2 or n % 4 = 0 then begun + (k + 1) * held end, 'cus_' || contact,
  (array['usd', 'eur', 'gbp'])[1 + (contact + case when n % 97 = 0 then 1 else 0 end) % 3],
  case when k = 0 and n % 7 = 0 then 0 else amount end, amount, case when k = 0 and n % 7 = 0 then amount else 0 end,
  'price_' || (n + k) % :prices, 'prod_' || (n + k) % :prices % 5, 1, 'month', 1, false, 'observed', 'evt'
{_SPANS}, generate_series(0, 2) k, lateral (select (1 + (n * 7 + k * 13) % 40) * 100000000::bigint as amount) a;
insert into tidegate.billing_events (connection, id, name, at, customer, identity, subscription, invoice, currency,
  amount, data, told)
select 'bench', 'be_' || n, 'Subscription Billed', now() - (n % (:days * 24)) * interval '1 hour',
  'cus_' || 1 + n % :contacts, 'ada@example.com', 'sub_' || n, 'in_' || n, 'usd', 1000, '{{}}', false
from generate_series(0, cast(:contacts * 5 - 1 as int)) n"""

FACTS = """
with worth as (
  select l.contact, s.currency, sum(s.mrr) as mrr from tidegate.spans s
  join tidegate.links l on l.connection = s.connection and l.customer = s.customer
  where s.ends_at is null and s.mrr <> 0 group by 1, 2),
told as (select contact, jsonb_object_agg(currency, mrr) as mrr from worth group by contact)
update tidegate.contact_facts f set mrr = t.mrr, listed = t.mrr from told t where t.contact = f.contact;
update tidegate.contact_lifecycle set packages = array['package-' || contact % 5],
  features = case when contact % 2 = 0 then array['feature-0', 'feature-1', 'feature-2'] else '{}' end,
  intervals = array['month'], country = (array['US', 'DE', 'GB', 'FR', 'AT'])[1 + contact % 5]"""

USED = """
insert into tidegate.grants (connection, subscription, item, contact, customer, price, mapping, package, version, times,
  since, anchor, interval, interval_count, status)
select i.connection, i.subscription, i.id, l.contact, s.customer, i.price, m.id, m.package, 2, 1, i.created, i.created,
  'month', 1, s.status
from stripe.subscription_items i
join stripe.subscriptions s on s.connection = i.connection and s.id = i.subscription and s.status <> 'canceled'
join tidegate.links l on l.connection = s.connection and l.customer = s.customer
join tidegate.mappings m on m.connection = i.connection and m.price = i.price;
insert into tidegate.holdings (connection, subscription, package, version, since)
select distinct connection, subscription, package, 2, since from tidegate.grants;
insert into tidegate.unmapped_prices (connection, price, product)
select 'bench', 'price_' || n, 'prod_' || n % 5 from generate_series(0, :prices - 1) n where n % 4 = 0;
insert into tidegate.usage (contact, feature, bucket, period_start, period_end, used)
select key, 'feature-2', 'package', date_trunc('month', now()), date_trunc('month', now()) + interval '1 month',
  key % 900
from tidegate.contacts;
insert into tidegate.usage_debits (contact, feature, operation, amount, debits, answer, at)
select 1 + n % :contacts, 'feature-' || 2 + n % 3, 'consume', 1 + n % 9, '{}', '{}',
  now() - (n % 2000) * interval '1 hour'
from generate_series(1, cast(:contacts * 5 as int)) n;
insert into tidegate.entitlement_changes (contact, type, data, at)
select 1 + n % :contacts, 'granted', '{"feature": "feature-2", "before": null, "now": null}',
  now() - (n % 9000) * interval '1 hour'
from generate_series(1, cast(:contacts * 3 as int)) n"""

SENT = """
insert into tidegate.runs (connection, kind, state, started_at, finished_at, options, summary)
select 'sync:rows', 'sync', 'done', now() - interval '2 hours', now() - interval '1 hour', '{"sync": "rows"}',
  jsonb_build_object('sent', jsonb_build_object('update', :contacts * 10));
insert into tidegate.sync_rows (sync, key, hash, state, object_id, problems, run)
select 'rows', n::text, n, case when n % 100 = 0 then 'failed' else 'sent' end, 'cus_' || n,
  case when n % 100 = 0 then '[{"field": "email", "problem": "No such address."}]' else '[]' end::jsonb, 1
from generate_series(1, cast(:contacts * 10 as int)) n;
insert into tidegate.requests (run, sync, connection, key, kind, hash, wanted, operation, method, path, params,
  before, idempotency_key, generation, state, status, object_id, sent_at, answered_at)
select 1, 'rows', 'bench', n::text, 'update', n, '{"email": "x"}', 'update', 'post', '/v1/customers/cus_' || n,
  '{"email": "x"}', '{"email": "y"}', 'k' || n, 1, case when n % 100 = 0 then 'refused' else 'done' end,
  case when n % 100 = 0 then 400 else 200 end, 'cus_' || n, now(), now()
from generate_series(1, cast(:contacts * 10 as int)) n;
insert into tidegate.outbox (type, contact, connection, data, at)
select (array['stage.changed', 'alert.opened', 'contact.updated'])[1 + n % 3], 1 + n % :contacts, 'bench', '{}',
  now() - (n % 300) * interval '1 hour' from generate_series(1, cast(:contacts * 5 as int)) n;
insert into tidegate.deliveries (destination, outbox, contact, state, attempts, status, error, done_at)
select 'hooks', id, contact, case when id % 50 = 0 then 'dead' when id % 51 = 0 then 'waiting' else 'delivered' end,
  case when id % 50 = 0 then 8 else 0 end, case when id % 50 = 0 then 500 else 200 end, '',
  case when id % 50 = 0 or id % 51 <> 0 then at end
from tidegate.outbox"""

PAST = """
insert into tidegate.runs (connection, kind, state, started_at, finished_at, options, summary)
select case when n % 2 = 0 then 'bench' else 'sync:rows' end,
  case when n % 2 = 1 then 'sync' else (array['import', 'sweep', 'audit'])[1 + n / 2 % 3] end, 'done',
  now() - (3000 - n) * interval '1 hour', now() - (3000 - n) * interval '1 hour',
  case when n % 2 = 1 then '{"sync": "rows"}' else '{"resources": []}' end::jsonb,
  case when n % 2 = 1 then '{"sent": {"update": 1}}' else '{"clean": true, "behind_seconds": null}' end::jsonb
from generate_series(1, 2999) n;
insert into tidegate.comparisons (run, connection, resource, verdict, facts)
select id, 'bench', 'customers', 'equal',
  '{"resource": "customers", "stored": 1, "in_stripe": 1, "counts": {"missing": 0, "vanished": 0, "stale": 0,
    "incomplete": 0, "columns": 0, "orphans": 0, "dangling": 0}, "changed_meanwhile": 0, "unreadable": 0, "error": ""}'
from tidegate.runs where kind = 'audit';
insert into tidegate.inbox (connection, event_id, type, created, source, state, received_at, handled_at, body)
select 'bench', 'evt_' || n, 'invoice.paid', at, case when n % 2 = 0 then 'webhook' else 'events' end,
  case when n % 200 = 0 then 'parked' when n % 201 = 0 then 'waiting' else 'handled' end, at, at,
  '{"id": "evt_' || n || '"}'
from generate_series(1, cast(:contacts * 5 as int)) n, lateral (select now() - n % 40000 * interval '1 minute' as at) a;
insert into tidegate.unreadable (connection, resource, object_id, field, reason)
select 'bench', 'invoices', 'in_' || n, 'total', 'not a number' from generate_series(1, 500) n;
insert into tidegate.reviews (connection, customer, reason, candidates, evidence)
select 'bench', 'cus_' || key, (array['no_match', 'conflict'])[1 + key / 50 % 2],
  jsonb_build_array(key + 1, key + 2), '{}' from tidegate.contacts where key % 50 = 0;
insert into tidegate.audit_log (at, actor, action, subject)
select now() - n * interval '1 minute', 'user:ada@example.com', 'user.signed_in', 'ada@example.com'
from generate_series(1, cast(:contacts as int)) n;
insert into tidegate.catalog_changes (at, by, action, subject)
select now() - n * interval '1 minute', 'bench', 'mapping.set', 'price_1'
from generate_series(1, cast(:contacts / 10 as int)) n;
insert into tidegate.action_occurrences (action, contact, occurrence, at, decided_at, state, why, what, reasons)
select 'payment-failed', 1 + n % :contacts, 'invoice:in_' || n, at, at,
  (array['fired', 'passed', 'held_out'])[1 + n % 3], case when n % 3 = 1 then 'cooldown' else '' end, '{}', '[]'
from generate_series(1, cast(:contacts * 2 as int)) n, lateral (select now() - n % 8000 * interval '1 hour' as at) a;
insert into tidegate.digests (recipient, period, since, until, destination, data)
select '', to_char(d, 'YYYY-MM-DD'), d, d + interval '1 day', 'hooks', '{}'
from generate_series(now() - interval '400 days', now(), interval '1 day') d;
insert into tidegate.procrastinate_jobs (queue_name, task_name, args, status)
select 'prompt', 'refresh', '{"connection": "bench"}', 'succeeded' from generate_series(1, 20000);
insert into tidegate.health_history (contact, at, health, coverage, parts)
select key, now() - k * interval '20 days', (key * k) % 100, 1, '[]' from tidegate.contacts, generate_series(1, 5) k"""

# A fifth moved lately; everybody was somewhere else before.
MOVES = """
with moved as (
  update tidegate.memberships set because = 'facts', entered_at = now() - (contact % 80) * interval '1 day'
    - interval '1 hour'
  where kind = 'stage' and left_at is null and contact % 5 = 0 returning contact, entered_at)
insert into tidegate.memberships (contact, kind, key, entered_at, left_at, reasons, because, left_because)
select contact, 'stage', 'trialing', entered_at - (3 + contact % 30) * interval '1 day', entered_at, '[]', 'facts',
  'facts' from moved"""
