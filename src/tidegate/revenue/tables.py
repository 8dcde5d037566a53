"""Tables of revenue: spans, movements and their sums by day and price, billing events, settings, exclusions, rates,
closings.

Amounts called `mrr`, `listed`, `trial`, `usage` or `amount` of spans and movements are millionths of a minor unit.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from tidegate.store.metadata import Time, metadata

spans = Table(
    "spans",
    metadata,
    Column("connection", Text, nullable=False),
    Column("subscription", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("starts_at", Time, nullable=False),
    Column("ends_at", Time, comment="null: it goes on"),
    Column("customer", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("mrr", BigInteger, nullable=False, comment="what counts, a month"),
    Column("listed", BigInteger, nullable=False, comment="by its price, before discounts and tax"),
    Column("trial", BigInteger, nullable=False, server_default="0", comment="what it is to be worth after its trial"),
    Column("usage", BigInteger, nullable=False, server_default="0", comment="of the last closed period, a month"),
    Column("why_not", Text, nullable=False, server_default="", comment="why it counts for nothing; empty: it counts"),
    Column("price", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("interval", Text, nullable=False),
    Column("interval_count", Integer, nullable=False),
    Column("metered", Boolean, nullable=False),
    Column("provenance", Text, nullable=False, comment="observed or inferred"),
    Column("source", Text, nullable=False, comment="the event, reading or invoice that tells of it"),
    PrimaryKeyConstraint("connection", "subscription", "item", "starts_at"),
    Index("spans_usage", "connection", postgresql_where=text("usage <> 0")),
    Index("spans_customer", "connection", "customer"),
    Index("spans_price", "connection", "price"),
)

movements = Table(
    "movements",
    metadata,
    Column("edition", Integer, nullable=False, comment="of the connection's ledger; a new policy begins a new one"),
    Column("connection", Text, nullable=False),
    Column("unit", Text, nullable=False, comment="whose movement it is: contact:KEY, or the Stripe customer's id"),
    Column("customer", Text, nullable=False),
    Column("subscription", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("at", Time, nullable=False, comment="when the item changed"),
    Column("moved_at", Time, nullable=False, comment="the last change that belongs to the movement: its date"),
    Column("day", Date, nullable=False, comment="of moved_at, in the connection's time zone"),
    Column("kind", Text, nullable=False, comment="new, expansion, contraction, churn, reactivation or transfer"),
    Column("amount", BigInteger, nullable=False, comment="by how much the item changed"),
    Column("opening", BigInteger, nullable=False, comment="of the unit, before the movement"),
    Column("closing", BigInteger, nullable=False, comment="of the unit, after it"),
    Column("price", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("recorded_at", Time, nullable=False, server_default=func.clock_timestamp()),
    Column("superseded_at", Time, comment="when a recomputation said otherwise; null: it stands"),
    Index(
        "movements_standing",
        "customer", "at", "item", "subscription", "currency", "connection", "edition",
        unique=True,
        postgresql_where=text("superseded_at is null"),
    ),
    Index("movements_unit", "unit", postgresql_where=text("superseded_at is null"),
          postgresql_include=["customer", "currency", "day", "kind", "amount"]),
    Index("movements_day", "day", postgresql_where=text("superseded_at is null")),
    Index("movements_late", "day", postgresql_where=text("superseded_at is null and moved_at > at")),
    Index("movements_superseded", "superseded_at", postgresql_where=text("superseded_at is not null")),
    comment="Each edition of a connection's ledger is a partition of its own (`revenue.partitions`).",
    postgresql_partition_by="RANGE (connection, edition)",
)  # fmt: skip

mrr_days = Table(
    "mrr_days",
    metadata,
    Column("connection", Text, nullable=False),
    Column("edition", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("day", Date, nullable=False, comment="in the connection's time zone"),
    Column("kind", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("movements", Integer, nullable=False, comment="how many rows of movements it sums"),
    PrimaryKeyConstraint("connection", "edition", "currency", "day", "kind"),
)

price_days = Table(
    "price_days",
    metadata,
    Column("connection", Text, nullable=False),
    Column("edition", Integer, nullable=False, comment="the one in force"),
    Column("currency", Text, nullable=False),
    Column("day", Date, nullable=False, comment="in the connection's time zone"),
    Column("price", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="of movements; worth: by how much more its spans are worth that day"),
    Column("amount", BigInteger, nullable=False),
    PrimaryKeyConstraint("connection", "edition", "currency", "day", "price", "product", "kind"),
)

ledgers = Table(
    "ledgers",
    metadata,
    Column("connection", Text, nullable=False),
    Column("edition", Integer, nullable=False),
    Column("preset", Text, nullable=False),
    Column("choices", JSONB, nullable=False, server_default=text("'{}'"), comment="settings chosen otherwise"),
    Column("base_currency", Text, nullable=False, server_default="", comment="empty: no conversion"),
    Column("time_zone", Text, nullable=False, comment="empty: the account's is not known yet, so UTC"),
    Column("identity", Text, nullable=False, server_default="own_id", comment="whom billing events tell of"),
    Column("begun_at", Time, nullable=False, server_default=func.clock_timestamp()),
    Column("adopted_at", Time, comment="null: a preview"),
    Column("retired_at", Time, comment="when another edition took its place"),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: tidegate.yaml"),
    PrimaryKeyConstraint("connection", "edition"),
    Index("ledgers_adopted", "connection", unique=True,
          postgresql_where=text("adopted_at is not null and retired_at is null")),
)  # fmt: skip

revenue_due = Table(
    "revenue_due",
    metadata,
    Column("connection", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("changes_at", Time, nullable=False, comment="when what it is worth changes without a word of Stripe's"),
    PrimaryKeyConstraint("connection", "customer"),
    Index("revenue_due_at", "changes_at"),
)

missing_tax_rates = Table(
    "missing_tax_rates",
    metadata,
    Column("connection", Text, nullable=False),
    Column("rate", Text, nullable=False, comment="Stripe's txr_…, which the mirror did not have"),
    Column("customer", Text, nullable=False, comment="who names it: derived anew when it comes"),
    PrimaryKeyConstraint("connection", "rate", "customer"),
)

exclusions = Table(
    "exclusions",
    metadata,
    Column("connection", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Time, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("connection", "customer"),
)

currency_rates = Table(
    "currency_rates",
    metadata,
    Column("day", Date, nullable=False),
    Column("currency", Text, nullable=False),
    Column("per_euro", Numeric, nullable=False, comment="units of the currency for one euro"),
    Column("source", Text, nullable=False, comment="the file it came from"),
    PrimaryKeyConstraint("day", "currency"),
)

closings = Table(
    "closings",
    metadata,
    Column("connection", Text, nullable=False),
    Column("month", Date, nullable=False, comment="its first day"),
    Column("edition", Integer, nullable=False),
    Column("closed_at", Time, nullable=False, server_default=func.now()),
    Column("by", Text, nullable=False),
    PrimaryKeyConstraint("connection", "month"),
)

closed_rows = Table(
    "closed_rows",
    metadata,
    Column("connection", Text, nullable=False),
    Column("month", Date, nullable=False),
    Column("customer", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="opening, closing, or a kind of movement"),
    Column("amount", BigInteger, nullable=False),
    PrimaryKeyConstraint("connection", "month", "customer", "currency", "kind"),
)

billing_events = Table(
    "billing_events",
    metadata,
    Column("connection", Text, nullable=False),
    Column("id", Text, nullable=False, comment="made of what it tells of: the same however often it is derived"),
    Column("name", Text, nullable=False, comment="Subscription Billed, …"),
    Column("at", Time, nullable=False),
    Column("customer", Text, nullable=False),
    Column("identity", Text, nullable=False, comment="who it is: an e-mail address, your id, or Stripe's"),
    Column("subscription", Text),
    Column("invoice", Text),
    Column("currency", Text),
    Column("amount", BigInteger, comment="in minor units; null: it has none"),
    Column("data", JSONB, nullable=False),
    Column("reverses", Text, comment="the id of the event that it takes back"),
    Column("told", Boolean, nullable=False, comment="others have heard of it; false: it is history"),
    Column("recorded_at", Time, nullable=False, server_default=func.clock_timestamp()),
    PrimaryKeyConstraint("connection", "id"),
    Index("billing_events_at", "connection", "at"),
    Index("billing_events_customer", "connection", "customer", "at"),
    Index("billing_events_invoice", "connection", "invoice"),
)

billing_tellings = Table(
    "billing_tellings",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("since", Time, nullable=False, comment="Stripe's time: what came about before is history, and not told"),
)

kept_reports = Table(
    "kept_reports",
    metadata,
    Column("name", Text, nullable=False, comment="of the report (`workflows.kept_reports`)"),
    Column("asked", JSONB, nullable=False, comment="what it is about: a connection, an edition, months"),
    Column("told", JSONB, nullable=False, comment="what it said"),
    Column("as_of", Time, nullable=False, comment="when it was read; 1970: a worker has to"),
    Column("seconds", Double, nullable=False, comment="that took"),
    Column("wanted_at", Time, nullable=False, server_default=func.clock_timestamp(),
           comment="when somebody looked at it first since it was read, or last"),
    PrimaryKeyConstraint("name", "asked"),
    comment="reports that take long, as they were told: pages show them, workers read them anew",
)  # fmt: skip

contact_facts = Table(
    "contact_facts",
    metadata,
    Column("contact", BigInteger, primary_key=True, autoincrement=False),
    Column("mrr", JSONB, nullable=False, server_default=text("'{}'"), comment="currency → millionths of a minor unit"),
    Column("listed", JSONB, nullable=False, server_default=text("'{}'")),
    Column("trial", JSONB, nullable=False, server_default=text("'{}'")),
    Column("statuses", ARRAY(Text), nullable=False, server_default=text("'{}'"), comment="of its subscriptions"),
    Column("subscriptions", Integer, nullable=False, server_default="0", comment="how many count"),
    Column("customer_since", Time, comment="when its MRR was first above 0"),
    Column("churned_at", Time, comment="when its MRR fell to 0; null: it has not"),
    Column("renews_at", Time, comment="the next renewal of a subscription that counts"),
    Column("ends_at", Time, comment="the next end of one, as asked for so far"),
    Column("trial_ends_at", Time),
    Column("last_moved_at", Time),
    Column("updated_at", Time, nullable=False, server_default=func.clock_timestamp()),
)
