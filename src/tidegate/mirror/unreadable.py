"""What Stripe sent and could not be taken as it is: whole objects kept as text, and fields left empty."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from tidegate.mirror.arrivals import Lost

_ANY = text("select 1 from tidegate.unreadable where connection = :connection and resource = :resource limit 1")
_FORGET = text("""
delete from tidegate.unreadable where connection = :connection and resource = :resource
and (object_id = any(:replaced) or split_part(object_id, '/', 1) = any(:replaced)
  or (object_id = any(:confirmed) and field = ''))""")


def forget(
    connection: Connection, account: str, resource: str, replaced: Sequence[str], confirmed: Sequence[str]
) -> None:
    """Forgets what was wrong with objects that have new content, their children included.

    Of those whose content was `confirmed` only that a version could not be taken at all: what did not fit of the
    content stays as it was.
    """
    whose = {"connection": account, "resource": resource}
    if connection.scalar(_ANY, whose):
        connection.execute(_FORGET, {**whose, "replaced": list(replaced), "confirmed": list(confirmed)})


def record(connection: Connection, account: str, resource: str, lost: Sequence[Lost]) -> None:
    """Notes what was lost; the same object's (or field's) loss told twice counts once, the last."""
    if not lost:
        return
    lost = list({(one.object_id, one.field): one for one in lost}.values())
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
