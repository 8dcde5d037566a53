"""Values of the database as documents, tables and CSV have them (pure)."""

import json
from datetime import date, datetime
from typing import Any


def plain(value: Any) -> Any:
    """A value of the database as JSON has it."""
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def as_text(value: Any) -> Any:
    """A value as tables and CSV have it: documents and lists as JSON, times as ISO 8601, the rest as it is."""
    if isinstance(value, dict | list):
        return json.dumps(value, default=plain, ensure_ascii=False)
    return value if value is None or isinstance(value, str | int | float) else plain(value)
