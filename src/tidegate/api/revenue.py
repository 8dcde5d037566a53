"""Revenue over HTTP: MRR, movements, metrics, cohorts, what is at risk; amounts in minor units of their currency."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tidegate.api import values
from tidegate.api.auth import HubOf, requires
from tidegate.api.paging import After, Limit, page
from tidegate.errors import ReportInvalid
from tidegate.revenue import listing, metrics, names, renewals, reports, risks
from tidegate.revenue import quality as quality_checks
from tidegate.revenue.bridge import KINDS
from tidegate.revenue.cohort_report import cohort_report
from tidegate.revenue.listing import Wanted
from tidegate.revenue.periods import within
from tidegate.revenue.source import group
from tidegate.workflows.contacts.contact_customers import customers_of
from tidegate.workflows.revenue.data_quality import data_quality

router = APIRouter(prefix="/api/revenue", tags=["revenue"], dependencies=[requires("revenue")])

Named = Annotated[str | None, Query(alias="connection", description="name; one connection alone needs none")]
Day = Annotated[values.Day, AfterValidator(within)]
By = Annotated[Literal["month", "week", "day"], Query(description="the periods; weeks begin on Monday")]
From = Annotated[Day | None, Query(alias="from", description="a day of the first period; else there are twelve")]
To = Annotated[Day | None, Query(alias="to", description="a day of the last one; else today")]
Currency = Annotated[
    str | None,
    Query(max_length=10, description="convert all into this one; `native`: into none, whatever the ledger's is"),
]
GroupBy = Annotated[
    str | None,
    Query(
        max_length=300,
        description="package, product, price, interval, currency, country, contact or property:NAME",
    ),
]


class Missing(BaseModel):
    """A rate that a report lacked; figures that need it are null."""

    currency: str
    day: date
    newest: date | None = Field(description="the last rate before; null: there is none")


class Head(BaseModel):
    """What a report is about. `currency`: what all is converted into; null: amounts are in their own."""

    connection: str
    policy: str
    assumed: list[str] = Field(description="settings that the policy leaves open, taken as in the default one")
    time_zone: str
    currency: str | None
    missing_rates: list[Missing]


class Row(BaseModel):
    """A period of one currency and group: opening + movements + fx = mrr. What is lost is negative; `switched` came
    from other groups.
    """

    model_config = ConfigDict(extra="allow")

    period: str
    currency: str
    mrr: int | None


class Rows(Head):
    """Rows by period, the largest groups first; `next`: what to give as `after` for the next page."""

    by: str
    group_by: str | None
    rows: list[Row]
    next: str | None


class Standing(Head):
    """MRR at the end of a day."""

    at: date
    rows: list[dict[str, Any]]


class Movements(Head):
    """Movements, the newest first."""

    movements: list[dict[str, Any]]
    next: str | None


class Cohorts(Head):
    """Retention by month of first MRR, trials by month of their beginning, why subscriptions ended, who changed
    package.
    """

    model_config = ConfigDict(populate_by_name=True)

    first: str = Field(alias="from")
    last: str = Field(alias="to")
    cohorts: list[dict[str, Any]]
    trials: list[dict[str, Any]]
    cancellations: list[dict[str, Any]]
    packages: list[dict[str, Any]]


class AtRisk(Head):
    """Subscriptions at risk, the largest first. `reasons`: what each of them means."""

    reasons: dict[str, str]
    subscriptions: list[dict[str, Any]]
    next: str | None


class Renewals(Head):
    """Renewals: each a subscription, or with `by` a sum: {month?, owner?, currency, renewals, contacts, mrr}. MRR is in
    minor units; an empty owner: nobody.
    """

    days: int
    renewals: list[dict[str, Any]]
    next: str | None


class Quality(BaseModel):
    """What makes figures doubtful: how much each check found, and the objects with their pages at Stripe."""

    connection: str
    checks: list[dict[str, Any]]
    objects: list[dict[str, Any]]
    next: str | None


@router.get("/mrr")
def mrr(
    hub: HubOf,
    at: Annotated[Day | None, Query(description="only what stands at the end of this day; alone")] = None,
    by: Annotated[
        Literal["month", "week", "day"] | None, Query(description="the periods, else months; weeks begin on Monday")
    ] = None,
    first: From = None,
    last: To = None,
    currency: Currency = None,
    group_by: GroupBy = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="rows of a page")] = 1000,
    after: After = None,
    connection: Named = None,
) -> Rows | Standing:
    """MRR by period with what moved it, or at the end of a day."""
    if at is not None and (by or first or last):
        raise ReportInvalid(problem="`at` is asked alone, without `by`, `from` and `to`.")
    account, periods = hub.account(connection), by or "month"
    with hub.engine.connect() as db:
        report = reports.opened(
            db, account.name, datetime.now(UTC), currency=currency, by=periods, group=group(group_by)
        )
        if at is not None:
            rows = names.add(db, report, reports.standing_rows(report, reports.standing(db, report, at)))
            return Standing.model_validate(report.head() | {"at": at, "rows": rows})
        over = reports.window(report, first, last)
        found = reports.rows_of(report, reports.lines(db, report, over))
        shown, following = _paged(found, limit, after)
        shown = names.add(db, report, shown)
    told = {"by": periods, "group_by": group_by, "rows": shown, "next": following}
    return Rows.model_validate(report.head() | told)


def _paged(found: list[dict[str, Any]], limit: int, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """A page of rows, which are told apart by period, currency and group."""
    keyed = [row | {"key": "~".join((row["period"], row["currency"], str(row.get("group", ""))))} for row in found]
    shown, following = page(keyed, "key", limit, after)
    return [{name: value for name, value in row.items() if name != "key"} for row in shown], following


@router.get("/movements")
def movements(
    hub: HubOf,
    contact: Annotated[str | None, Query(description="only a contact's, or a Stripe customer's (cus_…)")] = None,
    kind: Annotated[
        Literal["new", "reactivation", "expansion", "contraction", "churn", "transfer"] | None,
        Query(description="only these; a transfer, between customers of a contact, is told only so"),
    ] = None,
    first: Annotated[Day | None, Query(alias="from", description="not before this day")] = None,
    last: Annotated[Day | None, Query(alias="to", description="not after this day")] = None,
    limit: Limit = 100,
    after: After = None,
    connection: Named = None,
) -> Movements:
    """Every change of MRR with the items it is made of."""
    account = hub.account(connection)
    with hub.engine.connect() as db:
        report = reports.opened(db, account.name, datetime.now(UTC), currency=reports.NATIVE)
        whose = customers_of(db, account, contact) if contact else None
        wanted = Wanted(first, last, whose, [kind] if kind else KINDS)
        rows, following = listing.movements(db, report.ledger, wanted, limit=limit, after=after)
    return Movements.model_validate(report.head() | {"movements": rows, "next": following})


@router.get("/metrics")
def figures(
    hub: HubOf,
    by: By = "month",
    first: From = None,
    last: To = None,
    currency: Currency = None,
    group_by: GroupBy = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="rows of a page")] = 1000,
    after: After = None,
    connection: Named = None,
) -> Rows:
    """Growth, churn, retention, ARPA, LTV and the rest by period; ratios are of one, null where there is none."""
    account = hub.account(connection)
    with hub.engine.connect() as db:
        report = reports.opened(db, account.name, datetime.now(UTC), currency=currency, by=by, group=group(group_by))
        found = metrics.rows(db, report, reports.window(report, first, last))
        shown, following = _paged(found, limit, after)
        shown = names.add(db, report, shown)
    return Rows.model_validate(report.head() | {"by": by, "group_by": group_by, "rows": shown, "next": following})


@router.get("/cohorts")
def cohorts(
    hub: HubOf, first: From = None, last: To = None, currency: Currency = None, connection: Named = None
) -> Cohorts:
    """Who stays: by month of first MRR, contacts and revenue at the end of each later month."""
    account = hub.account(connection)
    with hub.engine.connect() as db:
        report = reports.opened(db, account.name, datetime.now(UTC), currency=currency)
        return Cohorts.model_validate(cohort_report(db, report, reports.window(report, first, last)))


@router.get("/at-risk")
def at_risk(hub: HubOf, limit: Limit = 100, after: After = None, connection: Named = None) -> AtRisk:
    """Subscriptions that are past due, unpaid or to end, or whose card expires with no other way to pay, or whose
    contact is unhealthy.
    """
    account, as_of = hub.account(connection), datetime.now(UTC)
    with hub.engine.connect() as db:
        report = reports.opened(db, account.name, as_of, currency=reports.NATIVE)
        found = renewals.at_risk(db, report, as_of)
    shown, following = page(found, "subscription", limit, after)
    told = {"reasons": risks.RISKS, "subscriptions": [*shown], "next": following}
    return AtRisk.model_validate(report.head() | told)


@router.get("/renewals")
def upcoming(
    hub: HubOf,
    days: Annotated[int, Query(ge=1, le=3660, description="of the next so many days")] = 30,
    by: Annotated[list[renewals.By] | None, Query(description="sums by month, owner or both; may be repeated")] = None,
    owner: Annotated[str | None, Query(max_length=200, description="of the contact; empty: of nobody")] = None,
    limit: Limit = 100,
    after: After = None,
    connection: Named = None,
) -> Renewals:
    """What renews soon, the soonest first; or the calendar of it: sums by month and owner."""
    as_of = datetime.now(UTC)
    account = hub.account(connection)
    with hub.engine.connect() as db:
        report = reports.opened(db, account.name, as_of, currency=reports.NATIVE)
        if by:
            found = renewals.calendar(db, report, as_of, days, by, owner)
            rows = [one | {"place": str(place)} for place, one in enumerate(found)]
            shown, following = page(rows, "place", limit, after)
        else:
            shown, following = page(renewals.upcoming(db, report, as_of, days, owner), "subscription", limit, after)
    told = [{name: value for name, value in one.items() if name != "place"} for one in shown]
    return Renewals.model_validate({**report.head(), "days": days, "renewals": told, "next": following})


@router.get("/data-quality")
def quality(
    hub: HubOf,
    check: Annotated[str | None, Query(max_length=100, description="only what this check finds")] = None,
    limit: Limit = 100,
    after: After = None,
    connection: Named = None,
) -> Quality:
    """Objects in Stripe that make figures of revenue doubtful, check by check."""
    account, wanted = hub.account(connection), quality_checks.known(check)
    with hub.engine.connect() as db:
        found = data_quality(db, account, datetime.now(UTC))
    keyed = [
        one | {"key": f"{number:06d}"} for number, one in enumerate(found["objects"]) if wanted in (None, one["check"])
    ]
    shown, following = page(keyed, "key", limit, after)
    objects = [{name: value for name, value in one.items() if name != "key"} for one in shown]
    return Quality.model_validate(found | {"objects": objects, "next": following})
