"""What each connection's key may read, and sweeps among the runs."""

from alembic import op

from tidegate.store import queue_schema

revision = "0003"
down_revision = "0002"

TABLES = """
create table tidegate.permissions (
    connection text not null,
    endpoint text not null,
    allowed boolean,
    checked_at timestamptz,
    detail text default '' not null,
    primary key (connection, endpoint)
);
comment on column tidegate.permissions.endpoint is 'method and path, such as GET /v1/charges';
comment on column tidegate.permissions.allowed is 'null: it could not be told, detail says why';
comment on column tidegate.permissions.checked_at is 'null: not looked at since the key was replaced';
comment on column tidegate.permissions.detail is 'what Stripe said';
comment on column tidegate.runs.kind is 'import, sweep, catch_up, audit';
"""


def upgrade() -> None:
    queue_schema.run_script(op.get_bind(), TABLES)
