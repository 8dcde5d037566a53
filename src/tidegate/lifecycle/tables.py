"""Tables of the lifecycle: facts that conditions ask for; stages, segments, health, alerts, and their histories."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
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
    Column("mrr_total", Numeric, comment="whole units of the base currency, else its only one"),
    Column("open_total", Numeric, comment="of open invoices, likewise"),
    Column("unrated", Boolean, nullable=False, server_default=text("false"),
           comment="one of these is unknown, because an exchange rate is missing"),
    Column("rated_until", Date, comment="the last day on which the rates that they were told by are not too old"),
    Column("mrr_trend", Numeric, comment="MRR as a part of what it was 90 days ago"),
    Column("downgraded_at", Time, comment="the last contraction"),
    Column("interval_months", Numeric, comment="of the longest interval it pays for"),
    Column("failing_invoices", ARRAY(Text), nullable=False, server_default=text("'{}'"),
           comment="that could not be paid, the oldest first"),
    Column("failed_attempts", BigInteger, nullable=False, server_default="0", comment="to pay open invoices"),
    Column("decline_code", Text),
    Column("next_attempt_at", Time),
    Column("past_due_since", Time, comment="the oldest debt's"),
    Column("due_dates", ARRAY(Time), nullable=False, server_default=text("'{}'"), comment="of open invoices"),
    Column("open_invoices", Integer, nullable=False, server_default="0"),
    Column("void_invoices", Integer, nullable=False, server_default="0"),
    Column("uncollectible_invoices", Integer, nullable=False, server_default="0"),
    Column("latest_invoice_status", Text),
    Column("past_dues", ARRAY(Time), nullable=False, server_default=text("'{}'"),
           comment="since when each subscription that is past due is"),
    Column("trial_ends", ARRAY(Time), nullable=False, server_default=text("'{}'"), comment="of each trial that runs"),
    Column("card_expires_at", Time, comment="of the charged the one that is a risk first"),
    Column("backup_until", Time, comment="until when another way to pay lasts; null: there is none"),
    Column("cards", ARRAY(Time), nullable=False, server_default=text("'{}'"), comment="when each charged one expires"),
    Column("card_backups", ARRAY(Time), nullable=False, server_default=text("'{}'"),
           comment="until when another way to pay than each of these cards lasts"),
    Column("cancellation_reason", Text),
    Column("cancellations", ARRAY(Text), nullable=False, server_default=text("'{}'"),
           comment="when each subscription ends that is to, and when that was asked for"),
    Column("renewals", ARRAY(Time), nullable=False, server_default=text("'{}'"),
           comment="when what is subscribed to renews, the next first"),
    Column("renewal_months", ARRAY(Numeric), nullable=False, server_default=text("'{}'"),
           comment="the interval of each of these renewals; infinity: a property says the date"),
    Column("usage_share", Numeric, comment="of the limit of the fullest metered feature"),
    Column("last_active_at", Time),
    Column("health", Numeric, comment="0 to 100; null: unknown"),
    Column("health_coverage", Numeric, comment="the weight of the components that have data, of all"),
    Column("health_parts", JSONB, nullable=False, server_default=text("'{}'::jsonb"), comment="score by component"),
    Column("unhealthy_since", Time, comment="null: it is not"),
    Column("stage", Text),
    Column("segments", ARRAY(Text), nullable=False, server_default=text("'{}'"), comment="sorted"),
    Column("history", Boolean, nullable=False, server_default=text("false"),
           comment="facts of which nobody is told wait to be looked at"),
    Column("by_rules", Boolean, nullable=False, server_default=text("false"),
           comment="such as another policy of the ledger says, and no import"),
    Column("untold_at", Time, comment="when such facts were looked at: nobody is told what it became then"),
    Column("updated_at", Time, nullable=False, server_default=func.clock_timestamp()),
    Index("contact_lifecycle_history", "contact", postgresql_where=text("history")),
    Index("contact_lifecycle_unrated", "contact", postgresql_where=text("unrated")),
    Index("contact_lifecycle_rated_until", "rated_until", postgresql_where=text("rated_until is not null")),
)  # fmt: skip

lifecycle_due = Table(
    "lifecycle_due",
    metadata,
    Column("contact", BigInteger, primary_key=True, autoincrement=False, comment="whose facts may be others now"),
    Column("since", Time, nullable=False, server_default=func.clock_timestamp()),
    Column(
        "history",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="nobody is told of anything that it waits for",
    ),
    Column(
        "by_rules",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="all of that came by other rules, nothing by an import",
    ),
)

lifecycle_news = Table(
    "lifecycle_news",
    metadata,
    Column(
        "contact",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="to whom something happened that was looked at, and that it was not placed by yet",
    ),
)

lifecycle_state = Table(
    "lifecycle_state",
    metadata,
    Column("alone", Boolean, primary_key=True, server_default=text("true"), comment="one row"),
    Column("kept_at", Time, comment="when everybody was looked at last"),
    Column("watched_at", Time, comment="when the hub itself was looked at last"),
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

lifecycle_settings = Table(
    "lifecycle_settings",
    metadata,
    Column("what", Text, primary_key=True, comment="health or alerts"),
    Column("said", JSONB, nullable=False, comment="as tidegate.yaml says it"),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: tidegate.yaml"),
)

health_history = Table(
    "health_history",
    metadata,
    Column("contact", BigInteger, nullable=False),
    Column("at", Time, nullable=False),
    Column("health", Numeric, comment="null: unknown"),
    Column("coverage", Numeric, nullable=False),
    Column("parts", JSONB, nullable=False, comment="score by component"),
    Column("points", JSONB, nullable=False, server_default=text("'{}'::jsonb"), comment="of the health, by component"),
    PrimaryKeyConstraint("contact", "at"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("contact", BigInteger, comment="null: a system alert"),
    Column("subject", Text, nullable=False, server_default="", comment="of a system alert: sync:people"),
    Column("rule", Text, nullable=False),
    Column("occurrence", Text, nullable=False, comment="what it is about: an invoice, a date; told once"),
    Column("state", Text, nullable=False, comment="open, acknowledged, snoozed, dismissed or resolved"),
    Column("reasons", JSONB, nullable=False, comment="the tests that opened it"),
    Column("opened_at", Time, nullable=False),
    Column("snoozed_until", Time),
    Column("changed_at", Time, nullable=False, comment="of the state"),
    Column("changed_by", Text, nullable=False, server_default="", comment="empty: the facts"),
    Column("note", Text, nullable=False, server_default="", comment="what others should know; why it was dismissed"),
    Column("history", Boolean, nullable=False, server_default=text("false"), comment="nobody was told of it"),
    Column("resolved_because", Text, comment="facts or rules changed, or begin: an import or a merge did it"),
    Column("routed_to", Text, nullable=False, server_default="", comment="the destination that was told; empty: none"),
    Column("gone_since", Time, comment="of a system alert: since when the facts do not say it"),
    Index("alerts_occurrence", "contact", "rule", "occurrence", unique=True),
    Index("alerts_state", "state", "opened_at"),
    Index("alerts_opened", "rule", "opened_at"),
    Index("alerts_resolved", "rule", "changed_at", postgresql_where=text("state = 'resolved'")),
    Index("alerts_open", "rule", postgresql_where=text("state not in ('dismissed', 'resolved')")),
    Index("alerts_system", "rule", "subject", unique=True,
          postgresql_where=text("contact is null and state <> 'resolved'")),
)  # fmt: skip

segments = Table(
    "segments",
    metadata,
    Column("key", Text, primary_key=True),
    Column("place", Integer, nullable=False),
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
    Column("because", Text, nullable=False, comment="facts or rules changed, or begin: the first time"),
    Column("left_because", Text, comment="the same of its leaving"),
    Index("memberships_present", "contact", "kind", "key", unique=True, postgresql_where=text("left_at is null")),
    Index("memberships_key", "kind", "key", "entered_at"),
    Index("memberships_left", "kind", "key", "left_at", postgresql_where=text("left_at is not null")),
    Index("memberships_contact", "contact", "entered_at"),
)
