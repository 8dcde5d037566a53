"""JSON as PostgreSQL's jsonb takes it, of what warehouses and Stripe say."""

import re
from typing import Any

import msgspec

_NUL = re.compile(r"((?<!\\)(?:\\\\)*)\\u0000")


def stored(value: Any) -> str:
    """The value as JSON; what JSON has no form for is its text, and the character NUL, which no jsonb holds, U+FFFD."""
    said = msgspec.json.encode(value, enc_hook=str).decode()
    return _NUL.sub(r"\1\\ufffd", said) if "\\u0000" in said else said
