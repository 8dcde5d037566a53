"""Keys of features and packages: what you call them in code, configuration and URLs."""

import re
import unicodedata

from tidegate.errors import CatalogInvalid

_KEY = re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}")


def checked_key(what: str, key: str) -> str:
    """The key as it is. Raises CatalogInvalid."""
    if not _KEY.fullmatch(key):
        raise CatalogInvalid(
            problem=f"{key!r} cannot be the key of a {what}: use up to 80 small letters, digits, '-', '_' and '.', "
            "beginning with a letter or digit."
        )
    return key


def slug(name: str) -> str:
    """A key made of a name: `Pro (yearly)` → `pro-yearly`; empty when the name has no Latin letter or digit."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:80].rstrip("-")
