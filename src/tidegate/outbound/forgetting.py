"""Takes what syncs keep of a person out of the journal and the rows: what was sent, stood before, or was wrong."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.errors import SaleRunning, SyncRunning
from tidegate.outbound.plan.decide import FORGOTTEN


def refuse_while_running(db: Connection, connection: str) -> None:
    """Lets no run of the connection's syncs begin until this transaction ends. Raises SyncRunning where one is at work:
    it would write down what it knows afterwards.
    """
    _refuse(db.execute(_LOCK, {"connection": connection}))


def refuse_while_describing(db: Connection, livemode: bool) -> None:
    """The same of the syncs that describe contacts."""
    _refuse(db.execute(_LOCK_DESCRIBING, {"livemode": livemode}))


def _refuse(tried: Iterable[Any]) -> None:
    for row in tried:
        if not row.held:
            raise SyncRunning(sync=row.key, process="another process")


def forget(db: Connection, connection: str, customers: Sequence[str]) -> Counter[str]:
    """Redacts what is kept of these customers (Stripe ids) and of all that is theirs; returns how many rows changed, by
    table. Before the mirror is redacted: requests that failed name a person by the e-mail address alone.

    Ids and the rows' keys stay, so that no run sends anything of them again (`Asked.forgotten`). A request without a
    known outcome is given up: it could not be sent again as it was.
    """
    values = {"connection": connection, "customers": list(customers)}
    found = db.execute(_FIND, values).all()
    named = {name: [getattr(row, name) for row in found] for name in ("id", "sync", "key")}
    return Counter(
        {
            "tidegate.requests": db.execute(_REQUESTS, {"ids": named["id"]}).rowcount,
            "tidegate.sync_associations": db.execute(_ASSOCIATIONS, values).rowcount,
            "tidegate.sync_rows": db.execute(_ROWS, values | {"syncs": named["sync"], "keys": named["key"]}).rowcount,
        }
    )


def forget_contacts(db: Connection, contacts: Sequence[int]) -> int:
    """Redacts what sales to these contacts (internal keys) sent, also where no customer came of it; returns how many
    requests. Raises SaleRunning where one is at work: it would write down what it knows afterwards.
    """
    subjects = [f"contact:{key}" for key in contacts]
    if not all(db.scalar(_LOCK_SALE, {"key": f"subscription:{one}"}) for one in subjects):
        raise SaleRunning(contact="the contact")
    return db.execute(_REQUESTS, {"ids": list(db.scalars(_SALES, {"subjects": subjects}))}).rowcount


def forget_described(db: Connection, livemode: bool, refs: Sequence[str]) -> int:
    """Redacts what syncs of contacts keep of these (refs) and returns of how many rows. Their keys stay, so that no run
    makes the contact anew.
    """
    return db.execute(_DESCRIBED, {"livemode": livemode, "refs": list(refs), "why": FORGOTTEN}).rowcount


_LOCK_DESCRIBING = text("""
select s.key, pg_try_advisory_xact_lock(hashtextextended('sync:sync:' || s.key, 0)) as held
from tidegate.syncs s join tidegate.connections c on c.name = s.connection and c.livemode = :livemode
where s.resource = 'contacts' order by s.key""")

_DESCRIBED = text("""
update tidegate.sync_rows r set wrote = '{}', showed = '{}', problems = '[]', state = 'skipped', why = :why,
  object_id = case when r.object_id like '%@%' then null else r.object_id end
from tidegate.syncs s join tidegate.connections c on c.name = s.connection and c.livemode = :livemode
where s.key = r.sync and s.resource = 'contacts' and r.object_id = any(cast(:refs as text[])) and r.why <> :why""")

_LOCK_SALE = text("select pg_try_advisory_xact_lock(hashtextextended(:key, 0))")

_SALES = text("select id from tidegate.requests where sync = any(cast(:subjects as text[]))")

_LOCK = text("""
select key, pg_try_advisory_xact_lock(hashtextextended('sync:sync:' || key, 0)) as held
from tidegate.syncs where connection = :connection order by key""")

_OBJECTS = "\n  union ".join(
    f"select id from stripe.{table} where connection = :connection and customer = any(cast(:customers as text[]))"
    for table in ("subscriptions", "invoices", "invoiceitems", "quotes")
)

_FIND = text(f"""
with theirs as (
  select unnest(cast(:customers as text[])) as id
  union {_OBJECTS}),
addresses as (
  select lower(email) as email from stripe.customers
  where connection = :connection and id = any(cast(:customers as text[])) and email <> '')
select r.id, r.sync, r.key from tidegate.requests r
where r.connection = :connection and (
  r.object_id in (select id from theirs) or r.params ->> 'customer' = any(cast(:customers as text[]))
  or r.path = '/v1/billing/meter_events' and exists (
    select from jsonb_each_text(r.params -> 'payload') said where said.value = any(cast(:customers as text[])))
  or lower(r.params ->> 'email') in (select email from addresses))""")

_REQUESTS = text("""
update tidegate.requests r
set params = '{}', before = '{}', wanted = '{}', response = null, forgotten_at = clock_timestamp(),
  error = case when r.error = '' then '' else '[redacted]' end,
  state = case when r.state in ('intended', 'unknown') then 'refused' else r.state end
where r.id = any(cast(:ids as bigint[])) and r.forgotten_at is null""")

# An e-mail address names a customer; what else stands for a person's objects are keys and ids.
_ASSOCIATIONS = text("""
delete from tidegate.sync_associations a using tidegate.syncs s
where s.key = a.sync and s.connection = :connection and a.ids && cast(:customers as text[])""")

_ROWS = text(f"""
update tidegate.sync_rows r set wrote = '{{}}', showed = '{{}}', problems = '[]', state = 'skipped',
  why = '{FORGOTTEN}'
from tidegate.syncs s
where s.key = r.sync and s.connection = :connection and r.why <> '{FORGOTTEN}' and (
  r.object_id in (select unnest(cast(:customers as text[])) union {_OBJECTS})
  or (r.sync, r.key) in (
    select * from unnest(cast(:syncs as text[]), cast(:keys as text[]))))""")
