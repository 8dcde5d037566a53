"""Connections as the rest sees them: stored with sealed credentials, found by name, opened with the vault."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from tidegate.connections import sealing
from tidegate.connections.problems import ANSWERED
from tidegate.connections.tables import connections
from tidegate.errors import (
    ConnectionAmbiguous,
    ConnectionDisconnected,
    ConnectionMissing,
    ConnectionUnknown,
    OtherAccount,
)
from tidegate.secrets import Vault

MOST_SECRETS = 4
"""Signing secrets that a connection keeps: of its endpoint, of one for connected accounts, each while it is rotated."""


@dataclass(frozen=True, slots=True)
class Account:
    """A connection: one Stripe account, live or test. Rates are requests a second; 0 means no limit of ours.

    `platform`: the connection of the Connect platform whose key is used, None for a key of its own. `fan_out_at`: when
    a platform lists its accounts next, None for what is no platform. `left_out`: a person disconnected this account of
    a platform, so no fan-out connects it again. `oauth`: access was given to a Stripe App, so the key is a token that
    ends and is renewed.
    """

    name: str
    account: str
    livemode: bool
    sandbox: bool
    display_name: str
    api_base: str
    rate: float
    endpoint_rate: float
    created_at: datetime
    disconnected_at: datetime | None
    events_until: datetime | None
    complete_as_of: datetime | None
    last_webhook_at: datetime | None
    caught_up_at: datetime | None
    platform: str | None
    fan_out_at: datetime | None
    left_out: bool
    oauth: bool

    @property
    def budget(self) -> str:
        """Whose rate limits its requests count against (`budget`)."""
        return budget(self.account, self.livemode, self.api_base)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Secrets of a connection, in clear: never print or log one."""

    api_key: str
    write_key: str
    webhook_secrets: tuple[str, ...]
    refresh_token: str = ""

    def __repr__(self) -> str:
        return "Credentials(…)"


def budget(account: str, livemode: bool, api_base: str) -> str:
    """The name of an account's rate budget: Stripe's limits are per account and mode (docs.stripe.com/rate-limits).

    Simulated Stripes have limits of their own, whatever their accounts are called.
    """
    return " ".join(filter(None, (account, "live" if livemode else "test", api_base)))


_SHOWN = [connections.c[name] for name in Account.__dataclass_fields__]


def _account(row: RowMapping) -> Account:
    return Account(**row)


def every(db: Connection, *, connected: bool = False) -> list[Account]:
    """All connections by name; with `connected` only those that have a key."""
    query = select(*_SHOWN).order_by(connections.c.name)
    if connected:
        query = query.where(connections.c.disconnected_at.is_(None))
    return [_account(row) for row in db.execute(query).mappings()]


def first(found: Iterable[Account]) -> Account | None:
    """The one that is meant where a page names none: one that is connected before one that is not, of live data before
    test data, by name (pure).
    """
    return min(found, key=lambda one: (one.disconnected_at is not None, not one.livemode, one.name), default=None)


def named(db: Connection, name: str | None) -> Account:
    """The connection of that name; without a name the only one there is.

    Raises ConnectionMissing, ConnectionAmbiguous or ConnectionUnknown.
    """
    found = every(db)
    if name is not None:
        match = next((one for one in found if one.name == name), None)
        if match is None:
            raise ConnectionUnknown(name=name, known=_listed(found))
        return match
    if not found:
        raise ConnectionMissing()
    if len(found) > 1:
        raise ConnectionAmbiguous(known=_listed(found))
    return found[0]


def _listed(found: Sequence[Account]) -> str:
    return ", ".join(one.name for one in found) or "none"


def save(db: Connection, values: dict[str, Any], credentials: Credentials, vault: Vault) -> Account:
    """Stores a connection, or gives the one of that name new credentials.

    `values` are columns of `tidegate.connections`, `name` and `account` among them. An empty write key or list of
    webhook secrets keeps what was stored. Raises OtherAccount when the name belongs to another Stripe account.
    """
    sealing.hold_key(db)
    known = db.execute(
        select(connections.c.account, connections.c.livemode).where(connections.c.name == values["name"])
    ).first()
    if known and (known.account, known.livemode) != (values["account"], values["livemode"]):
        raise OtherAccount(name=values["name"], known=_mode(*known), found=_mode(values["account"], values["livemode"]))
    sealed: dict[str, Any] = {
        "api_key": vault.seal(credentials.api_key),
        "refresh_token": vault.seal(credentials.refresh_token) if credentials.refresh_token else None,
        "disconnected_at": None,
    }
    if credentials.write_key:
        sealed["write_key"] = vault.seal(credentials.write_key)
    if credentials.webhook_secrets:
        sealed["webhook_secrets"] = vault.seal(json.dumps(credentials.webhook_secrets))
    put = insert(connections).values(**values, **sealed)
    changed = {name: put.excluded[name] for name in [*values, *sealed] if name != "name"}
    db.execute(put.on_conflict_do_update(index_elements=["name"], set_=changed))
    return named(db, values["name"])


def _mode(account: str, livemode: bool) -> str:
    return f"{account} ({'live' if livemode else 'test'} mode)"


