"""Checks payloads, a whole batch at once: by types that pydantic checks, made of the catalogue's fields, then by the
rules.

There are two shapes of each resource: a quick one, which takes what is right already without a call of Python's, no
longer than the rules let it be, and one that tells of every field what is wrong with it. Only what the quick one
refuses is asked of the other.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, Union, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Strict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    with_config,
)
from pydantic import Field as Told
from typing_extensions import TypedDict

from tidegate.outbound.fields import values
from tidegate.outbound.fields.catalogue import Field, Operation, catalogue
from tidegate.outbound.fields.metadata import Metadata, RightMetadata
from tidegate.outbound.fields.problems import REQUIRED, Problem
from tidegate.outbound.fields.rules import LENGTHS, broken

_CONFIG = ConfigDict(extra="forbid")
_PLAIN: Mapping[str, tuple[Any, Callable[[Any], Any]]] = {
    "text": (str, values.text),
    "integer": (int, values.integer),
    "decimal": (str, values.decimal),
    "number": (float, values.number),
    "boolean": (bool, values.boolean),
}


def checked(
    resource: str, operation: Operation, payloads: Sequence[Mapping[str, Any]], zone: tzinfo = UTC
) -> list[tuple[dict[str, Any], list[Problem]]]:
    """Each payload as Stripe takes it, with what is wrong with it; in the order given.

    An empty text in a payload clears a field that can be cleared. Times without a zone are in `zone`.
    """
    check = shape(resource, operation, zone, quick=True).validator.validate_python
    found: list[tuple[dict[str, Any], list[Problem]]] = []
    for payload in payloads:
        try:
            right: dict[str, Any] = check(payload)
        except ValidationError:
            right, wrong = _told(resource, operation, payload, zone)
            found.append(({}, wrong) if wrong else (right, broken(resource, operation, right)))
        else:
            found.append((right, broken(resource, operation, right, fits=True)))
    return found


def _told(
    resource: str, operation: Operation, payload: Mapping[str, Any], zone: tzinfo
) -> tuple[dict[str, Any], list[Problem]]:
    try:
        return shape(resource, operation, zone, quick=False).validate_python(payload), []
    except ValidationError as wrong:
        return {}, [_problem(cast("Mapping[str, Any]", one)) for one in wrong.errors(include_url=False)]


@cache
def shape(resource: str, operation: Operation, zone: tzinfo, *, quick: bool) -> TypeAdapter[dict[str, Any]]:
    """What checks the types of a payload's fields, and converts them. `quick`: without telling what is wrong."""
    name, fields, longest = f"{resource}_{operation}", catalogue(resource, operation), LENGTHS[resource]
    return TypeAdapter(_object(name, fields, zone, quick=quick, longest=longest))


_ANY: Mapping[str, int] = {}
"""Of no text it is said how long it may be."""


def _object(
    name: str, fields: Mapping[str, Field], zone: tzinfo, *, quick: bool, longest: Mapping[str, int] = _ANY
) -> Any:
    types = {
        one.name: _type(f"{name}_{one.name}", one, zone, longest.get(one.name), quick=quick) for one in fields.values()
    }
    told = {name: kind if fields[name].required else NotRequired[kind] for name, kind in types.items()}
    return with_config(_CONFIG)(TypedDict(name, told))  # pyright: ignore[reportArgumentType]


def _type(name: str, one: Field, zone: tzinfo, longest: int | None, *, quick: bool) -> Any:
    kind = _telling(name, one, zone)
    right = _right(name, one, zone, longest) if quick else None
    if quick and longest is not None:
        kind = Annotated[kind, Told(max_length=longest)]
    return kind if right is None else Annotated[Union[right, kind], Told(union_mode="left_to_right")]  # noqa: UP007


