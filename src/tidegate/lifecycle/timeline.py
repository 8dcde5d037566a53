"""A contact's timeline: everything that happened to it in the order of time, each with what it was."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, text

from tidegate.contacts import changes, forgetting
from tidegate.contacts.directory import Contact
from tidegate.errors import LifecycleInvalid
from tidegate.lifecycle.happenings import KINDS, SOURCES
from tidegate.lifecycle.health import moved
from tidegate.revenue.rounding import whole


def page(
    db: Connection, contact: Contact, *, kinds: Sequence[str] = KINDS, after: str = "", limit: int = 50
) -> dict[str, Any]:
    """What happened, the newest first: {contact, timeline: [{at, kind, what, id, data}], next}; `next` is the `after`
    of the next page (None: there is none). Of a contact that others were merged into also what happened to them.
    Amounts are in minor units.

    Deliveries are there as long as the outbox keeps them; of an alert when it was opened, and how it stands since when.
    Raises LifecycleInvalid for a kind or an `after` that is none.
    """
    wanted = _known(kinds)
    at, kind, id_ = _place(after) if after else (None, None, None)
    values = {
        "contacts": forgetting.with_merged(db, contact.key),
        "at": at,
        "kind": kind,
        "id": id_,
        "limit": limit + 1,
    }
    parts = [_PART.format(source=SOURCES[one], kind=one) for one in wanted]
    statement = f"{_THEIRS} select * from ({' union all '.join(parts)}) t order by at desc, kind, id limit :limit"
    rows = [_told(dict(row)) for row in db.execute(text(statement), values).mappings()]
    shown = rows[:limit]
    changes.name(db, [row["data"] for row in shown if row["kind"] in ("change", "link")])
    return {"contact": contact.ref, "timeline": shown, "next": _next(shown[-1]) if len(rows) > limit else None}


def _known(kinds: Sequence[str]) -> list[str]:
    for one in kinds:
        if one not in KINDS:
            raise LifecycleInvalid(problem=f"Nothing of the kind {one!r} stands on a timeline; {', '.join(KINDS)} do.")
    return [one for one in KINDS if one in kinds] or list(KINDS)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    if row["kind"] == "movement":
        data = row["data"]
        opening, closing = whole(int(data["opening"])), whole(int(data["closing"]))
        row["data"] = data | {"opening": opening, "closing": closing, "amount": closing - opening}
    if row["kind"] == "health":
        data = row["data"]
        row["data"] = data | {"moved": moved(data.pop("points_before"), data.pop("points"))}
    return row


def _next(row: dict[str, Any]) -> str:
    said = json.dumps([row["at"].isoformat(), row["kind"], row["id"]])
    return urlsafe_b64encode(said.encode()).decode().rstrip("=")


def _place(after: str) -> tuple[datetime, str, str]:
    try:
        said: Any = json.loads(urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        at, kind, id_ = cast("list[str]", said)
        place = datetime.fromisoformat(at), str(kind), str(id_)
    except (ValueError, TypeError):
        place = None
    if place is None or "\0" in f"{place[1]}{place[2]}" or place[0].tzinfo is None:
        raise LifecycleInvalid(problem=f"{after[:40]!r} is no `next` of a page of a timeline.")
    return place


_THEIRS = """
with theirs as materialized (
  select l.connection, l.customer from tidegate.links l where l.contact = any(cast(:contacts as bigint[]))),
units as materialized (
  select 'contact\\:' || key as unit, null as connection from unnest(cast(:contacts as bigint[])) as key
  union all select customer, connection from theirs)"""

# Of what happens at the same instant the order is that of kinds and ids, so that a page goes on where one ended.
_PART = """
select * from (
  select at, '{kind}' as kind, what, id, data from ({source}) s
  where at is not null and (cast(:at as timestamptz) is null or at < cast(:at as timestamptz)
    or (at = cast(:at as timestamptz) and ('{kind}', id) > (cast(:kind as text), cast(:id as text))))
  order by at desc, id limit :limit) p_{kind}"""
