"""Writes down who changed what of the hub: users, roles, links and tokens, connections, keys, imports, alerts."""

from typing import Any

from sqlalchemy import Connection, insert, select

from tidegate.security.tables import audit_log


def record(db: Connection, actor: str, action: str, subject: str, **detail: Any) -> None:
    """One change, in the transaction that makes it. `actor`: `user:EMAIL`, `token:NAME` or `cli:ACCOUNT`."""
    db.execute(insert(audit_log).values(actor=actor, action=action, subject=subject, detail=detail))


def newest(db: Connection, limit: int) -> list[dict[str, Any]]:
    """The newest changes first, as they were noted; times are UTC."""
    wanted = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
    return [dict(row) for row in db.execute(wanted).mappings()]
