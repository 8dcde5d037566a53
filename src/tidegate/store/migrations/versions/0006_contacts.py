"""Contacts, the catalog, entitlements, the outbox, and the queue of customers to refresh."""

from alembic import op

from tidegate.store import queue_schema

revision = "0006"
down_revision = "0005"

TABLES = """
create table tidegate.changed_customers (
    id bigint generated always as identity,
    connection text not null,
    customers text[] not null,
    at timestamptz default clock_timestamp() not null,
    by_rules boolean default false not null,
    primary key (id)
);
create index changed_customers_connection on tidegate.changed_customers (connection, id);
comment on column tidegate.changed_customers.by_rules is 'nothing happened to them';
comment on column tidegate.changed_customers.customers is 'Stripe''s ids';

create table tidegate.changed_objects (
    id bigint generated always as identity,
    connection text not null,
    resource text not null,
    objects text[] not null,
    at timestamptz default clock_timestamp() not null,
    primary key (id)
);
create index changed_objects_connection on tidegate.changed_objects (connection, id);
comment on column tidegate.changed_objects.objects is 'Stripe''s ids of what many customers have in common';

create table tidegate.forgotten (
    connection text not null,
    customer text not null,
    account text not null,
    at timestamptz default now() not null,
    primary key (connection, customer)
);
create index forgotten_account on tidegate.forgotten (account);
comment on column tidegate.forgotten.connection is 'empty: it was purged, and the account may come back';
comment on column tidegate.forgotten.customer is 'Stripe''s cus_…; what comes in of it is redacted';
comment on column tidegate.forgotten.account is 'Stripe''s acct_…';

create table tidegate.outbox (
    id bigint generated always as identity,
    type text not null,
    contact bigint,
    connection text,
    data jsonb not null,
    at timestamptz default clock_timestamp() not null,
    primary key (id)
);
create index outbox_at on tidegate.outbox (at);
create index outbox_contact on tidegate.outbox (contact, id);
comment on column tidegate.outbox.type is 'entitlement.granted, contact.linked, …';
comment on column tidegate.outbox.contact is 'internal key; null: about none';
comment on column tidegate.outbox.connection is 'null: about none';

create table tidegate.contacts (
    key bigint generated always as identity,
    livemode boolean not null,
    kind text not null,
    external_id text not null,
    name text default '' not null,
    name_is_yours boolean default false not null,
    email text default '' not null,
    email_is_yours boolean default false not null,
    owner text default '' not null,
    owner_by_rule boolean default false not null,
    properties jsonb default '{}'::jsonb not null,
    made_by text not null,
    created_at timestamptz default now() not null,
    updated_at timestamptz default now() not null,
    merged_into bigint,
    forgotten_at timestamptz,
    primary key (key),
    constraint contacts_kind check (kind in ('user', 'account')),
    foreign key(merged_into) references tidegate.contacts (key)
);
create index contacts_name on tidegate.contacts (lower(name));
create index contacts_owner on tidegate.contacts (livemode, owner) where owner <> '';
comment on column tidegate.contacts.key is 'internal, never changes';
comment on column tidegate.contacts.livemode is 'contacts of live and of test data are apart, as at Stripe';
comment on column tidegate.contacts.external_id is 'yours; older ones stand in contact_ids';
comment on column tidegate.contacts.name_is_yours is 'false: follows Stripe';
comment on column tidegate.contacts.email is 'the first of its e-mails';
comment on column tidegate.contacts.email_is_yours is 'false: follows Stripe';
comment on column tidegate.contacts.owner is 'who of your team looks after it';
comment on column tidegate.contacts.owner_by_rule is 'false: somebody said so';
comment on column tidegate.contacts.properties is 'yours, any JSON';
comment on column tidegate.contacts.made_by is 'stripe, api, csv, cli, file or sync';
comment on column tidegate.contacts.merged_into is 'its ids and customers are that contact''s now';
comment on column tidegate.contacts.forgotten_at is 'its personal data was erased';

create table tidegate.contact_ids (
    livemode boolean not null,
    kind text not null,
    external_id text not null,
    contact bigint not null,
    since timestamptz default now() not null,
    primary key (livemode, kind, external_id),
    foreign key(contact) references tidegate.contacts (key)
);
create index contact_ids_contact on tidegate.contact_ids (contact);
create index contact_ids_external_id on tidegate.contact_ids (external_id);
comment on column tidegate.contact_ids.external_id is 'the present one of a contact or one that it had';

create table tidegate.forgotten_ids (
    livemode boolean not null,
    digest bytea not null,
    at timestamptz default now() not null,
    primary key (livemode, digest)
);
comment on table tidegate.forgotten_ids is 'ids that went with who was forgotten: no sync makes them anew';
comment on column tidegate.forgotten_ids.digest is 'SHA-256 of kind and id';

create table tidegate.contact_emails (
    contact bigint not null,
    folded text not null,
    email text not null,
    followed boolean default false not null,
    primary key (contact, folded),
    foreign key(contact) references tidegate.contacts (key)
);
create index contact_emails_folded on tidegate.contact_emails (folded);
comment on column tidegate.contact_emails.folded is 'as it is compared: case folded, composed';
comment on column tidegate.contact_emails.followed is 'taken over from a customer';

create table tidegate.contact_domains (
    contact bigint not null,
    domain text not null,
    primary key (contact, domain),
    foreign key(contact) references tidegate.contacts (key)
);
create index contact_domains_domain on tidegate.contact_domains (domain);
comment on column tidegate.contact_domains.domain is 'registrable, in lower case';

create table tidegate.contact_members (
    account bigint not null,
    "user" bigint not null,
    role text default '' not null,
    primary key (account, "user"),
    foreign key(account) references tidegate.contacts (key),
    foreign key("user") references tidegate.contacts (key)
);
create index contact_members_user on tidegate.contact_members ("user");

create table tidegate.links (
    connection text not null,
    customer text not null,
    contact bigint,
    method text not null,
    evidence jsonb default '{}'::jsonb not null,
    linked_at timestamptz default now() not null,
    linked_by text default '' not null,
    batch bigint,
    primary key (connection, customer),
    foreign key(contact) references tidegate.contacts (key)
);
create index links_contact on tidegate.links (contact);
comment on column tidegate.links.customer is 'Stripe''s cus_…; the mirror may not have it yet';
comment on column tidegate.links.contact is 'null: kept apart by hand';
comment on column tidegate.links.method is 'manual, billing_id, metadata, email, domain or created';
comment on column tidegate.links.evidence is 'what it was seen by';
comment on column tidegate.links.linked_by is 'the person or token; empty: matching';
comment on column tidegate.links.batch is 'the acceptance of the review queue that made it, to be undone with it';

create table tidegate.reviews (
    connection text not null,
    customer text not null,
    reason text not null,
    candidates jsonb not null,
    evidence jsonb not null,
    since timestamptz default now() not null,
    primary key (connection, customer)
);
comment on column tidegate.reviews.reason is 'conflict, no_match or id_unknown';
comment on column tidegate.reviews.candidates is 'internal keys of contacts';
comment on column tidegate.reviews.evidence is 'what was tried';

create table tidegate.matched_by (
    connection text not null,
    customer text not null,
    ids text[] not null,
    email text not null,
    domain text not null,
    primary key (connection, customer)
);
create index matched_by_ids on tidegate.matched_by using gin (ids);
create index matched_by_email on tidegate.matched_by (email, connection);
create index matched_by_domain on tidegate.matched_by (domain, connection);
comment on column tidegate.matched_by.ids is 'yours, that its metadata names';
comment on column tidegate.matched_by.email is 'as it is compared; empty: it has none';
comment on column tidegate.matched_by.domain is 'registrable; empty: of a mail provider, or none';

create table tidegate.contact_settings (
    connection text not null,
    settings jsonb not null,
    managed_by text default '' not null,
    changed_at timestamptz default now() not null,
    primary key (connection)
);
comment on column tidegate.contact_settings.settings is 'what differs from the defaults';
comment on column tidegate.contact_settings.managed_by is 'file: read-only elsewhere';

create table tidegate.contact_changes (
    id bigint generated always as identity,
    action text not null,
    contact bigint,
    by text not null,
    at timestamptz default now() not null,
    what jsonb default '{}'::jsonb not null,
    before jsonb not null,
    undone_at timestamptz,
    primary key (id)
);
create index contact_changes_contact on tidegate.contact_changes (contact, id);
comment on column tidegate.contact_changes.action is 'make, update, rename, link, unlink, merge, accept, forget, …';
comment on column tidegate.contact_changes.contact is 'internal key; null: about none, or about several';
comment on column tidegate.contact_changes.by is 'the person or token';
comment on column tidegate.contact_changes.what is 'what was done';
comment on column tidegate.contact_changes.before is 'what undoing needs';

create table tidegate.features (
    key text not null,
    name text default '' not null,
    type text not null,
    unit text default '' not null,
    reset text default 'month' not null,
    meter text default '' not null,
    managed_by text default '' not null,
    created_at timestamptz default now() not null,
    primary key (key)
);
comment on column tidegate.features.type is 'boolean, config or metered';
comment on column tidegate.features.unit is 'of a metered one: seat, call, …';
comment on column tidegate.features.reset is 'of a metered one, where terms say none';
comment on column tidegate.features.meter is 'Stripe''s event name: what is used is told to that meter; empty: to none';
comment on column tidegate.features.managed_by is 'file: read-only elsewhere';

create table tidegate.packages (
    key text not null,
    name text default '' not null,
    kind text default 'base' not null,
    is_default boolean default false not null,
    prices jsonb default '[]'::jsonb not null,
    managed_by text default '' not null,
    created_at timestamptz default now() not null,
    primary key (key)
);
create unique index packages_default on tidegate.packages (is_default) where is_default;
comment on column tidegate.packages.kind is 'base or add_on';
comment on column tidegate.packages.is_default is 'for whoever has no base';
comment on column tidegate.packages.prices is 'to create in Stripe';
comment on column tidegate.packages.managed_by is 'file: read-only elsewhere';

create table tidegate.package_versions (
    package text not null,
    version integer not null,
    features jsonb not null,
    published_at timestamptz,
    primary key (package, version),
    foreign key(package) references tidegate.packages (key)
);
create unique index package_versions_draft on tidegate.package_versions (package) where published_at is null;
comment on column tidegate.package_versions.features is 'terms by feature';
comment on column tidegate.package_versions.published_at is 'null: a draft, at most one';

create table tidegate.mappings (
    id bigint generated always as identity,
    connection text not null,
    price text,
    product text,
    package text,
    feature text,
    terms jsonb,
    per_quantity boolean not null,
    managed_by text default '' not null,
    created_at timestamptz default now() not null,
    created_by text default '' not null,
    removed_at timestamptz,
    primary key (id),
    constraint mappings_from check ((price is null) <> (product is null)),
    constraint mappings_to check ((package is null) <> (feature is null)),
    foreign key(package) references tidegate.packages (key),
    foreign key(feature) references tidegate.features (key)
);
create unique index mappings_price on tidegate.mappings (connection, price) where removed_at is null;
create unique index mappings_product on tidegate.mappings (connection, product) where removed_at is null;
comment on column tidegate.mappings.price is 'Stripe''s price_…; beats the mapping of its product';
comment on column tidegate.mappings.product is 'Stripe''s prod_…';
comment on column tidegate.mappings.terms is 'of the feature';
comment on column tidegate.mappings.per_quantity is 'limits are multiplied by the item''s quantity';
comment on column tidegate.mappings.managed_by is 'file: read-only elsewhere';
comment on column tidegate.mappings.removed_at is 'null: in force; a removed one may still hold for whoever keeps it';

create table tidegate.kept_mappings (
    connection text not null,
    subscription text not null,
    price text not null,
    mapping bigint not null,
    kept_at timestamptz default now() not null,
    primary key (connection, subscription, price),
    foreign key(mapping) references tidegate.mappings (id)
);
comment on column tidegate.kept_mappings.mapping is 'a removed one';

create table tidegate.unmapped_prices (
    connection text not null,
    price text not null,
    product text,
    since timestamptz default now() not null,
    primary key (connection, price)
);
comment on column tidegate.unmapped_prices.price is 'Stripe''s price_…, of a live subscription, that nothing maps';

create table tidegate.ignored_prices (
    connection text not null,
    price text not null,
    at timestamptz default now() not null,
    by text not null,
    managed_by text default '' not null,
    primary key (connection, price)
);
comment on column tidegate.ignored_prices.price is
    'Stripe''s price_…, to mean nothing: it waits for no mapping';

create table tidegate.holdings (
    connection text not null,
    subscription text not null,
    package text not null,
    version integer not null,
    since timestamptz not null,
    primary key (connection, subscription, package)
);
create index holdings_package on tidegate.holdings (package, version);
comment on column tidegate.holdings.version is 'of the package; subscribers stay on theirs until migrated';

create table tidegate.catalog_changes (
    id bigint generated always as identity,
    at timestamptz default clock_timestamp() not null,
    by text not null,
    action text not null,
    subject text not null,
    detail jsonb default '{}'::jsonb not null,
    primary key (id)
);
comment on column tidegate.catalog_changes.by is 'the person or token';
comment on column tidegate.catalog_changes.action is 'mapping.set, package.published, stripe.created, …';
comment on column tidegate.catalog_changes.subject is 'the key of the feature or package, or what is mapped';

create table tidegate.catalog_state (
    one boolean default true not null,
    revision bigint default 1 not null,
    primary key (one),
    constraint catalog_state_one check (one)
);
comment on column tidegate.catalog_state.revision is 'grows with every change';

create table tidegate.grants (
    connection text not null,
    subscription text not null,
    item text not null,
    contact bigint not null,
    customer text not null,
    price text not null,
    mapping bigint not null,
    package text,
    version integer,
    feature text,
    terms jsonb,
    times bigint not null,
    since timestamptz not null,
    anchor timestamptz not null,
    interval text,
    interval_count bigint,
    status text not null,
    ends_at timestamptz,
    grace_until timestamptz,
    pause text,
    resumes_at timestamptz,
    primary key (connection, subscription, item)
);
create index grants_contact on tidegate.grants (contact);
create index grants_mapping on tidegate.grants (mapping, contact);
create index grants_package on tidegate.grants (package, version);
comment on column tidegate.grants.terms is 'of the feature';
comment on column tidegate.grants.times is 'limits are multiplied by this';
comment on column tidegate.grants.anchor is 'of the billing cycle, and of what resets';
comment on column tidegate.grants.interval is 'of the price; null: one-time';
comment on column tidegate.grants.status is 'of the subscription';
comment on column tidegate.grants.ends_at is 'when the subscription is to end, as far as it is known';
comment on column tidegate.grants.grace_until is 'of a past_due one';
comment on column tidegate.grants.pause is 'pause_collection.behavior';
comment on column tidegate.grants.resumes_at is 'when the pause is to end';

create table tidegate.overrides (
    id bigint generated always as identity,
    contact bigint not null,
    operation text not null,
    package text,
    version integer,
    feature text,
    terms jsonb,
    priority integer default '0' not null,
    since timestamptz not null,
    expires_at timestamptz,
    reason text default '' not null,
    by text not null,
    created_at timestamptz default now() not null,
    revoked_at timestamptz,
    revoked_by text,
    primary key (id),
    constraint overrides_what check ((package is null) <> (feature is null)),
    foreign key(contact) references tidegate.contacts (key),
    foreign key(package) references tidegate.packages (key),
    foreign key(feature) references tidegate.features (key)
);
create index overrides_contact on tidegate.overrides (contact);
comment on column tidegate.overrides.operation is 'add or replace';
comment on column tidegate.overrides.priority is 'higher is used up first';

create table tidegate.usage (
    contact bigint not null,
    feature text not null,
    bucket text not null,
    period_start timestamptz not null,
    period_end timestamptz,
    used bigint not null,
    primary key (contact, feature, bucket, period_start),
    foreign key(contact) references tidegate.contacts (key)
);
comment on column tidegate.usage.bucket is 'package:month, override:7, …';
comment on column tidegate.usage.period_end is 'null: it never ends';

create table tidegate.usage_debits (
    id bigint generated always as identity,
    contact bigint not null,
    feature text not null,
    idempotency_key text,
    operation text not null,
    amount bigint not null,
    debits jsonb not null,
    answer jsonb not null,
    at timestamptz default clock_timestamp() not null,
    expires_at timestamptz,
    state text default 'done' not null,
    primary key (id),
    foreign key(contact) references tidegate.contacts (key)
);
create index usage_debits_contact on tidegate.usage_debits (contact, feature, at);
create unique index usage_debits_key on tidegate.usage_debits (contact, feature, idempotency_key)
    where idempotency_key is not null;
create index usage_debits_reserved on tidegate.usage_debits (contact, feature) where state = 'reserved';
comment on column tidegate.usage_debits.idempotency_key is 'null: none was given';
comment on column tidegate.usage_debits.operation is 'consume, set, release or reserve';
comment on column tidegate.usage_debits.amount is 'debited; below 0: given back';
comment on column tidegate.usage_debits.debits is 'bucket, period and units';
comment on column tidegate.usage_debits.answer is 'the same key gets it again';
comment on column tidegate.usage_debits.expires_at is 'of a reservation that is neither confirmed nor released';
comment on column tidegate.usage_debits.state is 'done, reserved, confirmed or released';

create table tidegate.used_contacts (
    id bigint generated always as identity,
    contacts bigint[] not null,
    primary key (id)
);
comment on column tidegate.used_contacts.contacts is 'internal keys of contacts whose usage changed';

create table tidegate.entitlements_told (
    contact bigint not null,
    entitlements jsonb not null,
    changes_at timestamptz,
    revision bigint default '0' not null,
    primary key (contact),
    foreign key(contact) references tidegate.contacts (key)
);
create index entitlements_told_changes on tidegate.entitlements_told (changes_at) where changes_at is not null;
comment on column tidegate.entitlements_told.entitlements is 'by feature, as the outbox last told';
comment on column tidegate.entitlements_told.changes_at is 'when something changes by itself';
comment on column tidegate.entitlements_told.revision is 'of the catalog that it was read with';
insert into tidegate.catalog_state default values;
"""


def upgrade() -> None:
    queue_schema.run_script(op.get_bind(), TABLES)
