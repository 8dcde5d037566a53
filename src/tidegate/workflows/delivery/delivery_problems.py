"""What is wrong with destinations whenever one looks: paused because they failed, failing, dead letters, late."""

from sqlalchemy import Connection, text

from tidegate.workflows.operation.problems_found import Found

FAILING_MINUTES = 15
LATE_MINUTES = 15
"""How long what is due may wait at a destination that takes it (semantics, Operation)."""


def of_installation(db: Connection) -> list[Found]:
    """Every problem; the subject of each is its destination. One that a person paused is none."""
    found: list[Found] = []
    for row in db.execute(_STANDING, {"failing": FAILING_MINUTES, "late": LATE_MINUTES}):
        if row.paused_at is not None:
            if not row.paused_by:
                detail = f"{row.key} is sent nothing any more: {row.error}. {row.waiting} deliveries wait."
                found.append(Found("destination_paused", row.paused_at, detail, row.key))
        elif row.is_failing:
            detail = f"{row.key} has taken nothing since: {row.error}. {row.waiting} deliveries wait."
            found.append(Found("destination_failing", row.failing_since, detail, row.key))
        elif row.late_since is not None:
            detail = f"{row.waiting} deliveries wait for {row.key}, the first of them for more than {LATE_MINUTES} min."
            found.append(Found("deliveries_late", row.late_since, detail, row.key))
        if row.dead:
            detail = f"{row.dead} messages were refused by {row.key} for good, the last: {row.died_of}"
            found.append(Found("dead_letters", row.dead_since, detail, row.key))
    return found


_STANDING = text("""
select d.key, d.paused_at, d.paused_by, d.error, d.failing_since, w.waiting, w.late_since,
  d.failing_since < clock_timestamp() - make_interval(mins => :failing) as is_failing,
  l.dead, l.dead_since, l.died_of
from tidegate.destinations d
left join lateral (
  select count(*) as waiting, min(w.next_try_at) filter (
      where w.next_try_at < clock_timestamp() - make_interval(mins => :late)) as late_since
  from tidegate.deliveries w where w.destination = d.key and w.state = 'waiting') w on true
left join lateral (
  select count(*) as dead, min(l.done_at) as dead_since, (array_agg(l.error order by l.id desc))[1] as died_of
  from tidegate.deliveries l where l.destination = d.key and l.state = 'dead') l on true
order by d.key""")
