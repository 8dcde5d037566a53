"""Puts every stored secret under a new key, such that each of them can be read at every moment between.

With a key file: the new key is written before the old one in the file, every secret is sealed anew in one transaction,
and the old key leaves the file. Killed anywhere between, the file holds every key that a stored secret may need, and
the next rotation clears up. A key from the environment is the operator's to change: the one before it stays behind it
(`NEW,OLD`) until the rotation is over.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cryptography.fernet import Fernet
from sqlalchemy import Connection, Engine

from tidegate.connections import sealing
from tidegate.delivery import stored
from tidegate.errors import ConfigurationError
from tidegate.outbound import syncs
from tidegate.secrets import KEY_SETTING, KeyFile, Vault, keys_of
from tidegate.security import audit_log

FOR_A_KEY_OF_THE_ENVIRONMENT = (
    f"{KEY_SETTING} holds one key, and only you can change it. Make a new key (docs/howto/run-it.md says how), set "
    f"{KEY_SETTING} to the new and the old key, parted by a comma, wherever Tidegate runs, and start its processes "
    f"again. Then run `tidegate secrets rotate` again. Nothing was changed."
)


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many secrets were sealed anew, by connection, source and destination; whether the key is that of the `file`
    or the `environment`, and its path or variable.
    """

    key: Literal["file", "environment"]
    source: str
    connections: dict[str, int] = field(default_factory=dict[str, int])
    sources: dict[str, int] = field(default_factory=dict[str, int])
    destinations: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def secrets(self) -> int:
        """All of them."""
        return sum(sum(each.values()) for each in (self.connections, self.sources, self.destinations))

    def as_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "secrets": self.secrets,
            "connections": self.connections,
            "sources": self.sources,
            "destinations": self.destinations,
            "key": self.key,
            "source": self.source,
        }


def rotate_secrets(engine: Engine, secret_key: str, home: Path, actor: str) -> Rotated:
    """Seals every stored secret with a new key; `secret_key`: what TIDEGATE_SECRET_KEY holds, empty for the key file.
    `actor`: who does it, as the audit log says it.

    Processes at work follow the file by themselves. Raises ConfigurationError when the environment holds one key only,
    and SecretKeyLost when a secret opens with none of the keys: then nothing has changed.
    """
    if given := keys_of(secret_key):
        if len(set(given)) == 1:
            raise ConfigurationError(problem=FOR_A_KEY_OF_THE_ENVIRONMENT)
        with engine.begin() as db:
            sealing.change_key(db)
            old, new = Vault(given, KEY_SETTING), Vault(given[:1], KEY_SETTING)
            done = _anew(db, old, new)
            _note(db, actor, KEY_SETTING, done)
        return Rotated("environment", KEY_SETTING, *done)
    return _with_file(engine, KeyFile(home), actor)


def _with_file(engine: Engine, file: KeyFile, actor: str) -> Rotated:
    with engine.begin() as last, engine.connect() as db:
        sealing.change_key(last)  # held until the old key has left the file
        file.make()
        known, new = file.keys(), Fernet.generate_key().decode()
        old = Vault(known, str(file.path))
        with db.begin():
            done = _anew(db, old, Vault([new], str(file.path)))
            _note(db, actor, "the key file", done)
            file.replace([new, *known])
        file.replace([new])
    return Rotated("file", str(file.path), *done)


def _note(db: Connection, actor: str, key: str, done: list[dict[str, int]]) -> None:
    audit_log.record(db, actor, "secrets.rotated", key, secrets=sum(sum(each.values()) for each in done))


def _anew(db: Connection, old: Vault, new: Vault) -> list[dict[str, int]]:
    """How many secrets of each connection, source and destination were sealed anew."""
    return [owner.seal_anew(db, old, new) for owner in (sealing, syncs, stored)]
