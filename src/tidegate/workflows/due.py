"""Which connections have work whose time has come, whether or not somebody rang for it."""

from sqlalchemy import Connection, text


def behind(db: Connection, poll_seconds: int, *, refused: bool) -> list[str]:
    """Connections whose events were not read for `poll_seconds`; those whose key was refused only with `refused`."""
    rows = db.execute(
        text("""
select c.name from tidegate.connections c
where c.disconnected_at is null
  and (c.caught_up_at is null or c.caught_up_at <= now() - make_interval(secs => :seconds))
  and (:refused or not exists (
    select from tidegate.problems p where p.connection = c.name and p.code = 'key_invalid'))
order by c.name"""),
        {"seconds": poll_seconds, "refused": refused},
    )
    return list(rows.scalars())


def undrained(db: Connection) -> list[str]:
    """Connections with an event or an object to look at whose turn has come."""
    rows = db.execute(
        text("""
select c.name from tidegate.connections c
where c.disconnected_at is null and (
  exists (select from tidegate.inbox i where i.connection = c.name and i.state = 'waiting' and i.next_try_at <= now())
  or exists (select from tidegate.refetches r where r.connection = c.name and r.next_try_at <= now()))
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
