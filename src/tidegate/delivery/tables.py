"""The outbox: what changed, written in the transaction that changed it, to be delivered in order per contact."""

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Table, Text, func
from sqlalchemy.dialects.postgresql import JSONB

from tidegate.store.metadata import metadata

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("type", Text, nullable=False, comment="entitlement.granted, contact.linked, …"),
    Column("contact", BigInteger, comment="internal key; null: about none"),
    Column("connection", Text, comment="null: about none"),
    Column("data", JSONB, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Index("outbox_contact", "contact", "id"),
    Index("outbox_at", "at"),
)
