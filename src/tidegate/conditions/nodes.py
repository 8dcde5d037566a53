"""The parts of a condition."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Union

from tidegate.conditions.fields import Field
from tidegate.conditions.operators import Operator, Value


@dataclass(frozen=True, slots=True)
class Test:
    """A field compared with a value: `{field: mrr, at_least: 1000}`."""

    __test__ = False  # pytest would collect it by its name

    field: Field
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; without parts it always does."""

    parts: Sequence["Node"]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part at least holds; without parts it never does."""

    parts: Sequence["Node"]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Node"


@dataclass(frozen=True, slots=True)
class Named:
    """A condition that is known by its name, such as `at_risk`."""

    name: str
    part: "Node"


Node = Union[Test, All, AnyOf, Not, Named]  # noqa: UP007


def tests(node: Node) -> Iterator[Test]:
    """Every test of a condition, in the order in which it stands there."""
    match node:
        case Test():
            yield node
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from tests(part)
        case Not(part) | Named(part=part):
            yield from tests(part)
