"""Tables of connections: the accounts, what is wrong with them, and the executions of work on them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from tidegate.store.metadata import Time, metadata

connections = Table(
    "connections",
    metadata,
    Column("name", Text, primary_key=True),
    Column("account", Text, nullable=False, comment="Stripe's acct_…"),
    Column("livemode", Boolean, nullable=False),
    Column("sandbox", Boolean, nullable=False, server_default=text("false"), comment="served by a simulated Stripe"),
    Column("display_name", Text, nullable=False, server_default=""),
    Column("api_base", Text, nullable=False, server_default="", comment="empty: Stripe itself"),
    Column("api_key", LargeBinary, comment="encrypted; null once disconnected"),
    Column("write_key", LargeBinary, comment="encrypted"),
    Column("webhook_secrets", LargeBinary, comment="encrypted JSON list, newest first"),
    Column("rate", Float, nullable=False, comment="requests a second in all"),
    Column("endpoint_rate", Float, nullable=False, comment="requests a second per endpoint"),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("disconnected_at", Time),
    Column("events_until", Time, comment="every event of Stripe before this was read"),
    Column("complete_as_of", Time, comment="everything Stripe did before this is in the mirror"),
    Column("last_webhook_at", Time),
    Column("caught_up_at", Time, comment="when /v1/events was last read to its head"),
    Column(
        "platform",
        Text,
        ForeignKey("tidegate.connections.name"),
        comment="the connection of the Connect platform whose key is used; null: a key of its own",
    ),
    Column("fan_out_at", Time, comment="when a platform lists its accounts next; null: no platform"),
    Column(
        "left_out",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="of a platform's account: disconnected by a person, so no fan-out connects it again",
    ),
    Column(
        "oauth",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="access given to a Stripe App: api_key is a token that ends",
    ),
    Column("refresh_token", LargeBinary, comment="encrypted; null for a key"),
    Column("token_ends_at", Time, comment="until when the token in api_key is good; null for a key"),
    UniqueConstraint("platform", "account", name="connections_of_platform"),
)

oauth_states = Table(
    "oauth_states",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the state that Stripe hands back"),
    Column("browser", LargeBinary, nullable=False, comment="SHA-256 of a cookie of the browser that was sent"),
    Column("session", BigInteger, ForeignKey("tidegate.sessions.id", ondelete="CASCADE"), nullable=False),
    Column("platform", Text, comment="connection of the Connect platform; null: the Stripe App"),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("expires_at", Time, nullable=False),
    Index("oauth_states_session", "session"),
    comment="who was sent to Stripe to give access, and is not back yet",
)

problems = Table(
    "problems",
    metadata,
    Column("connection", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("subject", Text, nullable=False, server_default=""),
    Column("detail", Text, nullable=False, server_default=""),
    Column("since", Time, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("connection", "code", "subject"),
)

permissions = Table(
    "permissions",
    metadata,
    Column("connection", Text, nullable=False),
    Column("endpoint", Text, nullable=False, comment="method and path, such as GET /v1/charges"),
    Column("allowed", Boolean, comment="null: it could not be told, detail says why"),
    Column("checked_at", Time, comment="null: not looked at since the key was replaced"),
    Column("detail", Text, nullable=False, server_default="", comment="what Stripe said"),
    PrimaryKeyConstraint("connection", "endpoint"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("connection", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="import, sweep, catch_up, audit"),
    Column("state", Text, nullable=False, server_default="running", comment="running, interrupted, done, incomplete"),
    Column("options", JSONB, nullable=False, server_default=text("'{}'")),
    Column("started_at", Time, nullable=False, server_default=func.now()),
    Column("heartbeat_at", Time, nullable=False, server_default=func.now()),
    Column("finished_at", Time),
    Column("process", Text, nullable=False, server_default="", comment="host and process id that works on it"),
    Column("summary", JSONB, nullable=False, server_default=text("'{}'")),
    Column("error", Text, nullable=False, server_default=""),
    Index("runs_by_connection", "connection", "kind", "id"),
)
