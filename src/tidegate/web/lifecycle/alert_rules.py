"""The page of the rules of alerts: which are on, their days, and which alerts others would open and resolve."""

from typing import Any

from starlette.responses import Response

from tidegate.lifecycle import rulebook
from tidegate.lifecycle.alert_rules import SETTABLE
from tidegate.lifecycle.settings import read_alerts
from tidegate.web import csv_answers
from tidegate.web.lifecycle.settings_form import changed, number
from tidegate.web.pages import Page, Texts, Visit
from tidegate.workflows.lifecycle import lifecycle_settings

EXPORTED = ("rule", "name", "enabled", "days", "interval_months")


def shown(visit: Visit) -> Response:
    """The rules as they hold."""
    return _page(visit)


def edited(visit: Visit) -> Response:
    """What others would open and resolve; with the token of that, they hold."""
    said = [told for key in SETTABLE if (told := _said(visit, key)).keys() > {"rule"}]
    _, wrong = read_alerts(said)
    if wrong:
        beside: dict[str, str] = {}
        for fault in wrong:
            _, place, name = fault.where.split(".")
            beside[f"{name}.{said[int(place)]['rule']}"] = fault.problem
        return _page(visit, 422, wrong=Texts(beside), typed=Texts(visit.form))

    def page(**told: Any) -> Response:
        return _page(visit, typed=Texts(visit.form), **told)

    return changed(visit, page, "/alerts/rules", said_alerts=said)


def exported(visit: Visit) -> list[dict[str, Any]]:
    """The rules as they hold; empty where a rule has no days or no interval."""
    with visit.hub.engine.connect() as db:
        return [{name: one.get(name) for name in EXPORTED} for one in lifecycle_settings.shown(db)["alerts"]]


PAGES = (
    Page("/alerts/rules", shown),
    Page("/alerts/rules.csv", csv_answers.of("alert-rules", EXPORTED, exported)),
    Page("/alerts/rules", edited, "admin", "POST"),
)


def _said(visit: Visit, key: str) -> dict[str, Any]:
    """What was typed of a rule and is not so by itself."""
    told: dict[str, Any] = {"rule": key}
    if f"enabled.{key}" not in visit.form:
        told["enabled"] = False
    for name, usual in SETTABLE[key].items():
        value = number(visit.form.get(f"{name}.{key}", ""))
        if value != usual:
            told[name] = value
    return told


def _page(visit: Visit, status: int = 200, **told: Any) -> Response:
    with visit.hub.engine.connect() as db:
        found = lifecycle_settings.shown(db)
        conditions = {one.key: one.when for one in rulebook.alert_rules(db)}
    managed = found["managed_by"]["alerts"]
    mine = visit.who is not None and visit.who.may("admin") and not managed
    facts: dict[str, Any] = {"wrong": Texts(), "typed": None, "effect": None, "stale": "", **told}
    rules = [one | {"when": conditions[one["rule"]], "takes": SETTABLE[one["rule"]]} for one in found["alerts"]]
    return visit.render("lifecycle/alert_rules.html", status, rules=rules, managed=managed, mine=mine, **facts)
