"""Decoders of shapes, each made once and one at a time.

msgspec (0.22) learns what a struct looks like when its first decoder is made, and shows other threads the half-learned
struct: a process in which two threads make the first decoder of a struct, or of two that share one, can crash.
"""

import threading
from functools import cache
from typing import Any

import msgspec

_MAKING = threading.Lock()


def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """The decoder of a type."""
    with _MAKING:
        return _made(kind)


@cache
def _made(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
