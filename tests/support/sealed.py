"""Connections whose credentials are sealed, and what can be read of them."""

from sqlalchemy import Engine

from tidegate.connections import accounts
from tidegate.connections.accounts import Credentials
from tidegate.secrets import Vault

CREDENTIALS = {
    "one": ("sk_test_one", "", ()),
    "two": ("sk_test_two", "sk_test_write", ("whsec_new", "whsec_old")),
}


def store(engine: Engine, vault: Vault) -> None:
    """Stores connections with these credentials."""
    for number, (name, given) in enumerate(CREDENTIALS.items()):
        values = {"name": name, "account": f"acct_{number}", "livemode": False, "rate": 0.0, "endpoint_rate": 0.0}
        with engine.begin() as db:
            accounts.save(db, values, Credentials(*given), vault)


def readable(engine: Engine, vault: Vault) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """What the vault opens of each connection. Raises SecretKeyLost."""
    found: dict[str, tuple[str, str, tuple[str, ...]]] = {}
    with engine.connect() as db:
        for name in CREDENTIALS:
            one = accounts.credentials(db, name, vault)
            found[name] = (one.api_key, one.write_key, one.webhook_secrets)
    return found
