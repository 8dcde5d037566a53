"""What a user's role allows, in the scopes of API tokens (pure)."""

from tidegate.security.scopes import SCOPES

ROLES = {"viewer": "read", "operator": "operate", "admin": "admin"}
"""The scope that each role has: viewers look, operators work, admins decide who may, and on what costs or loses."""


def allows(role: str, scope: str) -> bool:
    """Whether who has the role may do what the scope is for; nobody's role is product code's (`entitlements`)."""
    return scope in SCOPES[ROLES[role]]
