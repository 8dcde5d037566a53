"""What a connection's key may read, per endpoint: the last look at it, and which permissions came back since."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.connections import problems


class Permission(NamedTuple):
    """Whether an endpoint (such as `GET /v1/charges`) may be read; `allowed` None: it could not be told, `detail` says
    why.
    """

    endpoint: str
    allowed: bool | None
    detail: str = ""


def store(db: Connection, connection: str, found: Sequence[Permission]) -> list[str]:
    """Stores what a look at every endpoint found, and notes or clears `permission_missing` for each.

    Returns the endpoints that were refused before and may be read now.
    """
    refused = set(
        db.scalars(
            text("""
select endpoint from tidegate.permissions where connection = :c and not allowed
union select subject from tidegate.problems where connection = :c and code = 'permission_missing'"""),
            {"c": connection},
        )
    )
    db.execute(
        text("delete from tidegate.permissions where connection = :c and endpoint <> all(:endpoints)"),
        {"c": connection, "endpoints": [one.endpoint for one in found]},
    )
    for one in found:
        db.execute(
            text("""
insert into tidegate.permissions (connection, endpoint, allowed, checked_at, detail)
values (:c, :endpoint, :allowed, now(), :detail)
on conflict (connection, endpoint) do update
set allowed = excluded.allowed, checked_at = excluded.checked_at, detail = excluded.detail"""),
            {"c": connection, **one._asdict()},
        )
        if one.allowed is False:
            problems.note(db, connection, "permission_missing", one.detail, one.endpoint)
        elif one.allowed:
            problems.clear(db, connection, ["permission_missing"], one.endpoint)
    return [one.endpoint for one in found if one.allowed and one.endpoint in refused]


def outdate(db: Connection, connection: str) -> None:
    """Another key came: nothing is known of what it may read, but what the one before might not is to be caught up on.

    Call it before the problems of the key before are cleared.
    """
    db.execute(
        text("update tidegate.permissions set checked_at = null where connection = :c"),
        {"c": connection},
    )
    db.execute(
        text("""
insert into tidegate.permissions (connection, endpoint, allowed, detail)
select connection, subject, false, detail from tidegate.problems
where connection = :c and code = 'permission_missing'
on conflict (connection, endpoint) do update set allowed = false, detail = excluded.detail"""),
        {"c": connection},
    )


def listing(db: Connection, connection: str) -> list[dict[str, Any]]:
    """Every endpoint as {endpoint, allowed, checked_at, detail}; nothing that was only true of another key."""
    rows = db.execute(
        text("""
select endpoint, allowed, checked_at, detail from tidegate.permissions
where connection = :c and checked_at is not null order by endpoint"""),
        {"c": connection},
    )
    return [dict(row) for row in rows.mappings()]
