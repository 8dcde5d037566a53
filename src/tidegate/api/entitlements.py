"""Entitlements over HTTP: what a contact may use, its usage, and what people give it beside Stripe."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from tidegate.api.asked_again import key_of
from tidegate.api.auth import HubOf, hub_of, recent_token, requires, requires_recent
from tidegate.api.entitlement_models import (
    Answer,
    Confirm,
    Consume,
    OverrideGiven,
    Overrides,
    Release,
    Reserve,
    UsageSet,
    Used,
)
from tidegate.api.paging import After, Limit, page
from tidegate.api.recent import Recent
from tidegate.api.together import Together
from tidegate.errors import UsageInvalid
from tidegate.security.tokens import Token
from tidegate.wiring import Hub
from tidegate.workflows.entitlements import entitlements as workflow
from tidegate.workflows.entitlements import explain
from tidegate.workflows.entitlements.entitlements import Check, Use

router = APIRouter(prefix="/api/contacts/{contact:segment}", tags=["entitlements"])

REF = "any id of the contact: `acme`, or `account:acme` where a user has the same"
CONNECTION = "name; says which mode, live or test, where there are connections of both"
Ref = Annotated[str, Path(description=REF)]
Named = Annotated[str | None, Query(alias="connection", description=CONNECTION)]
MODE_SECONDS = 5.0
MAY_USE = requires_recent("entitlements")


class Desk:
    """What the requests of an application share: the threads that check and count for them."""

    def __init__(self, hub: Hub) -> None:
        engine = hub.desk
        self.checks = Together[Check]("entitlement-checks", lambda asks: workflow.check(engine, asks))
        self.uses = Together[Use]("entitlement-usage", lambda asks: workflow.use(engine, asks))

    def start(self) -> None:
        """Begins; once."""
        self.checks.start()
        self.uses.start()

    def stop(self) -> None:
        """Does what waits, then ends."""
        self.checks.stop()
        self.uses.stop()


def desk_of(request: Request) -> Desk:
    """The desk of the application."""
    return request.app.state.desk


def recent_modes() -> Recent[str | None, bool]:
    """Where `livemode_of` keeps what it looked up; one of each application."""
    return Recent(MODE_SECONDS)


async def livemode_of(request: Request, connection: str | None) -> bool:
    """Which mode's contacts are meant; looked up at most every 5 s."""
    recent: Recent[str | None, bool] = request.app.state.recent_modes
    known = recent.get(connection)
    if known is not None:
        return known
    began, hub = recent.now(), hub_of(request)
    found = await run_in_threadpool(hub.livemode, connection)
    recent.put(connection, found, began)
    return found


def tagged(said: dict[str, Any], known: str | None) -> Response:
    """The answer with its entity tag, or 304 when the caller has it already."""
    body = msgspec.json.encode(said)
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    if known is not None and (tag in known or known.strip() == "*"):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def described(
    *parameters: tuple[str, str, str], scopes: Sequence[str], body: type[BaseModel] | None = None
) -> dict[str, Any]:
    """What OpenAPI says of a route that reads its request itself: FastAPI's way of reading it takes as long as all else
    that a check does.
    """
    said: dict[str, Any] = {"security": [{"HTTPBearer": [scope]} for scope in scopes], "parameters": []}
    for where, name, told in (("path", "contact", REF), *parameters, ("query", "connection", CONNECTION)):
        said["parameters"].append({"in": where, "name": name, "required": where == "path", "description": told})
        said["parameters"][-1]["schema"] = {"type": "boolean" if name == "explain" else "string"}
    if body is not None:
        said["requestBody"] = {"content": {"application/json": {"schema": body.model_json_schema()}}}
    return said


@router.get("/entitlements", response_model=Answer, openapi_extra=described(scopes=("entitlements", "read")))
async def every(request: Request) -> Response:
    """What the contact may use, feature by feature, under `features`. With an `ETag`; `If-None-Match` is heeded."""
    await recent_token(request, "entitlements", "read")
    livemode = await livemode_of(request, request.query_params.get("connection"))
    said = await desk_of(request).checks.do(Check(livemode, request.path_params["contact"]))
    return tagged(said, request.headers.get("if-none-match"))


@router.get(
    "/entitlements/{feature:segment}",
    response_model=Answer,
    openapi_extra=described(
        ("path", "feature", "key of the feature"),
        ("query", "explain", "`true`: with `paths`, the names of all on the way from the contact to the feature"),
        scopes=("entitlements", "read"),
    ),
)
async def one(request: Request) -> Response:
    """Whether the contact may use the feature (`granted`), why (`reason`, `sources`), how much is left and until when.

    With an `ETag`; `If-None-Match` is heeded. A contact or feature that there is not is answered with 404 and its
    `reason`.
    """
    await recent_token(request, "entitlements", "read")
    asked, query = request.path_params, request.query_params
    livemode = await livemode_of(request, query.get("connection"))
    if _truth("explain", query.get("explain", "false")):
        engine = hub_of(request).engine
        said = await run_in_threadpool(explain.entitlement, engine, livemode, asked["contact"], asked["feature"])
    else:
        said = await desk_of(request).checks.do(Check(livemode, asked["contact"], asked["feature"]))
    return tagged(said, request.headers.get("if-none-match"))


