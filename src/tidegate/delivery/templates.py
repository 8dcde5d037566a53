"""Liquid templates of destinations: they see what they are given and nothing else, and cannot run away."""

from collections.abc import Mapping
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from tidegate.errors import DestinationInvalid

if TYPE_CHECKING:
    from liquid import BoundTemplate, Environment

LONGEST = 200_000
"""Characters that a template may come to."""


def check(name: str, template: str) -> None:
    """Raises ValueError for a template that cannot be read."""
    from liquid.exceptions import LiquidError

    try:
        _parsed(template)
    except LiquidError as error:
        raise ValueError(f"{name} is no Liquid template: {error}") from error


def rendered(name: str, template: str, values: Mapping[str, Any]) -> str:
    """The text. Raises DestinationInvalid."""
    from liquid.exceptions import LiquidError

    try:
        return _parsed(template).render(**values)
    except LiquidError as error:
        raise DestinationInvalid(problem=f"its {name} cannot be filled: {error}") from error


def paths(template: str) -> list[tuple[str, ...]]:
    """The values that a sound template takes from outside, each as the names that lead to it, as far as they are
    said.
    """
    found: list[tuple[str, ...]] = []
    for those in _parsed(template).analyze(include_partials=False).globals.values():
        for one in those:
            said = list(takewhile(lambda part: isinstance(part, str), one.segments))
            found.append(tuple(str(part) for part in said))
    return found


def as_json(value: Any) -> str:
    """The filter `json`: a value as it stands in a JSON body, with its quotes; null for what is not there."""
    import msgspec
    from liquid import Undefined

    return msgspec.json.encode(None if isinstance(value, Undefined) else value).decode()


@lru_cache(maxsize=200)
def _parsed(template: str) -> "BoundTemplate":
    return _environment().from_string(template)


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    from liquid import Environment

    class Bounded(Environment):
        output_stream_limit = LONGEST
        loop_iteration_limit = 10_000
        context_depth_limit = 30

    environment = Bounded()
    environment.add_filter("json", as_json)
    return environment
