"""Tables of security: users, their sessions and links, API tokens and the answers kept for them."""

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
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from tidegate.store.metadata import Time, metadata

tokens = Table(
    "tokens",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the token; the token is not kept"),
    Column("scopes", ARRAY(Text), nullable=False, comment="entitlements, read, operate, admin"),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("last_used_at", Time),
    Column("revoked_at", Time),
)

users = Table(
    "users",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("email", Text, nullable=False, comment="as it was given; two that differ in case alone are one"),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False, comment="viewer, operator, admin"),
    Column("password", Text, comment="by Argon2id; null until it is set"),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("last_seen_at", Time),
    Column("disabled_at", Time, comment="may not sign in since"),
)
Index("users_email", func.lower(users.c.email), unique=True)

user_links = Table(
    "user_links",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the link's secret"),
    Column(
        "user", BigInteger, ForeignKey("tidegate.users.id", ondelete="CASCADE"), comment="null: makes the first admin"
    ),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("expires_at", Time, nullable=False),
    comment="links by which a password is set, once",
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the cookie"),
    Column("user", BigInteger, ForeignKey("tidegate.users.id", ondelete="CASCADE")),
    Column(
        "token",
        BigInteger,
        ForeignKey("tidegate.tokens.id", ondelete="CASCADE"),
        comment="of one who signed in with it",
    ),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("expires_at", Time, nullable=False),
    comment="who is signed in to the page",
)
Index("sessions_user", sessions.c.user)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
    Column("actor", Text, nullable=False, comment="user:EMAIL, token:NAME, cli:ACCOUNT"),
    Column("action", Text, nullable=False, comment="such as user.invited"),
    Column("subject", Text, nullable=False, comment="whom or what it was done to"),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    comment="who changed what of the hub: users, tokens, connections, imports, alerts",
)
Index("audit_log_at", audit_log.c.at)

saved_views = Table(
    "saved_views",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("owner", Text, nullable=False, comment="the actor who saved it"),
    Column("page", Text, nullable=False, comment="the list that it is of, such as /contacts"),
    Column("name", Text, nullable=False),
    Column("query", Text, nullable=False, comment="of the address"),
    Column("shared", Boolean, nullable=False, server_default="false"),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    UniqueConstraint("owner", "page", "name"),
    comment="views of lists, by name",
)
Index("saved_views_shared", saved_views.c.page, postgresql_where=saved_views.c.shared)

failed_tries = Table(
    "failed_tries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("whom", LargeBinary, nullable=False, comment="HMAC of an address, or of who was tried, by the secret key"),
    Column("at", Time, nullable=False, server_default=func.clock_timestamp()),
    comment="tries to sign in that failed within the last minute",
)
Index("failed_tries_whom", failed_tries.c.whom, failed_tries.c.at)

kept_answers = Table(
    "kept_answers",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("token", BigInteger, ForeignKey("tidegate.tokens.id", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False, comment="the Idempotency-Key"),
    Column("asked", LargeBinary, nullable=False, comment="SHA-256 of method, address and body"),
    Column("begun_at", Time, nullable=False, server_default=func.clock_timestamp()),
    Column("turn", Integer, nullable=False, server_default="1", comment="how often it was taken up"),
    Column(
        "seen_at",
        Time,
        nullable=False,
        server_default=func.clock_timestamp(),
        comment="when who does it last said so",
    ),
    Column("wrote", Boolean, nullable=False, server_default="false", comment="something of it was committed"),
    Column("answer", LargeBinary, comment="encrypted with the token; null while it is being done"),
    UniqueConstraint("token", "key"),
    comment="answers to requests that have an Idempotency-Key, for a day",
)
Index("kept_answers_begun", kept_answers.c.begun_at)