def credentials(db: Connection, name: str, vault: Vault) -> Credentials:
    """The connection's secrets in clear; those of its platform for a connected account.

    Raises ConnectionDisconnected, and SecretKeyLost when the vault's key does not fit.
    """
    holder = connections.alias()
    row = db.execute(
        select(holder.c.name, holder.c.api_key, holder.c.write_key, holder.c.webhook_secrets)
        .where(holder.c.name == func.coalesce(connections.c.platform, connections.c.name))
        .where(connections.c.name == name, connections.c.disconnected_at.is_(None))
    ).first()
    if row is None or row.api_key is None:
        raise ConnectionDisconnected(name=name)
    return Credentials(
        vault.open(row.api_key, row.name),
        vault.open(row.write_key, row.name) if row.write_key else "",
        tuple(json.loads(vault.open(row.webhook_secrets, row.name))) if row.webhook_secrets else (),
    )


def rates(db: Connection, account: Account) -> tuple[float, float]:
    """What the connection may ask, in all and per endpoint: the least of what the connections of its account may."""
    of_account = [one for one in every(db, connected=True) if one.budget == account.budget] or [account]
    return _least(one.rate for one in of_account), _least(one.endpoint_rate for one in of_account)


def _least(limits: Iterable[float]) -> float:
    """The least of the limits; zero, which is none, when there is none."""
    return min((limit for limit in limits if limit > 0), default=0.0)


def connected_to(db: Connection, platform: str) -> list[Account]:
    """The connections that use the key of this one, by name."""
    return [one for one in every(db) if one.platform == platform]


def follow(db: Connection, platform: str) -> None:
    """Lets the connections of a platform's accounts have its API base and its rates, each for itself."""
    own = connections.alias()
    names = ("sandbox", "api_base", "rate", "endpoint_rate")
    db.execute(
        update(connections)
        .where(connections.c.platform == platform, own.c.name == connections.c.platform)
        .values({name: own.c[name] for name in names})
    )


def webhook_secrets(db: Connection, name: str, vault: Vault) -> tuple[str, ...]:
    """The connection's webhook secrets in clear, newest first; empty when it has none or does not exist."""
    sealed = db.scalar(select(connections.c.webhook_secrets).where(connections.c.name == name))
    return tuple(json.loads(vault.open(sealed, name))) if sealed else ()


def has_webhook_secret(db: Connection, name: str) -> bool:
    """Whether a signing secret of a webhook endpoint is known."""
    return bool(db.scalar(select(connections.c.webhook_secrets.is_not(None)).where(connections.c.name == name)))


def may_write(db: Connection, name: str) -> bool:
    """Whether the connection has a second key, for writes."""
    return bool(db.scalar(select(connections.c.write_key.is_not(None)).where(connections.c.name == name)))


def add_webhook_secret(db: Connection, name: str, secret: str, vault: Vault) -> None:
    """Keeps a signing secret beside those that the connection has, as the newest; one that it has comes to the front.

    Raises SecretKeyLost.
    """
    sealing.hold_key(db)
    db.execute(select(connections.c.name).where(connections.c.name == name).with_for_update())
    kept = list(dict.fromkeys([secret, *webhook_secrets(db, name, vault)]))[:MOST_SECRETS]
    note(db, name, webhook_secrets=vault.seal(json.dumps(kept)))


def forget_credentials(db: Connection, name: str) -> None:
    """Erases the connection's keys, which disconnects the accounts that use them, too; the data stays."""
    db.execute(
        update(connections)
        .where(connections.c.name == name)
        .values(api_key=None, write_key=None, webhook_secrets=None, refresh_token=None, disconnected_at=func.now())
    )
    db.execute(
        update(connections)
        .where(connections.c.platform == name, connections.c.disconnected_at.is_(None))
        .values(disconnected_at=func.now())
    )


def note(db: Connection, name: str, **values: Any) -> None:
    """Sets columns of a connection's row, such as `caught_up_at`."""
    db.execute(update(connections).where(connections.c.name == name).values(**values))


def ask_for_fan_out(db: Connection, name: str) -> bool:
    """Lets a platform's accounts be listed at once; false for what is no platform."""
    asked = update(connections).where(connections.c.name == name, connections.c.fan_out_at.is_not(None))
    return bool(db.execute(asked.values(fan_out_at=func.now())).rowcount)


def stripe_id(db: Connection, name: str) -> str:
    """Stripe's id of the connection's account; empty when there is no such connection."""
    return db.scalar(select(connections.c.account).where(connections.c.name == name)) or ""


def promise(db: Connection, name: str, until: datetime) -> None:
    """Says that everything Stripe did before `until` is in the mirror, by an import or by its events.

    Without an import of everything, or while events are lost and no full import has answered, nothing is promised.
    """
    db.execute(
        text(f"""
update tidegate.connections c set complete_as_of = :until
where c.name = :name and (c.complete_as_of is null or c.complete_as_of < :until) and exists (
  select from tidegate.runs r where r.connection = c.name and r.kind = 'import' and r.state = 'done'
  and coalesce(r.options -> 'resources', '[]') = '[]')
and not exists (
  select from tidegate.problems p where p.connection = c.name and p.code = 'events_lost' and not ({ANSWERED}))"""),
        {"name": name, "until": until},
    )


def is_disconnected(db: Connection, name: str) -> bool:
    """Whether the connection's key was erased; its data stays, and nothing may be added to it with the key."""
    return bool(db.scalar(select(connections.c.disconnected_at.is_not(None)).where(connections.c.name == name)))


def require_connected(db: Connection, name: str) -> None:
    """Raises ConnectionDisconnected when the connection's key was erased: whoever has it in memory is to stop."""
    if is_disconnected(db, name):
        raise ConnectionDisconnected(name=name)


def hold(db: Connection, name: str) -> bool:
    """Keeps the connection from being purged until this transaction ends; false when it is gone."""
    query = select(connections.c.name).where(connections.c.name == name).with_for_update(read=True, key_share=True)
    return db.scalar(query) is not None
