"""Outbound: sources, models, syncs, what was sent of every row, plans, and the journal of requests."""

from alembic import op

from tidegate.store import queue_schema

revision = "0008"
down_revision = "0007"

TABLES = """
create table tidegate.sources (
    key text not null,
    url bytea,
    env text default '' not null,
    shown text not null,
    managed_by text default '' not null,
    made_at timestamptz default now() not null,
    primary key (key)
);
comment on column tidegate.sources.url is 'encrypted; null: the environment has it';
comment on column tidegate.sources.env is 'the variable that holds the URL';
comment on column tidegate.sources.shown is 'the URL without its password';
comment on column tidegate.sources.managed_by is 'file: tidegate.yaml';

create table tidegate.models (
    key text not null,
    source text not null,
    sql text default '' not null,
    table_name text default '' not null,
    primary_key text[] not null,
    managed_by text default '' not null,
    made_at timestamptz default now() not null,
    primary key (key)
);
comment on column tidegate.models.sql is 'empty: a table';
comment on column tidegate.models.managed_by is 'file: tidegate.yaml';

create table tidegate.syncs (
    key text not null,
    model text not null,
    connection text not null,
    resource text not null,
    spec jsonb not null,
    enabled boolean default true not null,
    next_at timestamptz,
    stop_run bigint,
    ended_with text default '' not null,
    due_at timestamptz,
    due_for text default '' not null,
    asked jsonb,
    looked_until timestamptz,
    managed_by text default '' not null,
    made_at timestamptz default now() not null,
    primary key (key)
);
comment on column tidegate.syncs.spec is 'as tidegate.yaml says it';
comment on column tidegate.syncs.enabled is 'whether its schedule runs it';
comment on column tidegate.syncs.next_at is 'when its schedule runs it; null: it has none';
comment on column tidegate.syncs.stop_run is 'the run that somebody asked to stop';
comment on column tidegate.syncs.ended_with is
    'the `finish` of the last run of all rows that came to its end; empty: none did';
comment on column tidegate.syncs.due_at is 'since when a run is due that has not come to its end; null: none is';
comment on column tidegate.syncs.due_for is 'schedule, import, sync KEY, or who asked';
comment on column tidegate.syncs.asked is 'how that run is wanted; null: as a schedule wants it';
comment on column tidegate.syncs.looked_until is 'Stripe''s time until which its objects'' changes were looked at';
comment on column tidegate.syncs.managed_by is 'file: tidegate.yaml';

create table tidegate.sync_rows (
    sync text not null,
    key text not null,
    hash bigint not null,
    state text not null,
    object_id text,
    ours boolean default false not null,
    wrote jsonb default '{}' not null,
    showed jsonb default '{}' not null,
    seen_at timestamptz,
    generation integer default '0' not null,
    parent text,
    retires text,
    why text default '' not null,
    problems jsonb default '[]' not null,
    run bigint,
    at timestamptz default clock_timestamp() not null,
    primary key (sync, key)
);
create index sync_rows_hash on tidegate.sync_rows (sync, hash) include (key)
    where state <> 'gone';
create index sync_rows_object on tidegate.sync_rows (sync, object_id)
    where object_id is not null;
create index sync_rows_open on tidegate.sync_rows (sync, state, run, key)
    where state <> 'sent';
create index sync_rows_parent on tidegate.sync_rows (parent)
    where parent is not null;
create index sync_rows_retiring on tidegate.sync_rows (sync)
    where retires is not null;
comment on column tidegate.sync_rows.key is 'the model''s primary key; several columns as a JSON array';
comment on column tidegate.sync_rows.hash is 'of the columns that were sent, and of how';
comment on column tidegate.sync_rows.state is 'sent, skipped, held, conflict, invalid, failed, gone or reverted';
comment on column tidegate.sync_rows.object_id is 'what the row is in Stripe; null: nothing yet';
comment on column tidegate.sync_rows.ours is 'this sync made or adopted it';
comment on column tidegate.sync_rows.wrote is 'what was sent last, by field';
comment on column tidegate.sync_rows.showed is 'what Stripe showed of it then';
comment on column tidegate.sync_rows.seen_at is 'Stripe''s time of the object''s version that was looked at';
comment on column tidegate.sync_rows.generation is 'goes on with every definite answer';
comment on column tidegate.sync_rows.parent is 'of an invoice item: its invoice';
comment on column tidegate.sync_rows.retires is 'the object that this one took the place of, while it is not archived';
comment on column tidegate.sync_rows.why is 'why it is not sent';
comment on column tidegate.sync_rows.problems is '[{field, problem, value}]';
comment on column tidegate.sync_rows.run is 'that said so';

create table tidegate.sync_associations (
    sync text not null,
    resource text not null,
    way text not null,
    name text not null,
    value text not null,
    ids text[] not null,
    primary key (sync, resource, way, name, value)
);
comment on column tidegate.sync_associations.resource is 'of the objects that it stands for';
comment on column tidegate.sync_associations.way is 'what the rows name them by: email, lookup_key, metadata, sync, …';
comment on column tidegate.sync_associations.name is 'of the metadata key or the other sync; else empty';
comment on column tidegate.sync_associations.value is 'what rows say';
comment on column tidegate.sync_associations.ids is 'what it stood for when its rows were looked at';

create table tidegate.sync_plans (
    id bigint generated always as identity,
    sync text not null,
    fingerprint text not null,
    counts jsonb not null,
    stops jsonb default '[]' not null,
    by text not null,
    at timestamptz default clock_timestamp() not null,
    primary key (id)
);
create index sync_plans_sync on tidegate.sync_plans (sync, id);
comment on column tidegate.sync_plans.fingerprint is 'of everything that it would do';
comment on column tidegate.sync_plans.stops is 'why a run would stop';

create table tidegate.requests (
    id bigint generated always as identity,
    run bigint not null,
    sync text not null,
    connection text not null,
    key text not null,
    kind text not null,
    hash bigint not null,
    wanted jsonb default '{}' not null,
    operation text not null,
    method text not null,
    path text not null,
    params jsonb not null,
    before jsonb default '{}' not null,
    matched_by text[] default '{}' not null,
    idempotency_key text not null,
    generation integer not null,
    state text default 'intended' not null,
    status integer,
    request_id text default '' not null,
    response jsonb,
    error text default '' not null,
    object_id text,
    intended_at timestamptz default clock_timestamp() not null,
    sent_at timestamptz,
    answered_at timestamptz,
    forgotten_at timestamptz,
    primary key (id)
);
create index requests_open on tidegate.requests (sync)
    where state in ('intended', 'unknown');
create index requests_failed on tidegate.requests (run, id)
    where state in ('refused', 'unknown');
create index requests_row on tidegate.requests (sync, key, id);
create index requests_run on tidegate.requests (run, id);
create index requests_operation on tidegate.requests (run, operation, id);
comment on column tidegate.requests.key is 'of the row';
comment on column tidegate.requests.kind is 'of the decision: create, update, replace, delete, retire, finish, revert';
comment on column tidegate.requests.matched_by is 'how its sync matched rows then: the way, and the metadata key';
comment on column tidegate.requests.hash is 'of what the row said';
comment on column tidegate.requests.wanted is 'all that the row said, by field';
comment on column tidegate.requests.operation is 'create, update, delete, cancel, void, archive, finalize, …';
comment on column tidegate.requests.before is 'of the fields it changes';
comment on column tidegate.requests.state is 'intended, done, refused, unknown or unsent';
comment on column tidegate.requests.status is 'of the answer; null: none came';
comment on column tidegate.requests.request_id is 'Stripe''s';
comment on column tidegate.requests.response is 'as Stripe answered, personal data redacted';
comment on column tidegate.requests.forgotten_at is 'its person was forgotten: what it said is not kept any more';

create table tidegate.meter_forwards (
    id bigint generated always as identity,
    debit bigint not null,
    contact bigint not null references tidegate.contacts (key),
    feature text not null,
    event_name text not null,
    value bigint not null,
    at timestamptz default clock_timestamp() not null,
    connection text,
    customer text,
    state text default 'waiting' not null,
    takes_back bigint,
    generation integer default '0' not null,
    intended_at timestamptz,
    next_try_at timestamptz default clock_timestamp() not null,
    error text default '' not null,
    settled_at timestamptz,
    primary key (id)
);
create unique index meter_forwards_debit on tidegate.meter_forwards (debit);
create index meter_forwards_contact on tidegate.meter_forwards (contact, feature, id);
create index meter_forwards_customer on tidegate.meter_forwards (connection, customer, at);
create index meter_forwards_open on tidegate.meter_forwards (connection, next_try_at)
    where state in ('waiting', 'intended');
create index meter_forwards_failed on tidegate.meter_forwards (connection)
    where state = 'failed';
comment on column tidegate.meter_forwards.debit is 'the number of the debit: each is told once';
comment on column tidegate.meter_forwards.event_name is 'of the meter that the feature named then';
comment on column tidegate.meter_forwards.value is 'debited; below 0: given back';
comment on column tidegate.meter_forwards.at is 'when it was used';
comment on column tidegate.meter_forwards.connection is 'of the customer; null: the contact has none yet';
comment on column tidegate.meter_forwards.customer is 'whose subscription gave it, else the contact''s only one';
comment on column tidegate.meter_forwards.state is 'waiting, intended, sent, taken_back or failed';
comment on column tidegate.meter_forwards.takes_back is 'the forward whose event it cancels; null: an event itself';
comment on column tidegate.meter_forwards.generation is 'goes on where Stripe answered 5xx';
comment on column tidegate.meter_forwards.intended_at is 'before it was first sent';
comment on column tidegate.meter_forwards.error is 'why it is not sent';
comment on column tidegate.meter_forwards.settled_at is 'when it was known to be sent, or failed';

create table tidegate.pauses (
    what text not null,
    by text not null,
    at timestamptz default clock_timestamp() not null,
    primary key (what)
);
comment on column tidegate.pauses.what is 'outbound: nothing is sent to Stripe while this row is there';
"""


def upgrade() -> None:
    queue_schema.run_script(op.get_bind(), TABLES)
