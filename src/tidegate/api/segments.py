"""Ids in paths, whatever characters they have: an encoded slash (`%2F`) belongs to its segment and parts nothing."""

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote

from starlette.convertors import Convertor
from starlette.types import ASGIApp, Receive, Scope, Send

SLASH = "\udc2f"
"""Stands for a slash within a segment while a route is looked for. No text that comes by HTTP has it: it is half a
character.
"""


class Segment(Convertor[str]):
    """The parameter of a path that is one segment of it: `{contact:segment}`, with the slashes that it has."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        """The segment as it was meant."""
        return value.replace(SLASH, "/")

    def to_string(self, value: str) -> str:
        """The segment for a path in which a route is looked for."""
        return value.replace("/", SLASH)


class WholeSegments:
    """Lets routes see where the path was parted before it was decoded. The server's own scope stays as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        await self._app(_parted(scope), receive, send)


def _parted(scope: Scope) -> MutableMapping[str, Any]:
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" not in raw.lower():
        return scope
    segments = raw.split(b"?")[0].decode("ascii", "replace").split("/")
    return {**scope, "path": "/".join(unquote(one).replace("/", SLASH) for one in segments)}


def readable(path: str) -> str:
    """A path that routes were looked for in, for people."""
    return path.replace(SLASH, "%2F")
