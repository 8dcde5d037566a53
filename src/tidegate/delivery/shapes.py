"""Values as destinations take them: instants as text, nested ones made flat, amounts as numbers."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any


def instant(at: datetime) -> str:
    """ISO 8601 in UTC, as `2026-03-01T12:00:00Z`."""
    return at.isoformat().replace("+00:00", "Z")


def flat(values: Mapping[str, Any], nothing: Any = None) -> dict[str, Any]:
    """Properties for a destination without nested ones: `{"mrr": {"usd": 5}}` is `mrr_usd`, a list is joined by `, `,
    and what is not there becomes `nothing`.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            for inner, one in flat(value, nothing).items():  # pyright: ignore[reportUnknownArgumentType]
                found[f"{name}_{inner}"] = one
        elif isinstance(value, list | tuple):
            found[name] = ", ".join(str(one) for one in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        else:
            found[name] = nothing if value is None else plain(value)
    return found


def plain(value: Any) -> Any:
    """A value as JSON has it: an exact number as a number."""
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
