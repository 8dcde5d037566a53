"""What is named and gone from Stripe, so that not every event that names it asks again."""

from alembic import op

from tidegate.store import queue_schema

revision = "0007"
down_revision = "0005"

TABLES = """
create table if not exists tidegate.gone (
    connection text not null,
    resource text not null,
    object_id text not null,
    found_at timestamptz default now() not null,
    primary key (connection, resource, object_id)
);
comment on column tidegate.gone.object_id is 'named by other objects, unknown to Stripe, and never in the mirror';
"""


def upgrade() -> None:
    queue_schema.run_script(op.get_bind(), TABLES)
