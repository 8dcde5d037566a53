"""Builds the application that serves the page."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from jinja2 import Environment
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tidegate.errors import TidegateError, outcome
from tidegate.security import tokens
from tidegate.security.tokens import Token
from tidegate.store.outage import Outage
from tidegate.web import session
from tidegate.web.access import Guard, host_of, is_local, is_loopback
from tidegate.web.assets import Assets
from tidegate.web.session import Attempts
from tidegate.web.status_page import StatusReading
from tidegate.web.templating import environment
from tidegate.wiring import Hub

log = logging.getLogger(__name__)

LONGEST_FORM = 10_000  # bytes


def create_pages(hub: Hub, bound_to: str) -> Starlette:
    """The page of `hub`. `bound_to` is the host that is served: on loopback the page is open, elsewhere one signs in.

    Raises AssetMissing when the assets were not built.
    """
    assets = Assets()
    pages = Pages(hub, bound_to, environment(assets), StatusReading(hub))

    async def static(request: Request) -> Response:
        return assets.answer(request)

    return Starlette(
        routes=[
            Route("/", pages.status),
            Route("/parts/status", pages.status_part),
            Route("/login", pages.login_form),
            Route("/login", pages.login, methods=["POST"]),
            Route("/logout", pages.logout, methods=["POST"]),
            Route("/static/{name}", static),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={
            HTTPException: pages.of_http,
            TidegateError: pages.of_error,
            DBAPIError: pages.of_database,
            Exception: pages.unexpected,
        },
    )


@dataclass
class Pages:
    """The handlers, with what they share. Those that touch the database are sync: they run in threads."""

    hub: Hub
    bound_to: str
    templates: Environment
    reading: StatusReading
    attempts: Attempts = field(default_factory=Attempts)
    outage: Outage = field(default_factory=lambda: Outage(log))

    def status(self, request: Request) -> Response:
        """The whole page."""
        return self._for_viewers(request, lambda: self._render("status.html", request, **self.reading.facts()))

    def status_part(self, request: Request) -> Response:
        """What htmx puts in its place every few seconds."""
        return self._for_viewers(request, lambda: self._render("parts/status.html", request, **self.reading.facts()))

    def login_form(self, request: Request) -> Response:
        """Asks for a token; who may see the page already is sent there."""
        if self._may_see(request):
            return RedirectResponse("/", 303)
        return self._login_page(request)

    async def login(self, request: Request) -> Response:
        """Takes the token and sets the cookie; what is wrong is said beside the field."""
        address = request.client.host if request.client else ""
        if not _secure(request):
            return self._login_page(request, "Signing in needs HTTPS.", 403)
        if self.attempts.exhausted(address):
            return self._login_page(request, "Too many failed tries from your address. Wait a minute.", 429)
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > LONGEST_FORM:
            raise HTTPException(413, "The form is too long, or does not say how long it is.")
        async with request.form(max_files=0, max_fields=5) as form:
            given = str(form.get("token", "")).strip()
        token = await run_in_threadpool(self._verified, given)
        if token is None or not token.may("read"):
            self.attempts.failed(address)
            wrong = "This token is unknown or was revoked." if token is None else "This token lacks the scope read."
            return self._login_page(request, wrong, 401)
        response = RedirectResponse("/", 303)
        session.begin(response, self.hub, token)
        return response

    def logout(self, request: Request) -> Response:
        """Takes the cookie back."""
        response = RedirectResponse("/login", 303)
        session.end(response)
        return response

    def of_http(self, request: Request, error: Exception) -> Response:
        """A page for errors of HTTP itself."""
        assert isinstance(error, HTTPException)
        detail = "There is nothing at this address." if error.status_code == 404 else error.detail
        return self._error_page(request, error.status_code, detail)

    def of_error(self, request: Request, error: Exception) -> Response:
        """A page for our own errors: their words, which say what to do."""
        assert isinstance(error, TidegateError)
        return self._error_page(request, outcome(error)[1], str(error))

    def of_database(self, request: Request, error: Exception) -> Response:
        """A page for a database that does not answer."""
        self.outage.note("the page failed at the database", error)
        return self._error_page(request, 503, "The database could not be reached or did not answer in time.")

    def unexpected(self, request: Request, error: Exception) -> Response:
        """A page for what was not foreseen; the log has the rest."""
        log.error("page_failed", exc_info=error)
        return self._error_page(request, 500, "Tidegate failed unexpectedly; its log says how.")

    def _may_see(self, request: Request) -> bool:
        request.state.token = session.current(request, self.hub)
        return is_local(request, self.bound_to) or _reads(request.state.token)

    def _for_viewers(self, request: Request, answer: Callable[[], Response]) -> Response:
        if self._may_see(request):
            return answer()
        if "hx-request" in request.headers:
            return Response(status_code=401, headers={"HX-Redirect": "/login"})
        return RedirectResponse("/login", 303)

    def _verified(self, given: str) -> Token | None:
        with self.hub.engine.begin() as db:
            return tokens.verify(db, given)

    def _login_page(self, request: Request, wrong: str = "", status: int = 200) -> Response:
        return self._render("login.html", request, status, wrong=wrong, secure=_secure(request))

    def _error_page(self, request: Request, status: int, detail: str) -> Response:
        return self._render("error.html", request, status, code=status, title=HTTPStatus(status).phrase, detail=detail)

    def _render(self, template: str, request: Request, status_code: int = 200, **facts: Any) -> Response:
        token = getattr(request.state, "token", None)
        return HTMLResponse(self.templates.get_template(template).render(token=token, **facts), status_code)


def _reads(token: Token | None) -> bool:
    return token is not None and token.may("read")


def _secure(request: Request) -> bool:
    """Whether a cookie for secure connections comes back: over HTTPS, or on this machine, where browsers allow it."""
    return request.url.scheme == "https" or is_loopback(host_of(request.headers))
