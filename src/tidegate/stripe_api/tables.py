"""The table of the shared rate budget; losing it costs nothing, so it is not logged."""

from sqlalchemy import Column, DateTime, Double, MetaData, PrimaryKeyConstraint, Table, Text, text

metadata = MetaData()

LONG_AGO = text("now() - interval '1 hour'")

rate_budget = Table(
    "rate_budget",
    metadata,
    Column(
        "connection",
        Text,
        nullable=False,
        comment="whose limit: Stripe's account with its mode, and the API base that is not Stripe's own",
    ),
    Column("endpoint", Text, nullable=False, comment="method and path template; '' for the whole connection"),
    Column("ceiling", Double, nullable=False, comment="configured requests per second"),
    Column(
        "tat", DateTime(timezone=True), nullable=False, server_default=LONG_AGO, comment="first moment not reserved"
    ),
    Column("interactive_tat", DateTime(timezone=True), nullable=False, server_default=LONG_AGO),
    Column(
        "granted_at", DateTime(timezone=True), nullable=False, server_default=LONG_AGO, comment="last reservation's"
    ),
    Column("paused_until", DateTime(timezone=True), nullable=False, server_default=LONG_AGO),
    Column("slowed_to", Double, nullable=False, comment="requests per second that the last 429 left"),
    Column("slowed_at", DateTime(timezone=True), nullable=False, server_default=LONG_AGO, comment="recovers from here"),
    PrimaryKeyConstraint("connection", "endpoint"),
    schema="tidegate",
    prefixes=["UNLOGGED"],
)
