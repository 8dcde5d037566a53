"""What is new though an import brings it: contacts all of whose customers came to Stripe a short time ago, and what
happened a short time ago to the others.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, text

LATE_DAYS = 7
"""What is told later than this after it happened is history."""


def among(db: Connection, contacts: Collection[int], as_of: datetime) -> set[int]:
    """Those of these contacts (internal keys) that are new: each customer of theirs was created in Stripe since the
    first import of its connection began, and in the last LATE_DAYS. A contact without a customer is not.
    """
    return set(db.scalars(_AMONG, {"contacts": list(contacts), "as_of": as_of})) if contacts else set()


def happened(
    db: Connection, at: str, contacts: Sequence[int], occurrences: Sequence[str], as_of: datetime
) -> set[tuple[int, str]]:
    """Those of these occurrences of alerts that happened since the first import of all the contact's connections began,
    and in the last LATE_DAYS. `at`: SQL of when one, `o` with `contact` and `occurrence`, did (`AlertRule.happened`).
    """
    if not contacts or not at:
        return set()
    given = {"contacts": list(contacts), "occurrences": list(occurrences), "as_of": as_of}
    return {(row.contact, row.occurrence) for row in db.execute(text(_HAPPENED.format(at=at)), given)}


# Stripe's times, as all that they are held against.
_IMPORTED = """
with imported as (
  select connection, to_timestamp(min((options ->> 'began')::bigint)) as since from tidegate.runs
  where kind = 'import' and state = 'done' and coalesce(options -> 'resources', '[]') = '[]' group by connection)"""

_HAPPENED = f"""{_IMPORTED}
select contact, occurrence from (
  select o.contact, o.occurrence, {{at}} as at
  from unnest(cast(:contacts as bigint[]), cast(:occurrences as text[])) as o(contact, occurrence)) o
where at <= :as_of and at > cast(:as_of as timestamptz) - interval '{LATE_DAYS} days' and (
  select bool_and(coalesce(o.at >= i.since, false)) from tidegate.links l
  left join imported i on i.connection = l.connection where l.contact = o.contact)"""

_AMONG = text(f"""{_IMPORTED}
select l.contact from tidegate.links l
left join imported i on i.connection = l.connection
left join stripe.customers c on c.connection = l.connection and c.id = l.customer
where l.contact = any(cast(:contacts as bigint[]))
group by l.contact
having bool_and(coalesce(
  c.created >= i.since and c.created > cast(:as_of as timestamptz) - interval '{LATE_DAYS} days', false))""")
