"""Keeps billing events in step with what Stripe says, tells of new ones, and lists them."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from tidegate.delivery.outbox import Told, tell
from tidegate.errors import UsageError
from tidegate.mirror import changed
from tidegate.revenue import billing_load
from tidegate.revenue.billing.deriving import Derived, by_date
from tidegate.revenue.billing.event import NAMES
from tidegate.revenue.billing.keeping import Recorded, reconcile
from tidegate.revenue.editions import Ledger
from tidegate.store.bulk import Texts
from tidegate.store.driver import rows


class Kept(NamedTuple):
    """What was written: events recorded (reversals among them), events written anew, events dropped."""

    recorded: int
    rewritten: int
    dropped: int


def keep_events(db: Connection, ledger: Ledger, customers: Sequence[str], as_of: int) -> Kept:
    """Brings the billing events of these customers (Stripe ids), and of those that are the same contacts, up to an
    instant (epoch seconds), and tells of new ones, in the caller's transaction.

    The ledger is kept first: what became of subscriptions is taken from it. What stays the same is not written.
    """
    connection = ledger.connection
    where = {"connection": connection, "customers": list(customers)}
    everyone = [row.customer for row in rows(db, _TOGETHER, where)]
    dossiers, catalog = billing_load.load(db, ledger, everyone)
    since = _told_since(db, connection)
    derived = Derived()
    for dossier in dossiers:
        derived.add(dossier, catalog)
    where["customers"] = everyone
    stored = [_recorded(row) for row in rows(db, _STORED, where)]
    written = reconcile(
        stored,
        sorted(derived.events, key=by_date),
        unsettled=derived.unsettled,
        withdrawn=derived.withdrawn,
        as_of=as_of,
        since=since,
    )
    _put(db, connection, _INSERT, written.added)
    _put(db, connection, _UPDATE, written.rewritten)
    if written.dropped:
        db.execute(_DELETE, {"connection": connection, "ids": written.dropped})
    _tell(db, connection, [one for one in written.added if one.told])
    changed.await_(db, connection, derived.awaited)
    return Kept(len(written.added), len(written.rewritten), len(written.dropped))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events to list; None: all. `contact`: internal key. `begin` is included, `end` is not."""

    connection: str
    contact: int | None = None
    customer: str | None = None
    name: str | None = None
    begin: datetime | None = None
    end: datetime | None = None


def page(db: Connection, wanted: Filter, *, after: str = "", limit: int = 50) -> dict[str, Any]:
    """One page of events, the newest first: {events, next}; `next` is what the next page comes after (None: there is
    none). Amounts are in minor units. Raises UsageError for a name or an `after` that is none.
    """
    at, last = _place(after)
    values = {
        "connection": wanted.connection,
        "contact": wanted.contact,
        "customer": wanted.customer,
        "name": None if wanted.name is None else _name(wanted.name),
        "begin": wanted.begin,
        "end": wanted.end,
        "at": at,
        "last": last,
        "limit": limit + 1,
    }
    found = [dict(row) for row in db.execute(_PAGE, values).mappings()]
    shown = found[:limit]
    more = len(found) > limit
    return {"events": shown, "next": f"{int(shown[-1]['at'].timestamp())}.{shown[-1]['id']}" if more else None}


def forget(db: Connection, connection: str, customers: Sequence[str]) -> Counter[str]:
    """Takes e-mail addresses and free text from the events of these customers (Stripe ids) and from what was told of
    them, in the caller's transaction; returns how many rows, by table. They are known by Stripe's id then.
    """
    where = {"connection": connection, "customers": list(customers)}
    counts = {
        "tidegate.billing_events": db.execute(_FORGET, where).rowcount,
        "tidegate.outbox": db.execute(_FORGET_TOLD, where).rowcount,
    }
    return Counter({table: count for table, count in counts.items() if count})


