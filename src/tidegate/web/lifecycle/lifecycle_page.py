"""The pages of the lifecycle: how many contacts are in each stage and segment, and alerts to look after."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlencode

from starlette.responses import Response

from tidegate.errors import LifecycleInvalid
from tidegate.lifecycle import alerts, listing, rulebook
from tidegate.lifecycle.alert_rules import RULES
from tidegate.lifecycle.alerts import STANDING
from tidegate.web import csv_answers
from tidegate.web.choosing import livemode_if_any
from tidegate.web.pages import Page, Texts, Visit
from tidegate.workflows.lifecycle.lifecycle import now
from tidegate.workflows.report_readers import FUNNEL, counted

ALERTS = 50
"""Alerts of a page."""
TOGETHER = 1_000
"""Alerts that are read at once for a file."""
EXPORTED = (
    "id", "rule", "state", "kind", "contact", "name", "owner", "opened_at", "reasons", "note", "changed_by",
    "changed_at", "snoozed_until",
)  # fmt: skip
LONGEST_REASON = 2_000  # characters
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
    told = visit.report("stages", {"livemode": livemode_if_any(visit)})
    with visit.hub.engine.connect() as db:
        rules = rulebook.load(db)
    there = {name: counted(getattr(rules, name), told[name]) for name in ("stages", "segments")}
    return visit.render("lifecycle/lifecycle.html", days=FUNNEL.days, **(told | there))


def alert_list(visit: Visit) -> Response:
    """Alerts that stand, or those of a state or rule."""
    return _alerts(visit)


def alerts_exported(visit: Visit) -> Response:
    """All of them as CSV, narrowed down as the page was."""
    _, states, rule = _narrowed(visit.request.query_params)
    mode = livemode_if_any(visit)

    def rows() -> csv_answers.Rows:
        with visit.hub.engine.connect() as db:
            after: int | None = None
            while found := listing.alerts(db, states=states, rule=rule, livemode=mode, after=after, limit=TOGETHER):
                yield from found
                after = found[-1]["id"]

    return csv_answers.answer("alerts", EXPORTED, rows())


def moving(do: str) -> Callable[[Visit], Response]:
    """What acknowledges, snoozes, dismisses or reopens an alert."""

    def move(visit: Visit) -> Response:
        number, days = int(visit.request.path_params["alert"]), visit.form.get("days", "")
        note = visit.form.get("reason", "")[:LONGEST_REASON] if do == "dismiss" else ""
        try:
            with visit.hub.engine.begin() as db:
                at = now(db)
                until = at + timedelta(days=int(days)) if do == "snooze" and days in SNOOZED else None
                alerts.move(db, number, MOVES[do], visit.actor, at, until=until, note=note)
        except LifecycleInvalid as error:
            return _alerts(visit, 422, refused=str(error), at_alert=number)
        back = urlencode({name: visit.form[name] for name in ("rule", "state") if visit.form.get(name)})
        return visit.go(f"/alerts?{back}" if back else "/alerts")

    return move


PAGES = (
    Page("/stages", stages),
    Page("/alerts", alert_list),
    Page("/alerts.csv", alerts_exported),
    *(Page(f"/alerts/{{alert:int}}/{do}", moving(do), "operate", "POST") for do in MOVES),
)


def _narrowed(asked: Mapping[str, str]) -> tuple[str, Sequence[str], str]:
    """The state that is asked for, which states that are, and the rule. Raises LifecycleInvalid."""
    state = asked.get("state", "")
    if state and state not in STATES:
        raise LifecycleInvalid(problem=f"Alerts are never {state[:40]!r}, but {', '.join(STATES)}.")
    return state, [state] if state else STANDING, asked.get("rule", "")


def _alerts(visit: Visit, status: int = 200, **told: Any) -> Response:
    asked = visit.request.query_params if visit.request.method == "GET" else visit.form
    (state, states, rule), after = _narrowed(asked), asked.get("after", "")
    with visit.hub.engine.connect() as db:
        found = listing.alerts(
            db,
            states=states,
            rule=rule,
            livemode=livemode_if_any(visit),
            after=int(after) if after.isdecimal() else None,
            limit=ALERTS + 1,
        )
        of_hub = listing.alerts(db, system=True)
    said = {name: value for name, value in (("state", state), ("rule", rule)) if value}
    more = urlencode(said | {"after": str(found[ALERTS - 1]["id"])}) if len(found) > ALERTS else ""
    facts: dict[str, Any] = {"alerts": found[:ALERTS], "of_hub": of_hub, "more": more, "said": Texts(said)}
    choices = {"rules": [one.key for one in RULES], "states": STATES, "snoozed": SNOOZED}
    return visit.render("lifecycle/alerts.html", status, **facts, **choices, **{"refused": "", "at_alert": 0, **told})
