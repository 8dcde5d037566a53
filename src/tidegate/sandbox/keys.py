"""Who may ask: secret keys, restricted keys with their permissions, revoked keys."""

from base64 import b64decode
from binascii import Error as NotBase64
from dataclasses import dataclass, field

from tidegate.sandbox.answers import Refusal


@dataclass
class Key:
    """An API key; `permissions` (resource name to none, read or write) is None for a key that may do everything. One
    that `ends_at` a time (UTC epoch seconds) is an access token.
    """

    secret: str
    permissions: dict[str, str] | None = None
    revoked: bool = False
    ends_at: int | None = None


@dataclass
class KeyRing:
    """The keys of the account by their secret."""

    keys: dict[str, Key] = field(default_factory=dict[str, Key])

    def add(self, key: Key) -> None:
        """Adds a key or replaces the one with the same secret."""
        self.keys[key.secret] = key

    def check(self, headers: dict[bytes, bytes], now: int = 0) -> Key:
        """The key of a request, from `Authorization: Bearer` or Basic's user name. Raises Refusal (401)."""
        secret = presented(headers.get(b"authorization", b""))
        if not secret:
            raise Refusal(
                401,
                "You did not provide an API key. You need to provide your API key in the Authorization header, using "
                "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            )
        key = self.keys.get(secret)
        if key is None:
            raise Refusal(401, f"Invalid API Key provided: {masked(secret)}")
        if key.revoked or (key.ends_at is not None and now >= key.ends_at):
            raise Refusal(401, f"Expired API Key provided: {masked(secret)}", "api_key_expired")
        return key


def is_live(secret: str) -> bool | None:
    """The mode that a key names, true for live; None for one that names neither."""
    return True if "_live_" in secret[:8] else False if "_test_" in secret[:8] else None


def allow(key: Key, resource: str, *, write: bool = False) -> None:
    """Passes when the key may read (or write) the resource. Raises Refusal (403) else."""
    if key.permissions is None:
        return
    granted = key.permissions.get(resource, "none")
    if granted == "write" or (granted == "read" and not write):
        return
    needed = f"rak_{resource}_{'write' if write else 'read'}"
    raise Refusal(
        403,
        f"The provided key '{masked(key.secret)}' does not have the required permissions for this endpoint on this "
        f"account. Having the '{needed}' permission would allow this request to continue.",
        "more_permissions_required_for_application",
    )


def presented(header: bytes) -> str:
    """The secret in an Authorization header, empty when there is none."""
    scheme, _, rest = header.decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(rest.strip(), validate=True).decode("latin-1").partition(":")[0]
        except NotBase64:
            return ""
    return ""


def masked(secret: str) -> str:
    """A key as error messages show it: its prefix, stars and the last four characters."""
    prefix = secret[: secret.rfind("_", 0, 12) + 1]
    return f"{prefix}{'*' * max(4, len(secret) - len(prefix) - 4)}{secret[-4:]}"
