"""Values of a warehouse as Stripe takes them: text, whole numbers, decimals, times; what does not fit is refused."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, cast

YES = frozenset({"true", "t", "yes", "y", "1"})
NO = frozenset({"false", "f", "no", "n", "0"})
MILLISECONDS = 100_000_000_000
"""From here on a number of seconds would lie after the year 5138: it counts milliseconds."""

PLAIN = 10**18
"""Below it a whole number is told as it is, without a decimal made of it."""
MAGNITUDE = 400
"""Digits before or after the point: a few letters such as 1e999999999 would otherwise be written out."""
SIZE = "it takes a number of a size that there is a use for"
DEEPEST = 100
"""Lists and objects within each other: whatever reads them goes as deep as they do."""


def text(value: Any) -> str:
    """Text as metadata and text fields hold it: true and false, the shortest decimal, ISO dates.

    Raises ValueError for lists and objects.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return decimal(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if value is None or isinstance(value, bytes | Mapping | list | tuple | set):
        raise ValueError(f"a {_named(value)} is no text")
    return str(value)


def plain(value: Any, zone: tzinfo = UTC, deep: int = 0) -> Any:
    """A value as JSON has it: numbers stay numbers, times are ISO 8601 in UTC; what names no zone is in `zone`. Raises
    ValueError for what JSON has no form for (bytes, NaN, infinity), and for what nests more than `DEEPEST`; `deep`: in
    how many others the value is.
    """
    if isinstance(value, str):
        return _whole(value)
    if value is None or isinstance(value, bool | int):
        return value
    if deep == DEEPEST:
        raise ValueError(f"it has more than {DEEPEST} lists and objects within each other")
    if isinstance(value, Mapping):
        told = cast("Mapping[Any, Any]", value)
        return {_whole(str(name)): plain(one, zone, deep + 1) for name, one in told.items()}
    if isinstance(value, list | tuple):
        return [plain(one, zone, deep + 1) for one in cast("Sequence[Any]", value)]
    if isinstance(value, float | Decimal):
        number = _number(value)
        return int(number) if number == number.to_integral_value() else _float(number)
    if isinstance(value, datetime):
        value = _in_utc(value, zone)
    return text(value)


def told(value: Any) -> str:
    """The text that a value is looked for by: as it is written to Stripe."""
    try:
        return text(value)
    except ValueError:
        return str(value)


def decimal(value: Any) -> str:
    """The shortest decimal that says the same: 12, 0.5, never an exponent. Raises ValueError."""
    if type(value) is int and -PLAIN < value < PLAIN:
        return str(value)
    said = f"{_number(value):f}"
    return (said.rstrip("0").rstrip(".") if "." in said else said) or "0"


def integer(value: Any) -> int:
    """A whole number, also where a float or text holds one. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = _number(value)
    if number != number.to_integral_value():
        raise ValueError("it takes a whole number")
    return int(number)


def number(value: Any) -> float:
    """A number such as a percentage. Raises ValueError."""
    return _float(_number(value))


def boolean(value: Any) -> bool:
    """True or false, also written as 1 and 0, yes and no. Raises ValueError."""
    if isinstance(value, bool):
        return value
    said = str(value).strip().lower()
    if said in YES:
        return True
    if said in NO:
        return False
    raise ValueError("it takes true or false")


def currency(value: Any) -> str:
    """A currency's code as Stripe shows it, in lower case. Raises ValueError."""
    said = text(value).strip().lower()
    if len(said) != 3 or not (said.isascii() and said.isalpha()):
        raise ValueError("it takes the three letters of a currency, such as eur")
    return said


def moment(value: Any, zone: tzinfo = UTC) -> int:
    """A time in epoch seconds, of a time or date, ISO text or such a number; what names no zone is in `zone`.

    Raises ValueError, for milliseconds as well.
    """
    if isinstance(value, datetime):
        return _seconds(value, zone)
    if isinstance(value, date):
        return _seconds(datetime.combine(value, time()), zone)
    if isinstance(value, str) and not value.strip().lstrip("-").isdigit():
        try:
            return _seconds(datetime.fromisoformat(value.strip()), zone)
        except ValueError:
            raise ValueError("it takes a time such as 2026-03-31T12:00:00Z, a date, or epoch seconds") from None
    seconds = integer(value)
    if abs(seconds) >= MILLISECONDS:
        raise ValueError("it takes seconds, and these are milliseconds: divide them by 1000")
    return seconds


def unpacked(value: Any) -> Any:
    """A list or object that comes as text holding JSON, as such; anything else as it is. Raises ValueError."""
    if not isinstance(value, str):
        return list(value) if isinstance(value, tuple | set) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    try:
        return json.loads(value, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise ValueError("it takes a list or an object, or JSON that holds one") from None


def _whole(said: str) -> str:
    """Text, without halves of characters, which JSON may name and no database takes. Raises ValueError."""
    try:
        said.encode()
    except UnicodeEncodeError:
        raise ValueError("it has half a character, such as \\ud83d without its other half") from None
    return said


def _float(number: Decimal) -> float:
    if math.isinf(found := float(number)):
        raise ValueError(SIZE)
    return found


def _in_utc(value: datetime, zone: tzinfo) -> datetime:
    try:
        return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise ValueError("it is beyond the years 1 to 9999 in UTC") from None


def _seconds(value: datetime, zone: tzinfo) -> int:
    return int((value if value.tzinfo else value.replace(tzinfo=zone)).timestamp())


def _number(value: Any) -> Decimal:
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers")
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError("it takes a number") from None
    if not found.is_finite():
        raise ValueError("it takes a finite number")
    if abs(found.adjusted()) > MAGNITUDE:
        raise ValueError(SIZE)
    return found


def _named(value: Any) -> str:
    return {"dict": "object", "bytes": "blob", "NoneType": "null"}.get(type(value).__name__, type(value).__name__)
