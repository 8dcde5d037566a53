"""Whether anything is sent to Stripe: outbound is paused for the whole hub, and one run of a sync is asked to stop."""

from typing import Any

from sqlalchemy import Connection, text

from tidegate.errors import OutboundPaused

WHAT = "outbound"


def pause(db: Connection, by: str) -> dict[str, Any]:
    """Lets nothing be sent from now on; runs at work stop within seconds. Returns {by, at}; of an earlier pause its."""
    db.execute(_PAUSE, {"what": WHAT, "by": by})
    found = paused(db)
    assert found is not None
    return found


def resume(db: Connection) -> bool:
    """Lets runs send again; false: nothing was paused. No run begins by that."""
    return bool(db.execute(text("delete from tidegate.pauses where what = :what"), {"what": WHAT}).rowcount)


def paused(db: Connection) -> dict[str, Any] | None:
    """Since when, and by whom: {by, at}; None: it is not paused."""
    row = db.execute(text("select by, at from tidegate.pauses where what = :what"), {"what": WHAT}).mappings().first()
    return dict(row) if row is not None else None


def refuse(db: Connection) -> None:
    """Raises OutboundPaused."""
    if found := paused(db):
        since = f"{found['at']:%Y-%m-%dT%H:%M:%SZ}"
        raise OutboundPaused(since=since, by=found["by"])


def ask_to_stop(db: Connection, sync: str, run: int) -> None:
    """Asks a run of a sync to stop, in whichever process it is."""
    db.execute(text("update tidegate.syncs set stop_run = :run where key = :key"), {"key": sync, "run": run})


def why_to_stop(db: Connection, sync: str, run: int) -> str | None:
    """Why a run is to stop: `canceled`, or outbound is `paused`; None: it is not to."""
    return db.scalar(_TO_STOP, {"key": sync, "run": run, "what": WHAT})


_PAUSE = text("insert into tidegate.pauses (what, by) values (:what, :by) on conflict (what) do nothing")

_TO_STOP = text("""
select case when exists (select from tidegate.syncs where key = :key and stop_run = :run) then 'canceled'
  when exists (select from tidegate.pauses where what = :what) then 'paused' end""")
