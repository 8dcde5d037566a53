"""What a source, a model and a sync say: read from tidegate.yaml, a command or a request, and checked as a whole."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from tidegate.errors import SyncInvalid
from tidegate.outbound.field_map.parse import FieldMap, parse
from tidegate.outbound.resources import INSERT_ONLY, Resource
from tidegate.outbound.spec_rules import wrong_together

_FORBID = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


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
            *wrong_together(self),
            *(f"{one.where}: {one.problem}" for one in parse(self.resource, self.fields)[1]),
        ]
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
