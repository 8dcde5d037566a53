"""What a source, a model and a sync say: read from tidegate.yaml, a command or a request, and checked as a whole."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from tidegate.errors import SyncInvalid
from tidegate.outbound import schedule
from tidegate.outbound.field_map.parse import FieldMap, parse
from tidegate.outbound.plan.compare import BILLED
from tidegate.outbound.schedule import AfterSync

_FORBID = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

Resource = Literal[
    "customers",
    "products",
    "prices",
    "subscriptions",
    "invoices",
    "invoiceitems",
    "quotes",
    "meter_events",
    "contacts",
]
MATCHES: Mapping[str, frozenset[str]] = {
    "customers": frozenset({"id", "email", "metadata"}),
    "products": frozenset({"id", "metadata"}),
    "prices": frozenset({"id", "lookup_key", "metadata"}),
    **{name: frozenset({"id", "metadata"}) for name in ("subscriptions", "invoices", "invoiceitems", "quotes")},
    "contacts": frozenset({"id"}),
}
"""By what a row is matched with an object of each resource."""
ANCHOR = ("now", "unchanged")
"""What Stripe takes for a billing anchor when a subscription changes."""
INSERT_ONLY = frozenset({"meter_events"})
"""Resources of which Stripe has no list: what is made of a row can be neither found, nor changed, nor deleted."""
OWN = frozenset({"contacts"})
"""Resources that are the hub's own: their rows are written here, and Stripe is asked nothing."""
SETTABLE = frozenset({"products"})
"""Resources whose objects can be made under an id of one's own."""


class Problems(ValueError):
    """What is wrong with a sync, each as `place: problem`; a place is names parted by dots, as in the entry."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class Delete(BaseModel):
    """What becomes of an object whose row left the model: `nothing`, or `remove`, in the way of its resource."""

    model_config = _FORBID

    how: Literal["nothing", "remove"] = "nothing"
    cancel_subscriptions: bool = False
    at: Literal["period_end", "now"] = "period_end"
    prorate: bool = False
    invoice_now: bool = False
    void: bool = True


OPTIONS: Mapping[str, frozenset[str]] = {
    "customers": frozenset({"cancel_subscriptions"}),
    "subscriptions": frozenset({"at", "prorate", "invoice_now"}),
    "invoices": frozenset({"void"}),
}
"""What of `Delete` means something for a resource, beside `how`."""


class Stops(BaseModel):
    """Above which share of the known rows, in percent, a run stops before it sends."""

    model_config = _FORBID

    deletes: float = 5
    updates: float = 20


class Alerts(BaseModel):
    """When `tidegate status` names a sync: rows that failed in percent of the model's, and minutes that a run is late
    or lasts.
    """

    model_config = _FORBID

    rows_failed: float = 5
    late: int = 30
    longest: int = 240


class Model(BaseModel):
    """A named query over a source: SQL, or a table's name, and the column (or columns) that tell its rows apart."""

    model_config = _FORBID

    key: str
    source: str
    sql: str = ""
    table: str = ""
    primary_key: tuple[str, ...]

    @field_validator("primary_key", mode="before")
    @classmethod
    def _columns(cls, said: Any) -> Any:
        return (said,) if isinstance(said, str) else said

    @model_validator(mode="after")
    def _one(self) -> "Model":
        if bool(self.sql) == bool(self.table):
            raise ValueError("a model is either `sql` or a `table`")
        if not self.primary_key:
            raise ValueError("a model needs a primary_key")
        return self


