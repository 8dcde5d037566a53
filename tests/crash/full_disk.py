"""Imports on a disk that runs full, `full_disk.py FOLDER LEFT`: tells on stdout, as JSON, how it went."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from tests.support import small_disk

if TYPE_CHECKING:
    from tests.support.installation import Installation

    from tidegate.wiring import Hub

SIZE = 160_000_000
COUNTED = ("customers", "subscriptions", "invoices", "charges")


def main(folder: Path, left: int) -> dict[str, Any]:
    small_disk.mount(folder, SIZE)  # before anything starts a thread

    from tests.support.importing import connected, differences
    from tests.support.installation import installed

    from tidegate.sandbox.config import SandboxConfig
    from tidegate.sandbox.server import Sandbox

    with Sandbox.start(SandboxConfig(customers=110, months=5)) as sandbox, installed(folder) as own:
        connected(own.hub, sandbox)
        own.hub.engine.dispose()
        filler = small_disk.fill(folder, left)
        full = ended(own, "import", TIDEGATE_IMPORT_READERS="4")
        again_full = ended(own, "import", TIDEGATE_IMPORT_READERS="4")
        log = (own.server.data / "server.log").read_text(errors="replace")
        filler.unlink()
        own.server.start()
        checkpoints = checkpointed(own.hub)
        done = ended(own, "import")
        audit = ended(own, "audit")
        own.server.start()
        return {
            "full": full,
            "again_full": again_full,
            "panic": "PANIC:" in log,
            "checkpointed": checkpoints,
            "done": done,
            "audit": audit,
            "differences": differences(own.hub, sandbox),
        }


def ended(own: "Installation", command: str, **environment: str) -> dict[str, Any]:
    """How a command ended: its exit code, its JSON document and what it said on stderr."""
    process = own.command(command, "--connection", "acme", "--json", **environment)
    told, said = process.communicate(timeout=120)
    return {"code": process.returncode, "told": json.loads(told), "said": said}


def checkpointed(hub: "Hub") -> dict[str, tuple[int, int]]:
    """Of some resources, how many objects the import's checkpoints count as stored, and how many are."""
    counted = "select coalesce(sum((counts ->> 'stored')::int), 0) from tidegate.import_ranges where resource = :name"
    with hub.engine.connect() as db:
        return {
            name: (
                int(db.scalar(text(counted), {"name": name}) or 0),
                int(db.scalar(text(f"select count(*) from stripe.{name}")) or 0),
            )
            for name in COUNTED
        }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))  # noqa: T201
