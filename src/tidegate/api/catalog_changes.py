"""What was changed of the catalog over HTTP: by whom, when, newest first."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.paging import Limit
from tidegate.catalog import journal

router = APIRouter(prefix="/api/catalog-changes", tags=["catalog"])


class CatalogChange(BaseModel):
    """A change: `action` such as `package.published`, of `subject`. The time is UTC."""

    model_config = ConfigDict(extra="ignore")

    id: int
    at: datetime
    by: str = Field(description="the person or token")
    action: str
    subject: str = Field(description="the key of a feature or package, or what is mapped to what")
    detail: dict[str, Any]


class CatalogChanges(BaseModel):
    """A page of changes, newest first. `next`: what to give as `after` for the next page; null: there is none."""

    changes: list[CatalogChange]
    next: int | None


@router.get("", dependencies=[requires("read")])
def listing(
    hub: HubOf,
    about: Annotated[str, Query(description="only of this feature, package, price or product", max_length=255)] = "",
    limit: Limit = 100,
    after: Annotated[int | None, Query(ge=1, lt=2**63, description="`next` of the page before")] = None,
) -> CatalogChanges:
    """Changes of features, packages and mappings."""
    with hub.engine.connect() as db:
        rows = journal.page(db, about=about, before=after, limit=limit + 1)
    shown = [CatalogChange.model_validate(row) for row in rows[:limit]]
    return CatalogChanges(changes=shown, next=shown[-1].id if len(rows) > limit else None)