class Sync(BaseModel):
    """A sync: which model fills which resource, and how.

    `match`: the field that rows are matched by, and the column that holds it (`{email: owner}`, `{metadata: {key:
    column}}`). `on_conflict`: who wins where a field was edited in Stripe. `finish`: what becomes of invoices and
    quotes when all of their items passed. `time_zone`: of times that name none, and of the schedule.
    """

    model_config = _FORBID

    key: str
    model: str
    resource: Resource
    connection: str | None = None
    mode: Literal["upsert", "update", "insert"] = "upsert"
    match: Mapping[str, Any] = {}
    fields: Mapping[str, Any]
    delete: Delete = Delete()
    on_conflict: Literal["warehouse", "stripe", "flag"] = "warehouse"
    finish: Literal["draft", "finalized", "sent"] = "draft"
    replace_prices: bool = False
    time_zone: str = "UTC"
    schedule: str = ""
    stops: Stops = Stops()
    alerts: Alerts = Alerts()

    @field_validator("delete", mode="before")
    @classmethod
    def _how(cls, said: Any) -> Any:
        return {"how": said} if isinstance(said, str) else said

    @model_validator(mode="before")
    @classmethod
    def _mode(cls, said: Any) -> Any:
        """What can only be inserted is, without being said."""
        if isinstance(said, Mapping) and cast("Mapping[str, Any]", said).get("resource") in INSERT_ONLY:
            return {"mode": "insert", **cast("Mapping[str, Any]", said)}
        return cast("Any", said)

    @model_validator(mode="after")
    def _whole(self) -> "Sync":
        problems = [
            *_of_insert_only(self),
            *_of_own(self),
            *_of_match(self),
            *_of_delete(self),
            *_of_options(self),
            *_of_schedule(self),
        ]
        problems += [f"{one.where}: {one.problem}" for one in parse(self.resource, self.fields)[1]]
        if problems:
            raise Problems(problems)
        return self

    @property
    def field_map(self) -> FieldMap:
        """What fills each field."""
        return parse(self.resource, self.fields)[0]

    @property
    def matched_by(self) -> tuple[str, str, str]:
        """By what rows are matched: the way, the metadata key (else empty), and the column (empty: by nothing)."""
        if not self.match:
            return "", "", ""
        [(way, by)] = self.match.items()
        if way == "metadata":
            [(key, column)] = cast("Mapping[str, str]", by).items()
            return way, key, column
        return way, "", by

    @property
    def zone(self) -> ZoneInfo:
        """Of times that name none."""
        return ZoneInfo(self.time_zone)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a row's payload and match depend on, each once, by name."""
        return tuple(sorted({*self.field_map.columns, self.matched_by[2]} - {""}))


def unfit_key(key: str) -> str:
    """Why a new source, model or sync cannot be called so; empty: it can."""
    return "" if key and key.replace("-", "").replace("_", "").isalnum() else "its key is letters, digits, - and _"


def model(said: Mapping[str, Any]) -> Model:
    """Raises SyncInvalid."""
    return _read(Model, "model", said)


def sync(said: Mapping[str, Any]) -> Sync:
    """Raises SyncInvalid, which names everything that is wrong."""
    return _read(Sync, "sync", said)


