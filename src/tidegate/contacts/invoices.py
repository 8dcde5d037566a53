"""The invoices of a contact's customers, as the mirror has them, page by page."""

import re
from typing import Any

from sqlalchemy import Connection, text

from tidegate.contacts.directory import Contact
from tidegate.errors import ContactInvalid

_PLACE = re.compile(r"(\d{1,12})-(.{1,255})")


def page(db: Connection, contact: Contact, *, after: str = "", limit: int = 50) -> dict[str, Any]:
    """Invoices of all its customers, newest first: {contact, invoices, next}; `next` is the `after` of the next page
    (None: there is none). Amounts are in minor units; deleted drafts are left out.

    Raises ContactInvalid for an `after` that is none.
    """
    at, id_ = _place(after) if after else (None, None)
    values = {"contact": contact.key, "at": at, "id": id_, "limit": limit + 1}
    rows = [dict(row) for row in db.execute(_PAGE, values).mappings()]
    places = [f"{row.pop('at')}-{row['id']}" for row in rows]
    return {
        "contact": contact.ref,
        "invoices": rows[:limit],
        "next": places[limit - 1] if len(rows) > limit else None,
    }


def _place(after: str) -> tuple[int, str]:
    found = _PLACE.fullmatch(after)
    if found is None or "\0" in after:
        raise ContactInvalid(problem=f"{after[:40]!r} is no place in the list; take `next` of the page before")
    return int(found[1]), found[2]


_PAGE = text("""
select i.connection, i.id, i.number, i.customer, i.subscription, i.status, i.billing_reason, i.created, i.currency,
  i.total, i.amount_due, i.amount_paid, i.amount_remaining, i.period_start, i.period_end, i.due_date, i.paid_at,
  i.attempt_count, i.next_payment_attempt, i.hosted_invoice_url,
  extract(epoch from coalesce(i.created, 'epoch'))::bigint as at
from tidegate.links l
join stripe.invoices i on i.connection = l.connection and i.customer = l.customer and i.deleted_at is null
where l.contact = :contact and (cast(:at as bigint) is null
  or (coalesce(i.created, 'epoch'), i.id) < (to_timestamp(cast(:at as bigint)), cast(:id as text)))
order by coalesce(i.created, 'epoch') desc, i.id desc limit :limit""")
