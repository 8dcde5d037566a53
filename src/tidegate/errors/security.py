"""API tokens and what they allow."""

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
