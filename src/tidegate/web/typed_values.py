"""Values that people type: JSON where it is any, else the text as it stands (pure)."""

import json
import math
from typing import Any


def read(typed: str) -> Any:
    """`5`, `true`, `"5"` and `[1]` as JSON; anything else, `NaN` and `1e999` too, as a text. Empty: None."""
    if not typed:
        return None
    try:
        return json.loads(typed, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        return typed


def shown(value: Any) -> str:
    """What would have to be typed to mean the value: a text as it stands, where nothing else is meant by it."""
    if value is None:
        return ""
    if isinstance(value, str) and value == value.strip() and read(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _finite(said: str) -> float:
    number = float(said)
    if not math.isfinite(number):
        raise ValueError(said)
    return number
