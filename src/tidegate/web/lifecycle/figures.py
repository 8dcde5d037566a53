"""The pages of the lifecycle in figures: time in stages and moves between them, and what goes with conversions."""

from typing import Any

from starlette.responses import Response

from tidegate.errors import ReportInvalid
from tidegate.lifecycle.drivers import USAGE_DAYS, WITHIN_DAYS
from tidegate.revenue.periods import read_day
from tidegate.web.choosing import livemode
from tidegate.web.pages import Page, Texts, Visit

OF = ("trial", "free")
MOST_DAYS = {"usage_days": 365, "within_days": 3650}


def report(visit: Visit) -> Response:
    """Stages over some days: who came and left, how long they stayed, what they pay, who is at risk and why."""
    wrong, facts = "", dict[str, Any]()
    try:
        facts = visit.report("lifecycle", {"livemode": livemode(visit), **_days(visit)})
    except ReportInvalid as error:
        wrong = str(error)
    asked = Texts(visit.request.query_params)
    return visit.render("lifecycle/report.html", 422 if wrong else 200, found=facts, wrong=wrong, asked=asked)


def drivers(visit: Visit) -> Response:
    """Which contacts convert: each group against all others."""
    asked = Texts(visit.request.query_params)
    of = asked["of"] or OF[0]
    wrong, found = "", dict[str, Any]()
    try:
        if of not in OF:
            raise ReportInvalid(problem=f"`of` is one of {', '.join(OF)}.")
        about = {"livemode": livemode(visit), "of": of, **_days(visit)}
        about |= {"usage_days": _count(asked, "usage_days", USAGE_DAYS)}
        found = visit.report("drivers", about | {"within_days": _count(asked, "within_days", WITHIN_DAYS)})
    except ReportInvalid as error:
        wrong = str(error)
    return visit.render(
        "lifecycle/drivers.html", 422 if wrong else 200, found=found, wrong=wrong, asked=asked, kinds=OF
    )


PAGES = (
    Page("/stages/report", report),
    Page("/stages/report/drivers", drivers),
)


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
