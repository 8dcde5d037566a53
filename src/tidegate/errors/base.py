"""What every error of Tidegate is, and the kinds that say who can mend it."""

from inspect import cleandoc
from typing import Any


class TidegateError(Exception):
    """Something went wrong."""

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(facts)

    def __str__(self) -> str:
        return " ".join(cleandoc(type(self).__doc__ or "").format_map(self.facts).split())

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.facts))


def _rebuild(kind: type[TidegateError], facts: dict[str, Any]) -> TidegateError:
    return kind(**facts)


class UsageError(TidegateError):
    """{problem}"""


class TextInvalid(UsageError):
    """A text has a NUL character (0x00), which no text here can have."""


class FoundWrong(TidegateError):
    """{problem}"""


class Unreachable(TidegateError):
    """{what} could not be reached: {problem}"""