def wrong(said: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with a sync, each as `place: problem`, or a problem of it all."""
    try:
        Sync.model_validate(said)
    except ValidationError as error:
        return _problems(error)
    return []


def _read(kind: type[Any], what: str, said: Mapping[str, Any]) -> Any:
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        raise SyncInvalid(what=what, key=str(said.get("key", "?")), problem="; ".join(_problems(error))) from None


def _problems(error: ValidationError) -> list[str]:
    found: list[str] = []
    for one in error.errors(include_url=False):
        cause = cast("Mapping[str, Any]", one.get("ctx", {})).get("error")
        found += cause.problems if isinstance(cause, Problems) else [_problem(cast("Mapping[str, Any]", one))]
    return found


def _problem(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    said = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {said}" if where else said


def _value(sync: Sync, name: str) -> Any:
    said = sync.fields.get(name)
    return cast("Mapping[str, Any]", said).get("value") if isinstance(said, Mapping) else None


def _of_mark(sync: Sync) -> list[str]:
    """What rows are matched by is written as well, so that they are found again: the field map says the same of it."""
    way, name, column = sync.matched_by
    within = sync.fields.get("metadata") if way == "metadata" else sync.fields
    said = cast("Mapping[str, Any]", within).get(name or way) if isinstance(within, Mapping) else None
    where = f"fields.metadata.{name}" if name else f"fields.{way}"
    told = said.get("column") if isinstance(said, Mapping) else said  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    free = way != "metadata" and isinstance(said, Mapping) and "template" in said
    if said is None or told == column or free:
        return []
    return [f"{where}: rows are matched by the column {column}, so it is filled by that and by nothing else"]


def _of_insert_only(sync: Sync) -> list[str]:
    """What cannot be said of usage: it is told once, and counts from then on."""
    if sync.resource not in INSERT_ONLY:
        return []
    what = "usage is told once"
    found: list[str] = []
    if sync.mode != "insert":
        found.append(f"mode: it is insert; {what}, and Stripe lets nobody change it. A row that differs is a new row")
    if sync.match:
        found.append(f"match: {what}, so rows are matched with nothing; each counts once, by its key")
    if "delete" in sync.model_fields_set:
        found.append(f"delete: {what}, and what left the model stays counted; a value below 0 takes away")
    if "on_conflict" in sync.model_fields_set:
        found.append(f"on_conflict: {what}, and nobody edits it in Stripe")
    return found


def _of_own(sync: Sync) -> list[str]:
    """What cannot be said of contacts."""
    if sync.resource not in OWN:
        return []
    found: list[str] = []
    if sync.mode == "insert":
        found.append("mode: it is upsert, or update for contacts that there are")
    if sync.delete.how == "remove":
        found.append(
            "delete: a contact stays when its row leaves the model; take it away with `tidegate contacts forget`"
        )
    for name in ("name", "owner"):
        said = sync.fields.get(name)
        if isinstance(said, Mapping) and cast("Mapping[str, Any]", said).get("nulls") == "clear":
            found.append(f"fields.{name}.nulls: only properties are taken away; a null says nothing of it")
    if sync.on_conflict != "warehouse":
        found.append("on_conflict: contacts are yours, and nobody edits them in Stripe")
    return found


def _of_match(sync: Sync) -> list[str]:
    if sync.resource in INSERT_ONLY:
        return []
    ways = sorted(MATCHES[sync.resource])
    if len(sync.match) != 1 or not set(sync.match) <= set(ways):
        return [f"match: {sync.resource} are matched by one of {', '.join(ways)}"]
    [(way, by)] = sync.match.items()
    if way != "metadata":
        if sync.resource in OWN and isinstance(by, str):
            return []
        return _of_mark(sync) if isinstance(by, str) else [f"match.{way}: it takes the name of a column"]
    if not isinstance(by, Mapping) or len(cast("Mapping[str, Any]", by)) != 1:
        return ["match.metadata: it takes one key and the column that holds its value, {account_id: id}"]
    return _of_mark(sync)


def _of_delete(sync: Sync) -> list[str]:
    if sync.resource in INSERT_ONLY:
        return []
    said = sync.delete.model_fields_set - {"how"}
    unfit = sorted(said - OPTIONS.get(sync.resource, frozenset()))
    found = [f"delete.{name}: it means nothing for {sync.resource}" for name in unfit]
    if sync.delete.how == "remove" and sync.mode != "upsert":
        found.append(f"delete: it goes with the mode upsert; this sync's is {sync.mode}")
    return found


def _of_options(sync: Sync) -> list[str]:
    found: list[str] = []
    if sync.finish != "draft" and sync.resource not in {"invoices", "quotes"}:
        found.append("finish: only invoices and quotes are finished")
    if sync.finish == "sent" and sync.resource == "quotes":
        found.append("finish: a quote is finalized; Stripe sends none")
    if sync.replace_prices and sync.resource != "prices":
        found.append("replace_prices: it is for prices")
    billed = sorted(BILLED & sync.fields.keys()) if sync.resource == "subscriptions" else []
    if billed and "proration_behavior" not in sync.fields:
        found.append(
            f"fields.proration_behavior: say what a change of {', '.join(billed)} costs now, such as {{value: none}}, "
            "{value: create_prorations} or {value: always_invoice}"
        )
    if (
        sync.resource == "subscriptions"
        and isinstance(word := _value(sync, "billing_cycle_anchor"), str)
        and word in ANCHOR
    ):
        found.append(
            "fields.billing_cycle_anchor: it is the time that a new subscription is billed from, and not changed later"
        )
    try:
        ZoneInfo(sync.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        found.append(f"time_zone: {sync.time_zone!r} is no time zone: it is one such as Europe/Berlin, or UTC")
    return found


def _of_schedule(sync: Sync) -> list[str]:
    try:
        if schedule.parse(sync.schedule) == AfterSync(sync.key):
            return ["schedule: a sync cannot run after itself"]
    except ValueError as wrong:
        return [f"schedule: {wrong}"]
    return []
