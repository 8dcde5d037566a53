"""Who changed what of the catalog, and when; written in the transaction of the change."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text


def note(db: Connection, by: str, action: str, subject: str, **detail: Any) -> None:
    """Writes a row. `action`: such as `mapping.set`; `subject`: the key, or what is mapped."""
    values = {"by": by, "action": action, "subject": subject, "detail": json.dumps(detail, default=str)}
    db.execute(_NOTE, values)


def page(db: Connection, *, about: str = "", before: int | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Changes, newest first: {id, at, by, action, subject, detail}; those before the one of the id `before`.

    `about`: the key of a feature or package, or the id of a price or product; empty: all.
    """
    values = {"about": about or None, "before": before, "limit": limit}
    return [dict(row) for row in db.execute(_PAGE, values).mappings()]


def forget_reasons(db: Connection, connection: str, customers: Sequence[str]) -> int:
    """Erases for which reason, in a person's words, these customers (Stripe ids) were left out of revenue; returns of
    how many changes.
    """
    return db.execute(_FORGET, {"connection": connection, "customers": list(customers)}).rowcount


_FORGET = text("""
update tidegate.catalog_changes set detail = detail - 'reason'
where action = 'revenue.exclude' and subject = any(cast(:customers as text[]))
  and detail ->> 'connection' = :connection and detail ? 'reason'""")

_PAGE = text("""
select id, at, by, action, subject, detail from tidegate.catalog_changes
where (cast(:before as bigint) is null or id < :before)
  and (cast(:about as text) is null or :about = subject or :about = any(regexp_split_to_array(subject, '[ :→]+')))
order by id desc limit :limit""")

_NOTE = text("""
insert into tidegate.catalog_changes (by, action, subject, detail)
values (:by, :action, :subject, cast(:detail as jsonb))""")
