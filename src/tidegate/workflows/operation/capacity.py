"""What an installation has to work with: room on its disk, workers that are alive."""

import shutil
from pathlib import Path

from sqlalchemy import Connection, text

DISK_LOW, DISK_GONE = 2_000_000_000, 500_000_000
"""Free bytes under the home: a warning, a fault."""


def free_bytes(home: Path) -> tuple[Path, int]:
    """How many bytes are free where the home is or will be made, and the folder that was looked at."""
    place = next(path for path in (home, *home.parents) if path.exists())
    return place, shutil.disk_usage(place).free


def workers_alive(db: Connection) -> int:
    """Workers that gave a sign of life within the last minute; they give one every few seconds."""
    return int(
        db.scalar(text("select count(*) from procrastinate_workers where last_heartbeat > now() - interval '1 minute'"))
        or 0
    )
