"""What each scope allows."""

from datetime import UTC, datetime

import pytest

from tidegate.security.tokens import SCOPES, Token

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (["entitlements"], {"entitlements"}),
        (["revenue"], {"revenue"}),
        (["read"], {"read", "revenue"}),
        (["operate"], {"read", "revenue", "operate"}),
        (["admin"], {"read", "revenue", "operate", "admin"}),
        (["read", "entitlements"], {"read", "revenue", "entitlements"}),
        (["a scope of a later release"], set()),
        ([], set()),
    ],
)
def test_a_token_may_what_its_scopes_allow(scopes: list[str], allowed: set[str]) -> None:
    token = Token(1, "ci", tuple(scopes), WHEN, None, None)
    assert {scope for scope in SCOPES if token.may(scope)} == allowed
