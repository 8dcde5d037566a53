"""Tables of the mirror: one in schema `stripe` per resource, made from the registry, and the book-keeping beside
them.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from tidegate.store.metadata import Time, metadata
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Column as ResourceColumn
from tidegate.stripe_api.resources.resource import ColumnType, Resource

SQL_TYPES: dict[ColumnType, TypeEngine[object]] = {
    "text": Text(),  # pyright: ignore[reportAssignmentType]
    "bigint": BigInteger(),  # pyright: ignore[reportAssignmentType]
    "boolean": Boolean(),  # pyright: ignore[reportAssignmentType]
    "timestamptz": Time,  # pyright: ignore[reportAssignmentType]
    "text[]": ARRAY(Text),  # pyright: ignore[reportAssignmentType]
}

WRITTEN = frozenset({"customers", "products", "prices", "subscriptions", "invoices", "invoiceitems", "quotes"})
"""Resources that outbound writes: before each run it asks what changed since the last one."""

NEWEST = "coalesce(created, '-infinity'::timestamptz)"
"""By what objects are listed, the newest first; those of which Stripe does not say when they were made come last."""

stripe_metadata = MetaData(schema="stripe")


def _table(resource: Resource) -> Table:
    """The mirror table of a resource: envelope, typed columns, raw JSON."""
    key = ("connection", resource.parent, "id") if resource.parent else ("connection", "id")
    return Table(
        resource.table,
        stripe_metadata,
        Column("connection", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("created", Time),
        Column("updated_at", Time, nullable=False, comment="Stripe's time of this version"),
        Column(
            "certainty", SmallInteger, nullable=False, comment="0 told by an event, 1 read, 2 read to settle a doubt"
        ),
        Column("deleted_at", Time),
        *(
            Column("told_at", Time, comment="Stripe's time of the first version with this content that was seen")
            for _ in [1]
            if resource.versions
        ),
        *(Column("position", Integer, nullable=False, server_default="0") for _ in [1] if resource.parent),
        *(Column(c.name, SQL_TYPES[c.type], nullable=c.name != resource.parent) for c in resource.columns),
        Column("data", JSONB, nullable=False),
        PrimaryKeyConstraint(*key, name=f"{resource.table}_pkey"),
        *(_index(resource, c) for c in resource.columns if c.indexed),
        *(Index(f"{resource.table}_newest", "connection", text(NEWEST), "id") for _ in [1] if not resource.parent),
        *(index for _ in [1] if resource.name in WRITTEN for index in (_changes(resource), *_found_by(resource))),
    )


def _index(resource: Resource, column: ResourceColumn) -> Index:
    name = f"{resource.table}_{column.name}"
    if column.type == "text[]":
        return Index(name, "connection", postgresql_where=text(f"{column.name} <> '{{}}'"))
    return Index(name, "connection", column.name)


def _changes(resource: Resource) -> Index:
    """Finds what changed since a time. A block range whose rows all stayed as they were is passed over, however many
    changed before; and an update does not pay for it as it would for a tree.
    """
    options = {"pages_per_range": 16, "autosummarize": True}
    return Index(f"{resource.table}_updated_at", "updated_at", postgresql_using="brin", postgresql_with=options)


def _found_by(resource: Resource) -> list[Index]:
    """Finds customers by an e-mail address in any case of its letters (`lookups.find`). What is matched by metadata is
    read once for all values: an index of every key costs every import and webhook more than it saves a plan.
    """
    if resource.name != "customers":
        return []
    return [Index(f"{resource.table}_email_folded", "connection", text("lower(email)"))]


STRIPE_TABLES: dict[str, Table] = {name: _table(resource) for name, resource in RESOURCES.items()}

versions = Table(
    "versions",
    metadata,
    Column("connection", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("at", Time, nullable=False, comment="Stripe's time of this version"),
    Column("certainty", SmallInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False, comment="of data, so that the same version is kept once"),
    Column("event", Text, nullable=False, server_default="", comment="id of the event that told it"),
    Column("previous", JSONB, comment="the event's previous_attributes: what stood before"),
    Column("data", JSONB, nullable=False),
    Column("kept_at", Time, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("connection", "resource", "object_id", "at", "digest", "event"),
)

unreadable = Table(
    "unreadable",
    metadata,
    Column("connection", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("field", Text, nullable=False, comment="empty: the whole object"),
    Column("reason", Text, nullable=False),
    Column("body", Text, comment="the object as text, when it could not be stored as jsonb"),
    Column("at", Time, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("connection", "resource", "object_id", "field"),
)

refetches = Table(
    "refetches",
    metadata,
    Column("connection", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column(
        "reason", Text, nullable=False, comment="referenced, doubt, event, other_version, cut_off, unlisted, of_parent"
    ),
    Column("asked_at", Time, nullable=False, server_default=func.clock_timestamp()),
    Column("known_at", Time, comment="the newest version heard of when it was asked; what is read now is no older"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_try_at", Time, nullable=False, server_default=func.now()),
    Column("error", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("connection", "resource", "object_id"),
)

changed_customers = Table(
    "changed_customers",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("connection", Text, nullable=False),
    Column("customers", ARRAY(Text), nullable=False, comment="Stripe's ids"),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
    Column("by_rules", Boolean, nullable=False, server_default=text("false"), comment="nothing happened to them"),
    Index("changed_customers_connection", "connection", "id"),
)

awaited = Table(
    "awaited",
    metadata,
    Column("connection", Text, nullable=False),
    Column("customer", Text, nullable=False, comment="Stripe's id; something can be told of it only later"),
    Column("until", Time, nullable=False, comment="once everything that Stripe did before this is in the mirror"),
    PrimaryKeyConstraint("connection", "customer"),
)

changed_objects = Table(
    "changed_objects",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("connection", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("objects", ARRAY(Text), nullable=False, comment="Stripe's ids of what many customers have in common"),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
    Index("changed_objects_connection", "connection", "id"),
)

forgotten = Table(
    "forgotten",
    metadata,
    Column("connection", Text, nullable=False, comment="empty: it was purged, and the account may come back"),
    Column("customer", Text, nullable=False, comment="Stripe's cus_…; what comes in of it is redacted"),
    Column("account", Text, nullable=False, comment="Stripe's acct_…"),
    Column("at", Time, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("connection", "customer"),
    Index("forgotten_account", "account"),
)

inbox = Table(
    "inbox",
    metadata,
    Column("connection", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("created", Time, nullable=False, comment="Stripe's time of the event"),
    Column("source", Text, nullable=False, comment="webhook or events"),
    Column("state", Text, nullable=False, server_default="waiting", comment="waiting, handled, skipped, parked"),
    Column("received_at", Time, nullable=False, server_default=func.now()),
    Column("handled_at", Time),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_try_at", Time, nullable=False, server_default=func.now()),
    Column("error", Text, nullable=False, server_default=""),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("connection", "event_id"),
    Index("inbox_waiting", "connection", "next_try_at", postgresql_where=text("state = 'waiting'")),
    Index("inbox_parked", "connection", postgresql_where=text("state = 'parked'")),
    Index("inbox_polled", "connection", "created", postgresql_where=text("source = 'events'")),
)

import_ranges = Table(
    "import_ranges",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run", BigInteger, ForeignKey("runs.id", ondelete="cascade"), nullable=False),
    Column("resource", Text, nullable=False),
    Column("variant", Integer, nullable=False, server_default="0"),
    Column("parent", Text, nullable=False, server_default=""),
    Column("since", BigInteger, comment="created >= this, epoch seconds; null: no bound"),
    Column("until", BigInteger, comment="created < this, epoch seconds; null: no bound"),
    Column("cursor", Text, nullable=False, server_default="", comment="last object read; the next page follows it"),
    Column("reached", BigInteger, comment="its created"),
    Column("done", Boolean, nullable=False, server_default=text("false")),
    Column("pages", Integer, nullable=False, server_default="0"),
    Column("counts", JSONB, nullable=False, server_default=text("'{}'")),
    Column("error", Text, nullable=False, server_default=""),
    Index("import_ranges_by_run", "run", "resource"),
)

listings = Table(
    "listings",
    metadata,
    Column("connection", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column(
        "as_of",
        Time,
        nullable=False,
        comment="everything stored of it was seen again since then: unchanged, or written, or asked for by id",
    ),
    PrimaryKeyConstraint("connection", "resource"),
)

sightings = Table(
    "sightings",
    metadata,
    Column("range", BigInteger, ForeignKey("import_ranges.id", ondelete="cascade"), nullable=False),
    Column("ids", ARRAY(Text), nullable=False, comment="of a page: the objects that are stored as they were read"),
    Index("sightings_by_range", "range"),
)

comparisons = Table(
    "comparisons",
    metadata,
    Column("run", BigInteger, ForeignKey("runs.id", ondelete="cascade"), nullable=False),
    Column("connection", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("verdict", Text, nullable=False, comment="equal, different, not_compared"),
    Column("facts", JSONB, nullable=False, server_default=text("'{}'")),
    Column("at", Time, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("run", "resource"),
)
