"""Contacts as lists and single pages show them: found by kind, text and links, described with all they are known by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, text

from tidegate.contacts import changes
from tidegate.contacts.directory import Contact


@dataclass(frozen=True, slots=True)
class Filter:
    """Which contacts to list: `search` is a part of an id, a name or an e-mail; `linked` None: both."""

    livemode: bool
    kind: Literal["user", "account"] | None = None
    search: str = ""
    linked: bool | None = None
    connection: str | None = None


def listing(db: Connection, wanted: Filter, *, after: int = 0, limit: int = 50) -> list[dict[str, Any]]:
    """Contacts in the order in which they were made, those after the internal key `after`.

    Each {key, contact, kind, id, name, email, owner, made_by, created_at, customers, live_subscriptions}.
    """
    values = {
        "livemode": wanted.livemode,
        "kind": wanted.kind,
        "pattern": f"%{escaped(wanted.search.strip())}%" if wanted.search.strip() else None,
        "linked": wanted.linked,
        "connection": wanted.connection,
        "after": after,
        "limit": limit,
    }
    return [dict(row) for row in db.execute(_LISTING, values).mappings()]


def escaped(search: str) -> str:
    """A text for `like`, in which nothing stands for anything else."""
    return search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def described(db: Connection, contact: Contact) -> dict[str, Any]:
    """A contact with its ids, e-mails, domains, members or accounts, links and subscriptions, and what was changed.

    `billing_id` is the newest live one of its customers (None: it has none). Amounts are in minor units.
    """
    values = {"contact": contact.key}
    row = dict(db.execute(_ONE, values).mappings().one())
    links = [dict(one) for one in db.execute(_LINKS, values).mappings()]
    other = "members" if contact.kind == "account" else "accounts"
    return row | {
        "ids": _rows(db, _IDS, values),
        "emails": list(db.scalars(_EMAILS, values)),
        "domains": list(db.scalars(_DOMAINS, values)),
        other: _rows(db, _MEMBERS if contact.kind == "account" else _ACCOUNTS, values),
        "billing_id": next((one["customer"] for one in links if one["in_mirror"] and not one["deleted"]), None),
        "links": links,
        "subscriptions": subscriptions(db, contact.key),
        "merged": _rows(db, _MERGED, values),
        "changes": changes.of_contact(db, contact.key),
    }


def subscriptions(db: Connection, contact: int) -> list[dict[str, Any]]:
    """The subscriptions of a contact's customers with their items, newest first."""
    return _rows(db, _SUBSCRIPTIONS, {"contact": contact})


def _rows(db: Connection, statement: Any, values: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in db.execute(statement, values).mappings()]


def refs(db: Connection, keys: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Internal keys to {contact, name, email}, those that were merged under the contact they are now."""
    return {
        row.key: {"contact": row.contact, "name": row.name, "email": row.email}
        for row in db.execute(_REFS, {"keys": list(keys)})
    }


_LISTING = text("""
select c.key, c.kind || ':' || c.external_id as contact, c.kind, c.external_id as id, c.name, c.email, c.owner,
  c.made_by, c.created_at,
  (select count(*) from tidegate.links l where l.contact = c.key) as customers,
  (select count(*) from tidegate.links l join stripe.subscriptions s
     on s.connection = l.connection and s.customer = l.customer and s.deleted_at is null
   where l.contact = c.key and s.status in ('trialing', 'active', 'past_due')) as live_subscriptions
from tidegate.contacts c
where c.livemode = :livemode and c.merged_into is null and c.key > :after
  and (cast(:kind as text) is null or c.kind = :kind)
  and (cast(:pattern as text) is null or c.name ilike :pattern or c.external_id ilike :pattern or exists (
    select from tidegate.contact_emails e where e.contact = c.key and e.email ilike :pattern) or exists (
    select from tidegate.contact_ids i where i.contact = c.key and i.external_id ilike :pattern))
  and (cast(:linked as boolean) is null or :linked = exists (select from tidegate.links l where l.contact = c.key))
  and (cast(:connection as text) is null or exists (
    select from tidegate.links l where l.contact = c.key and l.connection = :connection))
order by c.key limit :limit""")

_ONE = text("""
select key, kind || ':' || external_id as contact, kind, external_id as id, livemode, name, name_is_yours, email,
  email_is_yours, owner, properties, made_by, created_at, updated_at, forgotten_at
from tidegate.contacts where key = :contact""")

_IDS = text("select external_id as id, since from tidegate.contact_ids where contact = :contact order by since, 1")

_EMAILS = text("select email from tidegate.contact_emails where contact = :contact order by email")

_DOMAINS = text("select domain from tidegate.contact_domains where contact = :contact order by domain")

_MEMBERS = text("""
select c.kind || ':' || c.external_id as contact, c.name, c.email, m.role
from tidegate.contact_members m join tidegate.contacts c on c.key = m."user"
where m.account = :contact order by c.external_id""")

_ACCOUNTS = text("""
select c.kind || ':' || c.external_id as contact, c.name, c.email, m.role
from tidegate.contact_members m join tidegate.contacts c on c.key = m.account
where m."user" = :contact order by c.external_id""")

# The newest live customer first: it is the billing id.
_LINKS = text("""
select l.connection, l.customer, s.name, s.email, s.created, s.id is not null as in_mirror,
  s.deleted_at is not null as deleted, l.method, l.evidence, l.linked_at, l.linked_by
from tidegate.links l
left join stripe.customers s on s.connection = l.connection and s.id = l.customer
where l.contact = :contact
order by s.deleted_at is not null, s.created desc nulls last, l.customer desc""")

_SUBSCRIPTIONS = text("""
select s.connection, s.id, s.customer, s.status, s.created, s.current_period_end, s.cancel_at, s.cancel_at_period_end,
  s.ended_at, s.currency, coalesce(items.items, '[]') as items
from tidegate.links l
join stripe.subscriptions s on s.connection = l.connection and s.customer = l.customer and s.deleted_at is null
left join lateral (
  select jsonb_agg(jsonb_build_object('id', i.id, 'price', i.price, 'product', i.product, 'product_name', p.name,
    'quantity', i.quantity, 'unit_amount', i.unit_amount, 'currency', i.currency, 'interval', i.interval,
    'interval_count', i.interval_count) order by i.position, i.id) as items
  from stripe.subscription_items i
  left join stripe.products p on p.connection = i.connection and p.id = i.product
  where i.connection = s.connection and i.subscription = s.id and i.deleted_at is null) items on true
where l.contact = :contact order by s.created desc nulls last, s.id""")

_MERGED = text("""
select h.id as merge, o.kind || ':' || o.external_id as contact, h.at, h.by
from tidegate.contact_changes h join tidegate.contacts o on o.key = (h.what ->> 'from')::bigint
where h.action = 'merge' and h.contact = :contact and h.undone_at is null order by h.id""")

_REFS = text("""
select k.key, c.kind || ':' || c.external_id as contact, c.name, c.email
from unnest(cast(:keys as bigint[])) as k(key)
join tidegate.contacts o on o.key = k.key
join tidegate.contacts c on c.key = coalesce(o.merged_into, o.key)""")
