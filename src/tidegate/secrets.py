"""Encryption of credentials at rest: a key from the environment or a 0600 file, several while it is rotated."""

import hashlib
import hmac
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from tidegate.errors import ConfigurationError, SecretKeyLost

KEY_FILE = "secret.key"
KEY_SETTING = "TIDEGATE_SECRET_KEY"


class Vault:
    """Encrypts and decrypts small secrets. The first key encrypts; every key decrypts. Safe for many threads.

    `read_again` gives the keys as they are now, where they can change while the process runs. It is asked before a
    secret is sealed, and when one does not open; keys that were there before go on decrypting, since a secret may have
    been read before it was sealed anew.
    """

    def __init__(self, keys: Sequence[str], source: str, read_again: Callable[[], Sequence[str]] | None = None) -> None:
        self._source = source
        self._read_again = read_again
        self._lock = threading.Lock()
        self._keys = tuple(keys)
        self._fernet = self._made(self._keys)

    def seal(self, secret: str) -> bytes:
        """The secret, encrypted with the newest key."""
        self._renew()
        return self._fernet.encrypt(secret.encode())

    def open(self, sealed: bytes, what: str) -> str:
        """The secret in clear; `what` names its owner in the error.

        Raises SecretKeyLost when none of the keys fits.
        """
        known = self._fernet
        try:
            return known.decrypt(sealed).decode()
        except InvalidToken as error:
            self._renew()
            if self._fernet is not known:  # by this thread or another
                return self.open(sealed, what)
            raise SecretKeyLost(what=what, file=self._source) from error

    def mark(self, said: str, purpose: str) -> bytes:
        """By what a text is recognised whose like can be guessed, such as an address: whoever lacks the newest key
        cannot find out which it is, or whether two of different purposes are the same.
        """
        self._renew()
        key = hashlib.sha256(f"mark\0{self._keys[0]}".encode()).digest()
        return hmac.new(key, f"{purpose}\0{said}".encode(errors="replace"), hashlib.sha256).digest()

    def _renew(self) -> None:
        """Takes up the keys that came since."""
        if self._read_again is None:
            return
        with self._lock:
            now = tuple(self._read_again())
            if now != self._keys[: len(now)]:
                self._keys = tuple(dict.fromkeys([*now, *self._keys]))
                self._fernet = self._made(self._keys)

    def _made(self, keys: Sequence[str]) -> MultiFernet:
        try:
            return MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise ConfigurationError(
                problem=f"The secret key in {self._source} is not a Fernet key (32 bytes, URL-safe base64, 44 "
                "characters)."
            ) from error


class KeyFile:
    """The keys in a 0600 file, one a line, newest first."""

    def __init__(self, home: Path) -> None:
        self.path = home / KEY_FILE

    def keys(self) -> list[str]:
        """The keys; none when there is no file."""
        try:
            return self.path.read_text().split()
        except FileNotFoundError:
            return []

    def make(self) -> None:
        """Makes the file with its first key, unless there is one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            _write_once(self.path, Fernet.generate_key() + b"\n")

    def replace(self, keys: Sequence[str]) -> None:
        """Puts these keys in place of the file's, whole or not at all; its owner stays."""
        owner = self.path.stat()
        draft = _draft(self.path, "".join(f"{key}\n" for key in keys).encode())
        try:
            if os.geteuid() == 0:  # root rotates, and the account that serves must read it afterwards
                os.chown(draft, owner.st_uid, owner.st_gid)
            os.replace(draft, self.path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def keys_of(secret_key: str) -> list[str]:
    """The keys in TIDEGATE_SECRET_KEY, newest first."""
    return [key.strip() for key in secret_key.split(",") if key.strip()]


def open_vault(secret_key: str, home: Path) -> Vault:
    """The vault of TIDEGATE_SECRET_KEY (several keys parted by commas, newest first), else of the key file under
    `home`, whose changes it follows.

    The file is made at first use, readable by its owner only. Raises ConfigurationError when a key is malformed.
    """
    if given := keys_of(secret_key):
        return Vault(given, KEY_SETTING)
    file = KeyFile(home)
    file.make()
    return Vault(file.keys(), str(file.path), file.keys)


def _write_once(path: Path, content: bytes) -> None:
    """Writes a 0600 file whole or not at all; of two processes at once the first wins."""
    draft = _draft(path, content)
    try:
        os.link(draft, path)
    except FileExistsError:
        return  # another process made it first; its key holds
    finally:
        draft.unlink()


def _draft(path: Path, content: bytes) -> Path:
    """A 0600 file beside the one it is to become, on the disk."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft
