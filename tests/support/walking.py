"""Walks a site in a browser: from the menu along the links, to one page of every kind that a hub has."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.routing import compile_path

from tidegate.web.app import every_page
from tidegate.web.navigation import SECTIONS
from tidegate.wiring import Hub

NO_PAGES = re.compile(
    r"\.csv$|/events$|^/api/|^/parts/|/progress$|^/timelines/|^/contacts/invoices/|/plan$|/find$|^/login|^/welcome$|^/session$"
)
"""What is fetched, streamed or led through, not looked at by itself; who is invited has no link yet."""
TWICE = ("/contacts/{contact:path}", "/syncs/{key:str}/runs/{run:int}")
"""Kinds of which two are looked at, since the first may have little to show."""
UNLINKED = ("/search?q=bil", "/signed-in")
LINKS = "[...document.querySelectorAll('a[href]')].map((one) => one.href)"


@dataclass
class Walk:
    """A walk with a page of a browser over the site at `address`. `also`: paths that no link may lead to."""

    hub: Hub
    page: Any
    address: str
    also: tuple[str, ...] = ()
    kinds: dict[str, re.Pattern[str]] = field(init=False)
    seen: dict[str, list[str]] = field(default_factory=dict[str, list[str]], init=False)
    """The paths that were looked at, by the kind of page, as its route has it."""
    astray: list[str] = field(default_factory=list[str], init=False)
    """Links that lead to no page, with where they stand."""

    def __post_init__(self) -> None:
        self.kinds = {one.path: compile_path(one.path)[0] for one in every_page(self.hub) if one.method == "GET"}

    def __iter__(self) -> Iterator[str]:
        """Each path, once the browser shows its page."""
        waiting = deque([*(entry.path for _, entries in SECTIONS for entry in entries), *UNLINKED, *self.also])
        while waiting:
            path = waiting.popleft()
            kind = self.kind(path)
            seen = self.seen.setdefault(kind, [])
            if NO_PAGES.search(kind) or path in seen or len(seen) > (kind in TWICE):
                continue
            seen.append(path)
            self.page.goto(self.address + path)
            yield path
            waiting.extend(self._links(path))

    def kind(self, path: str) -> str:
        """Which page of the hub a path is, as its route has it; empty where it is none."""
        place = path.partition("?")[0]
        return next((kind for kind, matching in self.kinds.items() if matching.match(place)), "")

    def missed(self) -> set[str]:
        """Kinds of pages that no link led to."""
        return {kind for kind in self.kinds if not NO_PAGES.search(kind)} - {*self.seen}

    def _links(self, path: str) -> Iterator[str]:
        for link in self.page.evaluate(LINKS):
            to = urlsplit(link)
            if f"{to.scheme}://{to.netloc}" != self.address or to.path.startswith("/static/"):
                continue
            if self.kind(to.path):
                yield f"{to.path}?{to.query}" if to.query else to.path
            elif not to.path.startswith("/api/"):
                self.astray.append(f"{path} → {to.path}")
