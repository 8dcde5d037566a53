"""Who is new: contacts that nobody has placed yet, all of whose customers came to Stripe a short time ago."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, text

LATE_DAYS = 7
"""What is told later than this after it happened is history."""


def among(db: Connection, contacts: Collection[int], as_of: datetime) -> set[int]:
    """Those of these contacts (internal keys) that are new: each customer of theirs was created in Stripe since the
    first import of its connection began, and in the last LATE_DAYS. A contact without a customer is not.
    """
    return set(db.scalars(_AMONG, {"contacts": list(contacts), "as_of": as_of})) if contacts else set()


# Both times are Stripe's.
_AMONG = text(f"""
with imported as (
  select connection, to_timestamp(min((options ->> 'began')::bigint)) as since from tidegate.runs
  where kind = 'import' and state = 'done' and coalesce(options -> 'resources', '[]') = '[]' group by connection)
select l.contact from tidegate.links l
left join imported i on i.connection = l.connection
left join stripe.customers c on c.connection = l.connection and c.id = l.customer
where l.contact = any(cast(:contacts as bigint[]))
group by l.contact
having bool_and(coalesce(
  c.created >= i.since and c.created > cast(:as_of as timestamptz) - interval '{LATE_DAYS} days', false))""")
