"""Connections, runs, tokens, the mirror's book-keeping, the rate budget and the queue of background work."""

from alembic import op

from tidegate.store import queue_schema

revision = "0001"
down_revision = None

TABLES = """
create table tidegate.schema_facts (
    name text primary key,
    value text not null
);
insert into tidegate.schema_facts values ('oldest_code', '0.1.0');

create table tidegate.connections (
    name text primary key,
    account text not null,
    livemode boolean not null,
    sandbox boolean default false not null,
    display_name text default '' not null,
    api_base text default '' not null,
    api_key bytea,
    write_key bytea,
    webhook_secrets bytea,
    rate float not null,
    endpoint_rate float not null,
    created_at timestamptz default now() not null,
    disconnected_at timestamptz,
    events_until timestamptz,
    last_webhook_at timestamptz,
    caught_up_at timestamptz
);
comment on column tidegate.connections.account is 'Stripe''s acct_…';
comment on column tidegate.connections.sandbox is 'served by a simulated Stripe';
comment on column tidegate.connections.api_base is 'empty: Stripe itself';
comment on column tidegate.connections.api_key is 'encrypted; null once disconnected';
comment on column tidegate.connections.write_key is 'encrypted';
comment on column tidegate.connections.webhook_secrets is 'encrypted JSON list, newest first';
comment on column tidegate.connections.rate is 'requests a second in all';
comment on column tidegate.connections.endpoint_rate is 'requests a second per endpoint';
comment on column tidegate.connections.events_until is 'everything Stripe did before this is in the mirror';
comment on column tidegate.connections.caught_up_at is 'when /v1/events was last read to its head';

create table tidegate.problems (
    connection text not null,
    code text not null,
    subject text default '' not null,
    detail text default '' not null,
    since timestamptz default now() not null,
    primary key (connection, code, subject)
);

create table tidegate.runs (
    id bigint generated always as identity primary key,
    connection text not null,
    kind text not null,
    state text default 'running' not null,
    options jsonb default '{}' not null,
    started_at timestamptz default now() not null,
    heartbeat_at timestamptz default now() not null,
    finished_at timestamptz,
    process text default '' not null,
    summary jsonb default '{}' not null,
    error text default '' not null
);
create index runs_by_connection on tidegate.runs (connection, kind, id);
comment on column tidegate.runs.kind is 'import, catch_up, audit';
comment on column tidegate.runs.state is 'running, interrupted, done, incomplete';
comment on column tidegate.runs.process is 'host and process id that works on it';

create table tidegate.tokens (
    id bigint generated always as identity primary key,
    name text not null,
    digest bytea not null unique,
    scopes text[] not null,
    created_at timestamptz default now() not null,
    last_used_at timestamptz,
    revoked_at timestamptz
);
comment on column tidegate.tokens.digest is 'SHA-256 of the token; the token is not kept';
comment on column tidegate.tokens.scopes is 'entitlements, read, operate, admin';

create table tidegate.versions (
    connection text not null,
    resource text not null,
    object_id text not null,
    at timestamptz not null,
    certainty smallint not null,
    digest bytea not null,
    event text default '' not null,
    previous jsonb,
    data jsonb not null,
    kept_at timestamptz default now() not null,
    primary key (connection, resource, object_id, at, digest, event)
);
comment on column tidegate.versions.at is 'Stripe''s time of this version';
comment on column tidegate.versions.digest is 'of data, so that the same version is kept once';
comment on column tidegate.versions.event is 'id of the event that told it';
comment on column tidegate.versions.previous is 'the event''s previous_attributes: what stood before';

create table tidegate.unreadable (
    connection text not null,
    resource text not null,
    object_id text not null,
    field text not null,
    reason text not null,
    body text,
    at timestamptz default now() not null,
    primary key (connection, resource, object_id, field)
);
comment on column tidegate.unreadable.field is 'empty: the whole object';
comment on column tidegate.unreadable.body is 'the object as text, when it could not be stored as jsonb';

create table tidegate.refetches (
    connection text not null,
    resource text not null,
    object_id text not null,
    reason text not null,
    asked_at timestamptz default clock_timestamp() not null,
    known_at timestamptz,
    attempts integer default 0 not null,
    next_try_at timestamptz default now() not null,
    error text default '' not null,
    primary key (connection, resource, object_id)
) with (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0
);
comment on column tidegate.refetches.reason is 'referenced, doubt, event, other_version, cut_off, unlisted';
comment on column tidegate.refetches.known_at is
    'the newest version heard of when it was asked; what is read now is no older';

create table tidegate.inbox (
    connection text not null,
    event_id text not null,
    type text not null,
    created timestamptz not null,
    source text not null,
    state text default 'waiting' not null,
    received_at timestamptz default now() not null,
    handled_at timestamptz,
    attempts integer default 0 not null,
    next_try_at timestamptz default now() not null,
    error text default '' not null,
    body text not null,
    primary key (connection, event_id)
) with (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0
);
create index inbox_parked on tidegate.inbox (connection) where state = 'parked';
create index inbox_waiting on tidegate.inbox (connection, next_try_at) where state = 'waiting';
comment on column tidegate.inbox.created is 'Stripe''s time of the event';
comment on column tidegate.inbox.source is 'webhook or events';
comment on column tidegate.inbox.state is 'waiting, handled, skipped, parked';

create table tidegate.import_ranges (
    id bigint generated always as identity primary key,
    run bigint not null references tidegate.runs on delete cascade,
    resource text not null,
    variant integer default 0 not null,
    parent text default '' not null,
    since bigint,
    until bigint,
    cursor text default '' not null,
    reached bigint,
    done boolean default false not null,
    pages integer default 0 not null,
    counts jsonb default '{}' not null,
    error text default '' not null
);
create index import_ranges_by_run on tidegate.import_ranges (run, resource);
comment on column tidegate.import_ranges.since is 'created >= this, epoch seconds; null: no bound';
comment on column tidegate.import_ranges.until is 'created < this, epoch seconds; null: no bound';
comment on column tidegate.import_ranges.cursor is 'last object read; the next page follows it';
comment on column tidegate.import_ranges.reached is 'its created';

create table tidegate.comparisons (
    run bigint not null references tidegate.runs on delete cascade,
    connection text not null,
    resource text not null,
    verdict text not null,
    facts jsonb default '{}' not null,
    at timestamptz default now() not null,
    primary key (run, resource)
);
comment on column tidegate.comparisons.verdict is 'equal, different, not_compared';

create unlogged table tidegate.rate_budget (
    connection text not null,
    endpoint text not null,
    ceiling double precision not null,
    tat timestamptz default now() - interval '1 hour' not null,
    interactive_tat timestamptz default now() - interval '1 hour' not null,
    granted_at timestamptz default now() - interval '1 hour' not null,
    paused_until timestamptz default now() - interval '1 hour' not null,
    slowed_to double precision not null,
    slowed_at timestamptz default now() - interval '1 hour' not null,
    primary key (connection, endpoint)
);
comment on column tidegate.rate_budget.endpoint is 'method and path template; '''' for the whole connection';
comment on column tidegate.rate_budget.ceiling is 'configured requests per second';
comment on column tidegate.rate_budget.tat is 'first moment not reserved';
comment on column tidegate.rate_budget.granted_at is 'last reservation''s';
comment on column tidegate.rate_budget.slowed_to is 'requests per second that the last 429 left';
comment on column tidegate.rate_budget.slowed_at is 'recovers from here';
"""


def upgrade() -> None:
    connection = op.get_bind()
    queue_schema.run_script(connection, TABLES)
    queue_schema.reconcile(connection)
