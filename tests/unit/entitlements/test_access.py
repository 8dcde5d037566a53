"""Access by subscription status: every sentence of semantics, Catalog and entitlements, as a row of a table."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.entitlements.access import AccessPolicy, Standing, access

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DEFAULT = AccessPolicy()


@pytest.mark.parametrize(
    ("standing", "granted", "until"),
    [
        pytest.param(Standing("trialing"), True, None, id="trialing"),
        pytest.param(Standing("active"), True, None, id="active"),
        pytest.param(Standing("past_due", grace_until=NOW + DAY), True, NOW + DAY, id="past due, within grace"),
        pytest.param(Standing("past_due", grace_until=NOW), False, None, id="past due, grace over to the second"),
        pytest.param(Standing("past_due"), False, None, id="past due, and nothing says since when"),
        pytest.param(Standing("incomplete"), False, None, id="incomplete"),
        pytest.param(Standing("incomplete_expired"), False, None, id="incomplete_expired"),
        pytest.param(Standing("unpaid"), False, None, id="unpaid"),
        pytest.param(Standing("paused"), False, None, id="paused"),
        pytest.param(Standing("canceled"), False, None, id="canceled"),
        pytest.param(Standing("something new"), False, None, id="unknown"),
        pytest.param(Standing("active", pause="keep_as_draft"), True, None, id="paused collection, kept as draft"),
        pytest.param(Standing("active", pause="void"), False, None, id="paused collection, void"),
        pytest.param(Standing("active", pause="mark_uncollectible"), False, None, id="paused, uncollectible"),
        pytest.param(
            Standing("active", pause="void", resumes_at=NOW + DAY), False, NOW + DAY, id="paused until tomorrow"
        ),
        pytest.param(Standing("active", pause="void", resumes_at=NOW), True, None, id="resumed, though none told so"),
        pytest.param(Standing("active", ends_at=NOW + DAY), True, NOW + DAY, id="scheduled to cancel keeps access"),
        pytest.param(Standing("active", ends_at=NOW), False, None, id="and ends on time, though none told so"),
        pytest.param(
            Standing("past_due", ends_at=NOW + 2 * DAY, grace_until=NOW + DAY), True, NOW + DAY, id="the earlier end"
        ),
    ],
)
def test_access_by_status(standing: Standing, granted: bool, until: datetime | None) -> None:
    found = access(standing, DEFAULT, NOW)
    assert (found.granted, found.until) == (granted, until)
    assert found.reason


def test_what_a_pause_gives_is_a_setting() -> None:
    policy = AccessPolicy.read({"paused_gives": ["void"], "grace_days": 3})
    assert access(Standing("active", pause="void"), policy, NOW).granted
    assert not access(Standing("active", pause="keep_as_draft"), policy, NOW).granted
    assert policy.grace_days == 3
    assert AccessPolicy.read({}) == DEFAULT
