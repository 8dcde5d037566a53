"""The pages of conversions: what trials come to, why subscriptions end, who changes package; and whom that is of."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from tidegate.revenue import converted
from tidegate.revenue.conversions import OUTCOMES
from tidegate.revenue.periods import read_month
from tidegate.revenue.reports import Report
from tidegate.web import csv_answers
from tidegate.web.pages import Page, Visit, page_number
from tidegate.web.revenue.asked import as_csv, one_of, opened, paged, said, span, told, with_ledger
from tidegate.web.wording import amounts_said
from tidegate.workflows.report_readers import between

CAME_TO = {
    "trials": "Trials that began in {}",
    "converted": "Trials that began in {} and came to be paid for",
    "ended": "Trials that began in {} and ended unpaid",
    "running": "Trials that began in {} and still run",
    "restarted": "Trials that began in {} of contacts that had paid before",
}
TABLES = {
    "trials": ("cohort", "trials", "converted", "ended", "running", "restarted", "conversion"),
    "reasons": ("reason", "subscriptions", "mrr"),
    "changes": ("before", "after", "currency", "contacts", "opening", "closing"),
}
BEGUN = ("at", "contact", "name", "subscription", "customer", "status", "currency", "mrr")
ENDED = ("at", "contact", "name", "subscription", "customer", "reason", "currency", "mrr")
CHANGED = ("contact", "name", "customer", "before", "after", "currency", "opening", "closing")


def shown(visit: Visit) -> Response:
    """Trials by the month of their beginning, reasons of cancellations, changes of package."""
    found = told(visit, "conversions", months=int(span(visit)))
    return visit.render("revenue/trials.html", months=span(visit), **found, **said(visit))


def tables_exported(visit: Visit) -> Response:
    """One of the page's tables as CSV: trials, reasons or changes."""
    which = one_of(visit, "of", tuple(TABLES))
    found = told(visit, "conversions", months=int(span(visit)))[which]
    if which == "changes":
        return as_csv("package-changes", TABLES[which], found, ("opening", "closing"))
    return csv_answers.answer(which, TABLES[which], (amounts_said({"mrr": [], **one, **_lost(one)}) for one in found))


def _lost(row: dict[str, Any]) -> dict[str, Any]:
    return {"mrr": row["lost"]} if "lost" in row else {}


def begun(visit: Visit) -> Response:
    """The trials of a month that came to one thing."""
    outcome, month = one_of(visit, "outcome", tuple(OUTCOMES)), _month(visit)
    rows = told(visit, "begun", month=month, outcome=outcome, page=page_number(visit))
    return _listed(visit, rows, CAME_TO[outcome].format(month), at="Began", amount="MRR now")


def ended(visit: Visit) -> Response:
    """The subscriptions that ended for a reason."""
    asked = _days(visit) | {"reason": visit.request.query_params.get("reason")}
    rows = told(visit, "ended", **asked, page=page_number(visit))
    reason = asked["reason"]
    named = {None: "", "": ", for no reason that is told"}.get(reason, f": {(reason or '').replace('_', ' ')}")
    title = f"Subscriptions that ended from {asked['from']} to {asked['to']}{named}"
    return _listed(visit, rows, title, at="Ended", amount="MRR lost")


def changed(visit: Visit) -> Response:
    """The contacts that went from one package to another."""
    which, days = _which(visit), _days(visit)
    rows = told(visit, "changed", **days, which=which, page=page_number(visit))
    named = [{converted.NEW: "new", converted.GONE: "gone", "": "no package"}.get(one, one) for one in which.values()]
    title = f"From {named[0]} before {days['from']} to {named[1]} now, in {which['currency'].upper()}"
    return _listed(visit, rows, title)


def exported(
    name: str, columns: tuple[str, ...], read: Callable[[Visit, Connection, Report], Iterable[dict[str, Any]]]
) -> Callable[[Visit], Response]:
    """What sends all rows of one of these lists as CSV."""
    money = tuple(one for one in columns if one in {"mrr", "opening", "closing"})

    def export(visit: Visit) -> Response:
        with visit.hub.engine.connect() as db:
            return as_csv(name, columns, read(visit, db, opened(visit, db, native=True)), money)

    return export


def _begun(visit: Visit, db: Connection, report: Report) -> Iterable[dict[str, Any]]:
    return converted.begun(db, report, read_month(_month(visit)), one_of(visit, "outcome", tuple(OUTCOMES)))


def _ended(visit: Visit, db: Connection, report: Report) -> Iterable[dict[str, Any]]:
    return converted.ended(db, report, between(_days(visit)), visit.request.query_params.get("reason"))


def _changed(visit: Visit, db: Connection, report: Report) -> Iterable[dict[str, Any]]:
    return converted.changed(db, report, between(_days(visit)), _which(visit))


PAGES = (
    Page("/revenue/trials", with_ledger("Trials and cancellations", shown), "revenue"),
    Page("/revenue/trials.csv", tables_exported, "revenue"),
    Page("/revenue/trials/begun", with_ledger("Trials", begun), "revenue"),
    Page("/revenue/trials/begun.csv", exported("trials", BEGUN, _begun), "revenue"),
    Page("/revenue/trials/ended", with_ledger("Ended subscriptions", ended), "revenue"),
    Page("/revenue/trials/ended.csv", exported("ended", ENDED, _ended), "revenue"),
    Page("/revenue/trials/changed", with_ledger("Changes of package", changed), "revenue"),
    Page("/revenue/trials/changed.csv", exported("package-changes", CHANGED, _changed), "revenue"),
)


def _month(visit: Visit) -> str:
    """The month that is asked for, this one where none is. Raises ReportInvalid."""
    return read_month(visit.request.query_params.get("month") or f"{datetime.now(UTC):%Y-%m}").name


def _days(visit: Visit) -> dict[str, str]:
    """The days `from` and `to`, this month's where none are said. Raises ReportInvalid."""
    month = read_month(f"{datetime.now(UTC):%Y-%m}")
    usual = {"from": month.first.isoformat(), "to": month.last.isoformat()}
    found = {name: visit.request.query_params.get(name) or usual[name] for name in usual}
    between(found)
    return found


def _which(visit: Visit) -> dict[str, str]:
    return {name: visit.request.query_params.get(name, "") for name in ("before", "after", "currency")}


def _listed(visit: Visit, rows: list[dict[str, Any]], title: str, *, at: str = "", amount: str = "") -> Response:
    """A page of one of these lists. `at`, `amount`: what its time and its MRR are called; empty: it has none."""
    asked_for = {name: value for name, value in visit.request.query_params.items() if name != "page"}
    facts: dict[str, Any] = {"title": title, "at": at, "amount": amount, "asked_for": asked_for}
    return visit.render("revenue/converted.html", **facts, **paged(visit, rows), **said(visit))
