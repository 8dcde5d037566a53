"""A connection's ledger and its editions: each has one policy and time zone, and one edition is in force."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from tidegate.pricing.policy import Policy, policy


@dataclass(frozen=True, slots=True)
class Ledger:
    """A connection's ledger that is in force: its edition, policy, and the time zone of its days."""

    connection: str
    edition: int
    policy: Policy
    zone: ZoneInfo
    base_currency: str


def current(db: Connection, connection: str) -> Ledger | None:
    """The connection's ledger; None: none was begun."""
    row = db.execute(_CURRENT, {"connection": connection}).first()
    if row is None:
        return None
    chosen = policy(row.preset, row.choices)
    return Ledger(connection, row.edition, chosen, ZoneInfo(row.time_zone), row.base_currency)


def begin(db: Connection, connection: str) -> Ledger:
    """The connection's ledger, begun with the default policy and the account's time zone where there is none."""
    found = current(db, connection)
    if found is None:
        db.execute(_BEGIN, {"connection": connection})
        found = current(db, connection)
    if found is None:
        raise LookupError(f"no ledger of {connection}")
    return found


_CURRENT = text("""
select edition, preset, choices, time_zone, base_currency from tidegate.ledgers
where connection = :connection and adopted_at is not null and retired_at is null""")

_BEGIN = text("""
insert into tidegate.ledgers (connection, edition, preset, time_zone, adopted_at)
select :connection, 1, 'default', coalesce(
    (select a.data #>> '{settings,dashboard,timezone}' from stripe.accounts a
     join tidegate.connections c on c.name = a.connection and c.account = a.id
     where a.connection = :connection
       and a.data #>> '{settings,dashboard,timezone}' in (select name from pg_timezone_names)), 'UTC'),
  clock_timestamp()
on conflict do nothing""")
