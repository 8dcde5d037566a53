"""Tables of who looks after contacts and what is done: owners, routes, digests, notes, tasks, actions."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
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

owners = Table(
    "owners",
    metadata,
    Column("key", Text, primary_key=True, comment="as contacts name it: a person's name or e-mail address"),
    Column("place", Integer, nullable=False, comment="the first whose rule holds"),
    Column("name", Text, nullable=False, server_default=""),
    Column("email", Text, nullable=False, server_default=""),
    Column("destination", Text, nullable=False, server_default="", comment="of its alerts; empty: the default route"),
    Column("digest", Text, nullable=False, server_default="", comment="daily or weekly; empty: none"),
    Column("digest_since", Time, comment="when digests were asked for"),
    Column("condition", JSONB, comment="whom it looks after where nobody else said so; null: nobody"),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: tidegate.yaml"),
    Index("owners_name", text("lower(name)"), unique=True, postgresql_where=text("name <> ''")),
    Index("owners_email", text("lower(email)"), unique=True, postgresql_where=text("email <> ''")),
)

alert_route = Table(
    "alert_route",
    metadata,
    Column("alone", Boolean, primary_key=True, server_default=text("true"), comment="one row"),
    Column("destination", Text, nullable=False, server_default="", comment="of what no owner is sent; empty: none"),
    Column("digest", Text, nullable=False, server_default="", comment="daily or weekly; empty: none"),
    Column("digest_since", Time, comment="when digests were asked for"),
    Column("hour", Integer, nullable=False, server_default="8", comment="of all digests, in the time zone"),
    Column("time_zone", Text, nullable=False, server_default="", comment="empty: that of the connection"),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: tidegate.yaml"),
)

digests = Table(
    "digests",
    metadata,
    Column("recipient", Text, nullable=False, comment="key of an owner; empty: the default route"),
    Column("period", Text, nullable=False, comment="2026-03-15, or 2026-W11"),
    Column("since", Time, nullable=False),
    Column("until", Time, nullable=False),
    Column("destination", Text, nullable=False),
    Column("data", JSONB, nullable=False, comment="alerts and contacts by number, without names"),
    Column("made_at", Time, nullable=False, server_default=func.clock_timestamp()),
    PrimaryKeyConstraint("recipient", "period"),
)

contact_notes = Table(
    "contact_notes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("contact", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("by", Text, nullable=False, comment="the person or token"),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
    Index("contact_notes_contact", "contact", "at"),
)

contact_tasks = Table(
    "contact_tasks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("contact", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("due_on", Date, comment="null: some day"),
    Column("by", Text, nullable=False, comment="the person or token"),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
    Column("done_at", Time),
    Column("done_by", Text, nullable=False, server_default=""),
    Index("contact_tasks_contact", "contact", "at"),
    Index("contact_tasks_open", "due_on", postgresql_where=text("done_at is null")),
)

actions = Table(
    "actions",
    metadata,
    Column("key", Text, primary_key=True),
    Column("spec", JSONB, nullable=False, comment="as it was said, without key and enabled"),
    Column("enabled", Boolean, nullable=False),
    Column("since", Time, nullable=False, comment="when it was switched on; what came before is not its business"),
    Column("seen_until", Time, nullable=False, comment="up to when histories were looked at"),
    Column("seed", Text, nullable=False, comment="of the hold-out"),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: tidegate.yaml"),
    Column("made_at", Time, nullable=False, server_default=func.now()),
)

action_occurrences = Table(
    "action_occurrences",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("action", Text, nullable=False),
    Column("contact", BigInteger, nullable=False),
    Column("occurrence", Text, nullable=False, comment="what happened: a move, an alert, an event, a date"),
    Column("at", Time, nullable=False, comment="when it happened"),
    Column("decided_at", Time, nullable=False),
    Column("state", Text, nullable=False, comment="fired, held_out, passed or failed"),
    Column("why", Text, nullable=False, server_default="",
           comment="passed: before, begin, suppressed, …; failed: what is wrong"),
    Column("what", JSONB, nullable=False, comment="what the trigger says of it"),
    Column("reasons", JSONB, nullable=False),
    Column("goal", Text, comment="open, reached, missed, or moot: it held before; null: there is none"),
    Column("goal_by", Time),
    Column("goal_of", JSONB, comment="the goal as it was then, and the invoice that it is about"),
    Column("reached_at", Time),
    Index("action_occurrences_once", "action", "contact", "occurrence", unique=True),
    Index("action_occurrences_shown", "action", "state", "id"),
    Index("action_occurrences_contact", "contact"),
    Index("action_occurrences_open", "goal_by", postgresql_where=text("goal = 'open'")),
)  # fmt: skip
