"""What follows once rows are sent: prices that others took the place of are archived, invoices and quotes finished."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, text

from tidegate.outbound.plan.decide import Decision
from tidegate.outbound.planning import Planned, finish
from tidegate.outbound.specs import Sync


class Unfinished(NamedTuple):
    """Drafts of a sync that are to be finished and were not: how many, since when the oldest waits, and for what."""

    drafts: int
    since: datetime
    why: str


def retiring(db: Connection, sync: str) -> list[Planned]:
    """The objects to be archived, for new ones of their rows took their place."""
    rows = db.execute(_RETIRING, {"sync": sync})
    return [Planned(Decision(row.key, "retire", row.retires, {"do": "archive"}), row.hash) for row in rows]


def drafts(db: Connection, connection: str, sync: Sync) -> list[Planned]:
    """The drafts that a run of all rows of a sync may finish: its own, or those that its invoice items fill. The run
    leaves some of them, where an item does not pass.
    """
    rows = db.execute(_TO_SHOW, {"connection": connection, "run": 0, "key": sync.key, "fills": _fills(sync)})
    return [Planned(finish(row.key, row.object_id, row.finish, row.sync), row.hash) for row in rows]


def finishing(
    db: Connection, connection: str, run: int, sync: Sync, shown: Collection[str]
) -> dict[str, list[Planned]]:
    """The drafts to be finished by a run of all rows of a sync, by their sync: quotes, and invoices of which every item
    passed. Of those that were there before only what the plan has shown (ids).

    Where syncs of invoice items may fill it, an invoice waits until each of them went through all of its rows since (or
    `run`, which is at work, does), and until it has an item: else some of them could be still to come. One that takes
    the items that are pending waits for none.
    """
    found: dict[str, list[Planned]] = {}
    values = {"connection": connection, "run": run, "key": sync.key, "fills": _fills(sync), "shown": list(shown)}
    for row in db.execute(_FINISHING, values):
        decision = finish(row.key, row.object_id, row.finish, row.sync)
        found.setdefault(row.sync, []).append(Planned(decision, row.hash))
    return found


def _fills(sync: Sync) -> str | None:
    """Whose drafts the rows of a sync may fill: a sync's, any ('*'), or no one's."""
    if sync.resource != "invoiceitems" or "invoice" not in sync.fields:
        return None
    by = sync.fields["invoice"]
    named = cast("Mapping[str, Any]", by).get("sync") if isinstance(by, Mapping) else None
    return str(named) if named else "*"


def unfinished(db: Connection, connection: str) -> dict[str, Unfinished]:
    """The drafts that a run is to finish and cannot yet, by their sync; and for what they wait."""
    found: dict[str, Unfinished] = {}
    for row in db.execute(_UNFINISHED, {"connection": connection, "run": 0}):
        awaited = f"until {' and '.join(row.awaited)} went through all of their rows"
        why = {
            awaited: row.awaiting, "for items that did not pass": row.failing, "for an item": row.empty,
            "for the next run": row.ready,
        }  # fmt: skip
        told = ", ".join(f"{count:,} {what}" for what, count in why.items() if count)
        found[row.sync] = Unfinished(row.drafts, row.since, told)
    return found


def in_batches(planned: Sequence[Planned], size: int = 1_000) -> Any:
    """The same by batches, as they are sent."""
    return (planned[start : start + size] for start in range(0, len(planned), size))


_RETIRING = text("""
select key, hash, retires from tidegate.sync_rows where sync = :sync and retires is not null order by key""")

_DRAFTS = """
with finishing as (
  select s.key, s.resource, s.spec ->> 'finish' as finish, s.ended_with = s.spec ->> 'finish' as ran,
    s.resource = 'quotes' or coalesce(s.spec #>> '{fields,pending_invoice_items_behavior,value}' = 'include', false)
      as whole
  from tidegate.syncs s
  where s.connection = :connection and s.spec ->> 'finish' in ('finalized', 'sent')),
filling as (
  select s.key, s.spec #>> '{fields,invoice,sync}' as fills from tidegate.syncs s
  where s.connection = :connection and s.resource = 'invoiceitems' and s.spec -> 'fields' ? 'invoice'),
drafts as (
  select f.key as sync, f.finish, f.whole, f.ran, f.resource, r.key, r.hash, r.object_id, r.at, r.state, r.ours
  from finishing f join tidegate.sync_rows r on r.sync = f.key
  left join stripe.invoices i on f.resource = 'invoices' and i.connection = :connection and i.id = r.object_id
  left join stripe.quotes q on f.resource = 'quotes' and q.connection = :connection and q.id = r.object_id
  where coalesce(i.status, q.status) = 'draft' and coalesce(i.deleted_at, q.deleted_at) is null),
judged as (
  select d.*,
    d.resource = 'invoices' and exists (
      select from tidegate.sync_rows t
      where t.parent = d.object_id and t.state in ('held', 'conflict', 'invalid', 'failed')) as failing,
    case when d.whole then '{}' else array(
      select s.key from filling s where (s.fills is null or s.fills = d.sync) and not exists (
        select from tidegate.runs u
        where u.kind = 'sync' and u.connection = 'sync:' || s.key and u.started_at >= d.at
          and (u.id = :run or u.state in ('done', 'incomplete'))
          and (u.options #>> '{part,limit}') is null and (u.options #>> '{part,keys}') is null) order by 1)
    end as awaited,
    not d.whole and exists (select from filling f where f.fills is null or f.fills = d.sync)
      and not exists (select from tidegate.sync_rows t where t.parent = d.object_id) as empty
  from drafts d where d.ours and d.state = 'sent')"""

# A run of items finishes only the invoices of syncs that ran with this `finish` before: another one is looked at in a
# plan of their own first.
_MAY = "(sync = :key or ran and resource = 'invoices' and cast(:fills as text) in (sync, '*'))"

_TO_SHOW = text(f"""{_DRAFTS}
select * from drafts where state <> 'gone' and {_MAY} order by sync, key""")

_FINISHING = text(f"""{_DRAFTS}
select * from judged j where not failing and awaited = '{{}}' and not empty and {_MAY}
  and (object_id = any(cast(:shown as text[])) or exists (
    select from tidegate.requests q
    where q.run = :run and q.sync = j.sync and q.key = j.key and q.operation = 'create' and q.state = 'done'))
order by sync, key""")

_UNFINISHED = text(f"""{_DRAFTS}
select j.sync, count(*) as drafts, min(j.at) as since, count(*) filter (where j.awaited <> '{{}}') as awaiting,
  array(select distinct one from judged a, unnest(a.awaited) as t(one) where a.sync = j.sync order by 1) as awaited,
  count(*) filter (where j.awaited = '{{}}' and j.failing) as failing,
  count(*) filter (where j.awaited = '{{}}' and not j.failing and j.empty) as empty,
  count(*) filter (where j.awaited = '{{}}' and not j.failing and not j.empty) as ready
from judged j group by 1""")
