"""The lifecycle in figures over HTTP, what goes with conversions, and the settings of health and alerts."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.contacts import Named, by
from tidegate.api.values import STRICT, Day
from tidegate.security.tokens import Token
from tidegate.workflows.lifecycle import lifecycle_report, lifecycle_settings

router = APIRouter(tags=["lifecycle"])

Admin = Annotated[Token, requires("admin")]
FirstDay = Annotated[Day | None, Query(alias="from", description="else 90 days before the last; days are UTC")]
LastDay = Annotated[Day | None, Query(alias="to", description="else today")]


class StageReport(BaseModel):
    """The lifecycle from a day to another. MRR is in minor units by currency; stages and `without_contact` sum to it.

    A stage: {key, name, contacts, mrr, entered, left, stays, median_days, p90_days}; a move: {from, to, contacts,
    share}, of those that left. `stays` are those that ended, and whose beginning is known.
    """

    model_config = ConfigDict(populate_by_name=True)

    first: str = Field(alias="from")
    last: str = Field(alias="to")
    stages: list[dict[str, Any]]
    without_contact: list[dict[str, Any]]
    mrr: list[dict[str, Any]]
    moves: list[dict[str, Any]]
    trials: dict[str, Any]
    at_risk: dict[str, Any] = Field(description="{contacts, mrr, reasons: [{reason, contacts, mrr}]}")


class Drivers(BaseModel):
    """Of whom it is decided whether they convert, and each group against all others, or (`against`) its hold-out;
    `lift`: its rate as a multiple of theirs, null where none of them did. `low`, `high`: of the rate, 95 %. `small`:
    too few to say anything.
    """

    model_config = ConfigDict(populate_by_name=True)

    first: str = Field(alias="from")
    last: str = Field(alias="to")
    of: str
    usage_days: int
    within_days: int
    contacts: int
    converted: int
    running: int
    rate: float | None
    drivers: list[dict[str, Any]]
    warning: str


class Settings(BaseModel):
    """What health, alerts and worth go by, defaults included. `managed_by`: `file` where tidegate.yaml says it."""

    health: dict[str, Any]
    alerts: list[dict[str, Any]]
    worth: dict[str, str]
    managed_by: dict[str, str]


class SettingsChange(BaseModel):
    """What health, alerts and worth are to go by, as in tidegate.yaml; what is left out stays, empty is the default."""

    model_config = STRICT

    health: dict[str, Any] | None = Field(
        default=None, description="{components: [{key, field, curve, weight}], unhealthy_below, healthy_from, coverage}"
    )
    alerts: list[dict[str, Any]] | None = Field(
        default=None, max_length=50, description="[{rule, days, interval_months, enabled}]"
    )
    worth: dict[str, str] | None = Field(
        default=None, description="properties that say what a contact is worth and when it renews: {mrr, renews_at}"
    )
    token: str | None = Field(default=None, description="of the preview: does exactly that, or is refused")


class SettingsEffect(BaseModel):
    """What other settings would do, or did (`done`): contacts with another worth or health, who is unhealthy, who
    moves, alerts by rule. Nobody is told of it.
    """

    weighed: int
    scored: int
    unhealthy: dict[str, int]
    moves: list[dict[str, Any]]
    entered: dict[str, int]
    left: dict[str, int]
    opened: dict[str, int]
    resolved: dict[str, int]
    token: str
    done: bool


@router.get("/api/stages/report", dependencies=[requires("read")])
def report(hub: HubOf, first: FirstDay = None, last: LastDay = None, connection: Named = None) -> StageReport:
    """Moves between stages, time in each, MRR by stage, trials, and who is at risk for which reason."""
    found = lifecycle_report.lifecycle_report(hub.engine, hub.livemode(connection), first, last)
    return StageReport.model_validate(found)


@router.get("/api/stages/drivers", dependencies=[requires("read")])
def drivers(
    hub: HubOf,
    of: Annotated[Literal["trial", "free"], Query(description="those that began a trial, or that came free")] = "trial",
    first: FirstDay = None,
    last: LastDay = None,
    usage_days: Annotated[int, Query(ge=1, le=365, description="first days, in which usage and actions count")] = 14,
    within_days: Annotated[int, Query(ge=1, le=3650, description="days in which paying is a conversion")] = 90,
    connection: Named = None,
) -> Drivers:
    """Which contacts convert: by property, and by usage and actions in the first days; each against all others."""
    found = lifecycle_report.conversion_drivers(
        hub.engine, hub.livemode(connection), of, first, last, usage_days=usage_days, within_days=within_days
    )
    return Drivers.model_validate(found)


@router.get("/api/lifecycle/settings", dependencies=[requires("read")])
def settings(hub: HubOf) -> Settings:
    """What health, alerts and worth go by."""
    with hub.engine.connect() as db:
        return Settings.model_validate(lifecycle_settings.shown(db))


@router.post("/api/lifecycle/settings")
def change_lifecycle_settings(
    change: SettingsChange, hub: HubOf, token: Admin, preview: bool = False
) -> SettingsEffect:
    """Makes health, alerts and worth go by other settings, or tells what that would do (`?preview=true`)."""
    found = lifecycle_settings.change(
        hub.engine,
        by(token),
        said_health=change.health,
        said_alerts=change.alerts,
        said_worth=change.worth,
        token=change.token,
        only_preview=preview,
    )
    return SettingsEffect.model_validate(found.as_json())
