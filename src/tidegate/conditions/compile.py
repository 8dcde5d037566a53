"""A condition as SQL: one boolean expression over a contact's facts, never null, its values bound."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from tidegate.conditions.fields import Field, Kind
from tidegate.conditions.nodes import All, AnyOf, Named, Node, Not, Test
from tidegate.conditions.operators import Value, kind_of

_DAY = r"^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_HOUR = r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?)?$"
"""How a property spells a point in time: a day, or with a time of day; without a zone it is UTC."""
_TYPES: dict[type, str] = {bool: "boolean", int: "bigint", Decimal: "numeric", str: "text", datetime: "timestamptz"}


@dataclass(slots=True)
class Compiled:
    """SQL and the values that it binds beside `:as_of` (timestamptz), the instant at which it is asked."""

    sql: str = ""
    values: dict[str, Any] = field(default_factory=dict[str, Any])


def compiled(node: Node, prefix: str = "c") -> Compiled:
    """The condition as an expression over what its fields stand in. `prefix`: of the names of its values, so that
    several conditions can stand in one statement.
    """
    into = Compiled()
    into.sql = _expression(node, into, prefix)
    return into


def _expression(node: Node, into: Compiled, prefix: str) -> str:
    match node:
        case All(parts):
            return f"({' and '.join(_expression(part, into, prefix) for part in parts)})" if parts else "true"
        case AnyOf(parts):
            return f"({' or '.join(_expression(part, into, prefix) for part in parts)})" if parts else "false"
        case Not(part):
            return f"(not {_expression(part, into, prefix)})"
        case Named(part=part):
            return _expression(part, into, prefix)
        case Test():
            return _test(node, into, prefix)


def _test(node: Test, into: Compiled, prefix: str) -> str:
    operator = node.operator
    kind: Kind = node.field.kind
    if kind == "any" and operator.name != "known":
        kind = operator.takes if operator.takes != "any" else kind_of(node.value)
    value = _bound(node.value, into, prefix)
    holds = operator.sql.format(field=_value(node.field, kind, into, prefix), value=value)
    return f"(not coalesce({holds}, false))" if operator.negated else f"coalesce({holds}, false)"


def value(one: Field, into: Compiled, prefix: str = "v", *, kind: Kind | None = None) -> str:
    """A field as it is shown; `kind`: a property where it is of that kind, else null."""
    return _value(one, kind or one.kind, into, prefix)


def _value(one: Field, kind: Kind, into: Compiled, prefix: str) -> str:
    if one.kind != "any":
        return f"nullif({one.sql}, '{{}}')" if kind == "list" else one.sql
    there = f"({one.sql} #> {_bound(list(one.path), into, prefix)})"
    said = f"({there} #>> '{{}}')"
    match kind:
        case "number":
            return f"case jsonb_typeof({there}) when 'number' then {said}::numeric end"
        case "flag":
            return f"case jsonb_typeof({there}) when 'boolean' then {said}::boolean end"
        case "text":
            return f"case jsonb_typeof({there}) when 'string' then {said} end"
        case "list":
            return f"case jsonb_typeof({there}) when 'array' then array(select jsonb_array_elements_text({there})) end"
        case "instant":
            return _instant(said)
        case "any":
            return f"nullif({there}, 'null')"


def _instant(said: str) -> str:
    """A text as a point in time where it is one: PostgreSQL would refuse 2026-02-31, and all the rest with it."""
    month = f"to_date(left({said}, 7) || '-01', 'YYYY-MM-DD')"
    is_day = f"extract(month from {month} + (substr({said}, 9, 2)::int - 1)) = extract(month from {month})"
    zoned = f"{said} || case when {said} ~ '(Z|[+-][0-9]{{2}}:[0-9]{{2}})$' then '' else ' UTC' end"
    return f"case when {said} ~ '{_DAY}{_HOUR}' then case when {is_day} then ({zoned})::timestamptz end end"


def _bound(value: Value, into: Compiled, prefix: str) -> str:
    name = f"{prefix}{len(into.values)}"
    into.values[name] = value
    kind = f"{_TYPES[type(value[0])]}[]" if isinstance(value, list) else _TYPES[type(value)]
    return f"cast(:{name} as {kind})"
