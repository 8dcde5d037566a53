"""What stands in requests, read as strictly as OpenAPI says it: days and times as ISO 8601, never as a number."""

import json
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field


def _written_out(value: Any) -> Any:
    """Pydantic takes a number, also as text, for seconds since 1970: a `2025` would be a moment of that year's."""
    if not isinstance(value, date):  # of which moments are some
        try:
            float(value)
        except (TypeError, ValueError):
            return value
        raise ValueError("write it by ISO 8601, such as 2026-01-31 or 2026-01-31T08:00:00Z")
    return value


Day = Annotated[date, Field(strict=False), BeforeValidator(_written_out)]
Moment = Annotated[datetime, Field(strict=False), BeforeValidator(_written_out)]


def _finite(value: dict[str, Any]) -> dict[str, Any]:
    """Python reads 1e999, and a bare NaN, as numbers that no JSON has."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValueError("it holds a number that is too large, or none") from None
    return value


Properties = Annotated[dict[str, Any], AfterValidator(_finite)]
"""Any JSON by name."""

STRICT = ConfigDict(extra="forbid", strict=True)
"""Of bodies: nothing that is not known, and no text in place of a number or a truth value."""
