"""Runs over HTTP: how far an import, a catch-up or an audit is."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy import RowMapping

from tidegate.api.auth import HubOf, requires
from tidegate.connections import runs
from tidegate.errors import RunUnknown

router = APIRouter(prefix="/api/runs", tags=["runs"])


class Run(BaseModel):
    """One execution of an import, a catch-up or an audit. Times are UTC."""

    model_config = ConfigDict(extra="ignore")

    id: int
    connection: str
    kind: str
    state: str
    started_at: datetime
    heartbeat_at: datetime
    finished_at: datetime | None
    summary: dict[str, Any]
    error: str


def shown(row: RowMapping) -> Run:
    """A row of `runs` as the API shows it."""
    return Run.model_validate(dict(row))


@router.get("/{run_id:segment}", dependencies=[requires("read")])
def show(run_id: int, hub: HubOf) -> Run:
    """The run, with its summary so far."""
    with hub.engine.connect() as db:
        row = runs.find(db, run_id) if run_id < 2**63 else None
    if row is None:
        raise RunUnknown(id=run_id)
    return shown(row)
