"""Every recorded subscription, of whatever API version, prices without an exception and without a float."""

import json
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tidegate.pricing.given import given
from tidegate.pricing.policy import PRESETS, policy
from tidegate.pricing.schedule import scheduled
from tidegate.pricing.subscription import value

ROOT = Path(__file__).parents[3]
RECORDED = Path(os.environ.get("TIDEGATE_RECORDED", ROOT / "../shared/recorded"))


def subscriptions(told: Any) -> Iterator[dict[str, Any]]:
    if isinstance(told, dict):
        if told.get("object") == "subscription":
            yield told
        for inner in told.values():
            yield from subscriptions(inner)
    elif isinstance(told, list):
        for inner in told:
            yield from subscriptions(inner)


def floats(told: Any) -> Iterator[float]:
    if isinstance(told, float):
        yield told
    elif isinstance(told, dict | list | tuple):
        for inner in told.values() if isinstance(told, dict) else told:
            yield from floats(inner)


def test_every_recorded_subscription_is_priced() -> None:
    if not RECORDED.is_dir():
        pytest.skip(f"no recorded Stripe objects: {RECORDED} is missing; point TIDEGATE_RECORDED at that folder")
    policies = [policy(preset) for preset in PRESETS]
    told = [one for file in sorted(RECORDED.rglob("*.json")) for one in subscriptions(json.loads(file.read_bytes()))]
    assert len(told) >= 20
    for one in told:
        facts = given(json.dumps(one).encode())
        at = (facts.subscription.created or 0) + 60
        for rules in policies:
            found = value(facts, rules, at)
            assert all(isinstance(each.monthly, Fraction) and each.monthly >= 0 for each in found.items)
            assert list(floats([found, found.as_json(rules.name)])) == []
            assert list(floats([each.as_json(rules.name) for each in scheduled(facts, rules, at)])) == []
            if facts.subscription.status == "active" and not found.why_not:
                first = found.items[0].steps[0].text
                assert found.mrr > 0 or first.startswith("0 packages"), f"{one.get('id')}: {first}"
