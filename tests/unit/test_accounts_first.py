"""Which connection pages are about that name none."""

from dataclasses import replace
from datetime import UTC, datetime

from tidegate.connections.accounts import Account, first

THEN = datetime(2026, 1, 1, tzinfo=UTC)
ONE = Account(
    "acme", "acct_1", False, False, "", "", 0, 0, THEN, None, None, None, None, None, None, None, False, False
)  # fmt: skip


def test_connected_before_disconnected_live_before_test_by_name() -> None:
    acme, live, other = ONE, replace(ONE, name="zulu", livemode=True), replace(ONE, name="beta")
    away = replace(ONE, name="aaa", livemode=True, disconnected_at=THEN)
    assert first([]) is None
    assert first([other, acme]) is acme
    assert first([acme, other, live]) is live
    assert first([away, acme]) is acme
    assert first([away]) is away
