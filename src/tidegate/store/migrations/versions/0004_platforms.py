"""A Connect platform's key fans out to its accounts, each a connection; a rate budget belongs to an account."""

from alembic import op

from tidegate.store import queue_schema

revision = "0004"
down_revision = "0003"

COLUMNS = """
alter table tidegate.connections
    add column platform text constraint connections_platform_fkey references tidegate.connections (name),
    add column fan_out_at timestamptz,
    add column left_out boolean default false not null,
    add constraint connections_of_platform unique (platform, account);
comment on column tidegate.connections.platform is
    'the connection of the Connect platform whose key is used; null: a key of its own';
comment on column tidegate.connections.fan_out_at is 'when a platform lists its accounts next; null: no platform';
comment on column tidegate.connections.left_out is
    'of a platform''s account: disconnected by a person, so no fan-out connects it again';
truncate tidegate.rate_budget;
comment on column tidegate.rate_budget.connection is
    'whose limit: Stripe''s account with its mode, and the API base that is not Stripe''s own';
"""


def upgrade() -> None:
    queue_schema.run_script(op.get_bind(), COLUMNS)
