"""localstripe, a simulated Stripe that others wrote, in a process of its own: created in through its API."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

PROGRAM = Path(__file__).parents[1] / "peers" / "localstripe_server.py"
KEY = "sk_test_localstripe"


class LocalStripe:
    """A running localstripe at `url`; objects are created by `post`."""

    key = KEY

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, path: str, **fields: Any) -> dict[str, Any]:
        """Creates or changes something; the answer's JSON."""
        return self._send("POST", path, fields)

    def delete(self, path: str) -> dict[str, Any]:
        return self._send("DELETE", path)

    def listing(self, path: str, **params: str) -> list[dict[str, Any]]:
        """All objects of a list, on one page."""
        return self._send("GET", f"{path}?{urlencode({'limit': '100000', **params})}")["data"]

    def all_delivered(self) -> bool:
        """Whether every event so far was sent to every address that wants it."""
        return self._send("GET", "/_config/undelivered") == {"undelivered": 0}

    def _send(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
        body = None if fields is None else json.dumps(fields).encode()
        request = Request(self.url + path, body, {"Authorization": f"Bearer {self.key}"}, method=method)
        try:
            with urlopen(request, timeout=20) as answer:
                return json.loads(answer.read() or b"{}")
        except HTTPError as refused:
            raise AssertionError(f"localstripe: {method} {path}: {refused.code} {refused.read().decode()}") from None


@contextmanager
def localstripe() -> Iterator[LocalStripe]:
    """Starts one with nothing in it; fails, saying why, when it does not start."""
    with tempfile.TemporaryFile("w+") as said:  # a pipe that nobody reads would stop it one day
        process = subprocess.Popen([sys.executable, str(PROGRAM)], stdout=subprocess.PIPE, stderr=said, text=True)
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                process.wait(20)
                said.seek(0)
                pytest.fail(
                    f"localstripe, which this suite runs against, did not start: {said.read().strip()[-800:]}\n"
                    "It is one of the development dependencies: `uv sync` installs it."
                )
            yield LocalStripe(url)
        finally:
            process.kill()
            process.communicate()
