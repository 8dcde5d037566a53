"""The pages of what the hub does by itself: what runs when, and what is kept for how long."""

from datetime import UTC, datetime
from typing import NamedTuple

from starlette.responses import Response

from tidegate.connections import accounts
from tidegate.settings import Settings, variable
from tidegate.web.pages import Page, Visit
from tidegate.workflows.operation import schedules
from tidegate.workflows.operation.capacity import workers_alive


class Kept(NamedTuple):
    """What is kept, how many days (None: for ever) and by which setting; empty: by none."""

    what: str
    days: int | None
    setting: str = ""


KEPT = {
    "inbox": "Events, once they are handled; those that wait or are parked stay",
    "jobs": "Background tasks that are finished",
    "runs": "Imports, sweeps, audits but for the last of each; revoked tokens; digests; what actions passed over",
    "usage": "Single debits of usage, with their keys; what is used in all stays counted",
    "outbox": "What was told to destinations, and messages that none took",
    "movements": "Movements of MRR that a recomputation superseded; those that hold stay",
    "requests": "Requests of syncs with what they changed: until then a run can be taken back",
    "lifecycle": "Stages and segments that were left, older scores of health, alerts that are over",
}
FOR_EVER = (
    "Versions of Stripe's objects, which the history of revenue is made of",
    "Contacts, their links and notes, until a contact is forgotten",
    "Who changed what",
)


def planned(visit: Visit) -> Response:
    """What runs when, with the last and the next time."""
    said = visit.hub.settings
    with visit.hub.engine.connect() as db:
        rows = schedules.listing(db, accounts.every(db), poll_seconds=said.poll_seconds, sweep_hour=said.sweep_hour)
        alive = workers_alive(db)
    return visit.render("settings/schedules.html", rows=rows, workers=alive, as_of=datetime.now(UTC))


def retained(visit: Visit) -> Response:
    """What is kept for how long, and which setting says so."""
    return visit.render("settings/retention.html", kept=kept(visit.hub.settings), for_ever=FOR_EVER)


def kept(settings: Settings) -> list[Kept]:
    """Everything that goes by itself, the shortest kept first."""
    rows = [Kept(KEPT[name], days, variable(f"retention_{name}_days")) for name, days in settings.retention.items()]
    return sorted([Kept("Answers to requests with an Idempotency-Key", 1), *rows], key=lambda one: one.days or 0)


PAGES = (Page("/schedules", planned), Page("/retention", retained))
