"""What every page is made of: who may see it, the form that came with it, and how it answers."""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Environment
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.errors import UserInvalid
from tidegate.security.oidc import Provider
from tidegate.security.saved_views import View
from tidegate.web import keeping
from tidegate.web.navigation import menu
from tidegate.web.visitors import Who, who_is
from tidegate.wiring import Hub
from tidegate.workflows import kept_reports

LONGEST_FORM = 100_000  # bytes
PLAIN = 1_400
"""Bytes of a page that go uncompressed: they fit into one packet."""
COMPRESSION = 4
"""Of gzip: 100 kB take a millisecond, and a higher level saves little of what is left."""
MOST_FIELDS = 1_000
LONGEST_PLACE = 4_000
"""Characters of an address that is come back to after signing in."""
NOTHING: Mapping[str, str] = {}
TROUBLES = {
    403: "You may not see this",
    404: "There is nothing here",
    422: "That cannot be done",
    500: "Something went wrong",
    503: "Not just now",
}
"""What HTTP's statuses are called in a page's heading, where its own words say little to people."""


class Texts(dict[str, str]):
    """What was typed into fields, or is wrong with them, by their names; empty for the others."""

    def __missing__(self, field: str) -> str:
        return ""


def wrong_field(error: UserInvalid) -> Texts:
    """What is wrong, to be said beside its field."""
    said = str(error.facts["problem"])
    return Texts({str(error.facts["field"]): said[:1].upper() + said[1:]})


@dataclass
class Site:
    """What the pages of a hub share. `bound_to`: the host that is served; `provider`: of OpenID, where one is set."""

    hub: Hub
    bound_to: str
    templates: Environment
    provider: Provider | None = None
    views_of: "Callable[[Visit], list[View]]" = lambda _visit: []


@dataclass(frozen=True)
class Visit:
    """One request for a page. `who` None: nobody that is known. `form`: what was sent, without spaces around it.
    `file`: what is in the file that came with it, where the page takes one. `read_at`: as of when the reports are that
    it shows and that were read before.
    """

    site: Site
    request: Request
    who: Who | None
    form: Mapping[str, str]
    file: bytes = b""
    read_at: list[datetime] = field(default_factory=list[datetime])

    @property
    def hub(self) -> Hub:
        """The hub that is looked at."""
        return self.site.hub

    @property
    def actor(self) -> str:
        """How what is done here is written down."""
        assert self.who is not None
        return self.who.actor

    @cached_property
    def unreal(self) -> list[Account]:
        """The connections whose data are not real: simulated, or of Stripe's test mode."""
        with self.hub.engine.connect() as db:
            return [one for one in accounts.every(db) if one.sandbox or not one.livemode]

    @property
    def connection(self) -> str:
        """The connection that the form or the address names; empty where neither does."""
        return self.form.get("connection") or self.kept

    @property
    def kept(self) -> str:
        """The connection that the address names, and so what it leads to; empty where it names none."""
        return self.request.query_params.get("connection", "")

    @property
    def here(self) -> str:
        """The address that was asked for, without the host."""
        url = self.request.url
        return f"{url.path}?{url.query}" if url.query else url.path

    @property
    def base(self) -> str:
        """Where people find the page, without a slash at its end."""
        return self.hub.settings.public_url.rstrip("/") or str(self.request.base_url).rstrip("/")

    def report(self, name: str, asked: Mapping[str, Any]) -> Any:
        """What a report tells, read now or before (`kept_reports`); the page says which. Raises as its reader does."""
        found = kept_reports.shown(self.hub.engine, name, asked)
        if found.kept:
            self.read_at.append(found.as_of)
        return found.told

    def render(self, template: str, http_status: int = 200, **facts: Any) -> HTMLResponse:
        """The page that a template makes of these facts."""
        path = self.request.url.path
        whole = self.who is not None and http_status < 500 and "hx-request" not in self.request.headers
        values = {"who": self.who, "menu": menu(self.who, path), "path": path, "unreal": self.unreal if whole else []}
        values |= {"asked": self.request.url.query, "views": lambda: self.site.views_of(self)}
        values |= {"read_at": min(self.read_at, default=None), **facts}
        page = self.site.templates.get_template(template).render(values)
        return self._sent(keeping.kept(page, self.kept) if self.kept else page, http_status)

    def _sent(self, page: str, status: int) -> HTMLResponse:
        """The page, compressed where the browser takes that: a long list is a tenth of its length."""
        body, headers = page.encode(), {"Vary": "Accept-Encoding"}
        if len(body) > PLAIN and "gzip" in self.request.headers.get("accept-encoding", ""):
            body, headers = gzip.compress(body, COMPRESSION, mtime=0), headers | {"Content-Encoding": "gzip"}
        return HTMLResponse(body, status, headers)

    def go(self, path: str, *, part: int = 204) -> Response:
        """Sends the browser to another page of ours. `part`: the status where htmx asked for a part."""
        if self.kept:
            path = keeping.address(path, self.kept)
        if "hx-request" in self.request.headers:
            return Response(status_code=part, headers={"HX-Redirect": path})
        return RedirectResponse(path, 303)

    def problem(self, status: int, detail: str) -> Response:
        """A page that says what went wrong."""
        title = TROUBLES.get(status) or HTTPStatus(status).phrase
        return self.render("error.html", status, code=status, title=title, detail=detail)


