"""The place in Stripe's events is moved by catching up alone; what the mirror promises has a column of its own."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("alter table tidegate.connections add column complete_as_of timestamptz")
    op.execute("update tidegate.connections set complete_as_of = events_until")
    # Until now an import moved the place, also where events had never been read.
    op.execute("update tidegate.connections set events_until = null where caught_up_at is null")
    op.execute("comment on column tidegate.connections.events_until is 'every event of Stripe before this was read'")
    op.execute(
        "comment on column tidegate.connections.complete_as_of is 'everything Stripe did before this is in the mirror'"
    )


def downgrade() -> None:
    op.execute("alter table tidegate.connections drop column complete_as_of")
