"""Destinations as they are stored: defined, listed, paused, removed; their secrets sealed, or named by variables."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any, cast

from pydantic import ValidationError
from sqlalchemy import Connection, text

from tidegate.delivery import belongings
from tidegate.delivery.destinations import KINDS
from tidegate.delivery.messages import Destination, Writer
from tidegate.delivery.options import Options, pattern_of
from tidegate.errors import ConfigurationError, DestinationInvalid, DestinationUnknown, ManagedByFile
from tidegate.secrets import Vault

FILE = "file"
HIDDEN = "…"


@dataclass(frozen=True, slots=True)
class Stored:
    """A destination. `kept`: the properties of contacts that are kept in sync with it; `events`: the patterns of what
    it is sent.
    """

    key: str
    kind: str
    options: Options
    failures: int
    failing_since: datetime | None

    @property
    def speaks(self) -> Destination | Writer:
        """What it is spoken to by."""
        return KINDS[self.kind]

    @property
    def events(self) -> tuple[str, ...]:
        """Patterns of what it is sent."""
        return events_of(self.kind, self.options)

    @property
    def kept(self) -> tuple[str, ...]:
        """Properties that are kept in sync with it."""
        return properties_of(self.kind, self.options)


def events_of(kind: str, options: Options) -> tuple[str, ...]:
    """What was chosen, else what the kind is sent."""
    return options.events if options.events is not None else KINDS[kind].events


def properties_of(kind: str, options: Options) -> tuple[str, ...]:
    """What was chosen, else what is kept in sync with the kind."""
    return options.properties if options.properties is not None else KINDS[kind].properties


def checked(key: str, kind: str, said: Mapping[str, Any]) -> Options:
    """What is said of a destination, as options. Raises DestinationInvalid, which names what is wrong."""
    if not key or len(key) > 60 or not key.replace("-", "").replace("_", "").isalnum():
        raise DestinationInvalid(problem=f"its key {key!r} is up to 60 letters, digits, - and _")
    if kind not in KINDS:
        near = get_close_matches(kind, KINDS, 1)
        meant = f" Is it {near[0]}?" if near else ""
        raise DestinationInvalid(problem=f"there is no kind {kind!r}.{meant} Kinds: {', '.join(sorted(KINDS))}")
    model = KINDS[kind].options
    try:
        options = model.model_validate(dict(said))
    except ValidationError as error:
        raise DestinationInvalid(problem=_explained(key, model, error)) from None
    if kind in ("hubspot", "http") and options.events:
        raise DestinationInvalid(
            problem=f"{key}: a destination of the kind {kind} takes properties of contacts, no events"
        )
    return options


def _explained(key: str, model: type[Options], error: ValidationError) -> str:
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = get_close_matches(name, model.model_fields, 1)
        return f"{key}: it has no option {name}{f'; is it {near[0]}?' if near else ''}. Options: " + ", ".join(
            sorted(model.model_fields)
        )
    if first["type"] == "missing":
        return f"{key}: it needs {name}"
    return f"{key}: {name}: {first['msg'].removeprefix('Value error, ')}" if name else f"{key}: {first['msg']}"


def define(
    db: Connection,
    key: str,
    kind: str,
    said: Mapping[str, Any],
    *,
    variables: Mapping[str, Any],
    vault: Callable[[], Vault],
    livemode: bool | None,
    managed_by: str = "",
) -> bool:
    """Stores a destination; one that is there is replaced and keeps what is due to it, but where it is another place by
    now nothing of contacts is known to be there. False: it was the same.

    `said`: all options with their values; `variables`: those secret ones that come from the environment, by option,
    as they are written there: `{"env": NAME}`, or a list or mapping of such. Other secrets in `said` are sealed. Raises
    DestinationInvalid and ManagedByFile. Hold the secret key first.
    """
    options = checked(key, kind, said)
    _refuse_managed(db, key, managed_by)
    secret = {name: said[name] for name in options.secret if name in said and name not in variables}
    spec = {name: value for name, value in said.items() if name not in options.secret}
    spec |= dict.fromkeys(secret, HIDDEN) | dict(variables)
    known = db.execute(_ONE, {"key": key}).one_or_none()
    sealed = bytes(known.secrets) if known is not None and known.secrets is not None else None
    before: Any = json.loads(vault().open(sealed, f"destination {key}")) if sealed is not None else {}
    if before != secret or sealed is None:
        sealed = vault().seal(json.dumps(secret, default=list)) if secret else None
    values: dict[str, Any] = {
        "key": key, "kind": kind, "spec": json.dumps(spec, default=list), "secrets": sealed, "livemode": livemode,
        "events": pattern_of(events_of(kind, options)), "keeps": bool(properties_of(kind, options)),
        "managed_by": managed_by,
    }  # fmt: skip
    sent, hidden = json.loads(values["spec"]), json.loads(json.dumps(secret, default=list))
    if known is not None and before == hidden and (
        known.kind, known.spec, known.livemode, known.managed_by
    ) == (kind, sent, livemode, managed_by):  # fmt: skip
        return False
    db.execute(_DEFINE, values)
    if known is None:
        belongings.forget(db, key)  # what was told while another of that key was removed
    elif known.kind != kind or belongings.elsewhere(known.spec | before, sent | hidden):
        belongings.has_nothing(db, key)
    return True


def every(db: Connection) -> list[dict[str, Any]]:
    """All destinations by key, as they may be shown: {key, kind, spec, mode, events, keeps, paused_at, paused_by,
    failing_since, failures, next_try_at, error, delivered, last_at, managed_by, made_at}. A sealed secret is `…`.
    """
    return [_shown(row) for row in db.execute(_EVERY).all()]


def shown(db: Connection, key: str) -> dict[str, Any]:
    """One of `every`. Raises DestinationUnknown."""
    return _shown(_known(db, key))


def _shown(row: Any) -> dict[str, Any]:
    mode = "both" if row.livemode is None else "live" if row.livemode else "test"
    names = (
        "key", "kind", "keeps", "paused_at", "paused_by", "failing_since", "failures", "next_try_at", "error",
        "delivered", "last_at", "managed_by", "made_at",
    )  # fmt: skip
    return {name: getattr(row, name) for name in names} | {"spec": dict(row.spec), "mode": mode}


def opened(db: Connection, key: str, vault: Callable[[], Vault], environment: Mapping[str, str]) -> Stored:
    """A destination with its secrets. Raises DestinationUnknown, SecretKeyLost, and ConfigurationError for a variable
    that the environment lacks.
    """
    row = _known(db, key)
    secret = KINDS[row.kind].options.secret
    spec = {name: value for name, value in row.spec.items() if value != HIDDEN}
    said = {name: _filled(key, value, environment) if name in secret else value for name, value in spec.items()}
    if row.secrets is not None:
        said |= json.loads(vault().open(bytes(row.secrets), f"destination {key}"))
    return Stored(key, row.kind, checked(key, row.kind, said), row.failures, row.failing_since)


def has_sealed(row: Mapping[str, Any]) -> bool:
    """Whether a listed destination holds secrets itself."""
    return any(value == HIDDEN for value in row["spec"].values())


def _filled(key: str, value: Any, environment: Mapping[str, str]) -> Any:
    """What stands in variables, in place of their names."""
    if isinstance(value, list):
        return [_filled(key, one, environment) for one in cast("list[Any]", value)]
    said = cast("dict[str, Any]", value)
    if set(said) != {"env"}:
        return {name: _filled(key, one, environment) for name, one in said.items()}
    if said["env"] not in environment:
        problem = f"The destination {key} needs the variable {said['env']}, which is not set here."
        raise ConfigurationError(problem=problem)
    return environment[said["env"]]


def pause(db: Connection, key: str, by: str, why: str = "") -> dict[str, Any]:
    """Sends it nothing from now on; what is told goes on being due to it. `by` empty: because it failed, `why`."""
    _known(db, key)
    db.execute(_PAUSE, {"key": key, "by": by, "why": why})
    return shown(db, key)


def resume(db: Connection, key: str) -> dict[str, Any]:
    """Sends it what is due, at once."""
    _known(db, key)
    db.execute(_RESUME, {"key": key})
    return shown(db, key)


def remove(db: Connection, key: str, managed_by: str = "") -> dict[str, int]:
    """Removes a destination with what is due to it; returns how many deliveries waited. Raises DestinationUnknown and
    ManagedByFile.
    """
    _known(db, key)
    _refuse_managed(db, key, managed_by)
    waiting = int(db.scalar(_WAITING, {"key": key}) or 0)
    belongings.forget(db, key)
    db.execute(text("delete from tidegate.destinations where key = :key"), {"key": key})
    return {"waiting": waiting}


def release(db: Connection, key: str) -> None:
    """Lets what the file managed be changed elsewhere."""
    db.execute(text("update tidegate.destinations set managed_by = '' where key = :key"), {"key": key})


def stood(
    db: Connection, key: str, *, delivered: int, failures: int, error: str, wait: float | None, ahead: float = 0
) -> datetime | None:
    """Writes down how a destination's turn went; returns since when it has been failing (None: it is not)."""
    values = {
        "key": key,
        "delivered": delivered,
        "failures": failures,
        "error": error[:500],
        "wait": wait,
        "ahead": ahead,
    }
    return db.scalar(_STOOD, values)