def _truth(name: str, said: str) -> bool:
    if said not in {"true", "false", "1", "0"}:
        raise RequestValidationError([{"loc": ("query", name), "msg": "say true or false", "type": "bool_parsing"}])
    return said in {"true", "1"}


async def _use(request: Request, connection: str | None, contact: str, feature: str, **order: Any) -> Response:
    livemode = await livemode_of(request, connection)
    order["key"] = order["key"] or key_of(request.scope)
    done = await desk_of(request).uses.do(Use(livemode, contact, feature, **order))
    return Response(msgspec.json.encode(done), media_type="application/json")


@router.post(
    "/entitlements/{feature:segment}/consume",
    response_model=Used,
    openapi_extra=described(("path", "feature", "key of a metered feature"), scopes=("entitlements",), body=Consume),
)
async def consume(request: Request) -> Response:
    """Checks and debits in one: either all of the amount is debited (`allowed`), or nothing, and `reason` says why.
    What `happened` already is counted whatever is left.
    """
    await recent_token(request, "entitlements")
    try:
        wanted = Consume.model_validate_json(await request.body() or b"{}")
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from error
    asked = request.path_params
    order = {"operation": "consume", "amount": wanted.amount, "key": wanted.idempotency_key}
    order["happened"] = wanted.happened
    return await _use(request, request.query_params.get("connection"), asked["contact"], asked["feature"], **order)


@router.post("/entitlements/{feature:segment}/usage", response_model=Used, dependencies=[MAY_USE])
async def usage(request: Request, contact: Ref, feature: str, wanted: UsageSet, connection: Named = None) -> Response:
    """Makes the usage what you counted yourself; more than is left is refused."""
    return await _use(
        request, connection, contact, feature, operation="set", amount=wanted.set, key=wanted.idempotency_key
    )


@router.post("/entitlements/{feature:segment}/reserve", response_model=Used, dependencies=[MAY_USE])
async def reserve(request: Request, contact: Ref, feature: str, wanted: Reserve, connection: Named = None) -> Response:
    """Debits an amount for work whose size is known later, and answers with the number of the `reservation`. What is
    neither confirmed nor released by `expires_at` is given back.
    """
    order = {"operation": "reserve", "amount": wanted.amount, "key": wanted.idempotency_key, "seconds": wanted.seconds}
    return await _use(request, connection, contact, feature, **order)


@router.post("/entitlements/{feature:segment}/release", response_model=Used, dependencies=[MAY_USE])
async def release(request: Request, contact: Ref, feature: str, wanted: Release, connection: Named = None) -> Response:
    """Gives units back, such as a seat that was freed; or lets a reservation go."""
    if (wanted.amount is None) is (wanted.reservation is None):
        raise UsageInvalid(problem="say either the amount to give back or the reservation to release.")
    if wanted.reservation is not None:
        return await _settle(request, connection, contact, feature, wanted.reservation, 0)
    return await _use(
        request, connection, contact, feature, operation="release", amount=wanted.amount, key=wanted.idempotency_key
    )


@router.post("/entitlements/{feature:segment}/confirm", response_model=Used, dependencies=[MAY_USE])
async def confirm(request: Request, contact: Ref, feature: str, wanted: Confirm, connection: Named = None) -> Response:
    """Turns a reservation into usage of what was really used; the rest is given back."""
    return await _settle(request, connection, contact, feature, wanted.reservation, wanted.amount)


async def _settle(
    request: Request, connection: str | None, contact: str, feature: str, reservation: int, amount: int | None
) -> Response:
    livemode = await livemode_of(request, connection)
    engine = request.app.state.hub.engine
    done = await run_in_threadpool(workflow.settle, engine, livemode, contact, feature, reservation, amount)
    return Response(msgspec.json.encode(done), media_type="application/json")


@router.get("/overrides", dependencies=[requires("read")])
def overrides(hub: HubOf, contact: Ref, connection: Named = None, limit: Limit = 100, after: After = None) -> Overrides:
    """The overrides that the contact has or had, newest first."""
    found = workflow.overrides_of(hub.engine, hub.livemode(connection), contact)
    shown, following = page(found, "id", limit, after)
    return Overrides(overrides=[*map(dict, shown)], next=following)


@router.post("/overrides", status_code=201)
def give(
    hub: HubOf,
    contact: Ref,
    given: OverrideGiven,
    token: Annotated[Token, requires("operate")],
    connection: Named = None,
) -> dict[str, Any]:
    """Gives the contact a package, or a feature on terms of its own, for good or until `expires_at`."""
    what = given.model_dump()
    return workflow.give(hub.engine, hub.livemode(connection), contact, by=token.name, **what)


@router.delete("/overrides/{override:segment}")
def revoke(
    hub: HubOf, contact: Ref, override: int, token: Annotated[Token, requires("operate")], connection: Named = None
) -> dict[str, Any]:
    """Ends an override at once; what other sources give stays."""
    return workflow.revoke(hub.engine, hub.livemode(connection), override, token.name, contact)
