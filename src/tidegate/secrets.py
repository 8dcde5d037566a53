"""Encryption of credentials at rest: a key from the environment or a 0600 file, several while it is rotated."""

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from tidegate.errors import ConfigurationError, SecretKeyLost

KEY_FILE = "secret.key"


class Vault:
    """Encrypts and decrypts small secrets. The first key encrypts; every key decrypts."""

    def __init__(self, keys: Sequence[str], source: str) -> None:
        self._source = source
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise ConfigurationError(
                problem=f"The secret key in {source} is not a Fernet key (32 bytes, URL-safe base64, 44 characters)."
            ) from error

    def seal(self, secret: str) -> bytes:
        """The secret, encrypted."""
        return self._fernet.encrypt(secret.encode())

    def open(self, sealed: bytes, what: str) -> str:
        """The secret in clear; `what` names its owner in the error.

        Raises SecretKeyLost when none of the keys fits.
        """
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken as error:
            raise SecretKeyLost(what=what, file=self._source) from error


def open_vault(secret_key: str, home: Path) -> Vault:
    """The vault of TIDEGATE_SECRET_KEY (several keys parted by commas, newest first), else of the key file under
    `home`.

    The file is made at first use, readable by its owner only. Raises ConfigurationError when a key is malformed.
    """
    if secret_key:
        return Vault([key.strip() for key in secret_key.split(",")], "TIDEGATE_SECRET_KEY")
    path = home / KEY_FILE
    home.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _write_once(path, Fernet.generate_key() + b"\n")
    return Vault(path.read_text().split(), str(path))


def _write_once(path: Path, content: bytes) -> None:
    """Writes a 0600 file whole or not at all; of two processes at once the first wins."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return  # another process made it first; its key holds
    finally:
        draft.unlink()
