"""The endpoint of Stripe's webhooks: signature first, then durable, then 200; handling comes later and elsewhere."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from tidegate.api.committer import Committer
from tidegate.api.known import FRESH, LASTING, Known, KnownConnections
from tidegate.errors import BodyTooLarge, ConnectionUnknown, EventRefused, SignatureInvalid
from tidegate.mirror.events import AUTHORIZATIONS
from tidegate.mirror.inbox import Entry
from tidegate.stripe_api import signature
from tidegate.stripe_api.shapes.read import Event, Unreadable, read_event

router = APIRouter(tags=["webhooks"])

ANSWERS = {new: b'{"received":true,"new":%s}' % (b"true" if new else b"false") for new in (True, False)}


@router.post(
    "/api/webhooks/stripe/{connection:segment}",
    response_class=Response,
    responses={200: {"content": {"application/json": {"example": {"received": True, "new": True}}}}},
)
async def receive(connection: Annotated[str, Path(description="name of the connection")], request: Request) -> Response:
    """Stores an event that Stripe signed, and answers once it is durable; `new` is false when it was known already."""
    try:
        return Response(ANSWERS[await _taken(connection, request)], media_type="application/json")
    except Exception as error:
        request.app.state.requests.refused(error)
        raise


async def _taken(connection: str, request: Request) -> bool:
    """Stores the event; whether it was new."""
    state = request.app.state
    known: KnownConnections = state.known
    committer: Committer = state.committer
    settings = state.hub.settings
    header = request.headers.get("stripe-signature")
    await _cheap_checks(known, connection, header)
    body = await bounded(request, settings.webhook_max_bytes)
    one = await _signed(known, connection, body, header, settings.webhook_tolerance)
    event = read_event(body)
    if _of_new_account(event, one):
        one = await known.get(connection, FRESH)
    entry = entry_of(event, connection, one, body)
    return await committer.offer(entry)


async def _cheap_checks(known: KnownConnections, connection: str, header: str | None) -> None:
    """What can be refused before the body is read."""
    if not header:
        raise SignatureInvalid(problem="the header Stripe-Signature is missing")
    try:
        await known.get(connection)
    except ConnectionUnknown:
        await known.get(connection, FRESH)


async def bounded(request: Request, limit: int) -> bytes:
    """The body. Raises BodyTooLarge as soon as it is known to be, by its announced or its real length."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:12]) > limit:
        raise BodyTooLarge(limit=limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit=limit)
        chunks.append(chunk)
    return b"".join(chunks)


async def _signed(known: KnownConnections, connection: str, body: bytes, header: str | None, tolerance: int) -> Known:
    """The connection, once the signature fits; secrets are read again before one is refused."""
    for age in (LASTING, FRESH):
        one = await known.get(connection, age)
        try:
            signature.verify(body, header, one.secrets, tolerance)
        except SignatureInvalid:
            if age == FRESH:
                raise
            continue
        return one
    raise AssertionError("unreachable")


def _of_new_account(event: Event | Unreadable, known: Known) -> bool:
    """Whether an event is about an account that was no connection of the platform when the connections were read."""
    if isinstance(event, Unreadable) or known.connected is None or event.account in (None, known.account):
        return False
    return event.account not in known.connected


def entry_of(event: Event | Unreadable, connection: str, known: Known, body: bytes) -> Entry:
    """The event as the inbox keeps it. Raises EventRefused for what is no event, or one of another account or mode.

    `account` stands only in events that a platform is sent about the accounts connected to it
    (docs.stripe.com/connect/webhooks): those go to the connections of the accounts.
    """
    if isinstance(event, Unreadable):
        raise EventRefused(connection=connection, problem=f"{event.reason}. Send snapshot events, not thin ones.")
    if not event.id or "\0" in event.id or "\0" in event.type:
        raise EventRefused(connection=connection, problem="its id or type is empty or no text.")
    if event.account is not None and event.account != known.account:
        if known.connected is not None:
            return _of_account(event, event.account, connection, known, known.connected, body)
        raise EventRefused(
            connection=connection,
            problem=f"it is about the account {event.account} and the connection is {known.account}. "
            "Register this address for events of your own account, not of connected accounts.",
        )
    if event.livemode is not None and event.livemode != known.livemode:
        sent, wanted = ("live", "test") if event.livemode else ("test", "live")
        raise EventRefused(
            connection=connection,
            problem=f"it is a {sent}-mode event and the connection is in {wanted} mode. "
            f"Register this address under the {wanted}-mode webhooks of Stripe's dashboard.",
        )
    whose = (known.account, known.livemode)
    return Entry(connection, event.id, event.type, event.created, "webhook", body.decode(), *whose)


def _of_account(
    event: Event, account: str, platform: str, known: Known, connected: Mapping[str, str], body: bytes
) -> Entry:
    """The event of an account of a platform, in the inbox of the account's connection.

    What has none is kept with the platform and the reason, and not refused: Stripe switches off an endpoint that keeps
    refusing. To a live endpoint it sends events of test mode, too. The platform itself is told who comes and goes; of
    an app each account's own connection.
    """
    skipped = ""
    if event.livemode is not None and event.livemode != known.livemode:
        sent, wanted = ("live", "test") if event.livemode else ("test", "live")
        skipped = f"a {sent}-mode event of {account}, and the platform is connected in {wanted} mode"
    elif known.app or event.type not in AUTHORIZATIONS:
        if name := connected.get(account):
            return Entry(name, event.id, event.type, event.created, "webhook", body.decode(), account, known.livemode)
        what = "app" if known.app else "platform"
        skipped = f"{account} is no connection of this {what}, or is disconnected"
    whose = (known.account, known.livemode)
    return Entry(platform, event.id, event.type, event.created, "webhook", body.decode(), *whose, skipped)
