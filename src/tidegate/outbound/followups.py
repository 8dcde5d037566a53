"""What follows once rows are sent: prices that others took the place of are archived, invoices and quotes finished."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.outbound.plan.decide import Decision
from tidegate.outbound.planning import Planned


class Unfinished(NamedTuple):
    """Drafts of a sync that are to be finished and were not: how many, since when the oldest waits, and for what."""

    drafts: int
    since: datetime
    why: str


def retiring(db: Connection, sync: str) -> list[Planned]:
    """The objects to be archived, for new ones of their rows took their place."""
    rows = db.execute(_RETIRING, {"sync": sync})
    return [Planned(Decision(row.key, "retire", row.retires, {"do": "archive"}), row.hash) for row in rows]


def finishing(db: Connection, connection: str, run: int) -> dict[str, list[Planned]]:
    """The drafts to be finished, by their sync: quotes, and invoices of which every item passed.

    Where syncs of invoice items may fill it, an invoice waits until each of them went through all of its rows since (or
    `run`, which is at work, does), and until it has an item: else some of them could be still to come. One that takes
    the items that are pending waits for none.
    """
    found: dict[str, list[Planned]] = {}
    for row in db.execute(_FINISHING, {"connection": connection, "run": run}):
        do = "send" if row.finish == "sent" else "finalize"
        found.setdefault(row.sync, []).append(Planned(Decision(row.key, "finish", row.object_id, {"do": do}), row.hash))
    return found


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
  select s.key, s.resource, s.spec ->> 'finish' as finish,
    s.resource = 'quotes' or coalesce(s.spec #>> '{fields,pending_invoice_items_behavior,value}' = 'include', false)
      as whole
  from tidegate.syncs s
  where s.connection = :connection and s.spec ->> 'finish' in ('finalized', 'sent')),
filling as (
  select s.key, s.spec #>> '{fields,invoice,sync}' as fills from tidegate.syncs s
  where s.connection = :connection and s.resource = 'invoiceitems' and s.spec -> 'fields' ? 'invoice'),
drafts as (
  select f.key as sync, f.finish, f.whole, f.resource, r.key, r.hash, r.object_id, r.at
  from finishing f join tidegate.sync_rows r on r.sync = f.key and r.ours and r.state = 'sent'
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
  from drafts d)"""

_FINISHING = text(f"""{_DRAFTS}
select * from judged where not failing and awaited = '{{}}' and not empty order by sync, key""")

_UNFINISHED = text(f"""{_DRAFTS}
select j.sync, count(*) as drafts, min(j.at) as since, count(*) filter (where j.awaited <> '{{}}') as awaiting,
  array(select distinct one from judged a, unnest(a.awaited) as t(one) where a.sync = j.sync order by 1) as awaited,
  count(*) filter (where j.awaited = '{{}}' and j.failing) as failing,
  count(*) filter (where j.awaited = '{{}}' and not j.failing and j.empty) as empty,
  count(*) filter (where j.awaited = '{{}}' and not j.failing and not j.empty) as ready
from judged j group by 1""")
