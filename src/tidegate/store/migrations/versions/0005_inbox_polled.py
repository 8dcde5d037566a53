"""An index of what came by polling: whether webhooks are silent is asked whenever somebody looks at the status."""

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        db = op.get_bind()
        # It waits for every transaction that began before, such as a backup's, and leaves an invalid index when it is
        # broken off.
        waiting = db.scalar(text("show lock_timeout"))
        db.execute(text("set lock_timeout = 0"))
        db.execute(text("drop index concurrently if exists tidegate.inbox_polled"))
        db.execute(
            text(
                "create index concurrently inbox_polled on tidegate.inbox (connection, created) where source = 'events'"
            )
        )
        db.execute(text("select set_config('lock_timeout', :waiting, false)"), {"waiting": waiting})
