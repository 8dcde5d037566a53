"""The pages of the lifecycle: how many contacts are in each stage and segment, and alerts to look after."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlencode

from starlette.responses import Response

from tidegate.errors import LifecycleInvalid
from tidegate.lifecycle import alerts, listing, rulebook
from tidegate.lifecycle.alert_rules import RULES
from tidegate.lifecycle.alerts import STANDING
from tidegate.web import csv_answers
from tidegate.web.choosing import livemode_if_any, modes, named_contact
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.wording import amounts_said
from tidegate.workflows.lifecycle.lifecycle import now
from tidegate.workflows.report_readers import counted

STAGES = ("key", "name", "contacts", "mrr", "median_days")
ALERTS = 50
"""Alerts of a page."""
TOGETHER = 1_000
"""Alerts that are read at once for a file."""
EXPORTED = (
    "id", "rule", "state", "kind", "contact", "name", "owner", "opened_at", "reasons", "note", "changed_by",
    "changed_at", "snoozed_until",
)  # fmt: skip
LONGEST_NOTE = 2_000  # characters
NARROWED = ("state", "rule", "contact")
"""What the address may narrow alerts down by."""
SNOOZED = ("1", "7", "30")
"""Days for which an alert is put aside."""
STATES = (*STANDING, "dismissed", "resolved")
MOVES: dict[str, Literal["acknowledged", "snoozed", "dismissed", "open"]] = {
    "ack": "acknowledged",
    "snooze": "snoozed",
    "dismiss": "dismissed",
    "reopen": "open",
}


def stages(visit: Visit) -> Response:
    """Stages with their contacts and MRR, who moved lately, segments, and the health of all."""
    told, there = _told(visit)
    since = told.get("moves_since", "")  # one that was kept by an earlier version has none
    facts: dict[str, Any] = told | there | {"moves_since": since, "modes": modes(visit)}
    return visit.render("lifecycle/lifecycle.html", **facts)


def _told(visit: Visit) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """The report, and the stages and segments that there are now with what it tells of each."""
    told = visit.report("stages", {"livemode": livemode_if_any(visit)})
    with visit.hub.engine.connect() as db:
        rules = rulebook.load(db)
    return told, {name: counted(getattr(rules, name), told[name]) for name in ("stages", "segments")}


def stages_exported(visit: Visit) -> Response:
    """The stages as CSV."""
    return csv_answers.answer("stages", STAGES, map(amounts_said, _told(visit)[1]["stages"]))


def alert_list(visit: Visit) -> Response:
    """Alerts that stand, or those of a state, rule or contact."""
    return _alerts(visit)


def alerts_exported(visit: Visit) -> Response:
    """All of them as CSV, narrowed down as the page was."""
    _, by = _narrowed(visit, visit.request.query_params)

    def rows() -> csv_answers.Rows:
        with visit.hub.engine.connect() as db:
            after: int | None = None
            while found := listing.alerts(db, **by, after=after, limit=TOGETHER):
                yield from map(listing.referred, found)
                after = found[-1]["id"]

    return csv_answers.answer("alerts", EXPORTED, rows())


def moving(do: str) -> Callable[[Visit], Response]:
    """What acknowledges, snoozes, dismisses or reopens an alert."""

    def move(visit: Visit) -> Response:
        number, days = int(visit.request.path_params["alert"]), visit.form.get("days", "")
        note = visit.form.get("reason", "")[:LONGEST_NOTE] if do == "dismiss" else ""
        if do == "dismiss" and not note:
            return _alerts(visit, 422, at_alert=number, wrong=Texts(reason="Say why, so that others know."))
        try:
            with visit.hub.engine.begin() as db:
                at = now(db)
                until = at + timedelta(days=int(days)) if do == "snooze" and days in SNOOZED else None
                alerts.move(db, number, MOVES[do], visit.actor, at, until=until, note=note)
        except LifecycleInvalid as error:
            return _alerts(visit, 422, refused=str(error), at_alert=number)
        return _back(visit)

    return move


def write_note(visit: Visit) -> Response:
    """Writes beside an alert what others should know."""
    number, note = int(visit.request.path_params["alert"]), visit.form.get("note", "")[:LONGEST_NOTE]
    if not note:
        return _alerts(visit, 422, at_alert=number, wrong=Texts(note="A note says something."))
    try:
        with visit.hub.engine.begin() as db:
            alerts.write_note(db, number, note, visit.actor, now(db))
    except LifecycleInvalid as error:
        return _alerts(visit, 422, refused=str(error), at_alert=number)
    return _back(visit)


PAGES = (
    Page("/stages", stages),
    Page("/stages.csv", stages_exported),
    Page("/alerts", alert_list),
    Page("/alerts.csv", alerts_exported),
    *(Page(f"/alerts/{{alert:int}}/{do}", moving(do), "operate", "POST") for do in MOVES),
    Page("/alerts/{alert:int}/note", write_note, "operate", "POST"),
)


def _back(visit: Visit) -> Response:
    """To the list, narrowed down as it was."""
    back = urlencode({name: visit.form[name] for name in NARROWED if visit.form.get(name)})
    return visit.go(f"/alerts?{back}" if back else "/alerts")


def _narrowed(visit: Visit, asked: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Any]]:
    """What is asked for, as the address says it, and as `listing.alerts` takes it: those that stand where no state is
    named. Raises LifecycleInvalid, ContactUnknown.
    """
    said = {name: asked[name] for name in NARROWED if asked.get(name)}
    state, ref = said.get("state", ""), said.get("contact", "")
    if state and state not in STATES:
        raise LifecycleInvalid(problem=f"Alerts are never {state[:40]!r}, but {', '.join(STATES)}.")
    by: dict[str, Any] = {"states": [state] if state else STANDING, "rule": said.get("rule", "")}
    if not ref:
        return said, by | {"livemode": livemode_if_any(visit)}
    with visit.hub.engine.connect() as db:
        contact = named_contact(visit, db, ref)
    return said, by | {"contact": contact.key, "livemode": contact.livemode}


def _alerts(visit: Visit, status: int = 200, **told: Any) -> Response:
    asked = visit.request.query_params if visit.request.method == "GET" else visit.form
    (said, by), after = _narrowed(visit, asked), asked.get("after", "")
    with visit.hub.engine.connect() as db:
        found = listing.alerts(db, **by, after=int(after) if after.isdecimal() else None, limit=ALERTS + 1)
        of_hub = [] if "contact" in said else listing.alerts(db, system=True)
    more = urlencode(said | {"after": str(found[ALERTS - 1]["id"])}) if len(found) > ALERTS else ""
    facts: dict[str, Any] = {"alerts": found[:ALERTS], "of_hub": of_hub, "more": more, "said": Texts(said)}
    choices: dict[str, Any] = {"rules": [one.key for one in RULES], "states": STATES, "snoozed": SNOOZED}
    choices["modes"] = [] if "contact" in said else modes(visit)
    typed = {"refused": "", "at_alert": 0, "wrong": Texts(), "typed": Texts(visit.form)}
    return visit.render("lifecycle/alerts.html", status, **facts, **choices, **(typed | told))
