"""Which connections have work whose time has come, whether or not somebody rang for it."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, text

from tidegate.connections import problems, runs
from tidegate.workflows.mirror.import_account import SAME_NIGHT, SWEEP

MISSED_NIGHT = timedelta(hours=44)
"""A connection that was not looked at for so long is swept at any hour: nobody worked when its night came."""
AGAIN_AFTER = timedelta(minutes=15)
"""How long an interrupted sweep rests, so that trouble may pass."""


def behind(db: Connection, poll_seconds: int, *, refused: bool) -> list[str]:
    """Connections whose events were not read for `poll_seconds`; those that Stripe refuses altogether only with
    `refused`.
    """
    rows = db.execute(
        text("""
select c.name from tidegate.connections c
where c.disconnected_at is null
  and (c.caught_up_at is null or c.caught_up_at <= now() - make_interval(secs => :seconds))
  and (:refused or not exists (
    select from tidegate.problems p where p.connection = c.name and p.code in ('key_invalid', 'oauth_revoked')))
order by c.name"""),
        {"seconds": poll_seconds, "refused": refused},
    )
    return list(rows.scalars())


def unanswered(db: Connection) -> list[tuple[str, bool]]:
    """Connections that lost events and whose full import nobody is at: to be begun (true) or to be gone on with."""
    found: list[tuple[str, bool]] = []
    for name, since in problems.unanswered_gaps(db):
        last = runs.last(db, name, "import")
        if last and last["state"] == "running":
            continue
        begun = last is not None and last["started_at"] > since and last["options"].get("full", False)
        found.append((name, not begun))
    return found


def undrained(db: Connection) -> list[str]:
    """Connections with an event whose turn has come."""
    return _with(db, "tidegate.inbox i where i.connection = c.name and i.state = 'waiting' and i.next_try_at <= now()")


def unfetched(db: Connection) -> list[str]:
    """Connections with an object to look at whose turn has come."""
    return _with(db, "tidegate.refetches r where r.connection = c.name and r.next_try_at <= now()")


def unrefreshed(db: Connection) -> list[str]:
    """Connections with customers whose derived facts are to be refreshed, or with objects that they have in common."""
    tables = ("tidegate.changed_customers", "tidegate.changed_objects")
    return _with(db, " union all select from ".join(f"{table} w where w.connection = c.name" for table in tables))


def _with(db: Connection, work: str) -> list[str]:
    rows = db.execute(
        text(f"""
select c.name from tidegate.connections c where c.disconnected_at is null and exists (select from {work})
order by c.name""")
    )
    return list(rows.scalars())


def fanning_out(db: Connection, *, refused: bool) -> list[str]:
    """Platforms whose accounts are to be listed now; those whose key was refused only with `refused`."""
    rows = db.execute(
        text("""
select c.name from tidegate.connections c
where c.disconnected_at is null and c.fan_out_at <= now()
  and (:refused or not exists (
    select from tidegate.problems p where p.connection = c.name and p.code = 'key_invalid'))
order by c.name"""),
        {"refused": refused},
    )
    return list(rows.scalars())


def unprobed(db: Connection, *, refused: bool) -> list[str]:
    """Connections whose key's permissions were not looked at for a day; those whose key was refused or whose Stripe
    does not answer only with `refused`.
    """
    rows = db.execute(
        text("""
select c.name from tidegate.connections c left join tidegate.permissions p on p.connection = c.name
where c.disconnected_at is null
  and (:refused or not exists (
    select from tidegate.problems o where o.connection = c.name and o.code in ('key_invalid', 'unreachable')))
group by c.name
having count(p.endpoint) = 0 or bool_or(p.checked_at is null) or min(p.checked_at) <= now() - interval '1 day'
order by c.name"""),
        {"refused": refused},
    )
    return list(rows.scalars())


def unswept(db: Connection, as_of: datetime, hour: int) -> list[str]:
    """Connections to sweep now: whose time zone has that hour (without a zone: UTC) and whose lists were not all read
    within 20 hours; those whose night was missed; and those whose sweep was interrupted a while ago.

    Left out is what was never imported whole, is being imported, or has a refused key.
    """
    return [
        name
        for name, (zone, looked_at) in _swept_before(db).items()
        if not _is_imported_now(db, name)
        and _is_night(db, name, looked_at, as_of, as_of.astimezone(_zone(zone)).hour == hour)
    ]


def next_sweep(db: Connection, connection: str, as_of: datetime, hour: int) -> datetime | None:
    """When `unswept` will name the connection, if nothing else happens; `as_of` when it does already. None while one
    is under way, and for what is not swept at all.
    """
    found = _swept_before(db, connection).get(connection)
    last = runs.last(db, connection, SWEEP)
    if found is None or (last and last["state"] == "running"):
        return None
    if last and last["state"] == "interrupted" and last["started_at"] > as_of - SAME_NIGHT:
        return max(as_of, last["heartbeat_at"] + AGAIN_AFTER)
    zone, looked_at = found
    return min(max(as_of, looked_at + MISSED_NIGHT), _next_hour(max(as_of, looked_at + SAME_NIGHT), hour, _zone(zone)))


def _next_hour(moment: datetime, hour: int, zone: tzinfo) -> datetime:
    """The first moment from here on in that hour of the zone's day; a day that skips the hour has none."""
    while moment.astimezone(zone).hour != hour:
        # Zones are whole quarters of an hour apart.
        moment = moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0) + timedelta(minutes=15)
    return moment


def _swept_before(db: Connection, connection: str | None = None) -> dict[str, tuple[str | None, datetime]]:
    """The connections that are swept, or the named one: the account's time zone, and when all lists were last read."""
    rows = db.execute(
        text("""
select c.name, a.timezone, greatest(max(r.started_at) filter (where r.kind = 'sweep' or r.options ->> 'full' = 'true'),
                                    min(r.started_at) filter (where r.kind = 'import')) as looked_at
from tidegate.connections c
join tidegate.runs r on r.connection = c.name and (
  r.kind = 'sweep' or r.kind = 'import' and r.state = 'done' and coalesce(r.options -> 'resources', '[]') = '[]')
left join stripe.accounts a on a.connection = c.name and a.id = c.account
where c.disconnected_at is null and (cast(:name as text) is null or c.name = :name)
  and not exists (select from tidegate.problems p where p.connection = c.name and p.code = 'key_invalid')
group by c.name, a.timezone having bool_or(r.kind = 'import') order by c.name"""),
        {"name": connection},
    )
    return {row.name: (row.timezone, row.looked_at) for row in rows}


def _is_imported_now(db: Connection, connection: str) -> bool:
    last = runs.last(db, connection, "import")
    return last is not None and last["state"] == "running"


def _is_night(db: Connection, connection: str, looked_at: datetime, as_of: datetime, its_hour: bool) -> bool:
    last = runs.last(db, connection, SWEEP)
    if last and last["state"] == "running":
        return False
    if last and last["state"] == "interrupted" and last["started_at"] > as_of - SAME_NIGHT:
        return last["heartbeat_at"] < as_of - AGAIN_AFTER
    return looked_at < as_of - (SAME_NIGHT if its_hour else MISSED_NIGHT)


def _zone(name: str | None) -> tzinfo:
    """The time zone of that name; UTC where Stripe names none or one that this machine does not know."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
