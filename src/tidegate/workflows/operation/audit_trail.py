"""Who changed what, of all logs together: the hub's own, the catalog's, contacts' and overrides'; the newest first."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.contacts import changes
from tidegate.errors import UsageError

LOGS = ("access", "catalog", "contacts", "overrides")
TOLD = (
    "connection", "customer", "customers", "fields", "contact", "account", "user", "from", "into", "batch", "note",
    "task", "file", "lines", "created", "updated", "linked", "joined", "matched", "settings", "sync", "package", "run",
    "merge",
)  # fmt: skip
"""What is told of a change of contacts: no words and no addresses, which may be personal."""


class _Log(NamedTuple):
    """Its rows {at, log, id, actor, action, subject, of_contact, detail}, and how they follow each other."""

    sql: str
    order: tuple[str, ...] = ("id",)


_LOGS = {
    "access": _Log("""
select at, 'access' as log, id, actor, action, subject, false as of_contact, detail from tidegate.audit_log"""),
    "catalog": _Log("""
select at, 'catalog' as log, id, by as actor, action, subject, false as of_contact, detail
from tidegate.catalog_changes"""),
    "contacts": _Log("""
select c.at, 'contacts' as log, c.id, c.by as actor, c.action,
  coalesce(k.kind || ':' || k.external_id, c.what ->> 'connection', c.what ->> 'file', c.what ->> 'sync',
    'acceptance ' || (c.what ->> 'batch'), '') as subject,
  k.key is not null as of_contact, c.what as detail
from tidegate.contact_changes c left join tidegate.contacts k on k.key = c.contact"""),
    # Made by hand, so few that they may be sorted. An override has two rows: it is given, and may be revoked.
    "overrides": _Log(
        """
select happened.at, 'overrides' as log, 2 * o.id + happened.turn as id, happened.actor, happened.action,
  k.kind || ':' || k.external_id as subject, true as of_contact, jsonb_strip_nulls(jsonb_build_object(
    'override', o.id, 'operation', o.operation, 'package', o.package, 'version', o.version, 'feature', o.feature,
    'gives', o.terms, 'expires', o.expires_at)) as detail
from tidegate.overrides o join tidegate.contacts k on k.key = o.contact
cross join lateral (values (0, o.created_at, o.by, 'override.given'),
  (1, o.revoked_at, o.revoked_by, 'override.revoked')) as happened(turn, at, actor, action)
where happened.at is not null""",
        ("at", "id"),
    ),
}
_WHERE = """
where (:actor = '' or strpos(lower(actor), lower(:actor)) > 0)
  and (:action = '' or strpos(lower(action), lower(:action)) > 0)
  and (:subject = '' or strpos(lower(subject), lower(:subject)) > 0)"""

Places = dict[str, tuple[datetime, int]]
"""Of each log the last row that was read, by time and id."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which changes: parts of the actor, the action and the subject, in any case; empty: all. `log`: one of `LOGS`."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    log: str = ""


def page(db: Connection, wanted: Wanted, *, after: str = "", limit: int = 50) -> tuple[list[dict[str, Any]], str]:
    """Changes {at, log, id, actor, action, subject, of_contact, detail}, and what to give as `after` for the next page;
    empty: there is none. `of_contact`: the subject is a contact's id. Times are UTC.

    Each log is read in its own order from its own place, so nothing is left out where times and ids differ in order.
    """
    if wanted.log and wanted.log not in LOGS:
        raise UsageError(problem=f"There is no log {wanted.log!r}, but {', '.join(LOGS)}.")
    places = _places(after)
    read = [_read(db, name, wanted, places, limit + 1) for name in LOGS if wanted.log in ("", name)]
    merged = heapq.merge(*read, key=lambda row: (row["at"], row["log"], row["id"]), reverse=True)
    rows = list(islice(merged, limit))
    more = sum(map(len, read)) > len(rows)
    places |= {row["log"]: (row["at"], row["id"]) for row in rows}
    told = [row["detail"] for row in rows if row["log"] == "contacts"]
    changes.name(db, told)
    return rows, _named(places) if more else ""


def every(db: Connection, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """All of them, read by pages."""
    after = ""
    while True:
        rows, after = page(db, wanted, after=after, limit=1_000)
        yield from rows
        if not after:
            return


def _read(db: Connection, name: str, wanted: Wanted, places: Places, limit: int) -> list[dict[str, Any]]:
    log, place = _LOGS[name], places.get(name)
    values: dict[str, Any] = {"actor": wanted.actor, "action": wanted.action, "subject": wanted.subject, "limit": limit}
    where = _WHERE
    if place:
        values |= {"after_at": place[0], "after_id": place[1]}
        where += f" and ({', '.join(log.order)}) < ({', '.join(f':after_{one}' for one in log.order)})"
    order = ", ".join(f"{one} desc" for one in log.order)
    statement = text(f"select * from ({log.sql}) as log {where} order by {order} limit :limit")
    rows = [dict(row) for row in db.execute(statement, values).mappings()]
    return [_without_words(row) for row in rows] if name == "contacts" else rows


def _without_words(row: Mapping[str, Any]) -> dict[str, Any]:
    detail: dict[str, Any] = row["detail"]
    return {**row, "detail": {key: detail[key] for key in TOLD if key in detail and detail[key] not in (None, "")}}


def _named(places: Places) -> str:
    return " ".join(f"{log} {at.isoformat()} {number}" for log, (at, number) in places.items())


def _places(after: str) -> Places:
    said = after.split(" ") if after else []
    try:
        found = {
            log: (datetime.fromisoformat(at), int(number))
            for log, at, number in zip(said[::3], said[1::3], said[2::3], strict=True)
        }
        if not set(found) <= set(LOGS):
            raise ValueError(after)
    except ValueError as error:
        raise UsageError(
            problem=f"{after[:60]!r} is no place in the list; take the link of the page before."
        ) from error
    return found
