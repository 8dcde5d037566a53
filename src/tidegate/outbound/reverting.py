"""What a run sent, request by request, with what is needed to find the way back from each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.mirror import lookups
from tidegate.outbound import rows as remembered
from tidegate.outbound.plan.reverting import Done, way_back
from tidegate.outbound.planning import Planned
from tidegate.outbound.specs import Sync

BATCH = 1_000


def syncs_of(db: Connection, run: int, since: int = 0) -> list[str]:
    """The syncs of whose rows a run sent something: its own, and those that it finished invoices or quotes of. `since`:
    by requests after that one.
    """
    return list(db.scalars(_SYNCS, {"run": run, "since": since}))


def all_but_the_last(db: Connection, run: int, last: int) -> int:
    """The newest request of a run that has so many after it; 0: none has."""
    return db.scalar(_ALL_BUT, {"run": run, "last": last}) or 0


def ways_back(
    engine: Engine,
    run: int,
    sync: Sync,
    connection: str,
    *,
    despite_edits: bool = False,
    own: int | None = None,
    since: int = 0,
) -> Iterator[list[Planned]]:
    """How each request that a run sent of a sync's rows is undone, the last one first, by batches. `own`: the run that
    does it, whose requests are no later ones, as little as those of others that began to take this run back. `since`:
    only what was sent after that request.
    """
    before = None
    while True:
        values = {
            "run": run, "sync": sync.key, "before": before, "since": since, "own": own or run, "batch": BATCH,
        }  # fmt: skip
        with engine.connect() as db:
            some = db.execute(_DONE, values).all()
            known = remembered.of(db, sync.key, sorted({row.key for row in some}))
            live = _live(db, connection, sync.resource, sorted({row.object_id for row in some if row.object_id}))
        if not some:
            return
        before = some[-1].id
        found: list[Planned] = []
        for row in some:
            state = known.get(row.key)
            done = _done(row, state.wrote if state else None)
            decision = way_back(sync.resource, done, live.get(done.object_id), despite_edits=despite_edits)
            found.append(Planned(decision, state.hash if state else 0))
        yield found


def _done(row: Any, wrote: Mapping[str, Any] | None) -> Done:
    return Done(
        row.key, row.operation, row.object_id or "", row.params, row.before, row.response or {}, row.replaced,
        row.later, row.forgotten, wrote, row.fresh,
    )  # fmt: skip


def _live(db: Connection, connection: str, resource: str, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The objects that are there, with what hangs on them."""
    bodies = lookups.bodies(db, connection, resource, ids)
    beside = lookups.hanging(db, connection, resource, ids)
    return {id_: {**one.body, **beside.get(id_, {})} for id_, one in bodies.items() if not one.deleted}


_SYNCS = text("select distinct sync from tidegate.requests where run = :run and id > :since order by 1")

_ALL_BUT = text("select id from tidegate.requests where run = :run order by id desc offset :last limit 1")

# A price that was archived because another took its place goes back together with that one.
_DONE = text("""
select r.id, r.key, r.operation, r.object_id, r.params, r.before, r.response, r.forgotten_at is not null as forgotten,
  r.intended_at > clock_timestamp() - interval '23 hours' as fresh,
  coalesce(a.object_id, s.retires) as replaced,
  (select max(l.run) from tidegate.requests l
   where l.sync = r.sync and l.key = r.key and l.id > r.id and l.run not in (r.run, :own) and l.state = 'done'
     and not exists (select from tidegate.runs b
       where b.id = l.run and cast(b.options ->> 'reverts' as bigint) = r.run)) as later
from tidegate.requests r
left join lateral (
  select a.object_id from tidegate.requests a
  where r.operation = 'replace' and a.run = r.run and a.sync = r.sync and a.key = r.key and a.operation = 'archive'
    and a.state = 'done' order by a.id desc limit 1) a on true
left join tidegate.sync_rows s on r.operation = 'replace' and s.sync = r.sync and s.key = r.key
where r.run = :run and r.id > :since and r.sync = :sync and r.state = 'done'
  and (cast(:before as bigint) is null or r.id < :before)
  and not (r.operation = 'archive' and exists (
    select from tidegate.requests p
    where p.run = r.run and p.sync = r.sync and p.key = r.key and p.operation = 'replace' and p.state = 'done'))
order by r.id desc limit :batch""")
