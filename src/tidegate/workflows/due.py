"""Which connections have work whose time has come, whether or not somebody rang for it."""

from sqlalchemy import Connection, text

from tidegate.connections import problems, runs


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


def _with(db: Connection, work: str) -> list[str]:
    rows = db.execute(
        text(f"""
select c.name from tidegate.connections c where c.disconnected_at is null and exists (select from {work})
order by c.name""")
    )
    return list(rows.scalars())
