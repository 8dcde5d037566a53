"""Tables of outbound: sources, models and syncs, what was sent of every row, plans, and each request to Stripe."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from tidegate.store.metadata import Time, metadata

sources = Table(
    "sources",
    metadata,
    Column("key", Text, primary_key=True),
    Column("url", LargeBinary, comment="encrypted; null: the environment has it"),
    Column("env", Text, nullable=False, server_default="", comment="the variable that holds the URL"),
    Column("shown", Text, nullable=False, comment="the URL without its password"),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: tidegate.yaml"),
    Column("made_at", Time, nullable=False, server_default=func.now()),
)

models = Table(
    "models",
    metadata,
    Column("key", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("sql", Text, nullable=False, server_default="", comment="empty: a table"),
    Column("table_name", Text, nullable=False, server_default=""),
    Column("primary_key", ARRAY(Text), nullable=False),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: tidegate.yaml"),
    Column("made_at", Time, nullable=False, server_default=func.now()),
)

syncs = Table(
    "syncs",
    metadata,
    Column("key", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("spec", JSONB, nullable=False, comment="as tidegate.yaml says it"),
    Column("enabled", Boolean, nullable=False, server_default=text("true"), comment="whether its schedule runs it"),
    Column("next_at", Time, comment="when its schedule runs it; null: it has none"),
    Column("stop_run", BigInteger, comment="the run that somebody asked to stop"),
    Column(
        "ended_with", Text, nullable=False, server_default="",
        comment="the `finish` of the last run of all rows that came to its end; empty: none did",
    ),
    Column("due_at", Time, comment="since when a run is due that has not come to its end; null: none is"),
    Column("due_for", Text, nullable=False, server_default="", comment="schedule, import, sync KEY, or who asked"),
    Column("asked", JSONB, comment="how that run is wanted; null: as a schedule wants it"),
    Column("looked_until", Time, comment="Stripe's time until which its objects' changes were looked at"),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: tidegate.yaml"),
    Column("made_at", Time, nullable=False, server_default=func.now()),
)  # fmt: skip

sync_rows = Table(
    "sync_rows",
    metadata,
    Column("sync", Text, nullable=False),
    Column("key", Text, nullable=False, comment="the model's primary key; several columns as a JSON array"),
    Column("hash", BigInteger, nullable=False, comment="of the columns that were sent, and of how"),
    Column("state", Text, nullable=False, comment="sent, skipped, held, conflict, invalid, failed, gone or reverted"),
    Column("object_id", Text, comment="what the row is in Stripe; null: nothing yet"),
    Column("ours", Boolean, nullable=False, server_default=text("false"), comment="this sync made or adopted it"),
    Column("wrote", JSONB, nullable=False, server_default=text("'{}'"), comment="what was sent last, by field"),
    Column("showed", JSONB, nullable=False, server_default=text("'{}'"), comment="what Stripe showed of it then"),
    Column("seen_at", Time, comment="Stripe's time of the object's version that was looked at"),
    Column("generation", Integer, nullable=False, server_default="0", comment="goes on with every definite answer"),
    Column("parent", Text, comment="of an invoice item: its invoice"),
    Column("retires", Text, comment="the object that this one took the place of, while it is not archived"),
    Column("why", Text, nullable=False, server_default="", comment="why it is not sent"),
    Column("problems", JSONB, nullable=False, server_default=text("'[]'"), comment="[{field, problem, value}]"),
    Column("run", BigInteger, comment="that said so"),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
    PrimaryKeyConstraint("sync", "key"),
    Index("sync_rows_object", "sync", "object_id", postgresql_where=text("object_id is not null")),
    Index("sync_rows_open", "sync", "state", "run", "key", postgresql_where=text("state <> 'sent'")),
    Index("sync_rows_hash", "sync", "hash", postgresql_include=["key"], postgresql_where=text("state <> 'gone'")),
    Index("sync_rows_retiring", "sync", postgresql_where=text("retires is not null")),
    Index("sync_rows_parent", "parent", postgresql_where=text("parent is not null")),
)  # fmt: skip

sync_associations = Table(
    "sync_associations",
    metadata,
    Column("sync", Text, nullable=False),
    Column("resource", Text, nullable=False, comment="of the objects that it stands for"),
    Column("way", Text, nullable=False, comment="what the rows name them by: email, lookup_key, metadata, sync, …"),
    Column("name", Text, nullable=False, comment="of the metadata key or the other sync; else empty"),
    Column("value", Text, nullable=False, comment="what rows say"),
    Column("ids", ARRAY(Text), nullable=False, comment="what it stood for when its rows were looked at"),
    PrimaryKeyConstraint("sync", "resource", "way", "name", "value"),
)

sync_plans = Table(
    "sync_plans",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("sync", Text, nullable=False),
    Column("fingerprint", Text, nullable=False, comment="of everything that it would do"),
    Column("counts", JSONB, nullable=False),
    Column("stops", JSONB, nullable=False, server_default=text("'[]'"), comment="why a run would stop"),
    Column("by", Text, nullable=False),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
    Index("sync_plans_sync", "sync", "id"),
)

requests = Table(
    "requests",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run", BigInteger, nullable=False),
    Column("sync", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("key", Text, nullable=False, comment="of the row"),
    Column(
        "kind", Text, nullable=False, comment="of the decision: create, update, replace, delete, retire, finish, revert"
    ),
    Column("hash", BigInteger, nullable=False, comment="of what the row said"),
    Column("wanted", JSONB, nullable=False, server_default=text("'{}'"), comment="all that the row said, by field"),
    Column("operation", Text, nullable=False, comment="create, update, delete, cancel, void, archive, finalize, …"),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("params", JSONB, nullable=False),
    Column("before", JSONB, nullable=False, server_default=text("'{}'"), comment="of the fields it changes"),
    Column(
        "matched_by", ARRAY(Text), nullable=False, server_default="{}",
        comment="how its sync matched rows then: the way, and the metadata key",
    ),
    Column("idempotency_key", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column(
        "state", Text, nullable=False, server_default="intended", comment="intended, done, refused, unknown or unsent"
    ),
    Column("status", Integer, comment="of the answer; null: none came"),
    Column("request_id", Text, nullable=False, server_default="", comment="Stripe's"),
    Column("response", JSONB, comment="as Stripe answered, personal data redacted"),
    Column("error", Text, nullable=False, server_default=""),
    Column("object_id", Text),
    Column("intended_at", Time, nullable=False, server_default=func.clock_timestamp()),
    Column("sent_at", Time),
    Column("answered_at", Time),
    Column("forgotten_at", Time, comment="its person was forgotten: what it said is not kept any more"),
    Index("requests_run", "run", "id"),
    Index("requests_operation", "run", "operation", "id"),
    Index("requests_row", "sync", "key", "id"),
    Index("requests_open", "sync", postgresql_where=text("state in ('intended', 'unknown')")),
    Index("requests_failed", "run", "id", postgresql_where=text("state in ('refused', 'unknown')")),
)  # fmt: skip

pauses = Table(
    "pauses",
    metadata,
    Column("what", Text, primary_key=True, comment="outbound: nothing is sent to Stripe while this row is there"),
    Column("by", Text, nullable=False),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
)
