"""Which parameters an endpoint takes and of which type, by the official SDK's own description of Stripe's API."""

import re
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import import_module
from typing import Any, Literal, cast

from tidegate.sandbox.answers import Refusal, unknown_parameter
from tidegate.sandbox.forms import Tree, elements

Node = str | Tree


@dataclass(frozen=True)
class Kind:
    """The type of a parameter: a scalar, `enum`, `object`, `map` or `list`.

    `unset` says whether an empty string takes the value away; `values` are those that an enum, or a number that may
    also be a word such as `now`, knows.
    """

    name: str
    unset: bool = False
    values: tuple[str, ...] = ()
    of: "Kind | None" = None
    fields: dict[str, "Kind"] = field(default_factory=dict[str, "Kind"])
    required: frozenset[str] = frozenset()


def checked(tree: Tree, params: str, served: Iterable[str]) -> dict[str, Any]:
    """The typed values of a request's parameters, an unset one as None (a list as []); `expand` is not among them.

    `params` names the SDK's type, for example CustomerCreateParams. `served` are the parameters that the sandbox acts
    on, whole (`metadata`) or in part (`items[price]`). Raises Refusal (400) as Stripe words it for what Stripe does not
    know, lacks or cannot read, and a plain one for what Stripe knows and the sandbox does not act on.
    """
    kind = kind_of(params)
    values = cast(dict[str, Any], _read(tree, kind, ""))
    known = frozenset(served)
    for name in _names(tree, kind, ""):
        if not any(name == one or name.startswith(f"{one}[") for one in known):
            raise Refusal(
                400,
                f"The sandbox does not act on the parameter {name}, which Stripe knows. Leave it out, or test against "
                "Stripe itself.",
                "parameter_not_served",
                name,
            )
    return values


