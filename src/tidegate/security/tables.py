"""Tables of security: API tokens."""

from sqlalchemy import ARRAY, BigInteger, Column, DateTime, Identity, LargeBinary, Table, Text, func

from tidegate.store.metadata import metadata

tokens = Table(
    "tokens",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the token; the token is not kept"),
    Column("scopes", ARRAY(Text), nullable=False, comment="entitlements, read, operate, admin"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("last_used_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
)
