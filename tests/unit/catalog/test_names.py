"""Prices are called by what a person knows of them."""

import pytest

from tidegate.catalog.names import called


@pytest.mark.parametrize(
    ("product", "nickname", "interval", "count", "name"),
    [
        ("Team", None, "month", 1, "Team, a month"),
        ("Team", "Launch", "month", 3, "Team, “Launch”, every 3 months"),
        ("Team", "Team", None, None, "Team"),
        (None, "Launch", "year", None, "“Launch”, a year"),
        (None, None, "month", 1, ""),
    ],
)
def test_a_price_is_called_by_product_own_name_and_interval(
    product: str | None, nickname: str | None, interval: str | None, count: int | None, name: str
) -> None:
    assert called(product, nickname, interval, count) == name
