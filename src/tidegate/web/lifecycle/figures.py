"""The pages of the lifecycle in figures: time in stages and moves between them, and what goes with conversions."""

from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from tidegate.errors import ReportInvalid
from tidegate.lifecycle import moved
from tidegate.lifecycle.drivers import USAGE_DAYS, WITHIN_DAYS
from tidegate.revenue.periods import read_day
from tidegate.web import csv_answers
from tidegate.web.choosing import livemode, modes
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.wording import amounts_said
from tidegate.workflows.lifecycle.lifecycle_report import window

OF = ("trial", "free")
STAGES = ("key", "name", "contacts", "mrr", "entered", "left", "stays", "median_days", "p90_days")
DRIVERS = ("by", "name", "value", "contacts", "converted", "rate", "low", "high", "others_rate", "lift", "small")
MOVES = 50
"""Moves of a page."""
MOST_DAYS = {"usage_days": 365, "within_days": 3650}


def report(visit: Visit) -> Response:
    """Stages over some days: who came and left, how long they stayed, what they pay, who is at risk and why."""
    wrong, facts = "", dict[str, Any]()
    try:
        facts = visit.report("lifecycle", {"livemode": livemode(visit), **_days(visit)})
    except ReportInvalid as error:
        wrong = str(error)
    asked = Texts(visit.request.query_params)
    said = {"found": facts, "wrong": wrong, "asked": asked, "modes": modes(visit)}
    return visit.render("lifecycle/report.html", 422 if wrong else 200, **said)


def drivers(visit: Visit) -> Response:
    """Which contacts convert: each group against all others."""
    asked = Texts(visit.request.query_params)
    wrong, found = "", dict[str, Any]()
    try:
        found = visit.report("drivers", _drivers_asked(visit, asked))
    except ReportInvalid as error:
        wrong = str(error)
    return visit.render(
        "lifecycle/drivers.html", 422 if wrong else 200, found=found, wrong=wrong, asked=asked, kinds=OF
    )


def report_exported(visit: Visit) -> Response:
    """The stages of the report as CSV."""
    found = visit.report("lifecycle", {"livemode": livemode(visit), **_days(visit)})
    return csv_answers.answer("stages", STAGES, map(amounts_said, found["stages"]))


def drivers_exported(visit: Visit) -> Response:
    """The drivers as CSV, narrowed down as the page was."""
    found = visit.report("drivers", _drivers_asked(visit, Texts(visit.request.query_params)))
    rows = ({**one, "others_rate": one["others"]["rate"]} for one in found["drivers"])
    return csv_answers.answer("drivers", DRIVERS, rows)


def moves(visit: Visit) -> Response:
    """Who moved from stage to stage, or came into one, in some days."""
    asked = Texts(visit.request.query_params)
    wanted, told = _moves(visit)
    before = asked["before"]
    with visit.hub.engine.connect() as db:
        last = int(before) if before.isdecimal() and len(before) < 19 else None
        rows = moved.moved(db, wanted, before=last, limit=MOVES + 1)
    more = urlencode(told | {"before": str(rows[MOVES - 1]["id"])}) if len(rows) > MOVES else ""
    return visit.render("lifecycle/moves.html", rows=rows[:MOVES], more=more, told=Texts(told), query=urlencode(told))


def moves_exported(visit: Visit) -> Response:
    """All of them as CSV."""
    with visit.hub.engine.connect() as db:
        rows = moved.moved(db, _moves(visit)[0])
    return csv_answers.answer("moves", ("at", "contact", "name", "from", "to", "days"), iter(rows))


PAGES = (
    Page("/stages/report", report),
    Page("/stages/report.csv", report_exported),
    Page("/stages/report/drivers.csv", drivers_exported),
    Page("/stages/report/moves", moves),
    Page("/stages/report/moves.csv", moves_exported),
    Page("/stages/report/drivers", drivers),
)


def _drivers_asked(visit: Visit, asked: Texts) -> dict[str, Any]:
    """Which drivers are asked for. Raises ReportInvalid."""
    of = asked["of"] or OF[0]
    if of not in OF:
        raise ReportInvalid(problem=f"`of` is one of {', '.join(OF)}.")
    counts = {"usage_days": USAGE_DAYS, "within_days": WITHIN_DAYS}
    named = {name: _count(asked, name, usual) for name, usual in counts.items()}
    return {"livemode": livemode(visit), "of": of, **_days(visit), **named}


def _moves(visit: Visit) -> tuple[moved.Wanted, dict[str, str]]:
    """Which moves are asked for, and how the address says it: of the last 90 days where it names none. Raises
    ReportInvalid.
    """
    asked, days = visit.request.query_params, _days(visit)
    first, last = (date.fromisoformat(days[name]) if name in days else None for name in ("from", "to"))
    since, until, over = window(datetime.now(UTC), first, last)
    told = {name: asked[name] for name in ("out_of", "into") if asked.get(name)}
    wanted = moved.Wanted(livemode(visit), told.get("out_of", ""), told.get("into", ""), since, until)
    return wanted, told | over


def _days(visit: Visit) -> dict[str, str]:
    """The days that are asked for. Raises ReportInvalid."""
    asked = visit.request.query_params
    return {name: read_day(asked[name]).isoformat() for name in ("from", "to") if asked.get(name)}


def _count(asked: Texts, name: str, usual: int) -> int:
    said, most = asked[name], MOST_DAYS[name]
    if not said:
        return usual
    if not said.isdecimal() or not 1 <= int(said[:9]) <= most:
        raise ReportInvalid(problem=f"`{name}` is a number of days from 1 to {most:,}.")
    return int(said)
