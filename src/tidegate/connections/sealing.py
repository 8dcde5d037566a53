"""Stored credentials under a new secret key, while others read and store some."""

from sqlalchemy import Connection, select, text, update

from tidegate.connections.tables import connections
from tidegate.secrets import Vault

COLUMNS = ("api_key", "write_key", "webhook_secrets", "refresh_token")
KEY = "secret key"


def hold_key(db: Connection) -> None:
    """Keeps the newest secret key what it is until this transaction ends: call it before a secret is sealed.

    Else one that was sealed with the key before could be stored after that key is gone.
    """
    db.execute(text("select pg_advisory_xact_lock_shared(hashtextextended(:key, 0))"), {"key": KEY})


def change_key(db: Connection) -> None:
    """Until this transaction ends nobody else stores a sealed secret or changes the key."""
    db.execute(text("select pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": KEY})


def seal_anew(db: Connection, old: Vault, new: Vault) -> dict[str, int]:
    """Opens every stored secret with the old vault and seals it with the new one: how many, by connection.

    Raises SecretKeyLost, which names the connection, when one of them does not open.
    """
    columns = [connections.c[name] for name in COLUMNS]
    rows = db.execute(select(connections.c.name, *columns).order_by(connections.c.name).with_for_update())
    done: dict[str, int] = {}
    for row in rows.mappings().all():
        sealed = {name: new.seal(old.open(row[name], row["name"])) for name in COLUMNS if row[name] is not None}
        if sealed:
            db.execute(update(connections).where(connections.c.name == row["name"]).values(**sealed))
            done[row["name"]] = len(sealed)
    return done
