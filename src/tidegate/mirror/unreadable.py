"""What Stripe sent and could not be taken as it is: whole objects kept as text, and fields left empty."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from tidegate.mirror.arrivals import Lost

_ANY = text("select 1 from tidegate.unreadable where connection = :connection and resource = :resource limit 1")
_FORGET = text("""
delete from tidegate.unreadable where connection = :connection and resource = :resource
and (object_id = any(:seen) or split_part(object_id, '/', 1) = any(:seen))""")


def record(connection: Connection, account: str, resource: str, seen: Sequence[str], lost: Sequence[Lost]) -> None:
    """Notes what was lost of the objects just `seen`, and forgets what was wrong with them before."""
    whose = {"connection": account, "resource": resource}
    if connection.scalar(_ANY, whose):
        connection.execute(_FORGET, {**whose, "seen": list(seen)})
    if not lost:
        return
    connection.execute(
        text("""
insert into tidegate.unreadable (connection, resource, object_id, field, reason, body)
select :connection, :resource, o.id, o.field, o.reason, o.body
from unnest(cast(:ids as text[]), cast(:fields as text[]), cast(:reasons as text[]), cast(:bodies as text[]))
  as o(id, field, reason, body)
order by o.id, o.field
on conflict (connection, resource, object_id, field) do update
set reason = excluded.reason, body = excluded.body, at = now()"""),
        {
            "connection": account,
            "resource": resource,
            "ids": [one.object_id for one in lost],
            "fields": [one.field for one in lost],
            "reasons": [one.reason for one in lost],
            "bodies": [one.body.replace("\x00", "\\u0000") if one.body else one.body for one in lost],
        },
    )
