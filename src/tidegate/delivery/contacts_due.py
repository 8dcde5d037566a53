"""What is due of contacts: noted where something of them may have changed, moved and taken back with them."""

from collections.abc import Sequence

from sqlalchemy import Connection, text


def expand_noted(db: Connection, limit: int) -> int:
    """Makes what is due of contacts that were noted, for each destination that keeps them; returns how many notes there
    were. One contact waits once for a destination, unless it is being sent just now.
    """
    return int(db.execute(_EXPAND, {"limit": limit}).scalar_one())


def note_contacts(db: Connection, contacts: Sequence[int]) -> None:
    """Notes that something of these contacts (internal keys) may have changed, where a destination keeps any."""
    if contacts:
        db.execute(_NOTE, {"contacts": list(contacts)})


def merge(db: Connection, kept: int, other: int) -> list[int]:
    """Lets what waits of `other` (internal keys) go in the order of `kept`, before what comes of both from now on;
    returns their ids, for `part`. What another process has in hand is ahead of it anyway.
    """
    db.execute(_HOLD_ALL)
    return list(db.scalars(_MERGE, {"kept": kept, "other": other}))


def part(db: Connection, kept: int, other: int, ids: Sequence[int]) -> None:
    """Gives back what still waits of these."""
    db.execute(_HOLD_ALL)
    db.execute(_PART, {"kept": kept, "other": other, "ids": list(ids)})


def forget_due(db: Connection, contacts: Sequence[int]) -> int:
    """Takes back what is due about these contacts (internal keys), but that they were forgotten; returns how many."""
    return db.execute(_FORGET_DUE, {"contacts": list(contacts)}).rowcount


def forget_sent(db: Connection, contacts: Sequence[int]) -> int:
    """Forgets what destinations were sent of these contacts (internal keys); returns how many rows."""
    return db.execute(_FORGET_SENT, {"contacts": list(contacts)}).rowcount


_EXPAND = text("""
with taken as (
  delete from tidegate.noted_contacts where id = any(array(
    select id from tidegate.noted_contacts order by id limit :limit for update skip locked))
  returning contacts),
keys as (select distinct unnest(contacts) as contact from taken),
made as (
  insert into tidegate.deliveries (destination, contact)
  select d.key, c.key from keys k
  join tidegate.contacts c on c.key = k.contact and c.merged_into is null and c.forgotten_at is null
  join tidegate.destinations d on d.keeps and (d.livemode is null or d.livemode = c.livemode)
  where not exists (select from tidegate.suppressed_contacts s where s.contact = c.key) and not exists (
    select from tidegate.deliveries w
    where w.destination = d.key and w.contact = c.key and w.state = 'waiting' and w.outbox is null
      and w.claimed_by is null)
  order by c.key)
select count(*) from taken""")

_NOTE = text("""
insert into tidegate.noted_contacts (contacts)
select cast(:contacts as bigint[]) where exists (select from tidegate.destinations where keeps)
  and coalesce(current_setting('tidegate.history', true), '') <> 'on'""")

_HOLD_ALL = text("select key from tidegate.destinations order by key for no key update")

_IDLE = "state in ('waiting', 'dead') and (claimed_by is null or next_try_at <= clock_timestamp())"

_MERGE = text(f"""
update tidegate.deliveries set contact = :kept where contact = :other and {_IDLE} returning id""")

_PART = text(f"""
update tidegate.deliveries set contact = :other
where contact = :kept and id = any(cast(:ids as bigint[])) and {_IDLE}""")

_FORGET_DUE = text("""
delete from tidegate.deliveries d
where d.contact = any(cast(:contacts as bigint[])) and d.state in ('waiting', 'dead') and not exists (
  select from tidegate.outbox o where o.id = d.outbox and o.type = 'contact.forgotten')""")

_FORGET_SENT = text("delete from tidegate.destination_contacts where contact = any(cast(:contacts as bigint[]))")
