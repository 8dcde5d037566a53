"""Delivery: destinations, what is due to each, what of contacts was sent, and which contacts changed."""

from alembic import op

from tidegate.store import queue_schema

revision = "0009"
down_revision = "0008"

TABLES = """
alter table tidegate.outbox add column history boolean default coalesce(
    nullif(current_setting('tidegate.history', true), ''), 'off')::boolean not null;
comment on column tidegate.outbox.history is 'told of what a first import read: no destination is sent it';
alter table tidegate.outbox add column route text;
comment on column tidegate.outbox.route is 'a destination that is sent it whatever it asks for';

create table tidegate.destinations (
    key text not null,
    kind text not null,
    spec jsonb not null,
    secrets bytea,
    livemode boolean,
    events text default '' not null,
    keeps boolean default false not null,
    paused_at timestamptz,
    paused_by text default '' not null,
    failures integer default '0' not null,
    failing_since timestamptz,
    next_try_at timestamptz default '-infinity' not null,
    slot_at timestamptz default '-infinity' not null,
    error text default '' not null,
    delivered bigint default '0' not null,
    last_at timestamptz,
    managed_by text default '' not null,
    made_at timestamptz default now() not null,
    primary key (key)
);
comment on column tidegate.destinations.spec is 'as tidegate.yaml says it, without secrets';
comment on column tidegate.destinations.secrets is 'encrypted JSON, by option';
comment on column tidegate.destinations.livemode is 'whose contacts and events it is sent; null: of both modes';
comment on column tidegate.destinations.events is 'regular expression over types; empty: none';
comment on column tidegate.destinations.keeps is 'it is told what changed of contacts';
comment on column tidegate.destinations.paused_at is 'nothing is sent since; null: it is not paused';
comment on column tidegate.destinations.paused_by is 'the person or token; empty: because it failed';
comment on column tidegate.destinations.failures is 'in a row, without any success between';
comment on column tidegate.destinations.failing_since is 'the first of them';
comment on column tidegate.destinations.next_try_at is 'nothing is sent before';
comment on column tidegate.destinations.slot_at is 'when its own limit allows the next request';
comment on column tidegate.destinations.error is 'of the last failure';
comment on column tidegate.destinations.managed_by is 'file: tidegate.yaml';

create table tidegate.deliveries (
    id bigint generated always as identity,
    destination text not null,
    outbox bigint,
    contact bigint,
    state text default 'waiting' not null,
    attempts integer default '0' not null,
    next_try_at timestamptz default clock_timestamp() not null,
    claimed_by text,
    failing_since timestamptz,
    status integer,
    error text default '' not null,
    done_at timestamptz,
    primary key (id)
);
create index deliveries_contact on tidegate.deliveries (destination, contact, id) where state = 'waiting';
create index deliveries_due on tidegate.deliveries (destination, next_try_at, id) where state = 'waiting';
create index deliveries_failing on tidegate.deliveries (destination, id) where state = 'waiting' and attempts > 0;
create index deliveries_dead on tidegate.deliveries (destination, id) where state = 'dead';
create index deliveries_outbox on tidegate.deliveries (outbox);
comment on column tidegate.deliveries.outbox is 'what is told; null: the contact as it is now';
comment on column tidegate.deliveries.contact is 'internal key, in whose order it is sent';
comment on column tidegate.deliveries.state is 'waiting, delivered or dead';
comment on column tidegate.deliveries.claimed_by is 'the process that sends it, until next_try_at';
comment on column tidegate.deliveries.status is 'of the last answer; null: none came';
comment on column tidegate.deliveries.error is 'of the last try';

create table tidegate.destination_contacts (
    destination text not null,
    contact bigint not null,
    sent jsonb not null,
    number integer not null,
    at timestamptz default clock_timestamp() not null,
    primary key (destination, contact)
);
comment on column tidegate.destination_contacts.sent is 'what the destination was sent last of the contact';
comment on column tidegate.destination_contacts.number is 'how often; part of the id of what is sent next';

create table tidegate.destination_seconds (
    destination text not null,
    what text not null,
    second bigint not null,
    outbox bigint not null,
    primary key (destination, what, second)
);
create index destination_seconds_outbox on tidegate.destination_seconds (outbox);
comment on column tidegate.destination_seconds.what is 'hash of person and event, of which a second takes one';
comment on column tidegate.destination_seconds.second is 'epoch seconds';

create table tidegate.suppressed_contacts (
    contact bigint not null,
    reason text not null,
    by text not null,
    at timestamptz default now() not null,
    primary key (contact)
);
comment on column tidegate.suppressed_contacts.contact is 'internal key: it is told to nobody';
comment on column tidegate.suppressed_contacts.by is 'the person or token';

create table tidegate.suppressed_properties (
    name text not null,
    reason text not null,
    by text not null,
    at timestamptz default now() not null,
    managed_by text default '' not null,
    primary key (name)
);
comment on column tidegate.suppressed_properties.name is
    'of a contact, or of billing events: it is told to nobody';
comment on column tidegate.suppressed_properties.by is 'the person or token';
comment on column tidegate.suppressed_properties.managed_by is 'file: tidegate.yaml';

create table tidegate.noted_contacts (
    id bigint generated always as identity,
    contacts bigint[] not null,
    at timestamptz default clock_timestamp() not null,
    primary key (id)
);
comment on column tidegate.noted_contacts.contacts is 'internal keys of contacts of which something may have changed';
"""

NOTING = """
create function tidegate.note_contacts() returns trigger language plpgsql as $$
begin
    if coalesce(current_setting('tidegate.history', true), '') <> 'on'
        and exists (select from tidegate.destinations where keeps)
    then
        if tg_argv[0] = 'key' then
            insert into tidegate.noted_contacts (contacts)
            select array_agg(distinct key) from changed having count(*) > 0;
        else
            insert into tidegate.noted_contacts (contacts)
            select array_agg(distinct contact) from changed having count(*) > 0;
        end if;
    end if;
    return null;
end $$;
"""
"""Whoever changes what destinations keep of a contact: the database notes it, so that no writer can forget to."""

KEPT = {"contacts": "key", "contact_facts": "contact", "grants": "contact"}


def upgrade() -> None:
    """Makes them."""
    queue_schema.run_script(op.get_bind(), TABLES)
    queue_schema.run_script(op.get_bind(), NOTING)
    for table, key in KEPT.items():
        for event, rows in (("insert", "new"), ("update", "new"), ("delete", "old")):
            op.execute(f"""
create trigger {table}_noted_{event} after {event} on tidegate.{table} referencing {rows} table as changed
for each statement execute function tidegate.note_contacts('{key}')""")
