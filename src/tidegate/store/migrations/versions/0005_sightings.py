"""What a sweep saw unchanged is kept aside; and an index of what came by polling: whether webhooks are silent is asked
whenever somebody looks at the status.
"""

from alembic import op
from sqlalchemy import text

from tidegate.store import queue_schema

revision = "0005"
down_revision = "0004"

# As often as the index below is broken off: building it ends the transaction of these.
TABLES = """
create table if not exists tidegate.listings (
    connection text not null,
    resource text not null,
    as_of timestamptz not null,
    primary key (connection, resource)
);
comment on column tidegate.listings.as_of is
    'everything stored of it was seen again since then: unchanged, or written, or asked for by id';
create table if not exists tidegate.sightings (
    range bigint not null references tidegate.import_ranges on delete cascade,
    ids text[] not null
);
create index if not exists sightings_by_range on tidegate.sightings (range);
comment on column tidegate.sightings.ids is 'of a page: the objects that are stored as they were read';
"""


def upgrade() -> None:
    queue_schema.run_script(op.get_bind(), TABLES)
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
