"""A connection's ledger and its editions: each has one policy and time zone, and one edition is in force."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, text

from tidegate.errors import PolicyInvalid
from tidegate.pricing.policy import Policy, policy
from tidegate.revenue import partitions
from tidegate.store.driver import rows

IDENTITIES = {
    "own_id": "your own id of the contact, else the invoice's e-mail, else the customer's",
    "email": "the invoice's e-mail, else the customer's",
    "customer": "Stripe's id of the customer, always",
}
"""Whom billing events tell of, where the customer has a subscription; any other is told of by Stripe's id."""


FALLBACK = "UTC"
"""The time zone of days while the account's is not known."""


FIRST = 1
"""A connection's first edition."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """A connection's ledger that is in force: its edition, policy, and the time zone of its days. `known_zone`: the
    account's, where days are UTC's because it was not known, and is by now (else empty).
    """

    connection: str
    edition: int
    policy: Policy
    zone: ZoneInfo
    base_currency: str
    known_zone: str = ""


def current(db: Connection, connection: str) -> Ledger | None:
    """The connection's ledger; None: none was begun."""
    row = next(iter(rows(db, _CURRENT, {"connection": connection})), None)
    if row is None:
        return None
    zone, chosen = ZoneInfo(row.time_zone or FALLBACK), policy(row.preset, row.choices)
    return Ledger(connection, row.edition, chosen, zone, row.base_currency, row.known_zone or "")


def base(db: Connection) -> str:
    """The base currency of all ledgers; empty where they have none, or not the same."""
    found = list(db.scalars(_BASES))
    return found[0] if len(found) == 1 else ""


def begin(db: Connection, connection: str) -> Ledger:
    """The connection's ledger, begun with the default policy and the account's time zone where there is none. What only
    reads takes `current` or `terms`.
    """
    found = current(db, connection)
    if found is None:
        begun = db.execute(_BEGIN, {"connection": connection, "zone": account_zone(db, connection)})
        if begun.rowcount and not partitions.there(db, connection, FIRST):
            partitions.make(db, connection, FIRST)
        found = current(db, connection)
    if found is None:
        raise LookupError(f"no ledger of {connection}")
    return found


def account_zone(db: Connection, connection: str) -> str:
    """The time zone that the account has chosen at Stripe; empty: the mirror does not know it yet."""
    return next((row.zone for row in rows(db, _ZONE, {"connection": connection})), "")


