"""Revenue: spans, movements and their sums, ledgers, billing events, closings, and the facts of each contact."""

from alembic import op

from tidegate.store import queue_schema

revision = "0007"
down_revision = "0006"

TABLES = """
create table tidegate.spans (
    connection text not null,
    subscription text not null,
    item text not null,
    starts_at timestamptz not null,
    ends_at timestamptz,
    customer text not null,
    currency text not null,
    mrr bigint not null,
    listed bigint not null,
    trial bigint default '0' not null,
    usage bigint default '0' not null,
    why_not text default '' not null,
    price text not null,
    product text not null,
    quantity bigint not null,
    interval text not null,
    interval_count integer not null,
    metered boolean not null,
    provenance text not null,
    source text not null,
    primary key (connection, subscription, item, starts_at)
);
create index spans_usage on tidegate.spans (connection) where usage <> 0;
create index spans_customer on tidegate.spans (connection, customer);
create index spans_price on tidegate.spans (connection, price);
comment on column tidegate.spans.ends_at is 'null: it goes on';
comment on column tidegate.spans.mrr is 'what counts, a month';
comment on column tidegate.spans.listed is 'by its price, before discounts and tax';
comment on column tidegate.spans.trial is 'what it is to be worth after its trial';
comment on column tidegate.spans.usage is 'of the last closed period, a month';
comment on column tidegate.spans.why_not is 'why it counts for nothing; empty: it counts';
comment on column tidegate.spans.provenance is 'observed or inferred';
comment on column tidegate.spans.source is 'the event, reading or invoice that tells of it';

create table tidegate.movements (
    edition integer not null,
    connection text not null,
    unit text not null,
    customer text not null,
    subscription text not null,
    item text not null,
    currency text not null,
    at timestamptz not null,
    moved_at timestamptz not null,
    day date not null,
    kind text not null,
    amount bigint not null,
    opening bigint not null,
    closing bigint not null,
    price text not null,
    product text not null,
    recorded_at timestamptz default clock_timestamp() not null,
    superseded_at timestamptz
) partition by range (connection, edition);
create index movements_day on tidegate.movements (day) where superseded_at is null;
create index movements_late on tidegate.movements (day) where superseded_at is null and moved_at > at;
create unique index movements_standing
    on tidegate.movements (customer, at, item, subscription, currency, connection, edition)
    where superseded_at is null;
create index movements_superseded on tidegate.movements (superseded_at) where superseded_at is not null;
create index movements_unit on tidegate.movements (unit) include (customer, currency, day, kind, amount)
    where superseded_at is null;
comment on table tidegate.movements is
    'Each edition of a connection''s ledger is a partition of its own (`revenue.partitions`).';
comment on column tidegate.movements.edition is 'of the connection''s ledger; a new policy begins a new one';
comment on column tidegate.movements.unit is 'whose movement it is: contact:KEY, or the Stripe customer''s id';
comment on column tidegate.movements.at is 'when the item changed';
comment on column tidegate.movements.moved_at is 'the last change that belongs to the movement: its date';
comment on column tidegate.movements.day is 'of moved_at, in the connection''s time zone';
comment on column tidegate.movements.kind is 'new, expansion, contraction, churn, reactivation or transfer';
comment on column tidegate.movements.amount is 'by how much the item changed';
comment on column tidegate.movements.opening is 'of the unit, before the movement';
comment on column tidegate.movements.closing is 'of the unit, after it';
comment on column tidegate.movements.superseded_at is 'when a recomputation said otherwise; null: it stands';

create table tidegate.mrr_days (
    connection text not null,
    edition integer not null,
    currency text not null,
    day date not null,
    kind text not null,
    amount bigint not null,
    movements integer not null,
    primary key (connection, edition, currency, day, kind)
);
comment on column tidegate.mrr_days.day is 'in the connection''s time zone';
comment on column tidegate.mrr_days.movements is 'how many rows of movements it sums';

create table tidegate.price_days (
    connection text not null,
    edition integer not null,
    currency text not null,
    day date not null,
    price text not null,
    product text not null,
    kind text not null,
    amount bigint not null,
    primary key (connection, edition, currency, day, price, product, kind)
);
comment on column tidegate.price_days.edition is 'the one in force';
comment on column tidegate.price_days.day is 'in the connection''s time zone';
comment on column tidegate.price_days.kind is
    'of movements; worth: by how much more its spans are worth that day';

create table tidegate.ledgers (
    connection text not null,
    edition integer not null,
    preset text not null,
    choices jsonb default '{}' not null,
    base_currency text default '' not null,
    time_zone text not null,
    identity text default 'own_id' not null,
    begun_at timestamptz default clock_timestamp() not null,
    adopted_at timestamptz,
    retired_at timestamptz,
    managed_by text default '' not null,
    primary key (connection, edition)
);
create unique index ledgers_adopted on tidegate.ledgers (connection)
    where adopted_at is not null and retired_at is null;
comment on column tidegate.ledgers.time_zone is 'empty: the account''s is not known yet, so UTC';
comment on column tidegate.ledgers.choices is 'settings chosen otherwise';
comment on column tidegate.ledgers.base_currency is 'empty: no conversion';
comment on column tidegate.ledgers.identity is 'whom billing events tell of';
comment on column tidegate.ledgers.adopted_at is 'null: a preview';
comment on column tidegate.ledgers.retired_at is 'when another edition took its place';
comment on column tidegate.ledgers.managed_by is 'file: tidegate.yaml';

create table tidegate.revenue_due (
    connection text not null,
    customer text not null,
    changes_at timestamptz not null,
    primary key (connection, customer)
);
create index revenue_due_at on tidegate.revenue_due (changes_at);
comment on column tidegate.revenue_due.changes_at is 'when what it is worth changes without a word of Stripe''s';

create table tidegate.missing_tax_rates (
    connection text not null,
    rate text not null,
    customer text not null,
    primary key (connection, rate, customer)
);
comment on column tidegate.missing_tax_rates.rate is 'Stripe''s txr_…, which the mirror did not have';
comment on column tidegate.missing_tax_rates.customer is 'who names it: derived anew when it comes';

create table tidegate.exclusions (
    connection text not null,
    customer text not null,
    reason text not null,
    by text not null,
    at timestamptz default now() not null,
    primary key (connection, customer)
);

create table tidegate.currency_rates (
    day date not null,
    currency text not null,
    per_euro numeric not null,
    source text not null,
    primary key (day, currency)
);
comment on column tidegate.currency_rates.per_euro is 'units of the currency for one euro';
comment on column tidegate.currency_rates.source is 'the file it came from';

create table tidegate.closings (
    connection text not null,
    month date not null,
    edition integer not null,
    closed_at timestamptz default now() not null,
    by text not null,
    primary key (connection, month)
);
comment on column tidegate.closings.month is 'its first day';

create table tidegate.closed_rows (
    connection text not null,
    month date not null,
    customer text not null,
    currency text not null,
    kind text not null,
    amount bigint not null,
    primary key (connection, month, customer, currency, kind)
);
comment on column tidegate.closed_rows.kind is 'opening, closing, or a kind of movement';

create table tidegate.billing_events (
    connection text not null,
    id text not null,
    name text not null,
    at timestamptz not null,
    customer text not null,
    identity text not null,
    subscription text,
    invoice text,
    currency text,
    amount bigint,
    data jsonb not null,
    reverses text,
    told boolean not null,
    recorded_at timestamptz default clock_timestamp() not null,
    primary key (connection, id)
);
create index billing_events_at on tidegate.billing_events (connection, at);
create index billing_events_customer on tidegate.billing_events (connection, customer, at);
create index billing_events_invoice on tidegate.billing_events (connection, invoice);
comment on column tidegate.billing_events.id is 'made of what it tells of: the same however often it is derived';
comment on column tidegate.billing_events.name is 'Subscription Billed, …';
comment on column tidegate.billing_events.identity is 'who it is: an e-mail address, your id, or Stripe''s';
comment on column tidegate.billing_events.amount is 'in minor units; null: it has none';
comment on column tidegate.billing_events.reverses is 'the id of the event that it takes back';
comment on column tidegate.billing_events.told is 'others have heard of it; false: it is history';

create table tidegate.billing_tellings (
    connection text not null,
    since timestamptz not null,
    primary key (connection)
);
comment on column tidegate.billing_tellings.since is 'Stripe''s time: what came about before is history, and not told';

create table tidegate.awaited (
    connection text not null,
    customer text not null,
    until timestamptz not null,
    primary key (connection, customer)
);
comment on column tidegate.awaited.customer is 'Stripe''s id; something can be told of it only later';
comment on column tidegate.awaited.until is 'once everything that Stripe did before this is in the mirror';
comment on column tidegate.refetches.reason is
    'referenced, doubt, event, other_version, cut_off, unlisted, of_parent';

create table tidegate.contact_facts (
    contact bigint not null,
    mrr jsonb default '{}' not null,
    listed jsonb default '{}' not null,
    trial jsonb default '{}' not null,
    statuses text[] default '{}' not null,
    subscriptions integer default '0' not null,
    customer_since timestamptz,
    churned_at timestamptz,
    renews_at timestamptz,
    ends_at timestamptz,
    trial_ends_at timestamptz,
    last_moved_at timestamptz,
    updated_at timestamptz default clock_timestamp() not null,
    primary key (contact)
);
comment on column tidegate.contact_facts.mrr is 'currency → millionths of a minor unit';
comment on column tidegate.contact_facts.statuses is 'of its subscriptions';
comment on column tidegate.contact_facts.subscriptions is 'how many count';
comment on column tidegate.contact_facts.customer_since is 'when its MRR was first above 0';
comment on column tidegate.contact_facts.churned_at is 'when its MRR fell to 0; null: it has not';
comment on column tidegate.contact_facts.renews_at is 'the next renewal of a subscription that counts';
comment on column tidegate.contact_facts.ends_at is 'the next end of one, as asked for so far';

-- Of what movements call a contact (`unit`), so that they are looked up in contacts and not the other way round.
create statistics tidegate.contacts_unit on (('contact:' || key)) from tidegate.contacts;
"""


def upgrade() -> None:
    queue_schema.run_script(op.get_bind(), TABLES)
