"""Passwords: which may be set, and how they are kept and compared."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tidegate.errors import UserInvalid

SHORTEST, LONGEST = 12, 1_000  # characters

_hasher = PasswordHasher()
# What nobody's password is compared with, so that an address without a user takes as long as one with.
_NOBODY = _hasher.hash("nobody has this password")


def kept(password: str, email: str) -> str:
    """The password as it is stored, by Argon2id. Raises UserInvalid for one that is easily guessed.

    Length is what counts, and no mixture of characters is asked for (NIST SP 800-63B, 3.1.1).
    """
    if len(password) < SHORTEST:
        raise UserInvalid(field="password", problem=f"it needs at least {SHORTEST} characters.")
    if len(password) > LONGEST:
        raise UserInvalid(field="password", problem=f"it may have at most {LONGEST:,} characters.")
    if password.casefold() == email.casefold() or len(set(password)) < 4:
        raise UserInvalid(field="password", problem="it is too easily guessed.")
    return _hasher.hash(password)


def same(stored: str | None, given: str) -> bool:
    """Whether it is the stored one; takes as long where none is stored."""
    try:
        return _hasher.verify(stored or _NOBODY, given[: LONGEST + 1]) and stored is not None
    except (VerificationError, InvalidHashError):
        return False
