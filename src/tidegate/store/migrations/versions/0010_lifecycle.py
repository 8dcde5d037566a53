"""Lifecycle: what conditions ask of a contact beside its revenue, stages, segments, and who was in them."""

from alembic import op

from tidegate.store import queue_schema

revision = "0010"
down_revision = "0009"

TABLES = """
create table tidegate.contact_lifecycle (
    contact bigint not null,
    status text,
    country text,
    currencies text[] default '{}' not null,
    intervals text[] default '{}' not null,
    quantity bigint,
    packages text[] default '{}' not null,
    features text[] default '{}' not null,
    mrr_total numeric,
    open_total numeric,
    unrated boolean default false not null,
    rated_until date,
    mrr_trend numeric,
    downgraded_at timestamptz,
    interval_months numeric,
    failing_invoices text[] default '{}' not null,
    failed_attempts bigint default '0' not null,
    decline_code text,
    next_attempt_at timestamptz,
    past_due_since timestamptz,
    due_dates timestamptz[] default '{}' not null,
    open_invoices integer default '0' not null,
    void_invoices integer default '0' not null,
    uncollectible_invoices integer default '0' not null,
    latest_invoice_status text,
    past_dues timestamptz[] default '{}' not null,
    trial_ends timestamptz[] default '{}' not null,
    card_expires_at timestamptz,
    backup_until timestamptz,
    cards timestamptz[] default '{}' not null,
    card_backups timestamptz[] default '{}' not null,
    cancellation_reason text,
    cancellations text[] default '{}' not null,
    renewals timestamptz[] default '{}' not null,
    renewal_months numeric[] default '{}' not null,
    usage_share numeric,
    last_active_at timestamptz,
    health numeric,
    health_coverage numeric,
    health_parts jsonb default '{}'::jsonb not null,
    unhealthy_since timestamptz,
    stage text,
    segments text[] default '{}' not null,
    history boolean default false not null,
    by_rules boolean default false not null,
    untold_at timestamptz,
    updated_at timestamptz default clock_timestamp() not null,
    primary key (contact)
);
create index contact_lifecycle_history on tidegate.contact_lifecycle (contact) where history;
create index contact_lifecycle_unrated on tidegate.contact_lifecycle (contact) where unrated;
create index contact_lifecycle_rated_until on tidegate.contact_lifecycle (rated_until) where rated_until is not null;
comment on column tidegate.contact_lifecycle.status is 'the best of its subscriptions';
comment on column tidegate.contact_lifecycle.currencies is 'of running subscriptions';
comment on column tidegate.contact_lifecycle.packages is 'that it holds';
comment on column tidegate.contact_lifecycle.features is 'of which something is granted to it now';
comment on column tidegate.contact_lifecycle.mrr_total is 'whole units of the base currency, else its only one';
comment on column tidegate.contact_lifecycle.open_total is 'of open invoices, likewise';
comment on column tidegate.contact_lifecycle.unrated is
    'one of these is unknown, because an exchange rate is missing';
comment on column tidegate.contact_lifecycle.rated_until is
    'the last day on which the rates that they were told by are not too old';
comment on column tidegate.contact_lifecycle.mrr_trend is 'MRR as a part of what it was 90 days ago';
comment on column tidegate.contact_lifecycle.downgraded_at is 'the last contraction';
comment on column tidegate.contact_lifecycle.interval_months is 'of the longest interval it pays for';
comment on column tidegate.contact_lifecycle.failing_invoices is 'that could not be paid, the oldest first';
comment on column tidegate.contact_lifecycle.failed_attempts is 'to pay open invoices';
comment on column tidegate.contact_lifecycle.past_due_since is 'the oldest debt''s';
comment on column tidegate.contact_lifecycle.due_dates is 'of open invoices';
comment on column tidegate.contact_lifecycle.past_dues is 'since when each subscription that is past due is';
comment on column tidegate.contact_lifecycle.trial_ends is 'of each trial that runs';
comment on column tidegate.contact_lifecycle.card_expires_at is 'of the charged the one that is a risk first';
comment on column tidegate.contact_lifecycle.backup_until is
    'until when another way to pay lasts; null: there is none';
comment on column tidegate.contact_lifecycle.cards is 'when each charged one expires';
comment on column tidegate.contact_lifecycle.card_backups is
    'until when another way to pay than each of these cards lasts';
comment on column tidegate.contact_lifecycle.cancellations is
    'when each subscription ends that is to, and when that was asked for';
comment on column tidegate.contact_lifecycle.renewals is 'when what is subscribed to renews, the next first';
comment on column tidegate.contact_lifecycle.renewal_months is
    'the interval of each of these renewals; infinity: a property says the date';
comment on column tidegate.contact_lifecycle.usage_share is 'of the limit of the fullest metered feature';
comment on column tidegate.contact_lifecycle.health is '0 to 100; null: unknown';
comment on column tidegate.contact_lifecycle.health_coverage is 'the weight of the components that have data, of all';
comment on column tidegate.contact_lifecycle.health_parts is 'score by component';
comment on column tidegate.contact_lifecycle.unhealthy_since is 'null: it is not';
comment on column tidegate.contact_lifecycle.segments is 'sorted';
comment on column tidegate.contact_lifecycle.history is 'facts of which nobody is told wait to be looked at';
comment on column tidegate.contact_lifecycle.by_rules is 'such as another policy of the ledger says, and no import';
comment on column tidegate.contact_lifecycle.untold_at is
    'when such facts were looked at: nobody is told what it became then';

create table tidegate.lifecycle_due (
    contact bigint not null,
    since timestamptz default clock_timestamp() not null,
    history boolean default false not null,
    by_rules boolean default false not null,
    primary key (contact)
);
comment on column tidegate.lifecycle_due.contact is 'whose facts may be others now';
comment on column tidegate.lifecycle_due.history is 'nobody is told of anything that it waits for';
comment on column tidegate.lifecycle_due.by_rules is 'all of that came by other rules, nothing by an import';

create table tidegate.lifecycle_news (
    contact bigint not null,
    primary key (contact)
);
comment on column tidegate.lifecycle_news.contact is
    'to whom something happened that was looked at, and that it was not placed by yet';

create table tidegate.lifecycle_state (
    alone boolean default true not null,
    kept_at timestamptz,
    watched_at timestamptz,
    primary key (alone)
);
comment on column tidegate.lifecycle_state.alone is 'one row';
comment on column tidegate.lifecycle_state.kept_at is 'when everybody was looked at last';
comment on column tidegate.lifecycle_state.watched_at is 'when the hub itself was looked at last';

create table tidegate.stages (
    key text not null,
    place integer not null,
    name text default '' not null,
    condition jsonb,
    managed_by text default '' not null,
    primary key (key)
);
comment on column tidegate.stages.place is 'the first that holds is the contact''s';
comment on column tidegate.stages.condition is 'as it was said; null: the stage of all whom no other takes';
comment on column tidegate.stages.managed_by is 'file: tidegate.yaml';

create table tidegate.lifecycle_settings (
    what text not null,
    said jsonb not null,
    managed_by text default '' not null,
    primary key (what)
);
comment on column tidegate.lifecycle_settings.what is 'health or alerts';
comment on column tidegate.lifecycle_settings.said is 'as tidegate.yaml says it';
comment on column tidegate.lifecycle_settings.managed_by is 'file: tidegate.yaml';

create table tidegate.health_history (
    contact bigint not null,
    at timestamptz not null,
    health numeric,
    coverage numeric not null,
    parts jsonb not null,
    points jsonb default '{}'::jsonb not null,
    primary key (contact, at)
);
comment on column tidegate.health_history.health is 'null: unknown';
comment on column tidegate.health_history.parts is 'score by component';
comment on column tidegate.health_history.points is 'of the health, by component';

create table tidegate.alerts (
    id bigint generated always as identity,
    contact bigint,
    subject text default '' not null,
    rule text not null,
    occurrence text not null,
    state text not null,
    reasons jsonb not null,
    opened_at timestamptz not null,
    snoozed_until timestamptz,
    changed_at timestamptz not null,
    changed_by text default '' not null,
    note text default '' not null,
    history boolean default false not null,
    resolved_because text,
    routed_to text default '' not null,
    gone_since timestamptz,
    primary key (id)
);
create unique index alerts_occurrence on tidegate.alerts (contact, rule, occurrence);
create index alerts_opened on tidegate.alerts (rule, opened_at);
create index alerts_resolved on tidegate.alerts (rule, changed_at) where state = 'resolved';
create index alerts_open on tidegate.alerts (rule) where state not in ('dismissed', 'resolved');
create index alerts_state on tidegate.alerts (state, opened_at);
create unique index alerts_system on tidegate.alerts (rule, subject) where contact is null and state <> 'resolved';
comment on column tidegate.alerts.contact is 'null: a system alert';
comment on column tidegate.alerts.subject is 'of a system alert: sync:people';
comment on column tidegate.alerts.routed_to is 'the destination that was told; empty: none';
comment on column tidegate.alerts.gone_since is 'of a system alert: since when the facts do not say it';
comment on column tidegate.alerts.occurrence is 'what it is about: an invoice, a date; told once';
comment on column tidegate.alerts.state is 'open, acknowledged, snoozed, dismissed or resolved';
comment on column tidegate.alerts.reasons is 'the tests that opened it';
comment on column tidegate.alerts.changed_at is 'of the state';
comment on column tidegate.alerts.changed_by is 'empty: the facts';
comment on column tidegate.alerts.note is 'what others should know; why it was dismissed';
comment on column tidegate.alerts.history is 'nobody was told of it';
comment on column tidegate.alerts.resolved_because is
    'facts or rules changed, or begin: an import or a merge did it';

create table tidegate.segments (
    key text not null,
    place integer not null,
    name text default '' not null,
    condition jsonb not null,
    managed_by text default '' not null,
    primary key (key)
);
comment on column tidegate.segments.condition is 'as it was said';
comment on column tidegate.segments.managed_by is 'file: tidegate.yaml';

create table tidegate.memberships (
    id bigint generated always as identity,
    contact bigint not null,
    kind text not null,
    key text not null,
    entered_at timestamptz not null,
    left_at timestamptz,
    reasons jsonb not null,
    because text not null,
    left_because text,
    primary key (id)
);
create index memberships_contact on tidegate.memberships (contact, entered_at);
create index memberships_key on tidegate.memberships (kind, key, entered_at);
create index memberships_left on tidegate.memberships (kind, key, left_at) where left_at is not null;
create unique index memberships_present on tidegate.memberships (contact, kind, key) where left_at is null;
comment on column tidegate.memberships.kind is 'stage or segment';
comment on column tidegate.memberships.key is 'of the stage or segment';
comment on column tidegate.memberships.left_at is 'null: it is there';
comment on column tidegate.memberships.reasons is 'the tests that decided when it came';
comment on column tidegate.memberships.because is 'facts or rules changed, or begin: the first time';
comment on column tidegate.memberships.left_because is 'the same of its leaving';

create table tidegate.actions (
    key text not null,
    spec jsonb not null,
    enabled boolean not null,
    since timestamptz not null,
    seen_until timestamptz not null,
    seed text not null,
    managed_by text default '' not null,
    made_at timestamptz default now() not null,
    primary key (key)
);
comment on column tidegate.actions.spec is 'as it was said, without key and enabled';
comment on column tidegate.actions.since is
    'when it was switched on; what came before is not its business';
comment on column tidegate.actions.seen_until is 'up to when histories were looked at';
comment on column tidegate.actions.seed is 'of the hold-out';
comment on column tidegate.actions.managed_by is 'file: tidegate.yaml';

create table tidegate.action_occurrences (
    id bigint generated always as identity,
    action text not null,
    contact bigint not null,
    occurrence text not null,
    at timestamptz not null,
    decided_at timestamptz not null,
    state text not null,
    why text default '' not null,
    what jsonb not null,
    reasons jsonb not null,
    goal text,
    goal_by timestamptz,
    goal_of jsonb,
    reached_at timestamptz,
    primary key (id)
);
create unique index action_occurrences_once on tidegate.action_occurrences (action, contact, occurrence);
create index action_occurrences_contact on tidegate.action_occurrences (contact);
create index action_occurrences_open on tidegate.action_occurrences (goal_by) where goal = 'open';
create index action_occurrences_shown on tidegate.action_occurrences (action, state, id);
comment on column tidegate.action_occurrences.occurrence is
    'what happened: a move, an alert, an event, a date';
comment on column tidegate.action_occurrences.at is 'when it happened';
comment on column tidegate.action_occurrences.state is 'fired, held_out, passed or failed';
comment on column tidegate.action_occurrences.why is
    'passed: before, begin, suppressed, …; failed: what is wrong';
comment on column tidegate.action_occurrences.what is 'what the trigger says of it';
comment on column tidegate.action_occurrences.goal is
    'open, reached, missed, or moot: it held before; null: there is none';
comment on column tidegate.action_occurrences.goal_of is 'the goal as it was then, and the invoice that it is about';

create table tidegate.owners (
    key text not null,
    place integer not null,
    name text default '' not null,
    email text default '' not null,
    destination text default '' not null,
    digest text default '' not null,
    digest_since timestamptz,
    condition jsonb,
    managed_by text default '' not null,
    primary key (key)
);
create unique index owners_name on tidegate.owners (lower(name)) where name <> '';
create unique index owners_email on tidegate.owners (lower(email)) where email <> '';
comment on column tidegate.owners.key is 'as contacts name it: a person''s name or e-mail address';
comment on column tidegate.owners.place is 'the first whose rule holds';
comment on column tidegate.owners.destination is 'of its alerts; empty: the default route';
comment on column tidegate.owners.digest is 'daily or weekly; empty: none';
comment on column tidegate.owners.digest_since is 'when digests were asked for';
comment on column tidegate.owners.condition is 'whom it looks after where nobody else said so; null: nobody';
comment on column tidegate.owners.managed_by is 'file: tidegate.yaml';

create table tidegate.alert_route (
    alone boolean default true not null,
    destination text default '' not null,
    digest text default '' not null,
    digest_since timestamptz,
    hour integer default '8' not null,
    time_zone text default '' not null,
    managed_by text default '' not null,
    primary key (alone)
);
comment on column tidegate.alert_route.alone is 'one row';
comment on column tidegate.alert_route.destination is 'of what no owner is sent; empty: none';
comment on column tidegate.alert_route.digest is 'daily or weekly; empty: none';
comment on column tidegate.alert_route.digest_since is 'when digests were asked for';
comment on column tidegate.alert_route.hour is 'of all digests, in the time zone';
comment on column tidegate.alert_route.time_zone is 'empty: that of the connection';
comment on column tidegate.alert_route.managed_by is 'file: tidegate.yaml';

create table tidegate.digests (
    recipient text not null,
    period text not null,
    since timestamptz not null,
    until timestamptz not null,
    destination text not null,
    data jsonb not null,
    made_at timestamptz default clock_timestamp() not null,
    primary key (recipient, period)
);
comment on column tidegate.digests.recipient is 'key of an owner; empty: the default route';
comment on column tidegate.digests.period is '2026-03-15, or 2026-W11';
comment on column tidegate.digests.data is 'alerts and contacts by number, without names';

create table tidegate.contact_notes (
    id bigint generated always as identity,
    contact bigint not null,
    text text not null,
    by text not null,
    at timestamptz default clock_timestamp() not null,
    primary key (id)
);
create index contact_notes_contact on tidegate.contact_notes (contact, at);
comment on column tidegate.contact_notes.by is 'the person or token';

create table tidegate.contact_tasks (
    id bigint generated always as identity,
    contact bigint not null,
    text text not null,
    due_on date,
    by text not null,
    at timestamptz default clock_timestamp() not null,
    done_at timestamptz,
    done_by text default '' not null,
    primary key (id)
);
create index contact_tasks_contact on tidegate.contact_tasks (contact, at);
create index contact_tasks_open on tidegate.contact_tasks (due_on) where done_at is null;
comment on column tidegate.contact_tasks.due_on is 'null: some day';
comment on column tidegate.contact_tasks.by is 'the person or token';

create table tidegate.entitlement_changes (
    id bigint generated always as identity,
    contact bigint not null,
    type text not null,
    data jsonb not null,
    at timestamptz default clock_timestamp() not null,
    primary key (id)
);
create index entitlement_changes_contact on tidegate.entitlement_changes (contact, at);
comment on table tidegate.entitlement_changes is
    'What was told of entitlements, kept for the timeline; a first import is not.';
comment on column tidegate.entitlement_changes.type is 'granted, changed or revoked';
"""