def _name(wanted: str) -> str:
    """The name of an event, however its letters are cased."""
    found = next((name for name in NAMES if name.lower() == wanted.strip().lower()), None)
    if found is None:
        raise UsageError(problem=f"No event is called {wanted!r}. There are {', '.join(NAMES)}.")
    return found


def _place(after: str) -> tuple[datetime | None, str | None]:
    if not after:
        return None, None
    at, _, last = after.partition(".")
    if not (at.isascii() and at.isdigit() and len(at) < 12 and last):
        raise UsageError(problem=f"{after[:40]!r} is no place in the list; take `next` of the page before.")
    return datetime.fromtimestamp(int(at), UTC), last


def _recorded(row: Any) -> Recorded:
    return Recorded(
        row.id, row.name, row.at, row.customer, row.identity, row.subscription, row.invoice, row.currency, row.amount,
        _exactly(row.data), row.reverses, row.told,
    )  # fmt: skip


def _exactly(data: str) -> dict[str, Any]:
    """Stored data with its decimals as they are."""
    return json.loads(data, parse_float=Decimal)


def _told_since(db: Connection, connection: str) -> int | None:
    """Since when others are told, epoch seconds. None: not yet, the first import is not complete: until then nobody
    knows what is history.
    """
    known = next(iter(rows(db, _TOLD_SINCE, {"connection": connection})), None)
    if known is not None and known.since is None and known.complete:
        rows(db, _TELL_SINCE, {"connection": connection})
        [known] = rows(db, _TOLD_SINCE, {"connection": connection})
    return known.since if known is not None else None


def _put(db: Connection, connection: str, statement: Any, events: Sequence[Recorded]) -> None:
    if not events:
        return
    columns: dict[str, Any] = {name: [getattr(row, name) for row in events] for name in _PLAIN}
    db.execute(
        statement,
        {"connection": connection, "data": Texts([_encoded(row.data) for row in events]), **columns},
    )


_encoder = msgspec.json.Encoder(decimal_format="number")


def _encoded(data: Any) -> str:
    return _encoder.encode(data).decode()


def _tell(db: Connection, connection: str, events: Sequence[Recorded]) -> None:
    """Outbox rows of the events, the oldest first."""
    if not events:
        return
    whose = {"connection": connection, "customers": sorted({row.customer for row in events})}
    contacts = {row.customer: row.contact for row in rows(db, _CONTACTS, whose)}
    ordered = sorted(events, key=lambda row: (row.at, row.id))
    told = [Told("billing_event.recorded", _as_told(row), contacts.get(row.customer), connection) for row in ordered]
    tell(db, told)


def _as_told(row: Recorded) -> dict[str, Any]:
    at = datetime.fromtimestamp(row.at, UTC).isoformat().replace("+00:00", "Z")
    plain = {name: getattr(row, name) for name in ("id", "name", "customer", "identity", "subscription", "invoice")}
    return {
        **plain,
        "at": at,
        "currency": row.currency,
        "amount": row.amount,
        "reverses": row.reverses,
        "data": msgspec.json.decode(_encoded(row.data)),
    }


_TYPES = {
    "id": "text", "name": "text", "at": "bigint", "customer": "text", "identity": "text", "subscription": "text",
    "invoice": "text", "currency": "text", "amount": "bigint", "reverses": "text", "told": "boolean",
}  # fmt: skip
_PLAIN = tuple(_TYPES)
_ROWS = f"""
select {", ".join(f"t.{name}" for name in _PLAIN if name != "at")}, to_timestamp(t.at) as at, t.data
from unnest({", ".join(f"cast(:{name} as {type_}[])" for name, type_ in _TYPES.items())}, :data)
  as t({", ".join(_PLAIN)}, data)"""
_CHANGING = tuple(name for name in _PLAIN if name != "id")

_TOGETHER = text("""
select unnest(cast(:customers as text[])) as customer
union
select theirs.customer from tidegate.links mine join tidegate.links theirs on theirs.contact = mine.contact
where mine.connection = :connection and mine.customer = any(cast(:customers as text[]))
  and theirs.connection = :connection
order by 1""")

