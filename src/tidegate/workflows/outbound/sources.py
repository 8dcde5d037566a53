"""Sources as people add, try and preview them: URLs sealed, one query asked, keys looked at."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyarrow leaves its functions without types.

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine

from tidegate.connections import sealing
from tidegate.errors import SyncInvalid
from tidegate.outbound import cells, syncs
from tidegate.outbound.sources import by_ibis, reading
from tidegate.outbound.sources.location import has_secret, resolved, scheme, without_secret
from tidegate.outbound.specs import Model, unfit_key
from tidegate.outbound.staging import opened
from tidegate.outbound.taking import KeyProblems
from tidegate.secrets import Vault
from tidegate.workflows.outbound import source_reading
from tidegate.workflows.outbound.sync_plan import UrlOf

SCHEMES = (*sorted(reading.POSTGRES), "duckdb", "sqlite", "file", reading.OWN, *by_ibis.EXTRAS)
ROWS = 10


def define(db: Connection, key: str, url: str, env: str, vault: Callable[[], Vault]) -> dict[str, Any]:
    """A source under a key, by its URL or by the variable that holds it; one that is there is replaced. A URL that
    holds a secret is sealed. Returns it as it is listed. Raises SyncInvalid and ManagedByFile.
    """
    if bool(url) == bool(env):
        raise SyncInvalid(what="source", key=key, problem="it has a URL, or the variable of the environment with it")
    if unfit := unfit_key(key):
        raise SyncInvalid(what="source", key=key, problem=unfit)
    if env:
        syncs.define_source(db, key, sealed=None, env=env, shown=f"${env}")
    else:
        url = checked(key, url)
        sealed = None
        if has_secret(url):
            sealing.hold_key(db)
            sealed = vault().seal(url)
        syncs.define_source(db, key, sealed=sealed, env="", shown=without_secret(url))
    return next(dict(one) for one in syncs.every(db, "sources") if one["key"] == key)


def checked(key: str, url: str) -> str:
    """The URL with its whole path. Raises SyncInvalid for one of no known sort."""
    kind = scheme(url)
    if kind not in ("", *SCHEMES) and kind not in {"postgres"}:
        known = ", ".join(f"{one}://" for one in SCHEMES)
        raise SyncInvalid(what="source", key=key, problem=f"there is no sort of source {kind}://; there are {known}")
    return resolved(url)


def tried(engine: Engine, db: Connection, key: str, url_of: UrlOf) -> dict[str, Any]:
    """Asks a source for one row of a model over it, else for `select 1`: {source, url, asked}. Raises SourceUnreachable
    and ModelInvalid.
    """
    source = syncs.source(db, key)
    named = [one["key"] for one in syncs.every(db, "models") if one["source"] == key]
    asking = Model(key=key, source=key, sql="select 1 as one", primary_key=("one",))
    model = syncs.model(db, named[0]) if named else asking
    with source_reading.rows(engine, url_of(source), model) as rows:
        next(iter(rows), None)
    return {"source": key, "url": source.shown, "asked": f"the model {named[0]}" if named else "select 1"}


def preview(engine: Engine, model: Model, url_of: UrlOf, limit: int = ROWS, *, keys: bool = True,
            progress: Callable[[int], None] | None = None) -> dict[str, Any]:  # fmt: skip
    """A model's columns with their types, its first rows, and with `keys`, for which it is read whole, how many rows
    there are and which keys are null or not unique: {model, columns, rows, count, problems}.

    Raises SyncUnknown, SourceUnreachable and ModelInvalid.
    """
    with engine.connect() as db:
        url = url_of(syncs.source(db, model.source))
    with source_reading.rows(engine, url, model, progress) as rows, opened() as staged:
        columns = [{"name": one.name, "type": str(one.type)} for one in rows.schema]
        first: list[Mapping[str, Any]] = []
        if not keys:
            for batch in rows:
                first += cells.shown(batch.slice(0, limit - len(first)))
                if len(first) >= limit:
                    break
            return _previewed(model, columns, first, None, [])
        found: KeyProblems = staged.key_problems(model.key, _first_kept(rows, first, limit), model.primary_key)
    return _previewed(model, columns, first, found.rows, found.problems)


def _first_kept(rows: Any, first: list[Mapping[str, Any]], limit: int) -> Any:
    import pyarrow

    def batches() -> Any:
        for batch in rows:
            first.extend(cells.shown(batch.slice(0, limit - len(first))) if len(first) < limit else ())
            yield batch

    return pyarrow.RecordBatchReader.from_batches(rows.schema, batches())


def _previewed(
    model: Model, columns: Sequence[Any], rows: Sequence[Mapping[str, Any]], count: int | None, problems: Sequence[str]
) -> dict[str, Any]:
    shown = [{name: plain(value) for name, value in row.items()} for row in rows]
    return {"model": model.key, "primary_key": list(model.primary_key), "columns": list(columns), "rows": shown,
            "count": count, "problems": list(problems)}  # fmt: skip


def plain(value: Any) -> Any:
    """A value of a warehouse as JSON holds it: exact numbers, times and bytes as text."""
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return value.hex()
    return json.loads(json.dumps(value, default=str))