NOTING = """
create function tidegate.note_lifecycle() returns trigger language plpgsql as $$
declare
    kept text[] := array(select key from tidegate.destinations where keeps);
begin
    if kept = '{}' or coalesce(current_setting('tidegate.history', true), '') = 'on' then
        return null;
    elsif tg_op = 'INSERT' then
        insert into tidegate.noted_contacts (contacts)
        select array_agg(n.contact) from changed n
        where tidegate.is_kept(n.contact, kept) having count(*) > 0;
    else
        insert into tidegate.noted_contacts (contacts)
        select array_agg(n.contact) from changed n join was o on o.contact = n.contact
        where (n.stage, n.segments, round(n.health), n.packages, n.quantity, n.open_total, n.mrr_total, n.renewals,
            n.failed_attempts, n.past_due_since, n.card_expires_at, n.cancellation_reason) is distinct from
          (o.stage, o.segments, round(o.health), o.packages, o.quantity, o.open_total, o.mrr_total, o.renewals,
            o.failed_attempts, o.past_due_since, o.card_expires_at, o.cancellation_reason)
            and (o.stage is not null or tidegate.is_kept(n.contact, kept))
        having count(*) > 0;
    end if;
    return null;
end $$;

create function tidegate.note_worth() returns trigger language plpgsql as $$
declare
    rules boolean := coalesce(current_setting('tidegate.rules', true), '') = 'on';
    history boolean := rules or coalesce(current_setting('tidegate.history', true), '') = 'on'
        or coalesce(current_setting('tidegate.silent', true), '') = 'on';
begin
    if not exists (select from tidegate.lifecycle_settings where what = 'worth') then
        return null;
    elsif tg_op = 'INSERT' then
        insert into tidegate.lifecycle_due as due (contact, history, by_rules)
        select key, history, rules from changed where properties <> '{}' order by key
        on conflict (contact) do update set history = due.history and excluded.history,
            by_rules = due.by_rules and excluded.by_rules;
    else
        insert into tidegate.lifecycle_due as due (contact, history, by_rules)
        select n.key, history, rules from changed n join was o on o.key = n.key
        where n.properties is distinct from o.properties order by 1
        on conflict (contact) do update set history = due.history and excluded.history,
            by_rules = due.by_rules and excluded.by_rules;
    end if;
    return null;
end $$;

create trigger contacts_worth_insert after insert on tidegate.contacts
referencing new table as changed for each statement execute function tidegate.note_worth();
create trigger contacts_worth_update after update on tidegate.contacts
referencing old table as was new table as changed for each statement execute function tidegate.note_worth();

create function tidegate.is_kept(who bigint, destinations text[]) returns boolean language sql stable as $$
    select exists (
        select from tidegate.destination_contacts s where s.destination = any(destinations) and s.contact = who)
    or exists (
        select from tidegate.deliveries w
        where w.destination = any(destinations) and w.contact = who and w.state = 'waiting' and w.outbox is null)
    or exists (select from tidegate.noted_contacts n where who = any(n.contacts))
$$;

create trigger contact_lifecycle_noted_insert after insert on tidegate.contact_lifecycle
referencing new table as changed for each statement execute function tidegate.note_lifecycle();
create trigger contact_lifecycle_noted_update after update on tidegate.contact_lifecycle
referencing old table as was new table as changed for each statement execute function tidegate.note_lifecycle();
"""
"""What destinations keep of the lifecycle is noted where it changed. Whoever is placed for the first time is noted only
where a destination has it, or is about to: an import of years tells nobody.
"""


def upgrade() -> None:
    queue_schema.run_script(op.get_bind(), TABLES)
    queue_schema.run_script(op.get_bind(), NOTING)
