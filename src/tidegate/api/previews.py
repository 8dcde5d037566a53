"""How a change with a preview looks over HTTP: `?preview=true` tells what it would do, the token does exactly that."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from tidegate.wiring import Hub
from tidegate.workflows import previewing
from tidegate.workflows.previewing import Change, settle

Previewed = Annotated[bool, Query(alias="preview", description="only tell what it would change, for whom")]
MOST_LISTED = 100
Listed = Annotated[int, Query(ge=0, le=10_000, description="contacts of each feature that are named; all are counted")]
TokenOf = Annotated[str | None, Field(description="of the preview; needed where somebody loses or has another thing")]


class Outcome(BaseModel):
    """What a change does, or did (`done`): per feature the first `listed` contacts that it changes for, and in `totals`
    how many there are; `before` and `now` are what is given, null for nothing. `token` does exactly this, and is
    refused when the facts changed since.
    """

    model_config = ConfigDict(extra="forbid")

    token: str
    done: bool
    contacts: int = Field(description="how many were looked at")
    gained: int
    changed: int
    lost: int
    totals: dict[str, dict[str, int]] = Field(description="by feature, how many contacts gain, lose or have another")
    features: dict[str, list[dict[str, Any]]]
    result: dict[str, Any]


def outcome(hub: Hub, change: Change, preview: bool, token: str | None, listed: int) -> Outcome:
    """Previews or does it. Raises PreviewNeeded, PreviewStale."""
    found = previewing.preview(hub.engine, change) if preview else settle(hub.engine, change, token)
    return Outcome.model_validate(found.as_json(listed))
