"""Turns every error into application/problem+json (RFC 9457)."""

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from tidegate.api.segments import readable
from tidegate.errors import (
    CatalogUnknown,
    ContactUnknown,
    DatabaseBusy,
    HubBusy,
    InboxBusy,
    ScopeMissing,
    TextInvalid,
    TidegateError,
    outcome,
)
from tidegate.store.outage import Outage
from tidegate.store.trouble import has_too_many_digits, held_by_others, told, was_given_nul

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
NOT_DONE = (TidegateError, DBAPIError, PoolTimeoutError)
"""What a middleware may meet before the application does anything."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong, and how to mend it (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:tidegate:problem:connection-unknown"]},
        "title": {"type": "string", "examples": ["Connection unknown"]},
        "status": {"type": "integer", "examples": [404]},
        "detail": {"type": "string", "examples": ["There is no connection named eu. Known: us."]},
        "reason": {
            "type": "string",
            "description": "what there is not, with status 404 or 405",
            "examples": ["contact_not_found", "feature_not_found", "route_not_found"],
        },
        "errors": {
            "type": "array",
            "description": "the fields that do not fit, with status 422",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
    },
}
"""How an error looks, for OpenAPI."""


def problem(
    status: int, detail: str, *, kind: str = "", headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """A problem document; `kind` is the class name of one of our errors, empty for an error of HTTP itself."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
    content = {
        "type": f"urn:tidegate:problem:{words.replace(' ', '-')}" if kind else "about:blank",
        "title": words.capitalize() if kind else HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    return JSONResponse(content, status, headers, MEDIA_TYPE)


def of_error(error: TidegateError) -> JSONResponse:
    """The problem document of one of our errors, with the headers that its status asks for."""
    status = outcome(error)[1]
    headers: dict[str, str] = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="tidegate"'
    if isinstance(error, ScopeMissing):
        headers["WWW-Authenticate"] = (
            f'Bearer realm="tidegate", error="insufficient_scope", scope="{error.facts["needed"]}"'
        )
    if isinstance(error, DatabaseBusy | HubBusy | InboxBusy):
        headers["Retry-After"] = str(RETRY_SECONDS)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        headers["Connection"] = "close"  # the rest of the body is not read
    return problem(status, _told(error), kind=type(error).__name__, headers=headers, **_reason(error))


def _reason(error: TidegateError) -> dict[str, str]:
    """What a check answers with instead of an entitlement (semantics, Usage)."""
    if isinstance(error, ContactUnknown):
        return {"reason": "contact_not_found"}
    if isinstance(error, CatalogUnknown) and error.facts.get("what") == "feature":
        return {"reason": "feature_not_found"}
    return {}


def _of_route(request: Request, error: HTTPException, headers: Mapping[str, str] | None) -> tuple[str, dict[str, str]]:
    """What is told of a path or a method that the API does not have, and the reason; of others their own detail."""
    path = readable(request.scope["path"])
    if error.status_code == HTTPStatus.NOT_FOUND:
        told = f"There is no route {request.method} {path}. /api/openapi.json lists those that there are."
        return told, {"reason": "route_not_found"}
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        told = f"{path} takes no {request.method}, but {(headers or {}).get('Allow', 'other methods')}."
        return told, {"reason": "method_not_allowed"}
    return error.detail, {}


def methods(routes: Sequence[APIRoute], path: str) -> list[str]:
    """What may be asked of a path; Starlette tells of the first route that fits alone."""
    first = next((one.path_format for one in routes if one.path_regex.match(path)), None)
    return sorted({method for one in routes if one.path_format == first for method in one.methods or ()})


def is_route(scope: Scope) -> bool:
    """Whether the API takes this method at this path."""
    return scope["method"] in methods(scope["app"].state.routes, scope["path"])


def _told(error: TidegateError) -> str:
    """The error's words; what names an option of the command line names the parameter of a request instead."""
    return str(error).replace("`--connection NAME`", "`?connection=NAME`")


def of_any(app: FastAPI, error: Exception) -> JSONResponse:
    """The problem document of an error that a middleware met. Raises what is none of ours nor the database's."""
    if isinstance(error, TidegateError):
        return of_error(error)
    if isinstance(error, DBAPIError | PoolTimeoutError):
        return app.state.of_database(None, error)
    raise error


def install(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Lets the application, which serves these routes, answer every error as a problem document."""
    app.state.routes = routes
    outage = Outage(log)

    def ours(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, TidegateError)
        return of_error(error)

    def of_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        headers = error.headers
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"Allow": ", ".join(methods(request.app.state.routes, request.scope["path"]))}
        detail, more = _of_route(request, error, headers)
        return problem(error.status_code, detail, headers=headers, **more)

    def misfit(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        fields = [
            {"field": ".".join(str(part) for part in one["loc"]), "problem": str(one["msg"])} for one in error.errors()
        ]
        said = "; ".join(f"{one['field']}: {one['problem']}" for one in fields)
        return problem(422, f"The request does not fit: {said}", errors=fields)

    def of_database(_request: Request | None, error: Exception) -> JSONResponse:
        if held_by_others(error):
            return of_error(DatabaseBusy(what="what was asked for", problem=told(error), tries=1))
        if was_given_nul(error):
            return of_error(TextInvalid())
        outage.note("a request failed at the database", error)
        said = "The database could not be reached or did not answer in time. Try again soon."
        return problem(503, said, kind="DatabaseUnreachable", headers={"Retry-After": str(RETRY_SECONDS)})

    def of_value(_request: Request, error: Exception) -> JSONResponse:
        if has_too_many_digits(error):
            return problem(422, "A number in what was asked for is beyond all that there can be.")
        raise error

    def gone(_request: Request, _error: Exception) -> Response:
        return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody hears it

    def unexpected(_request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected error", exc_info=error)
        return problem(500, "Tidegate failed unexpectedly; its log says how.")

    app.state.of_database = of_database
    app.add_exception_handler(TidegateError, ours)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, misfit)
    app.add_exception_handler(DBAPIError, of_database)
    app.add_exception_handler(PoolTimeoutError, of_database)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(ValueError, of_value)
    app.add_exception_handler(Exception, unexpected)
