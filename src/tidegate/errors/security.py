"""Users, API tokens, and what they allow."""

from tidegate.errors.base import UsageError


class ScopeUnknown(UsageError):
    """There is no scope named {scope}. Known: {known}."""


class TokenUnknown(UsageError):
    """There is no token {id} that could be revoked. `tidegate tokens list` shows all."""


class TokenRefused(UsageError):
    """{problem}"""


class ScopeMissing(TokenRefused):
    """This needs a token with the scope {needed}; the token {name} has {scopes}. Make one with `tidegate tokens create
    --scope {needed}`."""


class UserInvalid(UsageError):
    """{field}: {problem}"""


class UserExists(UsageError):
    """There is a user with the e-mail address {email} already."""


class UserUnknown(UsageError):
    """There is no user {user}. `tidegate users list` shows all."""


class SignInFailed(UsageError):
    """{problem}"""


class NotInvited(UsageError):
    """The address {email} {problem}"""


class ViewUnknown(UsageError):
    """There is no view {view} of yours."""


class LastAdmin(UsageError):
    """{email} is the only admin who can sign in. Make another one first: `tidegate users role EMAIL admin`."""


class LinkSpent(UsageError):
    """This link was used already, or has run out. Ask an admin for another one: `tidegate users link EMAIL`."""


class IdempotencyKeyInvalid(UsageError):
    """An Idempotency-Key has 1 to {longest} printable ASCII characters; a UUID is a good one."""


class IdempotencyKeyReused(UsageError):
    """The Idempotency-Key {key} came with another request within 24 hours. Send each request with a key of its own."""


class IdempotencyPending(UsageError):
    """The request with the Idempotency-Key {key} {problem}"""


class PreconditionFailed(UsageError):
    """{path} is not as `If-Match` says: {problem} Read it again, then change what you find."""
