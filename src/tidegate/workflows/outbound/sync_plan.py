"""Plans a sync: its model read, held against what was sent and what Stripe has, and decided row by row. No request."""

import json
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections import accounts, runs
from tidegate.connections.accounts import Account
from tidegate.errors import MirrorIncomplete, RowsUnknown
from tidegate.mirror import lookups
from tidegate.outbound import associations, describing, followups, planning, rows, sharing, staging, syncs
from tidegate.outbound.asking import Asking
from tidegate.outbound.associations import Finder
from tidegate.outbound.deciding import Asker
from tidegate.outbound.describing import Describing
from tidegate.outbound.field_map.fill import Sought, named
from tidegate.outbound.metering.telling import Telling
from tidegate.outbound.planning import Plan
from tidegate.outbound.push import journal
from tidegate.outbound.resources import INSERT_ONLY, OWN
from tidegate.outbound.specs import Model, Sync
from tidegate.outbound.staging import Staging
from tidegate.outbound.standing import standing
from tidegate.workflows.outbound import source_reading
from tidegate.workflows.outbound.deciding_beside import Beside, beside
from tidegate.workflows.outbound.own_ids import own_ids

UrlOf = Callable[[Any], str]
"""The URL of a stored source, deciphered."""
Progress = Callable[[str, int, int | None], None]
"""Is told what is being done, how many rows of it are done, and of how many; None: nobody knows yet."""
SHOWN = 10
"""Keys that an error names."""
READ, DECIDED = "rows read", "rows decided"


