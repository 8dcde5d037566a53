"""The forms of a contact's page for what people write about it: notes, and tasks with their days."""

from datetime import date
from typing import Any

from starlette.responses import Response

from tidegate.errors import LifecycleInvalid
from tidegate.lifecycle import notes
from tidegate.web.contacts.contact_page import found, shown
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.wording import contact_page
from tidegate.workflows.lifecycle.lifecycle import now

CHANGES: dict[str, dict[str, Any]] = {"done": {"done": True}, "open": {"done": False}}


def write_note(visit: Visit) -> Response:
    """Puts a note on the contact's timeline."""
    said = visit.form.get("note", "")
    if not said:
        return shown(visit, 422, Texts(note="Write something."))
    try:
        with visit.hub.engine.begin() as db:
            contact = found(visit, db)
            notes.write(db, contact, said, visit.actor, now(db))
    except LifecycleInvalid as error:
        return shown(visit, 422, Texts(note=str(error)))
    return visit.go(contact_page(contact.ref))


def add_task(visit: Visit) -> Response:
    """Adds a task to the contact, due on a day or some day."""
    said, day = visit.form.get("task", ""), visit.form.get("due_on", "")
    try:
        due_on = date.fromisoformat(day) if day else None
    except ValueError:
        return shown(visit, 422, Texts(due_on="A day is written such as 2026-03-01."))
    if not said:
        return shown(visit, 422, Texts(task="Write what is to be done."))
    try:
        with visit.hub.engine.begin() as db:
            contact = found(visit, db)
            notes.add_task(db, contact, said, visit.actor, now(db), due_on=due_on)
    except LifecycleInvalid as error:
        return shown(visit, 422, Texts(task=str(error)))
    return visit.go(contact_page(contact.ref))


def change_task(visit: Visit) -> Response:
    """Ticks a task off, takes that back, or removes it."""
    number, do = visit.form.get("number", ""), visit.form.get("do", "")
    with visit.hub.engine.begin() as db:
        contact = found(visit, db)
        own = {row["id"] for row in notes.tasks(db, contact.livemode, contact=contact.key, done=True, limit=1_000)}
        if number.isdecimal() and int(number) in own:
            if do == "remove":
                notes.remove_task(db, int(number), visit.actor)
            elif do in CHANGES:
                notes.change_task(db, int(number), visit.actor, now(db), CHANGES[do])
    return visit.go(contact_page(contact.ref))


PAGES = (
    Page("/notes/{contact:path}", write_note, "operate", "POST"),
    Page("/contacts/task/{contact:path}", add_task, "operate", "POST"),
    Page("/contacts/task-change/{contact:path}", change_task, "operate", "POST"),
)
