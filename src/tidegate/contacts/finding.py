"""Finds a contact by what somebody has at hand: a part of a name, an e-mail address or an id, or an id of Stripe."""

from typing import Any

from sqlalchemy import Connection, text

from tidegate.contacts.listing import escaped

SHORTEST = 2
"""Characters from which on something is looked for."""


def find(db: Connection, livemode: bool, said: str, *, limit: int = 8) -> list[dict[str, Any]]:
    """What is meant, the surest first: {kind, id, contact, name, email, connection}. `kind`: contact, or customer,
    subscription or invoice with Stripe's `id`; `contact`: whose it is (None: nobody's).
    """
    wanted = said.strip()
    if len(wanted) < SHORTEST or "\0" in wanted:
        return []
    for beginning, statement in _OF_STRIPE.items():
        if wanted.startswith(beginning):
            found = db.execute(statement, {"id": wanted, "livemode": livemode, "limit": limit}).mappings()
            if rows := [dict(row) for row in found]:
                return rows
    plain = wanted.partition(":")[2] if wanted.startswith(("user:", "account:")) else wanted
    values = {"livemode": livemode, "said": plain.casefold(), "id": plain, "limit": limit}
    sure = [dict(row) for row in db.execute(_EXACT, values).mappings()]
    if len(sure) < limit:
        values["pattern"] = f"%{escaped(plain)}%"
        known = {row["key"] for row in sure}
        sure += [dict(row) for row in db.execute(_ALIKE, values).mappings() if row["key"] not in known]
    return [{name: value for name, value in row.items() if name != "key"} for row in sure[:limit]]


_CONTACT = """
c.key, 'contact' as kind, c.external_id as id, c.kind || ':' || c.external_id as contact, coalesce(c.name, '') as name,
  coalesce(c.email, '') as email, '' as connection"""

_EXACT = text(f"""
select {_CONTACT} from tidegate.contacts c
where c.livemode = :livemode and c.merged_into is null and c.key in (
  select contact from tidegate.contact_ids where external_id = :id
  union select contact from tidegate.contact_emails where folded = :said)
order by c.key limit :limit""")

_ALIKE = text(f"""
select {_CONTACT} from tidegate.contacts c
where c.livemode = :livemode and c.merged_into is null
  and (c.name ilike :pattern or c.external_id ilike :pattern or c.email ilike :pattern)
order by c.key limit :limit""")

_WHOSE = """
  c.kind || ':' || c.external_id as contact, coalesce(s.name, '') as name, coalesce(s.email, '') as email, o.connection
from stripe.{table} o
join tidegate.connections n on n.name = o.connection and n.livemode = :livemode
left join stripe.customers s on s.connection = o.connection and s.id = o.{customer}
left join tidegate.links l on l.connection = o.connection and l.customer = o.{customer}
left join tidegate.contacts c on c.key = l.contact
where o.id = :id order by o.connection limit :limit"""

_OF_STRIPE = {
    beginning: text(f"select '{kind}' as kind, o.id,{_WHOSE.format(table=f'{kind}s', customer=customer)}")
    for beginning, kind, customer in (
        ("cus_", "customer", "id"),
        ("sub_", "subscription", "customer"),
        ("in_", "invoice", "customer"),
    )
}