@dataclass(frozen=True, slots=True)
class Part:
    """Which rows: all, those of some keys, or so many; `full`: also those that stayed the same; `if_there`: of keys
    that the model has no more nothing is said.
    """

    keys: tuple[str, ...] | None = None
    limit: int | None = None
    full: bool = False
    if_there: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is every row."""
        return self.keys is None and self.limit is None


ALL = Part()
HANGS: Mapping[str, frozenset[str]] = {
    "customers": frozenset({"subscriptions"}),
    "products": frozenset({"prices"}),
    "invoiceitems": frozenset({"invoices"}),
}
"""What decides whether an object of a resource may be deleted."""


@dataclass(frozen=True, slots=True)
class Planning:
    """A plan being made, with the rows and decisions beside it for as long as it is open.

    `moved`: what its rows name and stands for other objects than before. `looked_until`: Stripe's time until which
    changes of its objects are in it; None: it is not of all rows. `settles`: requests of earlier runs, by operation,
    whose outcome a run would settle before it carries out the plan.
    """

    sync: Sync
    account: Account
    plan: Plan
    staging: Staging
    looked_until: datetime | None = None
    moved: Collection[Sought] = ()
    settles: Mapping[str, int] = field(default_factory=dict[str, int])


@contextmanager
def planned(
    engine: Engine, key: str, url_of: UrlOf, part: Part = ALL, progress: Progress | None = None
) -> Generator[Planning]:
    """Makes the plan of a sync.

    Raises SyncUnknown, MirrorIncomplete, SourceUnreachable, ModelInvalid, ModelRowsInvalid and RowsUnknown; nothing was
    changed.
    """
    with engine.connect() as db:
        sync = syncs.sync(db, key)
        model = syncs.model(db, sync.model)
        url = url_of(syncs.source(db, model.source))
        account = accounts.named(db, sync.connection)
        _refuse_unknown(db, account.name, sync)
        told_until = rows.told_until(db, account.name)
        differed: int | None = db.scalar(_DIFFERED, {"connection": f"sync:{key}"}) if part.whole else 0
    with staging.opened() as staged, beside(engine, sync, account.name, differed) as helpers:
        _stage(engine, staged, sync, model, url, part, helpers, progress)
        with engine.connect() as db, engine.connect() as looking:
            mine = own_ids(db, account.name)
            moved = _touch_moved(db, staged, sync, account.name, mine)
            asking = asker(db, sync, account, mine, staged, looking)
            told = partial(progress, DECIDED) if progress else None
            follows = [*followups.retiring(db, key), *(followups.drafts(db, account.name, sync) if part.whole else ())]
            first = syncs.is_first(db, sync)
            decide = helpers.deciding(staged, staged.counts()) if part.whole else None
            if decide is not None:
                db.commit()  # nobody asks here meanwhile, and a transaction that idles for long is ended
            plan = planning.make(
                staged, sync, asking, keys=part.keys, limit=part.limit, follows=follows, first=first, progress=told,
                decide=decide,
            )  # fmt: skip
            if first and sync.mode == "upsert" and sync.resource not in OWN:
                plan = replace(plan, stops=[*plan.stops, *_shared(db, staged, sync, account.name)])
            settles = journal.unsettled(db, key, account.name)
        yield Planning(sync, account, plan, staged, told_until if part.whole else None, moved, settles)


def _shared(db: Connection, staged: Staging, sync: Sync, connection: str) -> list[str]:
    others = sharing.alike(db, sync, connection)
    return sharing.stops(sync, sharing.held(db, others, planning.taken_over(staged))) if others else []


def _touch_moved(db: Connection, staged: Staging, sync: Sync, connection: str, mine: Finder) -> Collection[Sought]:
    """Adds the rows that name what stands for another object than when they were sent."""
    references = sync.field_map.references
    moved = associations.moved(db, sync.key, connection, references, mine)
    if moved:
        for one in references:
            staged.touch_naming(one.column, lambda value, one=one: named(one, value) in moved)
    return moved


def associate(engine: Engine, made: Planning, *, anew: bool) -> None:
    """Remembers what rows of a plan name and what it stands for. `anew`: all that was to be sent was sent, so what
    moved is remembered anew; else that of which nothing was known yet.
    """
    if not made.sync.field_map.references:
        return
    with engine.begin() as db:
        if anew:
            associations.forget(db, made.sync.key, made.moved)
        associations.keep(db, made.sync.key, made.staging.noted(), anew=anew)


def _refuse_unknown(db: Connection, connection: str, sync: Sync) -> None:
    """Raises MirrorIncomplete where the mirror does not have all that rows are matched with and name: what it lacks
    would be made a second time.
    """
    if sync.resource in OWN:
        return
    if accounts.named(db, connection).complete_as_of is None:
        problem = f"{connection} was never imported whole"
        raise MirrorIncomplete(sync=sync.key, connection=connection, problem=problem)
    needed = {sync.resource, *(one.resource for one in sync.field_map.references if one.way not in {"id", "sync"})}
    if sync.delete.how == "remove":
        needed |= HANGS.get(sync.resource, frozenset())
    if lacking := sorted(needed & set(runs.left_out(db, connection))):
        problem = f"the last import left out {', '.join(lacking)}; `tidegate status` says why"
        raise MirrorIncomplete(sync=sync.key, connection=connection, problem=problem)


def _stage(
    engine: Engine, staged: Staging, sync: Sync, model: Model, url: str, part: Part, helpers: Beside,
    progress: Progress | None,
) -> None:  # fmt: skip
    def told(count: int) -> None:
        helpers.read(count)
        if progress is not None:
            progress(READ, count, None)

    hub = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with standing(hub, sync.key) as known:
        with source_reading.rows(engine, url, model, told) as found:
            staged.read(model.key, found, model.primary_key, sync.columns, planning.version_of(sync))
        if not part.if_there and (lacking := staged.lacking(part.keys or ())):
            more = f" and {len(lacking) - SHOWN:,} others" if len(lacking) > SHOWN else ""
            raise RowsUnknown(model=model.key, keys=", ".join(lacking[:SHOWN]) + more)
        if progress is not None:
            count = staged.counted()
            progress(READ, count, count)
        staged.stand(known())
    with engine.connect() as db:
        staged.touch(rows.touched(db, sync.key, sync.connection or "", sync.resource))
        if sync.mode != "upsert" and sync.resource in OWN:
            staged.touch(describing.awaited(db, sync.key, accounts.named(db, sync.connection).livemode))
        elif sync.mode != "upsert" and sync.resource not in INSERT_ONLY:  # what was left alone: Stripe had it, or not
            way, name, column = sync.matched_by
            since = rows.looked_until(db, sync.key)
            values = lookups.said_since(db, sync.connection or "", sync.resource, way, name, since)
            staged.touch_saying(rows.skipped(db, sync.key), column, values, folds=way == "email")
        if sync.delete.how == "remove":
            staged.leave(rows.left(db, sync.key))
    if part.full and part.keys is not None:
        staged.touch(part.keys)
    elif part.full:
        staged.touch_all()


def asker(
    db: Connection, sync: Sync, account: Account, mine: Finder, staged: Staging, beside: Connection | None = None
) -> Asker:
    """What decides about the rows of a sync. `mine`: finds customers by your own ids; `staged`: the model's rows;
    `beside`: another connection, for what is asked meanwhile.
    """
    if sync.resource in OWN:
        return Describing(db, sync, account.livemode, staged.rows_of, beside)
    if sync.resource in INSERT_ONLY:
        return Telling(db, sync, account, mine, beside)
    return Asking(db, sync, account.name, mine, beside)


def keep(db: Connection, plan: Plan, by: str) -> int:
    """Remembers a plan that was looked at; returns its id."""
    values = {"sync": plan.sync, "fingerprint": plan.fingerprint, "by": by}
    return int(
        db.execute(_KEEP, values | {"counts": json.dumps(plan.counts), "stops": json.dumps(plan.stops)}).scalar_one()
    )


def answer(made: Planning, number: int | None) -> dict[str, Any]:
    """A plan as commands and routes answer it: {sync, resource, connection, plan, counts, rows, stops, settles, sample:
    {kind: […]}}.
    """
    shown = [kind for kind in planning.KINDS if kind != "nothing" and made.plan.counts[kind]]
    sample = {kind: planning.sample(made.staging, kind) for kind in shown}
    more = {
        "plan": number,
        "resource": made.sync.resource,
        "connection": made.account.name,
        "settles": dict(made.settles),
        "sample": sample,
    }
    return made.plan.as_json() | more


def export(made: Planning, file: Path, kind: str = "") -> None:
    """Writes every decision of a plan, or those of a kind, to a file."""
    planning.export(made.staging, file, kind)


def was_begun(db: Connection, key: str) -> bool:
    """Whether a run of all rows began to send, or to go on with one that did, and did not come to its end: the next one
    goes on with it.
    """
    return bool(db.scalar(_BEGUN, {"key": key}))


_KEEP = text("""
insert into tidegate.sync_plans (sync, fingerprint, counts, stops, by)
values (:sync, :fingerprint, cast(:counts as jsonb), cast(:stops as jsonb), :by) returning id""")

# How many rows the last run that came as far as its plan decided about; null: none did.
_DIFFERED = text("""
select sum(c.value::bigint) filter (where c.key <> 'nothing')::bigint from (
  select summary -> 'counts' as counts from tidegate.runs
  where connection = :connection and kind = 'sync' and summary -> 'counts' <> '{}' order by id desc limit 1) r
cross join lateral jsonb_each_text(r.counts) c""")

_BEGUN = text("""
select exists (select from tidegate.syncs s where s.key = :key and s.due_for like 'run %' and (
  coalesce((s.asked ->> 'resumed')::boolean, false) or exists (
    select from tidegate.requests q
    where q.sync = s.key and q.state <> 'unsent' and s.due_for = 'run ' || q.run)
  or s.resource = 'contacts' and exists (
    select from tidegate.sync_rows r
    where r.sync = s.key and r.state = 'sent' and s.due_for = 'run ' || r.run)))""")
