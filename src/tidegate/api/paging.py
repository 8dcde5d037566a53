"""Pages of lists that are read whole, such as the catalog: `limit` rows after the one that was last."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query

Limit = Annotated[int, Query(ge=1, le=500, description="rows of a page")]
After = Annotated[str | None, Query(description="`next` of the page before")]


def page(
    rows: Sequence[Mapping[str, Any]], key: str, limit: int, after: str | None
) -> tuple[Sequence[Mapping[str, Any]], str | None]:
    """The rows after the one whose `key` is `after`, and the key of the last one shown when there are more.

    A row that is gone by now ends nothing: rows are taken from where it would stand, if they are ordered by the key,
    else from the beginning.
    """
    keys = [str(row[key]) for row in rows]
    start = 0
    if after is not None and after in keys:
        start = keys.index(after) + 1
    elif after is not None and keys == sorted(keys):
        start = sum(1 for one in keys if one <= after)
    shown = rows[start : start + limit]
    return shown, keys[start + limit - 1] if start + limit < len(rows) else None
