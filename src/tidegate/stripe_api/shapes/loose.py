"""Reads JSON whose text the strict decoder refuses: with halves of surrogate pairs, which no jsonb holds."""

import json
import re
from typing import Any, cast

import msgspec

from tidegate.stripe_api.shapes.base import Body

REPLACEMENT = "\ufffd"

_ESCAPE = re.compile(rb"\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|(\\u[dD][89a-fA-F][\da-fA-F]{2})|\\.")


def mended(body: Body) -> bytes | None:
    """The body with U+FFFD for each half of a surrogate pair; None when it has none."""
    given = bytes(body)
    result = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], given)
    return result if result != given else None


def members(body: Body) -> dict[str, Any]:
    """The members of a JSON object as plain values; empty when the body is no JSON object even so."""
    try:
        value: object = json.loads(bytes(body).decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def raw(value: object) -> msgspec.Raw:
    """A plain value as JSON again, halves of surrogate pairs still escaped."""
    return msgspec.Raw(json.dumps(value).encode())


def told_id(body: Body) -> str | None:
    """The `id` of a body that could not be read, if that much can be."""
    value = members(body).get("id")
    return value if isinstance(value, str) and value.isprintable() and value.isascii() and value else None