def seal_anew(db: Connection, old: Vault, new: Vault) -> dict[str, int]:
    """Opens the secrets of every destination with the old vault and seals them with the new one: 1 for each.

    Raises SecretKeyLost, which names the destination.
    """
    found = db.execute(
        text("select key, secrets from tidegate.destinations where secrets is not null for update")
    ).all()
    for row in found:
        sealed = new.seal(old.open(bytes(row.secrets), f"destination {row.key}"))
        db.execute(text("update tidegate.destinations set secrets = :s where key = :k"), {"s": sealed, "k": row.key})
    return {row.key: 1 for row in found}


def _known(db: Connection, key: str) -> Any:
    row = db.execute(_ONE, {"key": key}).one_or_none()
    if row is None:
        near = get_close_matches(key, list(db.scalars(text("select key from tidegate.destinations"))), 1)
        raise DestinationUnknown(key=key, nearest=f" Is it {near[0]}?" if near else "")
    return row


def _refuse_managed(db: Connection, key: str, managed_by: str) -> None:
    held = db.scalar(text("select managed_by from tidegate.destinations where key = :key"), {"key": key})
    if held == FILE and managed_by != FILE:
        raise ManagedByFile(what=f"The destination {key}")


_COLUMNS = """
select key, kind, spec, secrets, livemode, keeps, paused_at, paused_by, failures, failing_since, error, delivered,
  last_at, managed_by, made_at, nullif(next_try_at, '-infinity') as next_try_at
from tidegate.destinations"""

