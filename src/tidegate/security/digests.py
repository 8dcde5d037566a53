"""Random secrets that are kept as digests only: API tokens, cookies of sessions, links that are good once (pure)."""

import hashlib
import secrets


def secret() -> str:
    """32 random bytes as text that a URL and a cookie can hold."""
    return secrets.token_urlsafe(32)


def digest(given: str) -> bytes:
    """SHA-256 suffices without salt or stretching: what is hashed is 256 random bits, not a password."""
    return hashlib.sha256(given.encode(errors="replace")).digest()
