"""What an account holds of what mapping and matching are decided by: read first, so that the questions come soon."""

from typing import Any

from sqlalchemy import Connection, text

from tidegate.connections import runs

COUNTED = ("products", "prices", "customers", "subscriptions")
RESOURCES = (*COUNTED, "entitlements/features", "product_features")


def found(db: Connection, connection: str) -> dict[str, int]:
    """How many of each are mirrored."""
    return {
        table: int(
            db.scalar(
                text(f"select count(*) from stripe.{table} where connection = :c and deleted_at is null"),
                {"c": connection},
            )
            or 0
        )
        for table in COUNTED
    }


def standing(db: Connection, connection: str) -> str:
    """How far the import of a connection is: `new`, `looking` (a first look is asked for or under way), `looked`,
    `importing` (everything), `imported` (once, whole). All of it stands in the runs and in the queue.
    """
    last = runs.last(db, connection, "import")
    if last is not None and last["state"] == "running":
        return "looking" if last["options"].get("resources") else "importing"
    if asked := _asked(db, connection):
        return asked
    if runs.ever_whole(db, connection):
        return "imported"
    if last is None:
        return "new"
    if not last["options"].get("resources"):
        return "importing"
    return "looked" if last["state"] == "done" else "looking"


def _asked(db: Connection, connection: str) -> str:
    """What a worker was asked for and has not begun, or is about to begin; empty when it was not."""
    whole = db.scalar(
        text("""
select bool_or(coalesce(args -> 'resources', '[]') = '[]') from procrastinate_jobs
where status in ('todo', 'doing') and task_name in ('import_account', 'import_again')
  and args ->> 'connection' = :connection"""),
        {"connection": connection},
    )
    return "" if whole is None else "importing" if whole else "looking"


def progress(db: Connection, connection: str) -> dict[str, Any] | None:
    """How far the newest import is: {run, state, read, expected, rate, seconds_left, resources, error}; numbers that
    are not known yet are None. `resources`: of each {resource, read, expected}. None before there is one.
    """
    run = runs.last(db, connection, "import")
    if run is None:
        return None
    summary = run["summary"]
    counts: dict[str, Any] = summary.get("resources", {})
    expected: dict[str, int | None] = summary.get("expected", {})
    ended = run["state"] != "running"
    each: list[dict[str, Any]] = [
        {"resource": name, "read": one["read"], "expected": one["read"] if ended else expected.get(name)}
        for name, one in counts.items()
    ]
    read: int = sum(one["read"] for one in each)
    known = bool(each) and all(one["expected"] is not None for one in each)
    total = max(read, sum(one["expected"] or 0 for one in each)) if known else None
    rate = summary.get("rate") or None
    left = (total - read) / rate if total is not None and rate and not ended else None
    return {
        "run": run["id"],
        "state": run["state"],
        "whole": not run["options"].get("resources"),
        "read": read,
        "expected": total,
        "rate": rate,
        "seconds": summary.get("seconds"),
        "seconds_left": left,
        "resources": each,
        "problems": summary.get("problems", {}),
        "left_out": summary.get("left_out", {}),
        "error": run["error"],
        "started_at": run["started_at"],
        "finished_at": run["finished_at"],
    }