_ONE = text(f"{_COLUMNS} where key = :key")

_EVERY = text(f"{_COLUMNS} order by key")

_WAITING = text("select count(*) from tidegate.deliveries where destination = :key and state = 'waiting'")

# Another URL or key is tried at once; whether it was paused by a person stays.
_DEFINE = text("""
insert into tidegate.destinations as d (key, kind, spec, secrets, livemode, events, keeps, managed_by)
values (:key, :kind, cast(:spec as jsonb), :secrets, :livemode, :events, :keeps, :managed_by)
on conflict (key) do update set kind = excluded.kind, spec = excluded.spec, secrets = excluded.secrets,
  livemode = excluded.livemode, events = excluded.events, keeps = excluded.keeps, managed_by = excluded.managed_by,
  failures = 0, failing_since = null, next_try_at = '-infinity', slot_at = '-infinity',
  paused_at = case when d.paused_by <> '' then d.paused_at end""")

_PAUSE = text("""
update tidegate.destinations set paused_at = coalesce(paused_at, clock_timestamp()), paused_by = :by,
  error = case when :why = '' then error else :why end where key = :key""")

_RESUME = text("""
update tidegate.destinations set paused_at = null, paused_by = '', failures = 0, failing_since = null, error = '',
  next_try_at = '-infinity' where key = :key""")

_STOOD = text("""
update tidegate.destinations set
  delivered = delivered + :delivered,
  last_at = case when :delivered > 0 then clock_timestamp() + make_interval(secs => :ahead) else last_at end,
  failures = :failures,
  failing_since = case when :failures = 0 then null
    when :delivered > 0 or failing_since is null then clock_timestamp() + make_interval(secs => :ahead)
    else failing_since end,
  error = case when :error <> '' then :error when :failures = 0 then '' else error end,
  next_try_at = case when cast(:wait as float8) is null then '-infinity'
    else clock_timestamp() + make_interval(secs => :ahead + cast(:wait as float8)) end
where key = :key returning failing_since""")
