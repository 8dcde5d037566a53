"""Tables of the lifecycle: facts that conditions ask for, stages and segments, who is in them and was, and why."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Identity, Index, Integer, Numeric, Table, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from tidegate.store.metadata import metadata

Time = DateTime(timezone=True)

contact_lifecycle = Table(
    "contact_lifecycle",
    metadata,
    Column("contact", BigInteger, primary_key=True, autoincrement=False),
    Column("status", Text, comment="the best of its subscriptions"),
    Column("country", Text),
    Column("currencies", ARRAY(Text), nullable=False, server_default=text("'{}'"), comment="of running subscriptions"),
    Column("intervals", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("quantity", BigInteger),
    Column("packages", ARRAY(Text), nullable=False, server_default=text("'{}'"), comment="that it holds"),
    Column("mrr_total", Numeric, comment="whole units of the base currency, else of its only one; null: unknown"),
    Column("open_total", Numeric, comment="of open invoices, likewise"),
    Column("failed_attempts", BigInteger, nullable=False, server_default="0", comment="to pay open invoices"),
    Column("decline_code", Text),
    Column("next_attempt_at", Time),
    Column("past_due_since", Time, comment="the oldest debt's"),
    Column("due_dates", ARRAY(Time), nullable=False, server_default=text("'{}'"), comment="of open invoices"),
    Column("open_invoices", Integer, nullable=False, server_default="0"),
    Column("void_invoices", Integer, nullable=False, server_default="0"),
    Column("uncollectible_invoices", Integer, nullable=False, server_default="0"),
    Column("latest_invoice_status", Text),
    Column("card_expires_at", Time, comment="of the cards that are charged the first to expire"),
    Column("has_backup", Boolean, comment="another way to pay outlasts it"),
    Column("cancellation_reason", Text),
    Column("usage_share", Numeric, comment="of the limit of the fullest metered feature"),
    Column("last_active_at", Time),
    Column("health", Numeric),
    Column("stage", Text),
    Column("updated_at", Time, nullable=False, server_default=func.clock_timestamp()),
)

lifecycle_due = Table(
    "lifecycle_due",
    metadata,
    Column("contact", BigInteger, primary_key=True, autoincrement=False, comment="whose facts may be others now"),
    Column("since", Time, nullable=False, server_default=func.clock_timestamp()),
)

stages = Table(
    "stages",
    metadata,
    Column("key", Text, primary_key=True),
    Column("place", Integer, nullable=False, comment="the first that holds is the contact's"),
    Column("name", Text, nullable=False, server_default=""),
    Column("condition", JSONB, comment="as it was said; null: the stage of all whom no other takes"),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: tidegate.yaml"),
)

segments = Table(
    "segments",
    metadata,
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("condition", JSONB, nullable=False, comment="as it was said"),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: tidegate.yaml"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("contact", BigInteger, nullable=False),
    Column("kind", Text, nullable=False, comment="stage or segment"),
    Column("key", Text, nullable=False, comment="of the stage or segment"),
    Column("entered_at", Time, nullable=False),
    Column("left_at", Time, comment="null: it is there"),
    Column("reasons", JSONB, nullable=False, comment="the tests that decided when it came"),
    Column(
        "because", Text, nullable=False, comment="facts: something changed; rules: the rules did; begin: the first time"
    ),
    Index("memberships_present", "contact", "kind", "key", unique=True, postgresql_where=text("left_at is null")),
    Index("memberships_key", "kind", "key", "entered_at"),
)
