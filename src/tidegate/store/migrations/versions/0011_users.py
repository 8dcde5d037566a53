"""Users of the page: their roles, sessions, links that set a password; saved views, answers kept for API tokens,
access to Stripe by OAuth."""

from alembic import op

from tidegate.store import queue_schema

revision = "0011"
down_revision = "0010"

TABLES = """
create table tidegate.users (
    id bigint generated always as identity,
    email text not null,
    name text not null,
    role text not null,
    password text,
    created_at timestamptz default now() not null,
    last_seen_at timestamptz,
    disabled_at timestamptz,
    primary key (id)
);
create unique index users_email on tidegate.users (lower(email));
comment on column tidegate.users.email is 'as it was given; two that differ in case alone are one';
comment on column tidegate.users.role is 'viewer, operator, admin';
comment on column tidegate.users.password is 'by Argon2id; null until it is set';
comment on column tidegate.users.disabled_at is 'may not sign in since';

create table tidegate.user_links (
    id bigint generated always as identity,
    digest bytea not null unique,
    "user" bigint references tidegate.users (id) on delete cascade,
    created_at timestamptz default now() not null,
    expires_at timestamptz not null,
    primary key (id)
);
comment on table tidegate.user_links is 'links by which a password is set, once';
comment on column tidegate.user_links.digest is 'SHA-256 of the link''s secret';
comment on column tidegate.user_links."user" is 'null: makes the first admin';

create table tidegate.sessions (
    id bigint generated always as identity,
    digest bytea not null unique,
    "user" bigint references tidegate.users (id) on delete cascade,
    token bigint references tidegate.tokens (id) on delete cascade,
    created_at timestamptz default now() not null,
    expires_at timestamptz not null,
    primary key (id)
);
create index sessions_user on tidegate.sessions ("user");
comment on table tidegate.sessions is 'who is signed in to the page';
comment on column tidegate.sessions.digest is 'SHA-256 of the cookie';
comment on column tidegate.sessions.token is 'of one who signed in with it';

create table tidegate.audit_log (
    id bigint generated always as identity,
    at timestamptz default clock_timestamp() not null,
    actor text not null,
    action text not null,
    subject text not null,
    detail jsonb default '{}' not null,
    primary key (id)
);
create index audit_log_at on tidegate.audit_log (at);
comment on table tidegate.audit_log is 'who changed what of the hub: users, tokens, connections, imports, alerts';
comment on column tidegate.audit_log.actor is 'user:EMAIL, token:NAME, cli:ACCOUNT';
comment on column tidegate.audit_log.action is 'such as user.invited';
comment on column tidegate.audit_log.subject is 'whom or what it was done to';

create table tidegate.saved_views (
    id bigint generated always as identity,
    owner text not null,
    page text not null,
    name text not null,
    query text not null,
    shared boolean default 'false' not null,
    created_at timestamptz default now() not null,
    primary key (id),
    unique (owner, page, name)
);
create index saved_views_shared on tidegate.saved_views (page) where shared;
comment on table tidegate.saved_views is 'views of lists, by name';
comment on column tidegate.saved_views.owner is 'the actor who saved it';
comment on column tidegate.saved_views.page is 'the list that it is of, such as /contacts';
comment on column tidegate.saved_views.query is 'of the address';

create table tidegate.failed_tries (
    id bigint generated always as identity,
    whom bytea not null,
    at timestamptz default clock_timestamp() not null,
    primary key (id)
);
create index failed_tries_whom on tidegate.failed_tries (whom, at);
comment on table tidegate.failed_tries is 'tries to sign in that failed within the last minute';
comment on column tidegate.failed_tries.whom is 'HMAC of an address, or of who was tried, by the secret key';

create table tidegate.kept_answers (
    id bigint generated always as identity,
    token bigint not null references tidegate.tokens (id) on delete cascade,
    key text not null,
    asked bytea not null,
    begun_at timestamptz default clock_timestamp() not null,
    turn integer default '1' not null,
    seen_at timestamptz default clock_timestamp() not null,
    wrote boolean default 'false' not null,
    answer bytea,
    primary key (id),
    unique (token, key)
);
create index kept_answers_begun on tidegate.kept_answers (begun_at);
comment on table tidegate.kept_answers is 'answers to requests that have an Idempotency-Key, for a day';
comment on column tidegate.kept_answers.key is 'the Idempotency-Key';
comment on column tidegate.kept_answers.asked is 'SHA-256 of method, address and body';
comment on column tidegate.kept_answers.turn is 'how often it was taken up';
comment on column tidegate.kept_answers.seen_at is 'when who does it last said so';
comment on column tidegate.kept_answers.wrote is 'something of it was committed';
comment on column tidegate.kept_answers.answer is 'encrypted with the token; null while it is being done';

alter table tidegate.connections
    add column oauth boolean default false not null,
    add column refresh_token bytea,
    add column token_ends_at timestamptz;
comment on column tidegate.connections.oauth is 'access given to a Stripe App: api_key is a token that ends';
comment on column tidegate.connections.refresh_token is 'encrypted; null for a key';
comment on column tidegate.connections.token_ends_at is 'until when the token in api_key is good; null for a key';

create table tidegate.kept_reports (
    name text not null,
    asked jsonb not null,
    told jsonb not null,
    as_of timestamptz not null,
    seconds double precision not null,
    wanted_at timestamptz default clock_timestamp() not null,
    primary key (name, asked)
);
comment on table tidegate.kept_reports is
    'reports that take long, as they were told: pages show them, workers read them anew';
comment on column tidegate.kept_reports.name is 'of the report (`workflows.kept_reports`)';
comment on column tidegate.kept_reports.asked is 'what it is about: a connection, an edition, months';
comment on column tidegate.kept_reports.told is 'what it said';
comment on column tidegate.kept_reports.as_of is 'when it was read; 1970: a worker has to';
comment on column tidegate.kept_reports.seconds is 'that took';
comment on column tidegate.kept_reports.wanted_at is 'when somebody looked at it first since it was read, or last';

create table tidegate.oauth_states (
    id bigint generated always as identity,
    digest bytea not null unique,
    browser bytea not null,
    session bigint not null references tidegate.sessions (id) on delete cascade,
    platform text,
    created_at timestamptz default now() not null,
    expires_at timestamptz not null,
    primary key (id)
);
create index oauth_states_session on tidegate.oauth_states (session);
comment on table tidegate.oauth_states is 'who was sent to Stripe to give access, and is not back yet';
comment on column tidegate.oauth_states.digest is 'SHA-256 of the state that Stripe hands back';
comment on column tidegate.oauth_states.browser is 'SHA-256 of a cookie of the browser that was sent';
comment on column tidegate.oauth_states.platform is 'connection of the Connect platform; null: the Stripe App';
"""


def upgrade() -> None:
    queue_schema.run_script(op.get_bind(), TABLES)
