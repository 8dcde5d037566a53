"""Tables of contacts: who they are, what they are called, whose customers they are, what a person has to look at."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from tidegate.store.metadata import Time, metadata

CONTACT = "tidegate.contacts.key"

contacts = Table(
    "contacts",
    metadata,
    Column("key", BigInteger, Identity(always=True), primary_key=True, comment="internal, never changes"),
    Column("livemode", Boolean, nullable=False, comment="contacts of live and of test data are apart, as at Stripe"),
    Column("kind", Text, nullable=False),
    Column("external_id", Text, nullable=False, comment="yours; older ones stand in contact_ids"),
    Column("name", Text, nullable=False, server_default=""),
    Column("name_is_yours", Boolean, nullable=False, server_default=text("false"), comment="false: follows Stripe"),
    Column("email", Text, nullable=False, server_default="", comment="the first of its e-mails"),
    Column("email_is_yours", Boolean, nullable=False, server_default=text("false"), comment="false: follows Stripe"),
    Column("owner", Text, nullable=False, server_default="", comment="who of your team looks after it"),
    Column("owner_by_rule", Boolean, nullable=False, server_default=text("false"), comment="false: somebody said so"),
    Column("properties", JSONB, nullable=False, server_default=text("'{}'::jsonb"), comment="yours, any JSON"),
    Column("made_by", Text, nullable=False, comment="stripe, api, csv, cli, file or sync"),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("updated_at", Time, nullable=False, server_default=func.now()),
    Column("merged_into", BigInteger, ForeignKey(CONTACT), comment="its ids and customers are that contact's now"),
    Column("forgotten_at", Time, comment="its personal data was erased"),
    CheckConstraint("kind in ('user', 'account')", name="contacts_kind"),
    Index("contacts_name", text("lower(name)")),
    Index("contacts_owner", "livemode", "owner", postgresql_where=text("owner <> ''")),
)

contact_ids = Table(
    "contact_ids",
    metadata,
    Column("livemode", Boolean, nullable=False),
    Column("kind", Text, nullable=False),
    Column("external_id", Text, nullable=False, comment="the present one of a contact or one that it had"),
    Column("contact", BigInteger, ForeignKey(CONTACT), nullable=False),
    Column("since", Time, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("livemode", "kind", "external_id"),
    Index("contact_ids_external_id", "external_id"),
    Index("contact_ids_contact", "contact"),
)

forgotten_ids = Table(
    "forgotten_ids",
    metadata,
    Column("livemode", Boolean, nullable=False),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of kind and id"),
    Column("at", Time, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("livemode", "digest"),
    comment="ids that went with who was forgotten: no sync makes them anew",
)

contact_emails = Table(
    "contact_emails",
    metadata,
    Column("contact", BigInteger, ForeignKey(CONTACT), nullable=False),
    Column("folded", Text, nullable=False, comment="as it is compared: case folded, composed"),
    Column("email", Text, nullable=False),
    Column("followed", Boolean, nullable=False, server_default=text("false"), comment="taken over from a customer"),
    PrimaryKeyConstraint("contact", "folded"),
    Index("contact_emails_folded", "folded"),
)

contact_domains = Table(
    "contact_domains",
    metadata,
    Column("contact", BigInteger, ForeignKey(CONTACT), nullable=False),
    Column("domain", Text, nullable=False, comment="registrable, in lower case"),
    PrimaryKeyConstraint("contact", "domain"),
    Index("contact_domains_domain", "domain"),
)

contact_members = Table(
    "contact_members",
    metadata,
    Column("account", BigInteger, ForeignKey(CONTACT), nullable=False),
    Column("user", BigInteger, ForeignKey(CONTACT), nullable=False),
    Column("role", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("account", "user"),
    Index("contact_members_user", "user"),
)

links = Table(
    "links",
    metadata,
    Column("connection", Text, nullable=False),
    Column("customer", Text, nullable=False, comment="Stripe's cus_…; the mirror may not have it yet"),
    Column("contact", BigInteger, ForeignKey(CONTACT), comment="null: kept apart by hand"),
    Column("method", Text, nullable=False, comment="manual, billing_id, metadata, email, domain or created"),
    Column("evidence", JSONB, nullable=False, server_default=text("'{}'::jsonb"), comment="what it was seen by"),
    Column("linked_at", Time, nullable=False, server_default=func.now()),
    Column("linked_by", Text, nullable=False, server_default="", comment="the person or token; empty: matching"),
    Column("batch", BigInteger, comment="the acceptance of the review queue that made it, to be undone with it"),
    PrimaryKeyConstraint("connection", "customer"),
    Index("links_contact", "contact"),
)

reviews = Table(
    "reviews",
    metadata,
    Column("connection", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("reason", Text, nullable=False, comment="conflict, no_match or id_unknown"),
    Column("candidates", JSONB, nullable=False, comment="internal keys of contacts"),
    Column("evidence", JSONB, nullable=False, comment="what was tried"),
    Column("since", Time, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("connection", "customer"),
)

matched_by = Table(
    "matched_by",
    metadata,
    Column("connection", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("ids", ARRAY(Text), nullable=False, comment="yours, that its metadata names"),
    Column("email", Text, nullable=False, comment="as it is compared; empty: it has none"),
    Column("domain", Text, nullable=False, comment="registrable; empty: of a mail provider, or none"),
    PrimaryKeyConstraint("connection", "customer"),
    Index("matched_by_ids", "ids", postgresql_using="gin"),
    Index("matched_by_email", "email", "connection"),
    Index("matched_by_domain", "domain", "connection"),
)

contact_settings = Table(
    "contact_settings",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("settings", JSONB, nullable=False, comment="what differs from the defaults"),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: read-only elsewhere"),
    Column("changed_at", Time, nullable=False, server_default=func.now()),
)

contact_changes = Table(
    "contact_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("action", Text, nullable=False, comment="make, update, rename, link, unlink, merge, accept, forget, …"),
    Column("contact", BigInteger, comment="internal key; null: about none, or about several"),
    Column("by", Text, nullable=False, comment="the person or token"),
    Column("at", Time, nullable=False, server_default=func.now()),
    Column("what", JSONB, nullable=False, server_default=text("'{}'::jsonb"), comment="what was done"),
    Column("before", JSONB, nullable=False, comment="what undoing needs"),
    Column("undone_at", Time),
    Index("contact_changes_contact", "contact", "id"),
)
