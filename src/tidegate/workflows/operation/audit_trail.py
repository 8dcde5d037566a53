"""Who changed what, of all logs together: users and tokens, the catalog, contacts; the newest first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.errors import UsageError

LOGS = ("access", "catalog", "contacts")

_BRANCHES = {
    "access": "select at, 'access' as log, id, actor, action, subject, detail from tidegate.audit_log",
    "catalog": "select at, 'catalog' as log, id, by as actor, action, subject, detail from tidegate.catalog_changes",
    # What a change says of contacts may be personal, and is read on the page of the contact.
    "contacts": """
select c.at, 'contacts' as log, c.id, c.by as actor, c.action, coalesce(k.kind || ':' || k.external_id, '') as subject,
  '{}'::jsonb as detail
from tidegate.contact_changes c left join tidegate.contacts k on k.key = c.contact""",
}
_WHERE = """
where (:actor = '' or strpos(lower(actor), lower(:actor)) > 0)
  and (:action = '' or strpos(lower(action), lower(:action)) > 0)
  and (:subject = '' or strpos(lower(subject), lower(:subject)) > 0)
  and (cast(:at as timestamptz) is null or (at, log, id) < (cast(:at as timestamptz), :after_log, :after_id))"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which changes: parts of the actor, the action and the subject, in any case; empty: all. `log`: one of `LOGS`."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    log: str = ""


def page(db: Connection, wanted: Wanted, *, after: str = "", limit: int = 50) -> tuple[list[dict[str, Any]], str]:
    """Changes {at, log, id, actor, action, subject, detail}, and what to give as `after` for the next page; empty:
    there is none. Times are UTC.
    """
    rows = _read(db, wanted, _place(after), limit + 1)
    return rows[:limit], _named(rows[limit - 1]) if len(rows) > limit else ""


def every(db: Connection, wanted: Wanted, most: int = 100_000) -> Iterator[dict[str, Any]]:
    """All of them, read by pages."""
    after, left = "", most
    while left > 0:
        rows, after = page(db, wanted, after=after, limit=min(1_000, left))
        yield from rows
        left -= len(rows)
        if not after:
            return


def _read(db: Connection, wanted: Wanted, place: tuple[datetime, str, int] | None, limit: int) -> list[dict[str, Any]]:
    if wanted.log and wanted.log not in LOGS:
        raise UsageError(problem=f"There is no log {wanted.log!r}, but {', '.join(LOGS)}.")
    at, after_log, after_id = place or (None, "", 0)
    values = {"actor": wanted.actor, "action": wanted.action, "subject": wanted.subject, "limit": limit}
    values |= {"at": at, "after_log": after_log, "after_id": after_id}
    branches = [
        f"(select * from ({sql}) as {log} {_WHERE} order by id desc limit :limit)"
        for log, sql in _BRANCHES.items()
        if wanted.log in ("", log)
    ]
    of_all = " union all ".join(branches)
    statement = f"select * from ({of_all}) as changes order by at desc, log desc, id desc limit :limit"
    return [dict(row) for row in db.execute(text(statement), values).mappings()]


def _named(row: dict[str, Any]) -> str:
    return f"{row['at'].isoformat()} {row['log']} {row['id']}"


def _place(after: str) -> tuple[datetime, str, int] | None:
    if not after:
        return None
    try:
        at, log, number = after.split(" ")
        return datetime.fromisoformat(at), log, int(number)
    except ValueError as error:
        raise UsageError(
            problem=f"{after[:60]!r} is no place in the list; take the link of the page before."
        ) from error
