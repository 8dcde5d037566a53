"""What follows once rows are sent: prices that others took the place of are archived, invoices and quotes finished."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.outbound.plan.decide import Decision
from tidegate.outbound.planning import Planned


def retiring(db: Connection, sync: str) -> list[Planned]:
    """The objects to be archived, for new ones of their rows took their place."""
    rows = db.execute(_RETIRING, {"sync": sync})
    return [Planned(Decision(row.key, "retire", row.retires, {"do": "archive"}), row.hash) for row in rows]


def finishing(db: Connection, connection: str) -> dict[str, list[Planned]]:
    """The drafts to be finished, by their sync: quotes, and invoices of which every item passed. With a sync of invoice
    items on the connection an invoice waits until it has some.
    """
    found: dict[str, list[Planned]] = {}
    for row in db.execute(_FINISHING, {"connection": connection}):
        do = "send" if row.finish == "sent" else "finalize"
        found.setdefault(row.sync, []).append(Planned(Decision(row.key, "finish", row.object_id, {"do": do}), row.hash))
    return found


def in_batches(planned: Sequence[Planned], size: int = 1_000) -> Any:
    """The same by batches, as they are sent."""
    return (planned[start : start + size] for start in range(0, len(planned), size))


_RETIRING = text("""
select key, hash, retires from tidegate.sync_rows where sync = :sync and retires is not null order by key""")

_FINISHING = text("""
with finishing as (
  select s.key, s.resource, s.spec ->> 'finish' as finish from tidegate.syncs s
  where s.connection = :connection and s.spec ->> 'finish' in ('finalized', 'sent')),
drafts as (
  select f.key as sync, f.finish, r.key, r.hash, r.object_id, f.resource
  from finishing f join tidegate.sync_rows r on r.sync = f.key and r.ours and r.state = 'sent'
  left join stripe.invoices i on f.resource = 'invoices' and i.connection = :connection and i.id = r.object_id
  left join stripe.quotes q on f.resource = 'quotes' and q.connection = :connection and q.id = r.object_id
  where coalesce(i.status, q.status) = 'draft' and coalesce(i.deleted_at, q.deleted_at) is null)
select * from drafts d
where d.resource = 'quotes' or (
  not exists (
    select from tidegate.sync_rows t
    where t.parent = d.object_id and t.state in ('held', 'conflict', 'invalid', 'failed'))
  and (exists (select from tidegate.sync_rows t where t.parent = d.object_id)
    or not exists (
      select from tidegate.syncs s where s.connection = :connection and s.resource = 'invoiceitems')))
order by sync, key""")
