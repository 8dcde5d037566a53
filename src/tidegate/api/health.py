"""Is the process alive, and can it do its work?"""

from typing import Any

from fastapi import APIRouter

from tidegate.api.auth import HubOf
from tidegate.store import engine as store_engine
from tidegate.store import migrate as revisions

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answers as long as the process lives; touches nothing."""
    return {"status": "alive"}


@router.get("/readyz")
def readyz(hub: HubOf) -> dict[str, Any]:
    """Answers 200 when the database is reachable and its schema fits this program, else 503 with what is missing."""
    version = store_engine.check(hub.engine)
    revisions.require_current(hub.engine)
    return {"status": "ready", "database": {"version": version, "embedded": hub.settings.embedded}}
