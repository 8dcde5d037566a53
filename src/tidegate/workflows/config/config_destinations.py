"""Destinations of tidegate.yaml: made so, taken away, and written out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from tidegate.errors import ConfigInvalid
from tidegate.lifecycle import routes
from tidegate.secrets import Vault

if TYPE_CHECKING:
    from tidegate.workflows.config.config_steps import Applying

FILE = "file"
SECTION = "destinations"


class DestinationEntry(BaseModel):
    """An entry of `destinations`: its key, its kind as `type`, and the options of that kind."""

    model_config = ConfigDict(extra="allow")

    key: str
    type: str

    @property
    def said(self) -> dict[str, Any]:
        """The options."""
        return dict(self.model_extra or {})


def define(db: Connection, applying: "Applying") -> None:
    """Makes destinations what the file says. Raises ConfigInvalid, with the line, also for a secret in the clear."""
    if applying.sections.destinations is None:
        return
    from tidegate.delivery import stored
    from tidegate.workflows.delivery import destinations

    known = {one["key"]: one for one in stored.every(db)}
    for entry in applying.sections.destinations:
        with applying.at(entry):
            options = stored.checked(entry.key, entry.type, entry.said)
            variables = _variables(applying, entry, options.secret)
            now = _as_entry(entry, variables)
            row = known.get(entry.key)
            destinations.define(
                db, entry.key, entry.type, entry.said, applying.by, variables=variables, vault=_none, managed_by=FILE
            )
            _note(applying, entry.key, row and entry_of(row), now, row)


def _variables(applying: "Applying", entry: DestinationEntry, secret: frozenset[str]) -> dict[str, Any]:
    """The secret options as they are written: by the variables that hold them."""
    at = applying.sections.of(entry)
    return {name: _written(applying, (*at, name), entry.said[name]) for name in sorted(secret & entry.said.keys())}


def _written(applying: "Applying", place: tuple[str | int, ...], value: Any) -> Any:
    document = applying.sections.document
    if variable := document.variables.get(place):
        return {"env": variable}
    if isinstance(value, list):
        return [_written(applying, (*place, at), one) for at, one in enumerate(cast("list[Any]", value))]
    if isinstance(value, dict):
        return {name: _written(applying, (*place, name), one) for name, one in cast("dict[str, Any]", value).items()}
    told = f"{place[-1]} is a secret; put it into the environment and say {place[-1]}: {{env: NAME}}."
    raise document.wrong(place, f"destinations → {told}")


def _none() -> Vault:
    raise ConfigInvalid(file=SECTION, problem="a file holds no secrets")


def _as_entry(entry: DestinationEntry, variables: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": entry.type, **entry.said, **variables}


def _note(
    applying: "Applying",
    key: str,
    before: Mapping[str, Any] | None,
    now: Mapping[str, Any],
    row: Mapping[str, Any] | None,
) -> None:
    if before is None:
        applying.note("create", SECTION, key, now=dict(now))
        return
    other = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    if other:
        changed = {name: before.get(name) for name in other}
        applying.note("change", SECTION, key, before=changed, now={name: now.get(name) for name in other})
    elif row and row["managed_by"] != FILE:
        applying.note("manage", SECTION, key)


def leave(db: Connection, applying: "Applying") -> None:
    """Removes what the file managed and names no longer, with `prune`; else lets it be changed elsewhere."""
    if applying.sections.destinations is None:
        return
    from tidegate.delivery import stored
    from tidegate.workflows.lifecycle import lifecycle_actions

    named = {one.key for one in applying.sections.destinations}
    for row in stored.every(db):
        if not row["managed_by"] or row["key"] in named:
            continue
        if applying.prune:
            with applying.pruning():
                routes.require_unused(db, row["key"])
                lifecycle_actions.refuse_in_use(db, row["key"])
                stored.remove(db, row["key"], FILE)
        else:
            stored.release(db, row["key"])
        applying.note("remove" if applying.prune else "release", SECTION, row["key"])


def export(db: Connection) -> dict[str, Any]:
    """The section as plain values. Raises ConfigInvalid for a destination that holds a secret itself."""
    from tidegate.delivery import stored

    found: list[dict[str, Any]] = []
    for row in stored.every(db):
        if stored.has_sealed(row):
            problem = (
                f"the destination {row['key']} holds a secret, which no file may. Put it into a variable and say so: "
                f"`tidegate destinations add {row['key']} {row['kind']} --env NAME=VARIABLE`."
            )
            raise ConfigInvalid(file="export", problem=problem)
        found.append({"key": row["key"], **entry_of(row)})
    return {SECTION: found}


def entry_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A listed destination as an entry of the file, without its key."""
    return {"type": row["kind"], **row["spec"]}
