"""How the catalog is said in words."""

from typing import Any

import pytest

from tidegate.catalog.words import how_much, terms


@pytest.mark.parametrize(
    ("said", "in_words"),
    [
        ({}, ""),
        ({"limit": 1200, "reset": "never"}, "1,200"),
        ({"unlimited": True, "reset": "billing_period"}, "unlimited per billing period"),
        ({"reset": "day"}, "per day"),
        ({"value": "gold"}, "gold"),
    ],
)
def test_how_much_terms_give(said: dict[str, Any], in_words: str) -> None:
    assert how_much(said) == in_words
    assert terms({"sso": {}, "calls": said}) == f"sso, calls {in_words}".rstrip()
