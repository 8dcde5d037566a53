"""The pages of destinations: how each stands, what failed and why, dead letters sent again, and tests."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from tidegate.delivery import backlog
from tidegate.errors import DeliveryUnknown, DestinationUnknown, TidegateError
from tidegate.web import csv_answers
from tidegate.web.pages import Page, Visit
from tidegate.web.wording import destination_page
from tidegate.workflows.delivery import destinations, destinations_past, destinations_tried
from tidegate.workflows.doorbell import Doorbell
from tidegate.workflows.lifecycle.lifecycle import now

DEAD = 50
"""Dead letters of a page."""
FAILING = 50
LISTED = (
    "key", "kind", "mode", "state", "delivered", "waiting", "dead", "failing_since", "last_at", "error", "managed_by",
)  # fmt: skip
STATES = {"waiting": "Waiting", "failing": "Failing", "dead": "Dead letters", "delivered": "Delivered of late"}
EXPORTED = (
    "delivery",
    "type",
    "contact",
    "status",
    "error",
    "attempts",
    "at",
    "next_try_at",
    "failing_since",
    "died_at",
)


def listing(visit: Visit) -> Response:
    """All of them by key, with how they stand."""
    with visit.hub.engine.connect() as db:
        found, at, late = destinations.listing(db), now(db), backlog.late(db)
    return visit.render("delivery/destinations.html", destinations=found, as_of=at, late=late)


def exported(visit: Visit) -> list[dict[str, Any]]:
    """The same for a file."""
    with visit.hub.engine.connect() as db:
        return destinations.listing(db)


def one(visit: Visit) -> Response:
    """A destination: its state, what failed, its dead letters, what it took of late."""
    return _shown(visit)


def deliveries(visit: Visit) -> Response:
    """What waits for a destination, failed there, is a dead letter, or was taken of late, page by page."""
    key, state = _key(visit), _state(visit)
    after = visit.request.query_params.get("after", "")
    start = int(after) if after.isdecimal() and len(after) < 19 else 0
    with visit.hub.engine.connect() as db:
        row, at = destinations.shown(db, key), now(db)
        found = _read(db, key, state, start, DEAD + 1)
    more = str(found[DEAD - 1]["delivery"]) if len(found) > DEAD else ""
    facts: dict[str, Any] = {
        "one": row,
        "as_of": at,
        "rows": found[:DEAD],
        "more": more,
        "state": state,
        "states": STATES,
    }
    return visit.render("delivery/deliveries.html", **facts)


def deliveries_exported(visit: Visit) -> Response:
    """All of them as CSV."""
    key, state = _key(visit), _state(visit)
    with visit.hub.engine.connect() as db:
        destinations.shown(db, key)
        rows = _read(db, key, state, 0, None)
    return csv_answers.answer(f"{key}-{state}", EXPORTED, iter(rows))


def test(visit: Visit) -> Response:
    """Sends a sample at once, and says what came of it."""
    key = _key(visit)
    try:
        with visit.hub.engine.connect() as db:
            destination = visit.hub.destination(db, key)
            message = destinations_tried.sample(db, destination)
        found = destinations_tried.test(destination, message)
    except DestinationUnknown:
        raise
    except TidegateError as error:
        return _shown(visit, 422, refused=str(error))
    status = f" (HTTP {found['status']})" if found["status"] else ""
    return _shown(visit, told=f"It took {found['type']} {found['id']}{status}.")


def preview(visit: Visit) -> Response:
    """What would be sent next, exactly; nothing is sent."""
    try:
        with visit.hub.engine.connect() as db:
            messages = destinations_tried.preview(db, visit.hub.destination(db, _key(visit)))
    except DestinationUnknown:
        raise
    except TidegateError as error:
        return _shown(visit, 422, refused=str(error))
    return _shown(visit, messages=messages)


def pause(visit: Visit) -> Response:
    """Sends it nothing from now on."""
    with visit.hub.engine.begin() as db:
        destinations.pause(db, _key(visit), visit.actor)
    return visit.go(destination_page(_key(visit)))


def resume(visit: Visit) -> Response:
    """Sends it what waits, in its order."""
    with visit.hub.engine.begin() as db:
        destinations.resume(db, _key(visit), visit.actor)
        _ring(visit, db)
    return visit.go(destination_page(_key(visit)))


def replay(visit: Visit) -> Response:
    """Sends dead letters again: one, or all."""
    said = visit.form.get("delivery", "")
    try:
        with visit.hub.engine.begin() as db:
            chosen = [int(said) if said.isdecimal() and len(said) < 19 else 0] if said else None
            count = destinations.replay(db, _key(visit), visit.actor, chosen)
            _ring(visit, db)
    except DeliveryUnknown as error:
        return _shown(visit, 422, refused=str(error))
    return _shown(visit, told=f"{count:,} sent again as soon as a worker is free.")


def backfill(visit: Visit) -> Response:
    """Makes the past due: says how much first, and does it with `do=send`."""
    said, since = visit.form.get("since", ""), None
    if said:
        try:
            since = datetime.fromisoformat(said)
        except ValueError:
            return _shown(visit, 422, wrong_since="It is a day such as 2026-03-01.", past_since=said)
        since = since if since.tzinfo else since.replace(tzinfo=UTC)
    send = visit.form.get("do") == "send"
    with visit.hub.engine.begin() as db:
        destination = visit.hub.destination(db, _key(visit))
        found = destinations_past.backfill(db, destination, since, visit.actor, only_preview=not send)
        if send:
            _ring(visit, db)
    if send:
        return _shown(visit, told="What was counted is due now, and is sent in its order.")
    return _shown(visit, past=found, past_since=said)


def remove(visit: Visit) -> Response:
    """Removes a destination with what waits for it."""
    try:
        with visit.hub.engine.begin() as db:
            destinations.remove(db, _key(visit), visit.actor)
    except DestinationUnknown:
        raise
    except TidegateError as error:
        return _shown(visit, 422, refused=str(error))
    return visit.go("/destinations")


PAGES = (
    Page("/destinations", listing),
    Page("/destinations.csv", csv_answers.of("destinations", LISTED, exported)),
    Page("/destinations/{key:str}", one),
    Page("/destinations/{key:str}/deliveries", deliveries, "operate"),
    Page("/destinations/{key:str}/deliveries.csv", deliveries_exported, "operate"),
    Page("/destinations/{key:str}/test", test, "operate", "POST"),
    Page("/destinations/{key:str}/preview", preview, "operate", "POST"),
    Page("/destinations/{key:str}/pause", pause, "operate", "POST"),
    Page("/destinations/{key:str}/resume", resume, "operate", "POST"),
    Page("/destinations/{key:str}/replay", replay, "operate", "POST"),
    Page("/destinations/{key:str}/backfill", backfill, "admin", "POST"),
    Page("/destinations/{key:str}/remove", remove, "admin", "POST"),
)


def _key(visit: Visit) -> str:
    return visit.request.path_params["key"]


def _state(visit: Visit) -> str:
    said = visit.request.query_params.get("state", "")
    return said if said in STATES else "waiting"


def _read(db: Connection, key: str, state: str, after: int, limit: int | None) -> list[dict[str, Any]]:
    if state == "dead":
        return backlog.dead(db, key, after=after, limit=limit)
    if state == "delivered":
        return backlog.delivered(db, key, before=after or None, limit=limit)
    return backlog.waiting(db, key, failing=state == "failing", after=after, limit=limit)


def _ring(visit: Visit, db: Any) -> None:
    Doorbell(visit.hub.engine).ring("deliver", connection="", db=db)


def _shown(visit: Visit, status: int = 200, **told: object) -> Response:
    key, after = _key(visit), visit.request.query_params.get("after", "")
    may_see = visit.who is not None and visit.who.may("operate")
    with visit.hub.engine.connect() as db:
        row, at = destinations.shown(db, key), now(db)
        start = int(after) if after.isdecimal() and len(after) < 19 else 0
        dead = backlog.dead(db, key, after=start, limit=DEAD + 1) if may_see else []
        facts: dict[str, Any] = {
            "one": row, "as_of": at, "dead": dead[:DEAD],
            "more": str(dead[DEAD - 1]["delivery"]) if len(dead) > DEAD else "",
            "failing": backlog.failing(db, key, FAILING), "delivered": backlog.delivered(db, key),
            "late": backlog.late(db),
        }  # fmt: skip
    beside: dict[str, object] = {
        "refused": "", "told": "", "messages": None, "past": None, "past_since": "", "wrong_since": "",
    }  # fmt: skip
    return visit.render("delivery/destination.html", status, **facts, **{**beside, **told})
