"""The page's static files, held in memory: built npm packages and our own, gzipped, cached by content."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from tidegate.errors import AssetMissing

STATIC = Path(__file__).parent / "static"
BUILT = ("tabler.min.css", "htmx.min.js", "echarts.min.js")
OWN = ("tidegate.css", "tidegate.js", "theme.js", "charts.js", "outbound.js", "review.js", "sorting.js", "favicon.svg")
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
YEAR = 31_536_000  # seconds


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served; `version` names its content."""

    body: bytes
    gzipped: bytes
    media_type: str
    version: str


class Assets:
    """Every static file by name."""

    def __init__(self, folder: Path = STATIC) -> None:
        """Reads them all. Raises AssetMissing when the build is not there."""
        built = {name: _read(folder / "build" / name) for name in BUILT}
        self._assets = built | {name: _read(folder / name) for name in OWN}

    def url(self, name: str) -> str:
        """Where the page finds it: the address changes with the content, so that browsers may keep it for ever."""
        return f"/static/{name}?v={self._assets[name].version}"

    def answer(self, request: Request) -> Response:
        """Serves the file that the path names, gzipped where the browser takes that."""
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            return Response(status_code=404)
        current = request.query_params.get("v") == asset.version
        headers = {
            "Cache-Control": f"public, max-age={YEAR}, immutable" if current else "no-cache",
            "Vary": "Accept-Encoding",
        }
        body = asset.body
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = asset.gzipped
        return Response(body, headers=headers, media_type=asset.media_type)


@cache
def shipped() -> Assets:
    """The files of this installation, read and compressed once. Raises AssetMissing when they were not built."""
    return Assets()


def _read(path: Path) -> Asset:
    try:
        body = path.read_bytes()
        packed = path.with_name(f"{path.name}.gz")
        gzipped = packed.read_bytes() if packed.exists() else gzip.compress(body, mtime=0)
    except OSError as error:
        raise AssetMissing(path=path) from error
    return Asset(body, gzipped, MEDIA_TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:12])
