"""How a field can be compared: one row an operator, with the kinds it serves, the value it takes, and its SQL."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, cast

from tidegate.conditions.fields import Field, Kind

Value = bool | Decimal | int | str | datetime | list[str] | list[Decimal] | list[bool]
MOST_DAYS = 36_525
MOST_VALUES = 1_000


@dataclass(frozen=True, slots=True)
class Operator:
    """A way to compare.

    `sql`: with `{field}` and `{value}`; null counts as not holding. `read`: what was said as the value to bind; raises
    ValueError with what it takes. `takes`: the kind of the value, and so the kind as which a property is taken.
    """

    name: str
    kinds: frozenset[Kind]
    takes: Kind
    sql: str
    read: Callable[[Any, Field], Value]
    says: str
    negated: bool = False


def _number(said: Any, field: Field) -> Decimal:
    del field
    if isinstance(said, bool) or not isinstance(said, int | float | Decimal) or not math.isfinite(said):
        raise ValueError("it is compared with a number, such as 1000 or 49.5")
    return Decimal(str(said))


def _text(said: Any, field: Field) -> str:
    if not isinstance(said, str) or not said or "\0" in said:
        raise ValueError("it is compared with a text")
    return _one_of(said, field)


def _one_of(said: str, field: Field) -> str:
    if field.values and said not in field.values:
        near = get_close_matches(said, field.values, 1)
        perhaps = f", perhaps {near[0]}" if near else ""
        listed = f"; it is one of {', '.join(field.values)}" if field.kind == "list" else ""  # `is_a` says so of a text
        raise ValueError(f"{said!r} is nothing that it can be{perhaps}{listed}")
    return said


def _whole(said: Any, field: Field) -> str:
    """A text that is all there is, and no part of it."""
    value = _text(said, field)
    like = field.written
    meant = value.upper() if like.isupper() else value.lower()
    same = len(value) == len(like) and value.isalpha() and value.isascii()
    if like and (not same or value != meant):
        raise ValueError(f"{said!r} is nothing that it can be{f', perhaps {meant}' if same else f', such as {like}'}")
    return value


def _days(said: Any, field: Field) -> int:
    del field
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= MOST_DAYS:
        raise ValueError(f"it is a whole number of days, from 0 to {MOST_DAYS:,}")
    return said


def _flag(said: Any, field: Field) -> bool:
    del field
    if not isinstance(said, bool):
        raise ValueError("it is true or false")
    return said


def _instant(said: Any, field: Field) -> datetime:
    """An ISO date (the beginning of that day, UTC) or an instant with its zone."""
    del field
    try:
        at = datetime.fromisoformat(said.isoformat() if isinstance(said, date) else said)
    except (TypeError, ValueError):
        raise ValueError("it is compared with a date, such as 2026-03-31, or 2026-03-31T12:00:00Z") from None
    if at.tzinfo is None and (at.hour, at.minute, at.second, at.microsecond) != (0, 0, 0, 0):
        raise ValueError(f"{said} lacks its time zone: 2026-03-31T12:00:00Z, or …+02:00")
    return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)


def _texts(said: Any, field: Field) -> list[str]:
    values = _several(said)
    return [_whole(one, field) for one in values]


def _same(said: Any, field: Field) -> list[str] | list[Decimal] | list[bool]:
    """One value or several, all of the field's kind; of a property all of one kind."""
    values = _several(said)
    kind = field.kind if field.kind != "any" else kind_of(values[0])
    if kind == "flag":
        return [_flag(one, field) for one in values]
    return [_number(one, field) for one in values] if kind == "number" else [_whole(one, field) for one in values]


def kind_of(value: Any) -> Kind:
    """As which kind a property is compared with that value."""
    if isinstance(value, list):
        return kind_of(cast("list[Any]", value)[0])
    return "flag" if isinstance(value, bool) else "number" if isinstance(value, int | float | Decimal) else "text"


def _several(said: Any) -> Sequence[Any]:
    values = cast("Sequence[Any]", said) if isinstance(said, list | tuple) else [said]
    if not 0 < len(values) <= MOST_VALUES:
        raise ValueError(f"it takes 1 to {MOST_VALUES:,} values")
    return values


_NUMBERS = frozenset[Kind]({"number", "any"})
_TEXTS = frozenset[Kind]({"text", "any"})
_INSTANTS = frozenset[Kind]({"instant", "any"})
_LISTS = frozenset[Kind]({"list", "any"})
_SINGLE = frozenset[Kind]({"number", "text", "flag", "any"})
_EVERY = frozenset[Kind]({"number", "text", "instant", "flag", "list", "any"})
_DAYS = "make_interval(secs => {value} * 86400.0)"

_ROWS = (
    Operator("is", _SINGLE, "any", "{field} = any({value})", _same, "is {value}"),
    Operator("is_not", _SINGLE, "any", "{field} = any({value})", _same, "is not {value}", negated=True),
    Operator("above", _NUMBERS, "number", "{field} > {value}", _number, "is above {value}"),
    Operator("at_least", _NUMBERS, "number", "{field} >= {value}", _number, "is at least {value}"),
    Operator("below", _NUMBERS, "number", "{field} < {value}", _number, "is below {value}"),
    Operator("at_most", _NUMBERS, "number", "{field} <= {value}", _number, "is at most {value}"),
    Operator("contains", _TEXTS, "text", "strpos(lower({field}), lower({value})) > 0", _text, "contains {value}"),
    Operator(
        "starts_with", _TEXTS, "text", "starts_with(lower({field}), lower({value}))", _text, "starts with {value}",
    ),
    Operator(
        "ends_with", _TEXTS, "text", "right(lower({field}), length({value})) = lower({value})", _text,
        "ends with {value}",
    ),
    Operator("before", _INSTANTS, "instant", "{field} < {value}", _instant, "is before {value}"),
    Operator("after", _INSTANTS, "instant", "{field} >= {value}", _instant, "is {value} or after"),
    Operator(
        "in_next_days", _INSTANTS, "instant", f"{{field}} >= :as_of and {{field}} < :as_of + {_DAYS}", _days,
        "comes within {value} days",
    ),
    Operator(
        "in_last_days", _INSTANTS, "instant", f"{{field}} <= :as_of and {{field}} > :as_of - {_DAYS}", _days,
        "was within the last {value} days",
    ),
    Operator(
        "more_than_days_ahead", _INSTANTS, "instant", f"{{field}} >= :as_of + {_DAYS}", _days,
        "is {value} days ahead or more",
    ),
    Operator(
        "more_than_days_ago", _INSTANTS, "instant", f"{{field}} <= :as_of - {_DAYS}", _days,
        "was {value} days ago or more",
    ),
    Operator("has", _LISTS, "list", "{field} && {value}", _texts, "has {value}"),
    Operator("has_all", _LISTS, "list", "{field} @> {value}", _texts, "has all of {value}"),
    Operator("lacks", _LISTS, "list", "{field} && {value}", _texts, "lacks {value}", negated=True),
    Operator("known", _EVERY, "any", "({field} is not null) = {value}", _flag, "is known: {value}"),
)  # fmt: skip

OPERATORS: Mapping[str, Operator] = {row.name: row for row in _ROWS}


def operators_of(kind: Kind) -> list[str]:
    """The operators that a field of the kind takes."""
    return [row.name for row in _ROWS if kind in row.kinds]
