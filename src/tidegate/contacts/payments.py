"""The payments of a contact's customers, as the mirror has them."""

from typing import Any

from sqlalchemy import Connection, text


def newest(db: Connection, contact: int, *, limit: int = 10) -> list[dict[str, Any]]:
    """Charges of all customers of a contact (internal key), the newest first, tried in vain or not: {connection, id,
    customer, created, amount, amount_refunded, currency, status, disputed, failure}. Amounts are in minor units;
    `failure`: why one failed, in Stripe's words, or None.
    """
    return [dict(row) for row in db.execute(_NEWEST, {"contact": contact, "limit": limit}).mappings()]


_NEWEST = text("""
select c.connection, c.id, c.customer, c.created, c.amount, c.amount_refunded, c.currency, c.status, c.disputed,
  coalesce(c.failure_message, c.decline_reason, c.failure_code) as failure
from tidegate.links l
join stripe.charges c on c.connection = l.connection and c.customer = l.customer and c.deleted_at is null
where l.contact = :contact order by c.created desc nulls last, c.id desc limit :limit""")
