"""The prices that a package is to have in Stripe, as values (pure)."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from tidegate.errors import CatalogInvalid

INTERVALS = ("day", "week", "month", "year")
_NAMES = ("amount", "currency", "interval", "interval_count")


def checked_prices(package: str, prices: Sequence[Any]) -> list[dict[str, Any]]:
    """Prices as they are stored: `amount` in minor units, `currency` in small letters, `interval`, and
    `interval_count` where it is more than one. Raises CatalogInvalid.
    """
    found = [_checked(f"The package {package}, price {number}", one) for number, one in enumerate(prices, 1)]
    keys = [tuple(one.values()) for one in found]
    if len(set(keys)) < len(keys):
        raise CatalogInvalid(problem=f"The package {package} names a price twice.")
    return found


def _checked(where: str, price: Any) -> dict[str, Any]:
    if not isinstance(price, Mapping):
        raise CatalogInvalid(problem=f"{where}: say {{amount: 4900, currency: usd, interval: month}}.")
    said: dict[str, Any] = {str(name): value for name, value in price.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    for name in said:
        if name not in _NAMES:
            near = get_close_matches(name, _NAMES, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise CatalogInvalid(problem=f"{where}: {name} is not known; there are {', '.join(_NAMES)}.{meant}")
    currency = str(said.get("currency", "")).lower()
    count = said.get("interval_count", 1)
    if not _whole(said.get("amount"), 0):
        raise CatalogInvalid(problem=f"{where}: amount is a whole number of minor units (4900 for $49).")
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise CatalogInvalid(problem=f"{where}: currency is a code of three letters, such as usd.")
    if said.get("interval") not in INTERVALS:
        raise CatalogInvalid(problem=f"{where}: interval is one of {', '.join(INTERVALS)}.")
    if not _whole(count, 1):
        raise CatalogInvalid(problem=f"{where}: interval_count is a whole number from 1 on.")
    plain = {"amount": said["amount"], "currency": currency, "interval": said["interval"]}
    return plain | ({"interval_count": count} if count != 1 else {})


def _whole(value: Any, lowest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value < 2**53
