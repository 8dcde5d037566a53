"""Name and addresses of a contact follow its Stripe customers, until you set them yourself."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.connections import accounts
from tidegate.contacts import matched_by
from tidegate.contacts.match import fold
from tidegate.contacts.matched_by import Marks
from tidegate.mirror import changed
from tidegate.store.driver import rows


def follow(db: Connection, contacts: Sequence[int]) -> None:
    """Makes name and e-mail of these contacts (internal keys) those of the newest of their customers that has one, and
    their followed addresses those of all; live customers come before deleted ones.

    In whatever order customers came, the same comes out. Whoever waits for an address that came or went is queued to be
    matched anew. In the caller's transaction, which holds `linking.lock`.
    """
    moved: dict[bool, set[str]] = defaultdict(set)
    for row in rows(db, _DIFFERENT, {"contacts": list(contacts)}):
        if not row.email_is_yours:
            moved[row.livemode] |= _addresses(db, row)
        if (row.new_name, row.new_email) != (row.name, row.email):
            db.execute(_TAKE, {"contact": row.key, "name": row.new_name, "email": row.new_email})
    for livemode, emails in moved.items():
        for account in accounts.every(db) if emails else ():
            if account.livemode == livemode:
                waiting = matched_by.customers(db, account.name, Marks(emails=frozenset(emails)))
                changed.note(db, account.name, waiting)


def _addresses(db: Connection, row: Any) -> set[str]:
    """Adds the addresses that a contact's customers have and drops those that none has any more; returns them."""
    wanted = {fold(email): email for email in (*reversed(row.emails), row.new_email) if email}
    known: dict[str, bool] = {one.folded: one.followed for one in db.execute(_KNOWN, {"contact": row.key}).all()}
    gone = [folded for folded, followed in known.items() if followed and folded not in wanted]
    come = [folded for folded in wanted if folded not in known]
    if gone:
        db.execute(_DROP_EMAILS, {"contact": row.key, "folded": gone})
    if come:
        db.execute(_ADD_EMAILS, {"contact": row.key, "folded": come, "emails": [wanted[one] for one in come]})
    return {*gone, *come}


# An empty name or address at Stripe says nothing; where no customer says anything, what was known stays. All lists have
# one order, or each would be sorted for each contact.
_DIFFERENT = text("""
with theirs as materialized (
  select l.contact, s.name, s.email, s.deleted_at is null as lives, s.created, s.id
  from unnest(cast(:contacts as bigint[])) as these(contact)
  join tidegate.links l on l.contact = these.contact
  join stripe.customers s on s.connection = l.connection and s.id = l.customer),
said as (
  select contact,
    (array_agg(name order by lives desc, created desc nulls last, id desc) filter (where name <> ''))[1] as name,
    (array_agg(email order by lives desc, created desc nulls last, id desc) filter (where email <> ''))[1] as email,
    coalesce(array_agg(email order by lives desc, created desc nulls last, id desc)
      filter (where lives and email <> ''), '{}') as emails
  from theirs group by contact),
found as (
  select c.key, c.livemode, c.name, c.email, c.email_is_yours, said.emails,
    case when c.name_is_yours then c.name else coalesce(said.name, c.name) end as new_name,
    case when c.email_is_yours then c.email else coalesce(said.email, c.email) end as new_email
  from said join tidegate.contacts c on c.key = said.contact
  where c.merged_into is null and c.forgotten_at is null)
select f.* from found f
left join lateral (
  select array_agg(lower(e.email)) as every, coalesce(array_agg(lower(e.email)) filter (where e.followed), '{}')
    as followed
  from tidegate.contact_emails e where e.contact = f.key and not f.email_is_yours) known on true
where (f.new_name, f.new_email) is distinct from (f.name, f.email)
  or not f.email_is_yours and exists (
    select from unnest(f.emails || f.new_email) as one(email)
    where one.email <> '' and lower(one.email) <> all(coalesce(known.every, '{}')))
  or exists (
    select from unnest(known.followed) as one(email)
    where one.email <> all(select lower(email) from unnest(f.emails || f.new_email) as their(email)))""")

_KNOWN = text("select folded, followed from tidegate.contact_emails where contact = :contact")

_DROP_EMAILS = text("""
delete from tidegate.contact_emails where contact = :contact and folded = any(cast(:folded as text[]))""")

_ADD_EMAILS = text("""
insert into tidegate.contact_emails (contact, folded, email, followed)
select :contact, folded, email, true
from unnest(cast(:folded as text[]), cast(:emails as text[])) as t(folded, email)""")

_TAKE = text("update tidegate.contacts set name = :name, email = :email, updated_at = now() where key = :contact")
