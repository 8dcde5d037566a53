"""Owners and the alert route of tidegate.yaml: made so, taken away, and written out."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from tidegate.lifecycle import owners, routes
from tidegate.lifecycle.owners import Owner
from tidegate.lifecycle.routes import Route

if TYPE_CHECKING:
    from tidegate.workflows.config.config_steps import Applying

FILE = "file"

Digests = Literal["", "daily", "weekly"]


class OwnerEntry(BaseModel):
    """An entry of `owners`. `destination`: of its alerts, else they go to the default route; `when`: whom it gets."""

    model_config = ConfigDict(extra="forbid")

    key: str
    name: str = ""
    email: str = ""
    destination: str = ""
    digest: Digests = ""
    when: dict[str, Any] | None = None


class RouteEntry(BaseModel):
    """`alert_route`: where alerts go that no owner is sent. A destination alone may be said as it is."""

    model_config = ConfigDict(extra="forbid")

    destination: str
    digest: Digests = ""
    hour: int = Field(default=8, ge=0, le=23)
    time_zone: str = ""


def define(db: Connection, applying: "Applying") -> None:
    """Makes owners and the alert route what the file says. Raises ConfigInvalid, with the line."""
    from tidegate.workflows.config.config_steps import noted

    before, by_file = {one.key: one for one in owners.every(db)}, owners.managed(db)
    for entry in applying.sections.owners or ():
        wanted = Owner(**entry.model_dump())
        with applying.at(entry):
            if owners.define(db, wanted, FILE):
                known = before.get(entry.key)
                was = known and known.as_json() | {"managed_by": by_file[entry.key]}
                noted(applying, "owners", entry.key, was, wanted.as_json() | {"managed_by": FILE})
    for entry in applying.sections.alert_route or ():
        wanted_route, known_route = Route(**entry.model_dump()), routes.load(db)
        managed = routes.managed_by(db)
        if (known_route, managed) == (wanted_route, FILE):
            continue
        with applying.at(entry):
            routes.put(db, wanted_route, FILE)
        was = known_route.as_json() if known_route.destination else None
        noted(applying, "alert_route", entry.destination, was, wanted_route.as_json())


def leave(db: Connection, applying: "Applying") -> None:
    """Removes owners that the file managed and names no longer, with `prune`; else lets them be changed elsewhere."""
    if applying.sections.owners is None:
        return
    named = {one.key for one in applying.sections.owners}
    for key, managed in owners.managed(db).items():
        if not managed or key in named:
            continue
        if applying.prune:
            owners.remove(db, key, FILE)
        else:
            owners.release(db, key)
        applying.note("remove" if applying.prune else "release", "owners", key)


def export(db: Connection) -> dict[str, Any]:
    """The sections as plain values."""
    said = [_said(one.as_json(), Owner("").as_json()) for one in owners.every(db)]
    route = routes.load(db)
    return {"owners": said, "alert_route": _said(route.as_json(), Route().as_json()) if route.destination else {}}


def _said(values: dict[str, Any], unsaid: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value != unsaid[name]}