def _right(name: str, one: Field, zone: tzinfo, longest: int | None) -> Any:
    """The type of values that stay as they are, and are right; None: there is no such one. `longest`: how many
    characters a text may have.
    """
    if one.name == "metadata" and one.kind == "map":
        return RightMetadata
    if one.kind == "object":
        return Annotated[_object(name, one.fields, zone, quick=True), AfterValidator(_filled)]
    if one.kind == "text" and one.name != "currency":
        choices = (*one.choices, *(("",) if one.clearable else ()))
        text = Annotated[str, Strict(), StringConstraints(max_length=longest)]
        return Literal[choices] if one.choices else text  # pyright: ignore[reportInvalidTypeForm]
    return Annotated[int, Strict()] if one.kind == "integer" else None


def _filled(value: dict[str, Any]) -> dict[str, Any]:
    if not value:
        raise ValueError("it is empty")
    return value


def _telling(name: str, one: Field, zone: tzinfo) -> Any:
    if one.name == "metadata" and one.kind == "map":
        kind: Any = Metadata
    elif one.kind == "object":
        kind = Annotated[_object(name, one.fields, zone, quick=False), BeforeValidator(values.unpacked)]
    elif one.kind == "list" and one.item is not None:
        kind = Annotated[list[_telling(f"{name}_item", one.item, zone)], BeforeValidator(values.unpacked)]
    elif one.kind == "map" and one.item is not None:
        kind = Annotated[dict[str, _telling(f"{name}_value", one.item, zone)], BeforeValidator(values.unpacked)]
    elif one.kind == "any":
        kind = Annotated[Any, BeforeValidator(lambda value: values.plain(value, zone))]
    elif one.kind == "timestamp":
        kind = Annotated[int, BeforeValidator(lambda value: values.moment(value, zone))]
    elif one.name == "currency" and one.kind == "text":
        kind = Annotated[str, BeforeValidator(values.currency)]
    elif one.kind == "text" and one.choices:
        return _chosen((*one.choices, *(("",) if one.clearable else ())))
    else:
        plain, converted = _PLAIN[one.kind]
        kind = Annotated[plain, BeforeValidator(converted)]
    words = (*(one.choices if one.kind != "text" else ()), *(("",) if one.clearable else ()))
    kind = _or_words(kind, words) if words else kind
    return Annotated[kind, BeforeValidator(_emptied(one))] if _holds_others(one) else kind


def _holds_others(one: Field) -> bool:
    return one.kind in {"object", "list", "map"} and one.name != "metadata"


def _emptied(one: Field) -> Callable[[Any], Any]:
    """An empty list or object takes away what is there, which Stripe is told by an empty text: of an empty list its
    SDK sends nothing at all.
    """

    def check(value: Any) -> Any:
        if value not in ([], {}, (), "[]", "{}"):
            return value
        if one.clearable:
            return ""
        raise ValueError("it cannot be empty")

    return check


def _chosen(choices: tuple[str, ...]) -> Any:
    shown = [one for one in choices if one]

    def check(value: Any) -> str:
        said = values.text(value)
        if said not in choices:
            raise ValueError(f"it takes one of {', '.join(shown)}")
        return said

    return Annotated[str, BeforeValidator(check)]


def _or_words(kind: Any, words: tuple[str, ...]) -> Any:
    """The type, or one of the words in its place, such as `now` for a time."""
    from pydantic import Discriminator, Tag

    def which(value: Any) -> str:
        return "(word)" if isinstance(value, str) and value in words else "(value)"

    word = Annotated[Literal[words], Tag("(word)")]  # pyright: ignore[reportInvalidTypeForm]
    return Annotated[Union[word, Annotated[kind, Tag("(value)")]], Discriminator(which)]  # noqa: UP007


def _problem(error: Mapping[str, Any]) -> Problem:
    path = ".".join(str(part) for part in error["loc"] if part not in {"(word)", "(value)", "[key]"})
    kind = error["type"]
    if kind == "extra_forbidden":
        return Problem(path, "there is no such field")
    if kind == "missing":
        return Problem(path, REQUIRED)
    said = "it takes an object" if kind == "dict_type" else str(error["msg"]).removeprefix("Value error, ")
    return Problem(path, said, error.get("input"))
