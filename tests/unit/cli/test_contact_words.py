"""How links and prices are told to people."""

from typing import Any

import pytest

from tidegate.contacts.words import evidence_in_words
from tidegate.entitlements.paths import step_in_words


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        ({}, ""),
        ({"email": "ada@acme.com"}, "email ada@acme.com"),
        ({"metadata_key": "workspace_id", "value": "ws_1"}, "workspace_id ws_1"),
        ({"metadata": {"workspace_id": "ws_1"}, "email": "ada@acme.com"}, "email ada@acme.com, workspace_id ws_1"),
        ({"reason": "she called"}, "reason she called"),
    ],
)
def test_on_what_a_link_stands(evidence: dict[str, Any], words: str) -> None:
    assert evidence_in_words(evidence) == words


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (
            {"unit_amount": 1200, "currency": "usd", "interval": "month", "interval_count": 1},
            ", 12.00 USD a month each",
        ),
        (
            {"unit_amount": 500, "currency": "jpy", "interval": "week", "interval_count": 2},
            ", 500 JPY every 2 weeks each",
        ),
        ({"unit_amount": None, "currency": "usd", "interval": "month", "interval_count": 1}, ""),
    ],
    ids=["monthly", "without decimals", "tiers"],
)
def test_what_a_price_costs_is_told_as_money(terms: dict[str, Any], words: str) -> None:
    step = {"what": "price", "id": "price_1", "name": "Team", "product": "prod_1", "product_name": "Teams", **terms}
    assert step_in_words(step) == f"price price_1 “Team”: of Teams{words}"
