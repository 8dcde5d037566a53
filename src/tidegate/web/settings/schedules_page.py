"""The pages of what the hub does by itself: what runs when, and what is kept for how long."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from starlette.responses import Response

from tidegate.connections import accounts
from tidegate.settings import Settings, variable
from tidegate.web import csv_answers
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
    rows = _planned(visit)
    with visit.hub.engine.connect() as db:
        alive = workers_alive(db)
    return visit.render("settings/schedules.html", rows=rows, workers=alive, as_of=datetime.now(UTC))


def _planned(visit: Visit) -> list[dict[str, Any]]:
    said = visit.hub.settings
    with visit.hub.engine.connect() as db:
        return schedules.listing(db, accounts.every(db), poll_seconds=said.poll_seconds, sweep_hour=said.sweep_hour)


def retained(visit: Visit) -> Response:
    """What is kept for how long, and which setting says so."""
    return visit.render("settings/retention.html", kept=kept(visit.hub.settings), for_ever=FOR_EVER)


def retained_exported(visit: Visit) -> list[dict[str, Any]]:
    """The same for a file."""
    return [one._asdict() for one in kept(visit.hub.settings)]


def kept(settings: Settings) -> list[Kept]:
    """Everything that goes by itself, the shortest kept first."""
    rows = [Kept(KEPT[name], days, variable(f"retention_{name}_days")) for name, days in settings.retention.items()]
    return sorted([Kept("Answers to requests with an Idempotency-Key", 1), *rows], key=lambda one: one.days or 0)


PAGES = (
    Page("/schedules", planned),
    Page("/schedules.csv", csv_answers.of("schedules", ("what", "of", "when", "last_at", "next_at"), _planned)),
    Page("/retention", retained),
    Page("/retention.csv", csv_answers.of("retention", Kept._fields, retained_exported)),
)
