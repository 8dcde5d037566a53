"""Cells of tables that people open in a spreadsheet."""

from datetime import datetime
from typing import Any, cast


def cell(value: Any) -> Any:
    """Lists in one cell; a text that a spreadsheet would take for a formula is marked as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    said = "; ".join(map(str, cast("list[Any]", value))) if isinstance(value, list) else value
    return f"'{said}" if isinstance(said, str) and said[:1] in {"=", "+", "-", "@", "\t", "\r"} else said
