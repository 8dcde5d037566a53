"""Tables of entitlements: grants, overrides, usage with its idempotency keys, what was last told of each contact."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from tidegate.store.metadata import Time, metadata

CONTACT = "tidegate.contacts.key"

# Contact and mapping refer to rows that the refresh reads in the same statement and that nobody deletes meanwhile: to
# have PostgreSQL look each up again, and lock it, was a third of what a first refresh took.
grants = Table(
    "grants",
    metadata,
    Column("connection", Text, nullable=False),
    Column("subscription", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("contact", BigInteger, nullable=False),
    Column("customer", Text, nullable=False),
    Column("price", Text, nullable=False),
    Column("mapping", BigInteger, nullable=False),
    Column("package", Text),
    Column("version", Integer),
    Column("feature", Text),
    Column("terms", JSONB, comment="of the feature"),
    Column("times", BigInteger, nullable=False, comment="limits are multiplied by this"),
    Column("since", Time, nullable=False),
    Column("anchor", Time, nullable=False, comment="of the billing cycle, and of what resets"),
    Column("interval", Text, comment="of the price; null: one-time"),
    Column("interval_count", BigInteger),
    Column("status", Text, nullable=False, comment="of the subscription"),
    Column("ends_at", Time, comment="when the subscription is to end, as far as it is known"),
    Column("grace_until", Time, comment="of a past_due one"),
    Column("pause", Text, comment="pause_collection.behavior"),
    Column("resumes_at", Time, comment="when the pause is to end"),
    PrimaryKeyConstraint("connection", "subscription", "item"),
    Index("grants_contact", "contact"),
    Index("grants_mapping", "mapping", "contact"),
    Index("grants_package", "package", "version"),
)

overrides = Table(
    "overrides",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("contact", BigInteger, ForeignKey(CONTACT), nullable=False),
    Column("operation", Text, nullable=False, comment="add or replace"),
    Column("package", Text, ForeignKey("tidegate.packages.key")),
    Column("version", Integer),
    Column("feature", Text, ForeignKey("tidegate.features.key")),
    Column("terms", JSONB),
    Column("priority", Integer, nullable=False, server_default="0", comment="higher is used up first"),
    Column("since", Time, nullable=False),
    Column("expires_at", Time),
    Column("reason", Text, nullable=False, server_default=""),
    Column("by", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("revoked_at", Time),
    Column("revoked_by", Text),
    CheckConstraint("(package is null) <> (feature is null)", name="overrides_what"),
    Index("overrides_contact", "contact"),
)

usage = Table(
    "usage",
    metadata,
    Column("contact", BigInteger, ForeignKey(CONTACT), nullable=False),
    Column("feature", Text, nullable=False),
    Column("bucket", Text, nullable=False, comment="package:month, override:7, …"),
    Column("period_start", Time, nullable=False),
    Column("period_end", Time, comment="null: it never ends"),
    Column("used", BigInteger, nullable=False),
    PrimaryKeyConstraint("contact", "feature", "bucket", "period_start"),
)

usage_debits = Table(
    "usage_debits",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("contact", BigInteger, ForeignKey(CONTACT), nullable=False),
    Column("feature", Text, nullable=False),
    Column("idempotency_key", Text, comment="null: none was given"),
    Column("operation", Text, nullable=False, comment="consume, set, release or reserve"),
    Column("amount", BigInteger, nullable=False, comment="debited; below 0: given back"),
    Column("debits", JSONB, nullable=False, comment="bucket, period and units"),
    Column("answer", JSONB, nullable=False, comment="the same key gets it again"),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
    Column("expires_at", Time, comment="of a reservation that is neither confirmed nor released"),
    Column("state", Text, nullable=False, server_default="done", comment="done, reserved, confirmed or released"),
    Index(
        "usage_debits_key",
        "contact",
        "feature",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key is not null"),
    ),
    Index("usage_debits_contact", "contact", "feature", "at"),
    Index("usage_debits_reserved", "contact", "feature", postgresql_where=text("state = 'reserved'")),
)

used_contacts = Table(
    "used_contacts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("contacts", ARRAY(BigInteger), nullable=False, comment="internal keys of contacts whose usage changed"),
)

meter_forwards = Table(
    "meter_forwards",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("debit", BigInteger, nullable=False, comment="the number of the debit: each is told once"),
    Column("contact", BigInteger, ForeignKey(CONTACT), nullable=False),
    Column("feature", Text, nullable=False),
    Column("event_name", Text, nullable=False, comment="of the meter that the feature named then"),
    Column("value", BigInteger, nullable=False, comment="debited; below 0: given back"),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp(), comment="when it was used"),
    Column("connection", Text, comment="of the customer; null: the contact has none yet"),
    Column("customer", Text, comment="whose subscription gave it, else the contact's only one"),
    Column(
        "state", Text, nullable=False, server_default="waiting", comment="waiting, intended, sent, taken_back or failed"
    ),
    Column("takes_back", BigInteger, comment="the forward whose event it cancels; null: an event itself"),
    Column("generation", Integer, nullable=False, server_default="0", comment="goes on where Stripe answered 5xx"),
    Column("intended_at", Time, comment="before it was first sent"),
    Column("next_try_at", Time, nullable=False, server_default=func.clock_timestamp()),
    Column("error", Text, nullable=False, server_default="", comment="why it is not sent"),
    Column("settled_at", Time, comment="when it was known to be sent, or failed"),
    Index("meter_forwards_debit", "debit", unique=True),
    Index("meter_forwards_contact", "contact", "feature", "id"),
    Index("meter_forwards_customer", "connection", "customer", "at"),
    Index(
        "meter_forwards_open", "connection", "next_try_at", postgresql_where=text("state in ('waiting', 'intended')")
    ),
    Index("meter_forwards_failed", "connection", postgresql_where=text("state = 'failed'")),
)

told = Table(
    "entitlements_told",
    metadata,
    Column("contact", BigInteger, ForeignKey(CONTACT), primary_key=True),
    Column("entitlements", JSONB, nullable=False, comment="by feature, as the outbox last told"),
    Column("changes_at", Time, comment="when something changes by itself"),
    Column("revision", BigInteger, nullable=False, server_default="0", comment="of the catalog that it was read with"),
    Index("entitlements_told_changes", "changes_at", postgresql_where=text("changes_at is not null")),
)

changes = Table(
    "entitlement_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("contact", BigInteger, nullable=False),
    Column("type", Text, nullable=False, comment="granted, changed or revoked"),
    Column("data", JSONB, nullable=False),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
    Index("entitlement_changes_contact", "contact", "at"),
    comment="What was told of entitlements, kept for the timeline; a first import is not.",
)