@cache
def kind_of(params: str) -> Kind:
    """The SDK's parameter type of this name, such as `CustomerCreateParams`, or `test_helpers.TestClockCreateParams`
    from a package within; without the request's options."""
    package, _, name = f".{params}".rpartition(".")
    module = import_module(f"stripe.params{package}._" + re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
    options = import_module("stripe._request_options").RequestOptions.__annotations__.keys()
    return _object(getattr(module, name), frozenset(options) | {"expand"})


def _object(cls: Any, without: frozenset[str] = frozenset()) -> Kind:
    own = {name: hint for name, hint in cls.__annotations__.items() if name not in without}
    bare = type(cls.__name__, (), {"__annotations__": own, "__module__": cls.__module__})
    hints = typing.get_type_hints(bare, include_extras=True)
    fields = {name: _kind(hint) for name, hint in hints.items()}
    required = (name for name, hint in hints.items() if typing.get_origin(hint) is not _NOT_REQUIRED)
    return Kind("object", fields=fields, required=frozenset(required) & fields.keys())


_NOT_REQUIRED = typing.NotRequired
SCALARS: dict[Any, str] = {str: "string", int: "integer", bool: "boolean", float: "number", Decimal: "decimal"}


def _kind(hint: Any) -> Kind:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is _NOT_REQUIRED:
        return _kind(arguments[0])
    if hint in SCALARS:
        return Kind(SCALARS[hint])
    if origin is Literal:
        values = tuple(value for value in arguments if value)
        return Kind("enum" if values else "string", unset="" in arguments, values=values)
    if origin is list:
        return Kind("list", of=_kind(arguments[0]))
    if origin is dict:
        return Kind("map", of=_kind(arguments[1]))
    if hasattr(hint, "__required_keys__"):
        return _object(hint)
    return _union([one for one in arguments if getattr(typing.get_origin(one), "__name__", "") != _TYPED_MAP])


_TYPED_MAP = "UntypedStripeObject"


def _union(arguments: list[Any]) -> Kind:
    """`Literal['']|X` is an X that can be unset; `Literal['a']|str` is an enum, since Stripe refuses other words."""
    words = [value for one in arguments if typing.get_origin(one) is Literal for value in typing.get_args(one)]
    kinds = [_kind(one) for one in arguments if typing.get_origin(one) is not Literal]
    values, unset = tuple(word for word in words if word), "" in words
    if values and all(kind.name == "string" for kind in kinds):
        return Kind("enum", unset=unset, values=values)
    whole = next((kind for kind in kinds if kind.name in ("list", "object", "map")), kinds[0])
    return Kind(whole.name, unset, values, whole.of, whole.fields, whole.required)


def _names(node: Node, kind: Kind, name: str) -> Iterable[str]:
    """The parameters given, positions left out, down to where the type branches no further."""
    if isinstance(node, dict) and kind.name == "object":
        for inner, below in node.items():
            if inner != "expand" or name:
                yield from _names(below, kind.fields[inner], f"{name}[{inner}]" if name else inner)
    elif isinstance(node, dict) and kind.name == "list" and kind.of:
        for below in node.values():
            yield from _names(below, kind.of, name)
    else:
        yield name


def _read(node: Node, kind: Kind, name: str) -> Any:
    if isinstance(node, str):
        return _scalar(node, kind, name)
    match kind.name:
        case "object":
            return _fields(node, kind, name)
        case "map":
            assert kind.of is not None
            return {inner: _element(below, kind.of, f"{name}[{inner}]") for inner, below in node.items()}
        case "list":
            listed = elements(node)
            if listed is None:
                raise Refusal(400, "Invalid array", param=name)
            return [_read(below, cast(Kind, kind.of), f"{name}[{at}]") for at, below in enumerate(listed)]
        case _:
            raise Refusal(400, f"Invalid {kind.name}", param=name)


def _element(node: Node, kind: Kind, name: str) -> Any:
    """A value in a map, where the empty string stands for taking the key away."""
    return "" if node == "" else _read(node, kind, name)


def _fields(tree: Tree, kind: Kind, name: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for inner, below in tree.items():
        full = f"{name}[{inner}]" if name else inner
        if inner in kind.fields:
            values[inner] = _read(below, kind.fields[inner], full)
        elif name or inner != "expand":
            raise unknown_parameter(full)
    for inner in sorted(kind.required):
        if inner not in values:
            raise required(f"{name}[{inner}]" if name else inner)
        if values[inner] is None:
            raise empty(f"{name}[{inner}]" if name else inner)
    return values


def _scalar(text: str, kind: Kind, name: str) -> Any:
    if text == "":
        if kind.unset or kind.name in ("string", "map"):
            return [] if kind.name == "list" else None
        raise empty(name)
    if text in kind.values:
        return text
    match kind.name:
        case "string":
            return text
        case "integer" if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
            return int(text)
        case "integer":
            raise Refusal(400, f"Invalid integer: {text}", "parameter_invalid_integer", name)
        case "boolean" if text in ("true", "false"):
            return text == "true"
        case "number" | "decimal" if (number := _decimal(text)) is not None:
            return format(number, "f") if kind.name == "decimal" else float(number)
        case "enum":
            *most, last = kind.values
            choice = f"one of {', '.join(most)}, or {last}" if len(most) > 1 else " or ".join(kind.values)
            raise Refusal(400, f"Invalid {name}: must be {choice}", param=name)
        case "list":
            raise Refusal(400, "Invalid array", param=name)
        case "object" | "map":
            raise Refusal(400, "Invalid object", param=name)
        case _:
            raise Refusal(400, f"Invalid {kind.name}: {text}", param=name)


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < Decimal(10) ** 18 else None


def required(name: str) -> Refusal:
    """A parameter that the endpoint needs is not there."""
    return Refusal(400, f"Missing required param: {name}.", "parameter_missing", name)


def empty(name: str) -> Refusal:
    """An empty string where there is nothing to take away."""
    return Refusal(
        400,
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; however "
        f"'{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty value.",
        "parameter_invalid_empty",
        name,
    )
