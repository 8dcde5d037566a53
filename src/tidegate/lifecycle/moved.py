"""Who moved between stages: the moves and arrivals that `report` counts, one by one."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.lifecycle.report import ARRIVED, MOVED


class Wanted(NamedTuple):
    """Which moves, of live or of test data (`livemode` None: of both): out of a stage, into one, from one to the other;
    `since` to before `until`. Into one without `from_` are arrivals, of whoever is new as well.
    """

    livemode: bool | None
    from_: str
    to: str
    since: datetime
    until: datetime


def moved(
    db: Connection, wanted: Wanted, *, before: int | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """The newest first: {id, contact, name, from (None: it was nowhere), to, at, days (that it had been there)}.
    `before`: the id of the last one of the page before; `limit` None: all.
    """
    statement = _ARRIVED if wanted.to and not wanted.from_ else _MOVED
    given = wanted._asdict() | {"before": before, "limit": limit}
    return [dict(row) for row in db.execute(statement, given).mappings()]


_SHOWN = """c.kind || ':' || c.external_id as contact, coalesce(nullif(c.name, ''), c.external_id) as name,
  b.key as "from", a.key as "to", a.entered_at as at,
  round((extract(epoch from b.left_at - b.entered_at) / 86400)::numeric, 1)::float8 as days"""

_SOME = "and (cast(:before as bigint) is null or a.id < :before) order by a.id desc limit cast(:limit as bigint)"

_MOVED = text(f"""
select a.id, {_SHOWN} {MOVED}
  and (:from_ = '' or b.key = :from_) and (:to = '' or a.key = :to) {_SOME}""")

_ARRIVED = text(f"""
select a.id, {_SHOWN}
from tidegate.memberships a join tidegate.contacts c on c.key = a.contact
  and (cast(:livemode as boolean) is null or c.livemode = :livemode)
left join tidegate.memberships b on b.contact = a.contact and b.kind = 'stage' and b.left_at = a.entered_at
  and b.id <> a.id
where a.key = :to {ARRIVED.format("a")} {_SOME}""")
