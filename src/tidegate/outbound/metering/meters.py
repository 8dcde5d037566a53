"""The meters that the mirror knows, and what the hub told of one customer within a minute."""

from decimal import Decimal
from difflib import get_close_matches
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.outbound.metering.events import PATH, Meter


class Beside(NamedTuple):
    """Values of the events of a customer, a meter and a minute: what was surely counted, and what is in doubt."""

    told: list[Decimal]
    doubtful: list[Decimal]


def meters(db: Connection, connection: str) -> dict[str, Meter]:
    """The meters of a connection by the name of their events; of several of one name the active one."""
    rows = db.execute(_METERS, {"connection": connection})
    return {
        row.event_name: Meter(
            row.id, row.event_name, row.status == "active", row.customer_key, row.value_key, row.formula, row.plain
        )
        for row in rows
    }


def lacking(known: dict[str, Meter], event_name: str) -> str:
    """What is wrong with an event's name, and how to mend it; empty: nothing."""
    found = known.get(event_name)
    if found is not None:
        return "" if found.active else f"the meter {event_name} is deactivated in Stripe, and takes no events"
    near = get_close_matches(event_name, known, 1)
    has = f"perhaps {near[0]}" if near else f"it has {', '.join(sorted(known))}" if known else "the mirror has none"
    return f"Stripe has no meter of this event name ({has}); a new one comes with `tidegate import`"


def beside(db: Connection, connection: str, meter: Meter, customer: str, begin: int, end: int) -> Beside:
    """What the hub told of a customer from `begin` until before `end` (UTC epoch seconds), by syncs and by usage that
    was consumed.
    """
    values: dict[str, Any] = {
        "connection": connection, "path": PATH, "event_name": meter.event_name, "customer_key": meter.customer_key,
        "value_key": meter.value_key, "customer": customer, "begin": begin, "end": end,
    }  # fmt: skip
    found = Beside([], [])
    for row in db.execute(_BESIDE, values):
        (found.told if row.sure else found.doubtful).append(Decimal(row.value))
    return found


_METERS = text("""
select id, event_name, status, formula, coalesce(customer_key, 'stripe_customer_id') as customer_key,
  coalesce(value_key, 'value') as value_key, event_time_window is null as plain
from stripe.billing_meters where connection = :connection and deleted_at is null and event_name is not null
order by status = 'active', created, id""")

_BESIDE = text("""
select r.params -> 'payload' ->> :value_key as value, r.state = 'done' as sure from tidegate.requests r
where r.connection = :connection and r.path = :path and r.state in ('done', 'intended', 'unknown')
  and r.params ->> 'event_name' = :event_name and r.params -> 'payload' ->> :customer_key = :customer
  and (r.params ->> 'timestamp')::bigint >= :begin and (r.params ->> 'timestamp')::bigint < :end
  and not exists (
    select from tidegate.requests b
    where b.connection = r.connection and b.sync = r.sync and b.key = r.key and b.operation = 'cancel'
      and b.state = 'done' and b.params -> 'cancel' ->> 'identifier' = r.params ->> 'identifier')
union all
select f.value::text, f.state = 'sent' from tidegate.meter_forwards f
where f.connection = :connection and f.event_name = :event_name and f.customer = :customer
  and (f.state in ('sent', 'intended', 'unknown') or f.state = 'discarded' and f.intended_at is not null)
  and f.takes_back is null
  and floor(extract(epoch from f.at)) >= :begin and floor(extract(epoch from f.at)) < :end""")
