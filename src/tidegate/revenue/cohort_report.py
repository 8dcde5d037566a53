"""The report of cohorts: retention, trials, reasons of cancellations and changes of package over some months."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from tidegate.revenue import cohorts, conversions, source
from tidegate.revenue.periods import Period
from tidegate.revenue.reports import Report


def cohort_report(db: Connection, report: Report, months: Sequence[Period]) -> dict[str, Any]:
    """{…, from, to, cohorts, trials, cancellations, packages}; see the functions that read each."""
    source.roomy(db)
    first, last = months[0], months[-1]
    told = {
        "from": first.name,
        "to": last.name,
        "cohorts": cohorts.cohorts(db, report, months),
        "trials": conversions.trials(db, report, first, last),
        "cancellations": conversions.reasons(db, report, first, last),
        "packages": conversions.packages(db, report, first, last),
    }
    return report.head() | told  # which rates are lacking is known only after that
