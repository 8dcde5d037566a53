"""Liquid templates: over a row's columns and nothing else, with bounds on what they may use."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache, wraps
from typing import Any

LONGEST = 20_000
"""Characters that a template may write; Stripe's longest field takes 5,000."""
MANY = 10_000
"""Rounds of a loop, and entries of a range that a filter is given."""
FAILS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What filters raise beside Liquid's own errors for values that they were not made for, such as infinity."""

NOW = frozenset({"now", "today"})
"""What Liquid's `date` takes for the time at which it is asked."""
CLOCK = "a template has no clock, for it would say something else at each look: take the time from a column"
_ASKS_THE_CLOCK = re.compile(r"""(["'])(?:now|today)\1\s*\|\s*date\b""")


def compiled(source: str) -> tuple[tuple[str, ...], str]:
    """The columns that a template reads, and what is wrong with it (empty: nothing)."""
    from liquid.exceptions import LiquidError

    try:
        used = _template(source).analyze()
    except LiquidError as wrong:
        return (), f"it does not parse: {str(wrong).splitlines()[0]}"
    known = _environment().filters
    unknown = [name for name in sorted(used.filters) if name not in known]
    problems = [f"there is no filter {name}{_nearest(name, known)}" for name in unknown]
    if _ASKS_THE_CLOCK.search(source):
        problems.append(CLOCK)
    return tuple(sorted(used.globals)), "; ".join(problems)


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name, known, 1)
    return f"; is it {near[0]}?" if near else ""


def written(source: str, row: Mapping[str, Any]) -> str:
    """What a template makes of a row. Raises ValueError."""
    from liquid.exceptions import LiquidError

    try:
        return _template(source).render(row)
    except (LiquidError, *FAILS) as wrong:
        said = (str(wrong).splitlines() or [type(wrong).__name__])[0]
        raise ValueError(f"the template fails: {said}") from None


@cache
def _template(source: str) -> Any:
    return _environment().from_string(source)


@cache
def _environment() -> Any:
    from liquid import Environment, StrictUndefined

    class Bounded(Environment):
        loop_iteration_limit = MANY
        output_stream_limit = LONGEST
        local_namespace_limit = LONGEST
        context_depth_limit = 20

    bounded = Bounded(undefined=StrictUndefined)
    bounded.filters = {name: _bounded(one) for name, one in bounded.filters.items()}
    bounded.filters["date"] = _of_a_time(bounded.filters["date"])
    return bounded


def _bounded(filter_: Any) -> Any:
    """A filter that takes no long range: it would make a list of it, however long."""

    @wraps(filter_)
    def checked(*given: Any, **named: Any) -> Any:
        if any(isinstance(one, range) and one[MANY:] for one in given):
            raise ValueError(f"a filter takes a range of at most {MANY:,} numbers")
        return filter_(*given, **named)

    return checked


def _of_a_time(filter_: Any) -> Any:
    """Liquid's `date`, which says the same of a value at any time and on any machine: it takes what tells a time by
    itself, in ISO's spelling, and epoch seconds in UTC.
    """

    @wraps(filter_)
    def checked(said: Any, *given: Any, **named: Any) -> Any:
        return filter_(_time(said), *given, **named)

    return checked


def _time(said: Any) -> Any:
    if isinstance(said, int):
        return datetime.fromtimestamp(said, UTC)
    if not isinstance(said, str) or not (text := said.strip()):
        return said
    if text.lower() in NOW:
        raise ValueError(CLOCK)
    if text.isdigit():
        return datetime.fromtimestamp(int(text), UTC)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"date takes a time such as 2026-03-31 or 2026-03-31T12:00:00Z, and not {text[:40]!r}"
        ) from None