def settle_zone(db: Connection, ledger: Ledger, zone: str) -> bool:
    """Gives a ledger whose time zone was assumed the account's. False, and nothing done, where days would change."""
    given = {"connection": ledger.connection, "edition": ledger.edition, "zone": zone, "same": zone == FALLBACK}
    return bool(db.execute(_SETTLE, given).rowcount)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an edition is kept by: a preset with `choices` made otherwise, the base currency (empty: none), a time zone
    (empty: the account's, which is not known yet, so UTC). `identity`: whom billing events tell of, one of IDENTITIES;
    `managed_by`: `file` for tidegate.yaml.
    """

    preset: str
    choices: Mapping[str, str]
    base_currency: str
    time_zone: str
    identity: str = "own_id"
    managed_by: str = ""

    @property
    def zone(self) -> ZoneInfo:
        """Whose days count."""
        return ZoneInfo(self.time_zone or FALLBACK)

    @property
    def policy(self) -> Policy:
        """Raises PolicyInvalid for what is no preset, setting or choice."""
        return policy(self.preset, self.choices)

    def otherwise(
        self,
        preset: str | None = None,
        choices: Mapping[str, str] | None = None,
        base_currency: str | None = None,
        time_zone: str | None = None,
        identity: str | None = None,
        *,
        anew: bool = False,
    ) -> "Terms":
        """The same with what is given; another preset begins without choices. `anew`: the choices that are given are
        all there are. Raises PolicyInvalid.
        """
        begins = anew or (preset is not None and preset != self.preset)
        kept: Mapping[str, str] = {} if begins else self.choices
        return Terms(
            preset or self.preset,
            {**kept, **(choices or {})},
            self.base_currency if base_currency is None else base_currency.lower(),
            time_zone or self.time_zone,
            identity or self.identity,
            self.managed_by,
        ).checked()

    def checked(self) -> "Terms":
        """Itself. Raises PolicyInvalid for what is no preset, setting, choice, currency, time zone or identity."""
        base = self.base_currency
        if self.policy and base and not (base.isascii() and base.isalpha() and len(base) == 3):
            raise PolicyInvalid(problem=f"{base!r} is no currency: it is three letters, such as usd.")
        if self.identity not in IDENTITIES:
            raise PolicyInvalid(problem=f"{self.identity!r} is no identity: it is one of {', '.join(IDENTITIES)}.")
        try:
            _ = self.zone
        except (ZoneInfoNotFoundError, ValueError) as error:
            problem = f"{self.time_zone!r} is no time zone: it is one such as Europe/Berlin, or UTC."
            raise PolicyInvalid(problem=problem) from error
        return self

    def as_entry(self) -> dict[str, Any]:
        """As tidegate.yaml says it, in section `revenue`."""
        return {
            "policy": self.preset,
            "settings": dict(self.choices),
            "base_currency": self.base_currency,
            "time_zone": self.time_zone,
            "identity": self.identity,
        }


def terms(db: Connection, connection: str) -> Terms:
    """By what the ledger in force is kept; where there is none, by what it would begin."""
    row = db.execute(_CURRENT, {"connection": connection}).first()
    if row is None:
        return Terms("default", {}, "", account_zone(db, connection))
    return Terms(row.preset, row.choices, row.base_currency, row.time_zone, row.identity, row.managed_by)


def draft(db: Connection, connection: str, wanted: Terms) -> Ledger:
    """A new edition that is not in force yet. Its movements have no partition before a rebuild makes it."""
    edition = db.execute(_DRAFT, _values(connection, wanted)).scalar_one()
    return tried(connection, wanted, edition)


def tried(connection: str, wanted: Terms, edition: int = 0) -> Ledger:
    """An edition that is stored nowhere."""
    return Ledger(connection, edition, wanted.policy, wanted.zone, wanted.base_currency)


def adopt(db: Connection, ledger: Ledger) -> None:
    """Puts an edition in force in the place of the one that is."""
    values = {"connection": ledger.connection, "edition": ledger.edition}
    for statement in (_RETIRE, _ADOPT):
        db.execute(statement, values)


def amend(db: Connection, connection: str, wanted: Terms) -> None:
    """Changes what no movement depends on, in the edition in force: base currency, identity, who manages it."""
    db.execute(_AMEND, _values(connection, wanted))


def every(db: Connection, connection: str) -> list[dict[str, Any]]:
    """All editions, the newest first."""
    return [dict(row) for row in db.execute(_EVERY, {"connection": connection}).mappings()]


def _values(connection: str, wanted: Terms) -> dict[str, Any]:
    return {
        "connection": connection,
        "preset": wanted.preset,
        "choices": json.dumps(dict(wanted.choices), sort_keys=True),
        "base": wanted.base_currency,
        "zone": wanted.time_zone,
        "identity": wanted.identity,
        "managed_by": wanted.managed_by,
    }


_ACCOUNT_ZONE = """
select a.data #>> '{settings,dashboard,timezone}' as zone from stripe.accounts a
join tidegate.connections c on c.name = a.connection and c.account = a.id
where a.connection = :connection
  and a.data #>> '{settings,dashboard,timezone}' in (select name from pg_timezone_names)"""

_ZONE = text(_ACCOUNT_ZONE)

_CURRENT = text(f"""
select edition, preset, choices, time_zone, base_currency, identity, managed_by,
  case when time_zone = '' then ({_ACCOUNT_ZONE}) end as known_zone
from tidegate.ledgers
where connection = :connection and adopted_at is not null and retired_at is null""")

_BASES = text("""
select distinct base_currency from tidegate.ledgers where adopted_at is not null and retired_at is null""")

_BEGIN = text(f"""
insert into tidegate.ledgers (connection, edition, preset, time_zone, adopted_at)
values (:connection, {FIRST}, 'default', :zone, clock_timestamp())
on conflict do nothing""")

_SETTLE = text("""
update tidegate.ledgers l set time_zone = :zone
where connection = :connection and edition = :edition and time_zone = '' and (:same or not exists (
  select from tidegate.movements m where m.connection = l.connection and m.edition = l.edition))""")

_DRAFT = text("""
insert into tidegate.ledgers (connection, edition, preset, choices, base_currency, time_zone, identity, managed_by)
select :connection, coalesce(max(edition), 0) + 1, :preset, cast(:choices as jsonb), :base, :zone, :identity,
  :managed_by
from tidegate.ledgers where connection = :connection
returning edition""")

_RETIRE = text("""
update tidegate.ledgers set retired_at = clock_timestamp()
where connection = :connection and adopted_at is not null and retired_at is null""")

_ADOPT = text("""
update tidegate.ledgers set adopted_at = clock_timestamp() where connection = :connection and edition = :edition""")

_AMEND = text("""
update tidegate.ledgers set base_currency = :base, identity = :identity, managed_by = :managed_by
where connection = :connection and adopted_at is not null and retired_at is null""")

_EVERY = text("""
select edition, preset, choices, base_currency, time_zone, identity, adopted_at, retired_at, managed_by
from tidegate.ledgers where connection = :connection order by edition desc""")