@dataclass(frozen=True, slots=True)
class Page:
    """A page or what a form of one asks for. `scope`: what its visitor has to be allowed; empty: nothing. `handle` may
    touch the database: it runs in a thread. `file`: the field of the one file that its form may send; `longest`: bytes
    of the whole form; `secrets`: its fields that no page shows again.
    """

    path: str
    handle: Callable[[Visit], Response]
    scope: str = "read"
    method: str = "GET"
    file: str = ""
    longest: int = LONGEST_FORM
    secrets: tuple[str, ...] = ()


def route(site: Site, page: Page) -> Route:
    """The route that serves a page to whoever may see it; others are asked to sign in, or told that they may not."""

    async def endpoint(request: Request) -> Response:
        if page.file and (refusal := await run_in_threadpool(lambda: refused(entered(request)))):
            return refusal  # before anything large is read
        form, file = await _form(request, page) if page.method == "POST" else (NOTHING, b"")
        return await run_in_threadpool(answer, request, form, file)

    def entered(request: Request, form: Mapping[str, str] = NOTHING, file: bytes = b"") -> Visit:
        visit = Visit(site, request, who_is(request, site.hub, site.bound_to), form, file)
        request.state.visit = visit
        return visit

    def refused(visit: Visit) -> Response | None:
        if not page.scope or (visit.who is not None and visit.who.may(page.scope)):
            return None
        if visit.who is None or not visit.who.known:
            return (
                _held(visit, page.secrets) if any(visit.form.values()) else visit.go(_sign_in(visit.request), part=401)
            )
        return visit.problem(403, f"This needs the role {needed(page.scope)}, which {visit.who.name} has not.")

    def answer(request: Request, form: Mapping[str, str], file: bytes) -> Response:
        visit = entered(request, form, file)
        return refused(visit) or page.handle(visit)

    return Route(page.path, endpoint, methods=[page.method])


def _held(visit: Visit, secrets: tuple[str, ...]) -> Response:
    """For a form of who is not signed in any more: keeps what was typed, to be sent again after signing in, but for
    what is secret. A part of a page is kept by its own page, which stays.
    """
    if "hx-request" in visit.request.headers:
        return visit.go(_sign_in(visit.request), part=401)
    sent = {name: value for name, value in visit.form.items() if name not in secrets}
    left_out = any(visit.form.get(name) for name in secrets)
    return visit.render("signing_in/held.html", 401, action=visit.here, sent=sent, left_out=left_out)


def page_number(visit: Visit) -> int:
    """Which page of a list the address asks for, the first one where it asks for none."""
    said = visit.request.query_params.get("page", "")
    return max(1, int(said)) if said.isdecimal() and len(said) < 7 else 1


def needed(scope: str) -> str:
    """The least role that allows what the scope is for."""
    return {"read": "viewer", "revenue": "viewer", "operate": "operator"}.get(scope, "admin")


def _sign_in(request: Request) -> str:
    """Where one signs in, to come back to the page that was asked for; to where one was, who sent a form or asked for a
    part of a page.
    """
    if request.method == "GET" and "hx-request" not in request.headers:
        place = request.scope["raw_path"].decode("ascii", "replace")
        query = request.scope["query_string"].decode("ascii", "replace")
    else:
        came = urlsplit(request.headers.get("hx-current-url") or request.headers.get("referer", ""))
        place, query = (came.path, came.query) if came.netloc == request.headers.get("host") else ("", "")
    asked = f"{place}?{query}" if query else place
    return f"/login?next={quote(asked)}" if asked not in {"", "/"} and len(asked) <= LONGEST_PLACE else "/login"


async def _form(request: Request, page: Page) -> tuple[Mapping[str, str], bytes]:
    """What was sent, and what is in the page's file."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > page.longest:
        raise HTTPException(413, "The form is too long, or does not say how long it is.")
    files = 1 if page.file else 0
    async with request.form(max_files=files, max_fields=MOST_FIELDS, max_part_size=page.longest) as sent:
        came = sent.get(page.file) if page.file else None
        file = await came.read() if isinstance(came, UploadFile) else b""
        return {name: value.strip() for name, value in sent.items() if isinstance(value, str)}, file
