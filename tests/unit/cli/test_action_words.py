"""What sets an action off, as the table of `tidegate actions list` says it."""

from typing import Any

import pytest

from tidegate.cli.actions import trigger_said


@pytest.mark.parametrize(
    ("on", "words"),
    [
        ("payment_failed", "payment failed"),
        ({"enters_stage": "at_risk"}, "enters stage at_risk"),
        ({"movement": ["new", "reactivation"]}, "movement new or reactivation"),
        ({"trial_ends_in_days": 3}, "trial ends in 3 days"),
        ({"renewal_in_days": {"days": 30}}, "renewal in 30 days"),
        (
            {"renewal_in_days": {"days": 30, "interval_months": 3}},
            "renewal in 30 days, of intervals of 3 months or more",
        ),
    ],
)
def test_a_trigger_in_a_few_words(on: Any, words: str) -> None:
    assert trigger_said(on) == words
