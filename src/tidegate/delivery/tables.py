"""The outbox, written in the transaction that changed something; destinations, and what is due to each of them."""

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

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("type", Text, nullable=False, comment="entitlement.granted, contact.linked, …"),
    Column("contact", BigInteger, comment="internal key; null: about none"),
    Column("connection", Text, comment="null: about none"),
    Column("data", JSONB, nullable=False),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
    Column(
        "history",
        Boolean,
        nullable=False,
        server_default=text("coalesce(nullif(current_setting('tidegate.history', true), ''), 'off')::boolean"),
        comment="told of what a first import read: no destination is sent it",
    ),
    Column("route", Text, comment="a destination that is sent it whatever it asks for"),
    Index("outbox_contact", "contact", "id"),
    Index("outbox_at", "at"),
)

destinations = Table(
    "destinations",
    metadata,
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("spec", JSONB, nullable=False, comment="as tidegate.yaml says it, without secrets"),
    Column("secrets", LargeBinary, comment="encrypted JSON, by option"),
    Column("livemode", Boolean, comment="whose contacts and events it is sent; null: of both modes"),
    Column("events", Text, nullable=False, server_default="", comment="regular expression over types; empty: none"),
    Column("keeps", Boolean, nullable=False, server_default=text("false"),
           comment="it is told what changed of contacts"),
    Column("paused_at", Time, comment="nothing is sent since; null: it is not paused"),
    Column("paused_by", Text, nullable=False, server_default="",
           comment="the person or token; empty: because it failed"),
    Column("failures", Integer, nullable=False, server_default="0", comment="in a row, without any success between"),
    Column("failing_since", Time, comment="the first of them"),
    Column("next_try_at", Time, nullable=False, server_default=text("'-infinity'"), comment="nothing is sent before"),
    Column("slot_at", Time, nullable=False, server_default=text("'-infinity'"),
           comment="when its own limit allows the next request"),
    Column("error", Text, nullable=False, server_default="", comment="of the last failure"),
    Column("delivered", BigInteger, nullable=False, server_default="0"),
    Column("last_at", Time),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: tidegate.yaml"),
    Column("made_at", Time, nullable=False, server_default=func.now()),
)  # fmt: skip

_WAITING = text("state = 'waiting'")

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("destination", Text, nullable=False),
    Column("outbox", BigInteger, comment="what is told; null: the contact as it is now"),
    Column("contact", BigInteger, comment="internal key, in whose order it is sent"),
    Column("state", Text, nullable=False, server_default="waiting", comment="waiting, delivered or dead"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_try_at", Time, nullable=False, server_default=func.clock_timestamp()),
    Column("claimed_by", Text, comment="the process that sends it, until next_try_at"),
    Column("failing_since", Time),
    Column("status", Integer, comment="of the last answer; null: none came"),
    Column("error", Text, nullable=False, server_default="", comment="of the last try"),
    Column("done_at", Time),
    Index("deliveries_contact", "destination", "contact", "id", postgresql_where=_WAITING),
    Index("deliveries_due", "destination", "next_try_at", "id", postgresql_where=_WAITING),
    Index("deliveries_failing", "destination", "id", postgresql_where=text("state = 'waiting' and attempts > 0")),
    Index("deliveries_dead", "destination", "id", postgresql_where=text("state = 'dead'")),
    Index("deliveries_outbox", "outbox"),
)

destination_contacts = Table(
    "destination_contacts",
    metadata,
    Column("destination", Text, nullable=False),
    Column("contact", BigInteger, nullable=False),
    Column("sent", JSONB, nullable=False, comment="what the destination was sent last of the contact"),
    Column("number", Integer, nullable=False, comment="how often; part of the id of what is sent next"),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
    PrimaryKeyConstraint("destination", "contact"),
)

destination_seconds = Table(
    "destination_seconds",
    metadata,
    Column("destination", Text, nullable=False),
    Column("what", Text, nullable=False, comment="hash of person and event, of which a second takes one"),
    Column("second", BigInteger, nullable=False, comment="epoch seconds"),
    Column("outbox", BigInteger, nullable=False),
    PrimaryKeyConstraint("destination", "what", "second"),
    Index("destination_seconds_outbox", "outbox"),
)

suppressed_contacts = Table(
    "suppressed_contacts",
    metadata,
    Column("contact", BigInteger, primary_key=True, autoincrement=False, comment="internal key: it is told to nobody"),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False, comment="the person or token"),
    Column("at", Time, nullable=False, server_default=func.now()),
)

suppressed_properties = Table(
    "suppressed_properties",
    metadata,
    Column("name", Text, primary_key=True, comment="of a contact, or of billing events: it is told to nobody"),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False, comment="the person or token"),
    Column("at", Time, nullable=False, server_default=func.now()),
    Column("managed_by", Text, nullable=False, server_default="", comment="file: tidegate.yaml"),
)

noted_contacts = Table(
    "noted_contacts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("contacts", ARRAY(BigInteger), nullable=False,
           comment="internal keys of contacts of which something may have changed"),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
)  # fmt: skip