_TELL_SINCE = text("""
insert into tidegate.billing_tellings (connection, since)
select name, complete_as_of from tidegate.connections where name = :connection and complete_as_of is not null
on conflict do nothing""")

_TOLD_SINCE = text(r"""
select extract(epoch from t.since)\:\:bigint as since, c.complete_as_of is not null as complete
from tidegate.connections c left join tidegate.billing_tellings t on t.connection = c.name
where c.name = :connection""")

_STORED = text(r"""
select id, name, extract(epoch from at)\:\:bigint as at, customer, identity, subscription, invoice, currency, amount,
  data\:\:text as data, reverses, told
from tidegate.billing_events where connection = :connection and customer = any(cast(:customers as text[]))""")

_INSERT = text(f"""
insert into tidegate.billing_events (connection, {", ".join(_PLAIN)}, data)
select :connection, {", ".join(_PLAIN)}, cast(data as jsonb) from ({_ROWS}) r order by id""")

_UPDATE = text(f"""
update tidegate.billing_events e
set {", ".join(f"{name} = r.{name}" for name in _CHANGING)}, data = cast(r.data as jsonb)
from ({_ROWS}) r where e.connection = :connection and e.id = r.id""")

_DELETE = text("""
delete from tidegate.billing_events where connection = :connection and id = any(cast(:ids as text[]))""")

_CONTACTS = text("""
select customer, contact from tidegate.links
where connection = :connection and customer = any(cast(:customers as text[]))""")

_PAGE = text("""
select e.id, e.name, e.at, e.customer, c.kind || ':' || c.external_id as contact, e.identity, e.subscription, e.invoice,
  e.currency, e.amount, e.reverses, e.recorded_at, e.data
from tidegate.billing_events e
left join tidegate.links k on k.connection = e.connection and k.customer = e.customer
left join tidegate.contacts c on c.key = k.contact
where e.connection = :connection
  and (cast(:contact as bigint) is null or e.customer in (
    select l.customer from tidegate.links l where l.connection = :connection and l.contact = :contact))
  and (cast(:customer as text) is null or e.customer = :customer)
  and (cast(:name as text) is null or e.name = :name)
  and (cast(:begin as timestamptz) is null or e.at >= :begin)
  and (cast(:end as timestamptz) is null or e.at < :end)
  and (cast(:last as text) is null or (e.at, e.id) < (:at, :last))
order by e.at desc, e.id desc limit :limit""")

# What has no product is named by a line's description, which is free text; its reversal has the name, and no product.
_NAMED_FREELY = """({data} #> '{{properties,Product Name}}' is not null and ({data} ->> 'product' = '' or exists (
  select from tidegate.billing_events o
  where o.connection = e.connection and o.id = {data} #>> '{{properties,Reverses}}' and o.data ->> 'product' = '')))"""
_FREELY = _NAMED_FREELY.format(data="e.data")
_TOLD_FREELY = _NAMED_FREELY.format(data="(e.data -> 'data')")

_FORGET = text(f"""
update tidegate.billing_events e
set identity = case when identity like '%@%' then customer else identity end,
  data = case when {_FREELY} then data #- '{{properties,Product Name}}' else data end
where connection = :connection and customer = any(cast(:customers as text[])) and (identity like '%@%' or {_FREELY})""")

_FORGET_TOLD = text(f"""
update tidegate.outbox e
set data = jsonb_set(
  case when {_TOLD_FREELY} then data #- '{{data,properties,Product Name}}' else data end,
  '{{identity}}', case when data ->> 'identity' like '%@%' then data -> 'customer' else data -> 'identity' end)
where connection = :connection and type = 'billing_event.recorded'
  and data ->> 'customer' = any(cast(:customers as text[])) and (data ->> 'identity' like '%@%' or {_TOLD_FREELY})""")
