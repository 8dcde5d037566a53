"""The page of cohorts: of those who first paid in a month, how many pay later, and how much of it is left."""

from typing import Any

from starlette.responses import Response

from tidegate.web.pages import Page, Visit
from tidegate.web.revenue.asked import as_csv, in_currency, one_of, said, span, told, with_ledger

MEASURES = ("mrr", "contacts")
EXPORTED = ("cohort", "currency", "age", "month", "contacts", "contact_retention", "mrr", "mrr_retention")
STEPS = 10
"""Shades of the map: each a tenth of what there was at first."""


def shown(visit: Visit) -> Response:
    """The map, by revenue or by contacts."""
    measure = one_of(visit, "of", MEASURES)
    found = told(visit, "cohorts", months=int(span(visit)))
    money = in_currency(visit, found, "contacts")
    rows = [row for row in found if row["currency"] == money["currency"]]
    ages = max((len(row["months"]) for row in rows), default=0)
    facts: dict[str, Any] = {"rows": rows, "ages": range(ages), "of": measure, "months": span(visit)}
    facts["mean"] = [_mean(rows, age, measure) for age in range(ages)]
    return visit.render("revenue/cohorts.html", shade=shade, **money, **facts, **said(visit))


def shade(retention: float | None) -> str:
    """The class of a cell: `heat-7` of 0.74; more than all is as much as all, and what is unknown has none."""
    return "" if retention is None else f"heat-{max(0, min(STEPS, int(retention * STEPS)))}"


def exported(visit: Visit) -> Response:
    """The same as CSV, in all currencies: a line of each cohort and month."""
    found = told(visit, "cohorts", months=int(span(visit)))
    rows = [
        {"cohort": row["cohort"], "currency": row["currency"], "age": age, **one}
        for row in found
        for age, one in enumerate(row["months"])
    ]
    return as_csv("cohorts", EXPORTED, rows)


PAGES = (
    Page("/revenue/cohorts", with_ledger("Cohorts", shown), "revenue"),
    Page("/revenue/cohorts.csv", exported, "revenue"),
)


def _mean(rows: list[dict[str, Any]], age: int, measure: str) -> float | None:
    """Retention at an age, over all cohorts that are as old: of all that they began with."""
    old = [row for row in rows if len(row["months"]) > age and row["new"] is not None]
    first = sum(row["contacts" if measure == "contacts" else "new"] for row in old)
    left = sum(row["months"][age][measure] or 0 for row in old)
    return left / first if first else None
