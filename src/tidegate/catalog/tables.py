"""Tables of the catalog: features, packages with their versions, and the mappings of Stripe's prices and products."""

from sqlalchemy import (
    BigInteger,
    Boolean,
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
from sqlalchemy.dialects.postgresql import JSONB

from tidegate.store.metadata import Time, metadata

features = Table(
    "features",
    metadata,
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("type", Text, nullable=False, comment="boolean, config or metered"),
    Column("unit", Text, nullable=False, server_default="", comment="of a metered one: seat, call, …"),
    Column("reset", Text, nullable=False, server_default="month", comment="of a metered one, where terms say none"),
    Column(
        "meter",
        Text,
        nullable=False,
        server_default="",
        comment="Stripe's event name: what is used is told to that meter; empty: to none",
    ),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: read-only elsewhere"),
    Column("created_at", Time, nullable=False, server_default=func.now()),
)

packages = Table(
    "packages",
    metadata,
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("kind", Text, nullable=False, server_default="base", comment="base or add_on"),
    Column("is_default", Boolean, nullable=False, server_default=text("false"), comment="for whoever has no base"),
    Column("prices", JSONB, nullable=False, server_default=text("'[]'::jsonb"), comment="to create in Stripe"),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: read-only elsewhere"),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Index("packages_default", "is_default", unique=True, postgresql_where=text("is_default")),
)

package_versions = Table(
    "package_versions",
    metadata,
    Column("package", Text, ForeignKey("tidegate.packages.key"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("features", JSONB, nullable=False, comment="terms by feature"),
    Column("published_at", Time, comment="null: a draft, at most one"),
    PrimaryKeyConstraint("package", "version"),
    Index("package_versions_draft", "package", unique=True, postgresql_where=text("published_at is null")),
)

mappings = Table(
    "mappings",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("connection", Text, nullable=False),
    Column("price", Text, comment="Stripe's price_…; beats the mapping of its product"),
    Column("product", Text, comment="Stripe's prod_…"),
    Column("package", Text, ForeignKey("tidegate.packages.key")),
    Column("feature", Text, ForeignKey("tidegate.features.key")),
    Column("terms", JSONB, comment="of the feature"),
    Column("per_quantity", Boolean, nullable=False, comment="limits are multiplied by the item's quantity"),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: read-only elsewhere"),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("created_by", Text, nullable=False, server_default=""),
    Column("removed_at", Time, comment="null: in force; a removed one may still hold for whoever keeps it"),
    CheckConstraint("(price is null) <> (product is null)", name="mappings_from"),
    CheckConstraint("(package is null) <> (feature is null)", name="mappings_to"),
    Index("mappings_price", "connection", "price", unique=True, postgresql_where=text("removed_at is null")),
    Index("mappings_product", "connection", "product", unique=True, postgresql_where=text("removed_at is null")),
)

kept_mappings = Table(
    "kept_mappings",
    metadata,
    Column("connection", Text, nullable=False),
    Column("subscription", Text, nullable=False),
    Column("price", Text, nullable=False),
    Column("mapping", BigInteger, ForeignKey("tidegate.mappings.id"), nullable=False, comment="a removed one"),
    Column("kept_at", Time, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("connection", "subscription", "price"),
)

unmapped_prices = Table(
    "unmapped_prices",
    metadata,
    Column("connection", Text, nullable=False),
    Column("price", Text, nullable=False, comment="Stripe's price_…, of a live subscription, that nothing maps"),
    Column("product", Text),
    Column("since", Time, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("connection", "price"),
)

ignored_prices = Table(
    "ignored_prices",
    metadata,
    Column("connection", Text, nullable=False),
    Column("price", Text, nullable=False, comment="Stripe's price_…, to mean nothing: it waits for no mapping"),
    Column("at", Time, nullable=False, server_default=func.now()),
    Column("by", Text, nullable=False),
    Column("managed_by", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("connection", "price"),
)

holdings = Table(
    "holdings",
    metadata,
    Column("connection", Text, nullable=False),
    Column("subscription", Text, nullable=False),
    Column("package", Text, nullable=False),
    Column("version", Integer, nullable=False, comment="of the package; subscribers stay on theirs until migrated"),
    Column("since", Time, nullable=False),
    PrimaryKeyConstraint("connection", "subscription", "package"),
    Index("holdings_package", "package", "version"),
)

catalog_changes = Table(
    "catalog_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
    Column("by", Text, nullable=False, comment="the person or token"),
    Column("action", Text, nullable=False, comment="mapping.set, package.published, stripe.created, …"),
    Column("subject", Text, nullable=False, comment="the key of the feature or package, or what is mapped"),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
)

catalog_state = Table(
    "catalog_state",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("revision", BigInteger, nullable=False, server_default=text("1"), comment="grows with every change"),
    CheckConstraint("one", name="catalog_state_one"),
)
