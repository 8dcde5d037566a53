"""Finds the Stripe customers that your own ids stand for, by what contacts are linked to."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, text

from tidegate.outbound.associations import Finder


def own_ids(db: Connection, connection: str) -> Finder:
    """What finds the live Stripe customers that are linked to contacts of some ids of yours, by id: `acme`,
    `account:acme`, or an id that a contact had before.
    """

    def found(_: str, ids: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        rows = db.execute(_OWN_IDS, {"connection": connection, "ids": sorted(ids)})
        return {row.id: tuple(row.customers) for row in rows}

    return found


_OWN_IDS = text("""
select wanted.id, array_agg(distinct l.customer order by l.customer) as customers
from unnest(cast(:ids as text[])) as wanted(id)
join tidegate.contact_ids i on i.external_id in (wanted.id, regexp_replace(wanted.id, '^(user|account):', ''))
  and (i.external_id = wanted.id or i.kind = split_part(wanted.id, ':', 1))
join tidegate.links l on l.contact = i.contact and l.connection = :connection
join stripe.customers o on o.connection = l.connection and o.id = l.customer and o.deleted_at is null
group by 1""")
