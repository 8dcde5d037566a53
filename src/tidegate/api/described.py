"""The API's description by OpenAPI 3.1: to what each route says of itself, what all of them have in common."""

import threading
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response

from tidegate.api import problems
from tidegate.api.asked_again import WRITES
from tidegate.api.entity_tags import OWN_TAGS, whose
from tidegate.api.examples import BODIES
from tidegate.security.kept_answers import LONGEST_KEY

ADDRESS = "/api/openapi.json"

ABOUT = """
Everything that Tidegate knows and does, for programs.

**Who asks.** `Authorization: Bearer tg_…`; an admin makes tokens on the page Tokens or by `tidegate tokens create`.
Each route names the scope that it needs. A session of the page is no token: its cookie is not heeded here.

**Errors** are `application/problem+json` (RFC 9457) and say what to do.

**Lists** come by pages: `limit` rows, and `next` is what to give as `after` for the following ones; null on the last.

**Asking twice.** A write with an `Idempotency-Key` is done once within 24 hours: who sends the same request with the
same key again gets the same answer, with the header `Idempotent-Replayed`. Another request with that key is refused
(422). One that comes while the first is being done waits for it, for at most ten seconds, then is told so (409).

**What changed meanwhile.** Single things have an `ETag`. `If-None-Match` spares what you have (304); a write with
`If-Match` is done only while the thing is as you read it (412).

Times are ISO 8601 in UTC; amounts are integers in minor units beside their currency.
"""

TAGS = {
    "webhooks": "What Stripe sends.",
    "health": "Whether the process lives and can work.",
    "connections": "Connections to Stripe, and their imports.",
    "runs": "Imports, syncs and other runs.",
    "contacts": "Who the customers are: your accounts and users.",
    "entitlements": "What a contact may use, and what it has used.",
    "catalog": "Features, packages, and what Stripe's prices mean.",
    "subscriptions": "Subscriptions made, changed and ended in Stripe.",
    "revenue": "MRR, its movements, metrics and events.",
    "lifecycle": "Stages, segments, health, alerts, actions, people.",
    "outbound": "Your data written to Stripe.",
    "delivery": "What is told to other systems.",
}

STATUSES = {
    400: "What was sent cannot be read, or not be taken.",
    401: "There is no token, or it is unknown or revoked.",
    402: "The payment was refused.",
    403: "The token lacks the scope.",
    404: "There is no such thing.",
    409: "It does not go with how things stand now.",
    412: "The thing is not as `If-Match` says.",
    413: "The body is too long.",
    422: "The request does not fit; `errors` or `detail` say why.",
    502: "Stripe refused, or what was asked of another system failed.",
    503: "The database or Stripe cannot be reached, or too much waits; try again.",
}

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "lets the request be done once, however often it is sent within 24 hours; a UUID is good",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]+$"},
}


def _condition(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "examples": ['"7c1f2d9a3b4e5f60718293a4"']}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def install(app: FastAPI, things: Iterable[str]) -> None:
    """Lets the application describe itself so. `things`: paths of single things that have entity tags."""
    known, describing = frozenset(things), threading.Lock()

    def openapi() -> dict[str, Any]:
        with describing:
            if app.openapi_schema is None:
                app.openapi_schema = _described(app, known)
        return app.openapi_schema

    def shown() -> Response:
        """In a thread: to put it together takes a second, in which others are answered."""
        return JSONResponse(openapi())

    app.openapi = openapi
    app.add_api_route(ADDRESS, shown, include_in_schema=False)


def _described(app: FastAPI, things: frozenset[str]) -> dict[str, Any]:
    said = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=ABOUT.strip(),
        routes=app.routes,
        servers=[{"url": "/"}],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    used: set[str] = set()
    for path, operations in said["paths"].items():
        for method, operation in operations.items():
            _complete(path, method.upper(), operation, things)
            used.update(operation.get("tags", ()))
    said["tags"] = [{"name": name, "description": told} for name, told in TAGS.items() if name in used]
    parts = said["components"]
    parts["schemas"] = {name: one for name, one in parts["schemas"].items() if "ValidationError" not in name}
    parts["schemas"]["Problem"] = problems.SCHEMA
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    parts["responses"] = {
        f"Problem{status}": {"description": told, "content": content} for status, told in STATUSES.items()
    }
    return said


def _complete(path: str, method: str, operation: dict[str, Any], things: frozenset[str]) -> None:
    """Adds to an operation the errors, headers and examples that it has by what it is."""
    parameters, answers = operation.setdefault("parameters", []), operation["responses"]
    inside = path.startswith("/api/") and not path.startswith("/api/webhooks/")
    thing = whose(path, things) if inside else None
    if inside and method in WRITES:
        parameters.append(_KEY)
        if thing:
            parameters.append(_condition("If-Match", f"the entity tag that `{thing}` had when you read it"))
    if method == "GET" and (path in things or OWN_TAGS in f"{path}/"):
        parameters.append(_condition("If-None-Match", "the entity tag of what you have"))
        tag = {"ETag": {"description": "changes whenever the answer does", "schema": {"type": "string"}}}
        answers["200"].setdefault("headers", {}).update(tag)
        answers["304"] = {"description": "It is as you have it.", "headers": tag}
    if not parameters:
        del operation["parameters"]
    answers.pop("422", None)  # FastAPI's own, which is no problem document
    for status in _errors(path, method, operation, conditional=thing is not None):
        if "content" not in answers.get(str(status), {}):
            answers[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    if example := BODIES.get(f"{method} {path}"):
        operation["requestBody"]["content"]["application/json"]["example"] = example


def _errors(path: str, method: str, operation: dict[str, Any], *, conditional: bool) -> list[int]:
    """The statuses of errors that an operation may be answered with."""
    if path.startswith("/api/webhooks/"):
        return [400, 404, 413, 503]
    if not path.startswith("/api/"):
        return [*([401, 403] if operation.get("security") else []), *([503] if path != "/healthz" else [])]
    found = [401, 403, 404, 409, 422, 503] if operation.get("security") else [404, 422, 503]
    if method in WRITES:
        found += [413, 502, *([412] if conditional else []), *([400] if "requestBody" in operation else [])]
    return found
