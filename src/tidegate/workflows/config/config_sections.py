"""The sections of tidegate.yaml: what each may say, and the file as checked entries that know their line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tidegate.catalog.terms import FeatureType, Reset
from tidegate.contacts.policy import NAMES
from tidegate.outbound import specs
from tidegate.workflows.config.config_actions import ActionEntry
from tidegate.workflows.config.config_destinations import DestinationEntry
from tidegate.workflows.config.config_ignored import IgnoredEntry
from tidegate.workflows.config.config_people import OwnerEntry, RouteEntry
from tidegate.workflows.config.config_suppression import SuppressedEntry
from tidegate.workflows.config.config_yaml import Document, FromEnvironment, load

_FORBID = ConfigDict(extra="forbid")


class FeatureEntry(BaseModel):
    """An entry of `features`."""

    model_config = _FORBID

    key: str
    type: FeatureType
    name: str = ""
    unit: str = ""
    reset: Reset = "month"
    meter: str = ""


class PackageEntry(BaseModel):
    """An entry of `packages`. Without `features` its versions are left alone; `prices` are to be made in Stripe."""

    model_config = _FORBID

    key: str
    name: str = ""
    kind: Literal["base", "add_on"] = "base"
    default: bool = False
    features: dict[str, Any] | None = None
    prices: list[dict[str, Any]] = []


class MappingEntry(BaseModel):
    """An entry of `mappings`; `limit`, `unlimited`, `value` and `reset` are terms of a feature."""

    model_config = _FORBID

    price: str | None = None
    product: str | None = None
    package: str | None = None
    feature: str | None = None
    limit: int | None = None
    unlimited: bool | None = None
    value: Any = None
    reset: Reset | None = None
    per_quantity: bool | None = None
    connection: str | None = None

    @property
    def terms(self) -> dict[str, Any] | None:
        """What is said of the feature; None: nothing."""
        said = {"limit": self.limit, "unlimited": self.unlimited, "value": self.value, "reset": self.reset}
        return {name: one for name, one in said.items() if one is not None} or None


class ContactsEntry(BaseModel):
    """`contacts`: the contact settings of a connection (`contacts.policy`); a list of them where there are several."""

    model_config = ConfigDict(extra="allow")

    connection: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _known(cls, said: Any) -> Any:
        if isinstance(said, Mapping):
            for name in said:  # pyright: ignore[reportUnknownVariableType]
                if name not in (*NAMES, "connection"):
                    raise ValueError(unknown(str(name), (*NAMES, "connection")))  # pyright: ignore[reportUnknownArgumentType]
        return said  # pyright: ignore[reportUnknownVariableType]

    @property
    def settings(self) -> dict[str, Any]:
        """What is set."""
        return dict(self.model_extra or {})


class RevenueEntry(BaseModel):
    """`revenue`: by what a connection's ledger is kept; a list of them where there are several. What is not said stays
    as it is in a ledger that nobody changed.
    """

    model_config = _FORBID

    connection: str | None = None
    policy: str = "default"
    settings: dict[str, str] = {}
    base_currency: str = ""
    time_zone: str = ""
    identity: str = "own_id"


class SourceEntry(BaseModel):
    """An entry of `sources`. A URL that holds a password comes from the environment: `{env: NAME}`."""

    model_config = _FORBID

    key: str
    url: str


class RuleEntry(BaseModel):
    """An entry of `stages`, in their order, or of `segments`; a stage without `when` takes all whom no other takes."""

    model_config = _FORBID

    key: str
    name: str = ""
    when: dict[str, Any] | None = None


class HealthEntry(BaseModel):
    """`health`: what of its components, thresholds and the least coverage is another than by default."""

    model_config = _FORBID

    components: list[dict[str, Any]] | None = None
    unhealthy_below: float | None = None
    healthy_from: float | None = None
    coverage: float | None = None


class WorthEntry(BaseModel):
    """`worth`: properties of yours that say what a contact is worth a month and when it renews, instead of Stripe."""

    model_config = _FORBID

    mrr: str | None = None
    renews_at: str | None = None


class AlertEntry(BaseModel):
    """An entry of `alerts`: of a rule the days, the shortest interval, or that it is not wanted."""

    model_config = _FORBID

    rule: str
    days: float | None = None
    interval_months: float | None = None
    enabled: bool | None = None


MODELS: dict[str, type[BaseModel]] = {
    "features": FeatureEntry,
    "packages": PackageEntry,
    "mappings": MappingEntry,
    "ignored_prices": IgnoredEntry,
    "contacts": ContactsEntry,
    "revenue": RevenueEntry,
    "sources": SourceEntry,
    "models": specs.Model,
    "syncs": specs.Sync,
    "stages": RuleEntry,
    "segments": RuleEntry,
    "worth": WorthEntry,
    "health": HealthEntry,
    "alerts": AlertEntry,
    "suppressed_properties": SuppressedEntry,
    "destinations": DestinationEntry,
    "actions": ActionEntry,
    "owners": OwnerEntry,
    "alert_route": RouteEntry,
}
"""The entries of each section, in the order in which they are applied."""
ALONE = frozenset({"contacts", "revenue", "alert_route", "health", "worth"})
"""Sections that are one entry where there is one connection, or that are one always."""


@dataclass(slots=True)
class Sections:
    """A checked file. A section that the file lacks is None: nothing is said of it, so nothing of it is pruned."""

    document: Document
    features: list[FeatureEntry] | None = None
    packages: list[PackageEntry] | None = None
    mappings: list[MappingEntry] | None = None
    ignored_prices: list[IgnoredEntry] | None = None
    contacts: list[ContactsEntry] | None = None
    revenue: list[RevenueEntry] | None = None
    sources: list[SourceEntry] | None = None
    models: list[specs.Model] | None = None
    syncs: list[specs.Sync] | None = None
    stages: list[RuleEntry] | None = None
    segments: list[RuleEntry] | None = None
    worth: list[WorthEntry] | None = None
    health: list[HealthEntry] | None = None
    alerts: list[AlertEntry] | None = None
    suppressed_properties: list[SuppressedEntry] | None = None
    destinations: list[DestinationEntry] | None = None
    actions: list[ActionEntry] | None = None
    owners: list[OwnerEntry] | None = None
    alert_route: list[RouteEntry] | None = None
    paths: dict[int, tuple[str | int, ...]] = field(default_factory=dict[int, tuple[str | int, ...]])

    def of(self, entry: BaseModel) -> tuple[str | int, ...]:
        """Where an entry stands in the file."""
        return self.paths.get(id(entry), ())

    def variable(self, entry: BaseModel, name: str) -> str:
        """The variable of the environment that a value of an entry came from; empty: it stands in the file."""
        return self.document.variables.get((*self.of(entry), name), "")


def read(text: str, file: str, environment: Mapping[str, str]) -> Sections:
    """Reads and checks a file. Raises ConfigInvalid, with the line and the nearest valid name."""
    document = load(text, file, environment)
    said: Any = {} if document.values is None else document.values
    if not isinstance(said, dict):
        raise document.wrong((), f"a file says sections: {', '.join(MODELS)}.")
    sections = cast("dict[str, Any]", said)
    found = Sections(document)
    for name, section in sections.items():
        if name not in MODELS:
            raise document.wrong((name,), unknown(name, tuple(MODELS), "section"))
        setattr(found, name, _entries(found, name, section))
    return found


def unknown(name: str, known: tuple[str, ...], what: str = "key") -> str:
    """That there is no such name, and which one may be meant."""
    near = get_close_matches(name, known, n=1)
    return f"there is no {what} {name}.{f' Did you mean {near[0]}?' if near else ''} Known: {', '.join(known)}."


def _entries(found: Sections, name: str, section: Any) -> list[BaseModel]:
    if name == "alert_route":
        section = {"destination": str(section)} if isinstance(section, str) else section
        if not isinstance(section, dict):
            raise found.document.wrong((name,), f"{name} is a destination, or its keys: {', '.join(_ROUTE)}.")
    alone = name in ALONE and isinstance(section, dict)
    if name in ("health", "worth") and not alone:
        raise found.document.wrong((name,), f"{name} is its keys: {', '.join(MODELS[name].model_fields)}.")
    if not alone and not isinstance(section, list):
        raise found.document.wrong((name,), f"{name} is a list.")
    listed = cast("list[Any]", [section] if alone else section)
    entries: list[BaseModel] = []
    for at, one in enumerate(listed):
        path = (name,) if alone else (name, at)
        try:
            entry = MODELS[name].model_validate(_numbers(one))
        except ValidationError as error:
            raise _explained(found.document, path, MODELS[name], error) from None
        entries.append(entry)
        found.paths[id(entry)] = path
    return entries


_ROUTE = tuple(RouteEntry.model_fields)


def _numbers(value: Any) -> Any:
    """Text of the environment as the number or truth that it spells: nothing else can be said there."""
    if isinstance(value, dict):
        return {name: _numbers(one) for name, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_numbers(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, FromEnvironment):
        return _SPELLED.get(value, int(value) if value.isdecimal() and len(value) < 16 else str(value))
    return value


_SPELLED: dict[str, Any] = {"true": True, "false": False}


def _explained(
    document: Document, path: tuple[str | int, ...], model: type[BaseModel], error: ValidationError
) -> Exception:
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")  # a misspelt key lacks, too
    place = (*path, *first["loc"])
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return document.wrong(place, unknown(name, tuple(model.model_fields)))
    told = first.get("ctx", {}).get("error")
    if isinstance(told, specs.Problems):
        return each_wrong(document, path, told.problems)
    problem = first["msg"].removeprefix("Value error, ")
    return document.wrong(place, f"{path[0]}{f' → {name}' if name else ''}: {problem[:1].lower()}{problem[1:]}")


def each_wrong(document: Document, path: tuple[str | int, ...], problems: Sequence[str]) -> Exception:
    """All that is wrong with an entry, each as `place.in.it: problem`: the first leads, the others name their lines."""
    placed = [(_place(document, path, one.partition(": ")[0]), one) for one in problems]
    lines = [f"line {line}: {one}" if line else one for line, one in placed]
    return document.wrong((), f"{path[0]} → {'; '.join(lines)}")


def _place(document: Document, path: tuple[str | int, ...], where: str) -> int | None:
    """The line of the nearest place around `where` that the file has."""
    parts: list[str | int] = [int(part) if part.isdecimal() else part for part in where.split(".")]
    for known in range(len(parts), -1, -1):
        if line := document.lines.get((*path, *parts[:known])) or document.lines.get(
            (*path, "fields", *parts[:known]) if known else path
        ):
            return line
    return None
