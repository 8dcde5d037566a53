"""Plans a sync: its model read, held against what was sent and what Stripe has, and decided row by row. No request."""

import json
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.outbound import planning, rows, staging, syncs
from tidegate.outbound.asking import Asking
from tidegate.outbound.metering.telling import Telling
from tidegate.outbound.planning import Plan
from tidegate.outbound.specs import INSERT_ONLY, Model, Sync
from tidegate.outbound.staging import Staging
from tidegate.workflows import source_reading

UrlOf = Callable[[Any], str]
"""The URL of a stored source, deciphered."""
Progress = Callable[[str, int, int | None], None]
"""Is told what is being done, how many rows of it are done, and of how many; None: nobody knows yet."""
READ, DECIDED = "rows read", "rows decided"


@dataclass(frozen=True, slots=True)
class Part:
    """Which rows: all, those of some keys, or so many; `full`: also those that stayed the same."""

    keys: tuple[str, ...] | None = None
    limit: int | None = None
    full: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is every row."""
        return self.keys is None and self.limit is None


ALL = Part()


@dataclass(frozen=True, slots=True)
class Planning:
    """A plan being made, with the rows and decisions beside it for as long as it is open.

    `looked_until`: Stripe's time until which changes of its objects are in it; None: it is not of all rows.
    """

    sync: Sync
    account: Account
    plan: Plan
    staging: Staging
    looked_until: datetime | None = None


@contextmanager
def planned(
    engine: Engine, key: str, url_of: UrlOf, part: Part = ALL, progress: Progress | None = None
) -> Generator[Planning]:
    """Makes the plan of a sync.

    Raises SyncUnknown, SourceUnreachable, ModelInvalid and ModelRowsInvalid; nothing was changed then.
    """
    with engine.connect() as db:
        sync = syncs.sync(db, key)
        model = syncs.model(db, sync.model)
        url = url_of(syncs.source(db, model.source))
        account = accounts.named(db, sync.connection)
        told_until = rows.told_until(db, account.name)
    with staging.opened() as staged:
        _stage(engine, staged, sync, model, url, part, progress)
        with engine.connect() as db:
            asking = asker(db, sync, account)
            told = partial(progress, DECIDED) if progress else None
            plan = planning.make(staged, sync, asking, keys=part.keys, limit=part.limit, progress=told)
        yield Planning(sync, account, plan, staged, told_until if part.whole else None)


def _stage(
    engine: Engine, staged: Staging, sync: Sync, model: Model, url: str, part: Part, progress: Progress | None
) -> None:
    def told(count: int) -> None:
        if progress is not None:
            progress(READ, count, None)

    with source_reading.rows(engine, url, model, told) as found:
        staged.read(model.key, found, model.primary_key, sync.columns)
    if progress is not None:
        count = staged.counted()
        progress(READ, count, count)
    hub = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with staging.standing(hub, sync.key) as state:
        staged.stand(planning.version_of(sync), sync.columns, state)
    with engine.connect() as db:
        staged.touch(rows.touched(db, sync.key, sync.connection or "", sync.resource))
    if part.full:
        staged.touch_all()


def asker(db: Connection, sync: Sync, account: Account) -> Asking | Telling:
    """What decides about the rows of a sync."""

    def of_yours(_: str, ids: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        return own_ids(db, account.name, ids)

    if sync.resource in INSERT_ONLY:
        return Telling(db, sync, account, of_yours)
    return Asking(db, sync, account.name, of_yours)


def keep(db: Connection, plan: Plan, by: str) -> int:
    """Remembers a plan that was looked at; returns its id."""
    values = {"sync": plan.sync, "fingerprint": plan.fingerprint, "by": by}
    return int(
        db.execute(_KEEP, values | {"counts": json.dumps(plan.counts), "stops": json.dumps(plan.stops)}).scalar_one()
    )


def answer(made: Planning, number: int | None) -> dict[str, Any]:
    """A plan as commands and routes answer it: {sync, plan, counts, rows, stops, sample: {kind: […]}}."""
    shown = [kind for kind in planning.KINDS if kind != "nothing" and made.plan.counts[kind]]
    sample = {kind: planning.sample(made.staging, kind) for kind in shown}
    return made.plan.as_json() | {"plan": number, "connection": made.account.name, "sample": sample}


def export(made: Planning, file: Path) -> None:
    """Writes every decision of a plan to a file."""
    planning.export(made.staging, file)


def own_ids(db: Connection, connection: str, ids: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """The live Stripe customers that are linked to contacts of these ids of yours, by id: `acme`, `account:acme`, or an
    id that a contact had before.
    """
    rows = db.execute(_OWN_IDS, {"connection": connection, "ids": sorted(ids)})
    return {row.id: tuple(row.customers) for row in rows}


def runs_before(db: Connection, key: str) -> bool:
    """Whether a sync ever sent anything."""
    return bool(db.scalar(text("select exists (select from tidegate.sync_rows where sync = :key)"), {"key": key}))


_KEEP = text("""
insert into tidegate.sync_plans (sync, fingerprint, counts, stops, by)
values (:sync, :fingerprint, cast(:counts as jsonb), cast(:stops as jsonb), :by) returning id""")

_OWN_IDS = text("""
select wanted.id, array_agg(distinct l.customer order by l.customer) as customers
from unnest(cast(:ids as text[])) as wanted(id)
join tidegate.contact_ids i on i.external_id in (wanted.id, regexp_replace(wanted.id, '^(user|account):', ''))
  and (i.external_id = wanted.id or i.kind = split_part(wanted.id, ':', 1))
join tidegate.links l on l.contact = i.contact and l.connection = :connection
join stripe.customers o on o.connection = l.connection and o.id = l.customer and o.deleted_at is null
group by 1""")
