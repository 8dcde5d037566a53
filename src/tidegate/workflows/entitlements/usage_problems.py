"""What is wrong with telling usage to Stripe's meters whenever one looks: refused, of unknown outcome, or late."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from tidegate.entitlements import forwards
from tidegate.workflows.operation.problems_found import Found

LATE = timedelta(minutes=15)


def of_connection(db: Connection, connection: str, as_of: datetime) -> list[Found]:
    """Every problem of what was consumed by the connection's customers; none while outbound is paused is late."""
    found: list[Found] = []
    known = forwards.summary(db, connection)
    if known["failed"] or known["unknown"]:
        words = [f"{known[name]:,} {said}" for name, said in _WORDS.items() if known[name]]
        detail = f"Of what was consumed {' and '.join(words)}, the last: {known['failed_error']}"
        found.append(Found("usage_failed", known["failed_since"], detail))
    since = known["waiting_since"]
    if since is not None and since < as_of - LATE and forwards.may_tell(db):
        why = f" The first: {known['waiting_error']}" if known["waiting_error"] else ""
        found.append(Found("usage_late", since, f"{known['waiting']:,} debits wait to be told to Stripe.{why}"))
    return found


def standing(db: Connection) -> dict[str, Any]:
    """How much of what was consumed waits, has nobody who pays for it, failed, or is in doubt, of all connections."""
    known = forwards.summary(db)
    return {name: known[name] for name in ("waiting", "without_customer", "failed", "unknown")}


_WORDS = {"failed": "debits were refused by Stripe", "unknown": "debits may be counted or not"}
