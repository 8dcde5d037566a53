"""Name and e-mail of a contact follow its newest live Stripe customer, until you set them yourself."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from tidegate.contacts.match import fold


def follow(db: Connection, contacts: Sequence[int]) -> None:
    """Takes over name and e-mail of the newest customers of these contacts (internal keys), where they differ."""
    for row in db.execute(_DIFFERENT, {"contacts": list(contacts)}).all():
        if row.new_email and row.new_email != row.email:
            still = {fold(email) for email in db.scalars(_STILL, {"contact": row.key})}
            if fold(row.email) not in still:
                db.execute(_DROP_EMAIL, {"contact": row.key, "folded": fold(row.email)})
            values = {"contact": row.key, "folded": fold(row.new_email), "email": row.new_email}
            db.execute(_ADD_EMAIL, values)
        db.execute(_TAKE, {"contact": row.key, "name": row.new_name or row.name, "email": row.new_email or row.email})


# An empty name or address at Stripe says nothing, so what was known stays.
_DIFFERENT = text("""
select c.key, c.name, c.email, newest.name as new_name, newest.email as new_email
from tidegate.contacts c
join lateral (
  select case when c.name_is_yours then null else nullif(s.name, '') end as name,
    case when c.email_is_yours then null else nullif(s.email, '') end as email
  from tidegate.links l
  join stripe.customers s on s.connection = l.connection and s.id = l.customer and s.deleted_at is null
  where l.contact = c.key order by s.created desc nulls last, s.id desc limit 1) newest on true
where c.key = any(cast(:contacts as bigint[])) and c.merged_into is null and c.forgotten_at is null
  and (newest.name <> c.name or newest.email <> c.email)""")

# An address that any of its customers still has goes on being the contact's.
_STILL = text("""
select s.email from tidegate.links l
join stripe.customers s on s.connection = l.connection and s.id = l.customer and s.deleted_at is null
where l.contact = :contact and s.email <> ''""")

_DROP_EMAIL = text("delete from tidegate.contact_emails where contact = :contact and folded = :folded")

_ADD_EMAIL = text("""
insert into tidegate.contact_emails (contact, folded, email, followed) values (:contact, :folded, :email, true)
on conflict (contact, folded) do update set email = excluded.email""")

_TAKE = text("update tidegate.contacts set name = :name, email = :email, updated_at = now() where key = :contact")
