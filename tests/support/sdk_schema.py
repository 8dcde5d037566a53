"""Judges whether a JSON object is a Stripe object, by schemas derived from the official SDK's response types.

The SDK's resource classes are generated from Stripe's own description of its API, so they are a judge that is not ours.

How an annotation becomes JSON Schema (draft 2020-12):

* `X` is a field that is always present; `Optional[X]` may be null or absent: neither types nor docstrings of the SDK
  tell these apart. (Stripe in fact sends most of them as null; those it leaves out are mostly expanded on demand.)
* `Literal["a"]` is closed. `Union[Literal["a"], str]` is open, as Stripe adds values: strict mode knows only the listed
  ones, so that an invented value is caught; otherwise any string does.
* `int` refuses floats, `100.0` too; `Decimal` is a string, as Stripe sends decimals.
* `ExpandableField[X]` is an id or the object; a union of resources is told apart by the field `object`.
* `ListObject[X]` is the list envelope; `UntypedStripeObject[X]` is a map of X.
* Strict mode refuses fields that the type does not have, at every depth.
* With `deleted`, an object is Stripe's stub: only the fields of `_STUB_FIELDS` are needed and allowed.
  Discounts are the exception: they are sent in full, as Stripe's examples show.

The schemas are those of the one API version that the installed SDK is generated from (`stripe.api_version`). Held
against Stripe's published examples of 2026-07-29, all mirrored resources agree but for two fields that the SDK's
2026-10-28.endive has as always present and the examples lack (`dispute.evidence_details.submission_method`,
`subscription_schedule.pause_schedules`) and two that the examples have and the SDK lacks (`invoice.subscription`, null,
and `aggregate_usage` of an event's plan). Nothing is loosened for these: an object of the SDK's version has to have
the former and must not have the latter.
"""

from __future__ import annotations

import ast
import inspect
import sys
import typing
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from importlib import import_module
from types import NoneType
from typing import Any, Literal

from jsonschema import Draft202012Validator, ValidationError, validators
from stripe import ListObject, StripeObject
from stripe._object_classes import OBJECT_CLASSES
from stripe._stripe_object import UntypedStripeObject

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SCALARS: dict[type, Schema] = {
    str: {"type": ["string"]},
    int: {"type": ["integer"]},
    bool: {"type": ["boolean"]},
    float: {"type": ["number"]},
    Decimal: {"type": ["string"], "pattern": r"^-?\d+(\.\d+)?$"},
}

_STUB_FIELDS = ("deleted", "id", "object")
_MORE_STUB_FIELDS = {"application": ("name",), "terminal.reader": ("device_type", "serial_number")}
_DELETED_IN_FULL = ("discount",)

_ENVELOPES = ("list", "search_result")


class UnknownObjectError(KeyError):
    """The SDK has no class for the object {name}."""


@cache
def schema_for(object_name: str, *, strict: bool = True) -> Schema:
    """Return the JSON Schema of Stripe's object of this name ("invoice", "entitlements.feature").

    The answer is shared and must not be changed. Resources stand in `$defs` under their object name. Raises
    UnknownObjectError for a name that the SDK's table of classes does not have.
    """
    if object_name not in OBJECT_CLASSES:
        raise UnknownObjectError(object_name)
    definitions: dict[str, Schema] = {}
    waiting = [object_name]
    while waiting:
        name = waiting.pop()
        if name not in definitions:
            definitions[name] = _definition(name, strict)
            waiting.extend(_references(definitions[name]))
    return {"$schema": DIALECT, "type": "object", "$ref": _pointer(object_name), "$defs": definitions}


def problems(obj: dict[str, Any], *, strict: bool = True) -> list[str]:
    """Return what is wrong with a Stripe object, as sorted lines "path: message"; an empty list when nothing is.

    The schema is chosen by `obj["object"]`. The items of a list and an event's `data.object` are judged by their own.
    """
    return sorted(_problems_at("", obj, strict))


def _problems_at(path: str, obj: object, strict: bool) -> Iterator[str]:
    name = obj.get("object") if isinstance(obj, dict) else None
    if not isinstance(obj, dict) or not isinstance(name, str):
        yield f"{_join(path, 'object')}: a Stripe object must name its type here"
        return
    if name not in OBJECT_CLASSES:
        yield f"{_join(path, 'object')}: the SDK has no object {name!r}"
        return
    for error in _validator(name, strict).iter_errors(obj):
        yield from _lines(path, error)
    yield from _problems_inside(path, name, obj, strict)


def _problems_inside(path: str, name: str, obj: dict[str, Any], strict: bool) -> Iterator[str]:
    """Judge the objects whose type only the data tells: a top-level list's items and an event's object."""
    data = obj.get("data")
    if name in _ENVELOPES and isinstance(data, list):
        for index, item in enumerate(data):
            yield from _problems_at(f"{_join(path, 'data')}[{index}]", item, strict)
    if name == "event" and isinstance(data, dict) and "object" in data:
        yield from _problems_at(_join(path, "data.object"), data["object"], strict)


# -- from the SDK's classes to schemas -----------------------------------------------------------------------------


@cache
def _definition(name: str, strict: bool) -> Schema:
    """Return a resource's schema, without `type`: it also stands where an id may (its keywords apply to objects)."""
    module, class_name = OBJECT_CLASSES[name]
    cls = getattr(import_module(module), class_name)
    if name in _ENVELOPES:
        return _envelope({}, strict, name)
    return _fields(cls, strict)


def _fields(cls: type, strict: bool) -> Schema:
    properties: dict[str, Schema] = {}
    required: list[str] = []
    for field, annotation in inspect.get_annotations(cls).items():
        if typing.get_origin(annotation) is typing.ClassVar or field.startswith("_"):
            continue
        properties[field] = _of(annotation, cls, strict)
        if NoneType not in typing.get_args(annotation):
            required.append(field)
    return _with_stub({"properties": properties, "required": sorted(required), **_closed(strict)}, cls, strict)


def _with_stub(schema: Schema, cls: type, strict: bool) -> Schema:
    if "deleted" not in schema["properties"]:
        return schema
    always = schema.pop("required")
    name = getattr(cls, "OBJECT_NAME", "")
    if name in _DELETED_IN_FULL:
        stub: Schema = {"required": ["deleted", *always]}
    else:
        fields = [*_STUB_FIELDS, *_MORE_STUB_FIELDS.get(name, ())]
        stub = {"required": list(_STUB_FIELDS), "properties": dict.fromkeys(fields, True), **_closed(strict)}
    return schema | {"if": {"required": ["deleted"]}, "then": stub, "else": {"required": always}}


def _of(annotation: Any, owner: type, strict: bool) -> Schema:
    """Return the schema of one annotation; it always has `type` as a list, or `enum`."""
    if annotation is Any:
        return {"type": ["object", "array", "string", "number", "boolean", "null"]}
    if isinstance(annotation, str | typing.ForwardRef):
        return _of(_resolve(annotation, owner), owner, strict)
    if annotation in _SCALARS:
        return dict(_SCALARS[annotation])
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union:
        return _union(arguments, owner, strict)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": ["array"], "items": _of(arguments[0], owner, strict)}
    if origin is ListObject:
        return {"type": ["object"], **_envelope(_of(arguments[0], owner, strict), strict)}
    if origin is UntypedStripeObject:
        return {"type": ["object"], **_map(arguments[0], owner, strict)}
    if inspect.isclass(annotation) and issubclass(annotation, StripeObject):
        return {"type": ["object"], **_body(annotation, strict)}
    raise TypeError(f"{owner.__qualname__} has an annotation of a new kind: {annotation!r}")


def _union(arguments: tuple[Any, ...], owner: type, strict: bool) -> Schema:
    arguments = tuple(_resolve(a, owner) if isinstance(a, str | typing.ForwardRef) else a for a in arguments)
    nullable = NoneType in arguments
    kinds = [a for a in arguments if a is not NoneType]
    literals = [a for a in kinds if typing.get_origin(a) is Literal]
    if literals and str in kinds:
        kinds = literals if strict else [str]
    if len(kinds) == 1:
        schema = _of(kinds[0], owner, strict)
    else:
        schema = _id_or_object(kinds, owner, strict)
    return _nullable(schema) if nullable else schema


def _id_or_object(kinds: list[Any], owner: type, strict: bool) -> Schema:
    """Return the schema of an expandable field, or of a union of resources, or of both."""
    classes = [kind for kind in kinds if kind is not str]
    if not all(inspect.isclass(kind) and issubclass(kind, StripeObject) for kind in classes):
        raise TypeError(f"{owner.__qualname__} has a union of a new kind: {kinds!r}")
    types = ["string", "object"] if str in kinds else ["object"]
    if len(classes) == 1:
        return {"type": types, **_body(classes[0], strict)}
    names = [cls.OBJECT_NAME for cls in classes]
    tests = [{"required": ["object"], "properties": {"object": {"const": name}}} for name in names]
    branches = [{"if": test, "then": {"$ref": _pointer(name)}} for test, name in zip(tests, names, strict=True)]
    return {"type": types, "required": ["object"], "properties": {"object": {"enum": names}}, "allOf": branches}


def _body(cls: type[StripeObject], strict: bool) -> Schema:
    """Return a reference to a resource, which may lead back to itself, or a nested class's fields in place."""
    name = getattr(cls, "OBJECT_NAME", None)
    return {"$ref": _pointer(name)} if name in OBJECT_CLASSES else _fields(cls, strict)


def _envelope(items: Schema, strict: bool, name: str = "list") -> Schema:
    properties: dict[str, Schema] = {
        "object": {"enum": [name]},
        "data": {"type": ["array"], "items": items},
        "has_more": {"type": ["boolean"]},
        "url": {"type": ["string"]},
    }
    if name == "search_result":
        properties["next_page"] = {"type": ["string", "null"]}
    return {"properties": properties, "required": ["data", "has_more", "object", "url"], **_closed(strict)}


def _map(kind: Any, owner: type, strict: bool) -> Schema:
    return {} if kind is Any else {"additionalProperties": _of(kind, owner, strict)}


def _nullable(schema: Schema) -> Schema:
    if "enum" in schema:
        return schema | {"enum": [*schema["enum"], None]}
    return schema | {"type": [*schema["type"], "null"]}


def _closed(strict: bool) -> Schema:
    return {"additionalProperties": False} if strict else {}


def _pointer(name: str) -> str:
    return f"#/$defs/{name}"


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(_pointer(""))
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _references(part)


def _resolve(reference: str | typing.ForwardRef, owner: type) -> Any:
    name = reference if isinstance(reference, str) else reference.__forward_arg__
    module, attribute = _checked_imports(owner.__module__)[name]
    return getattr(import_module(module), attribute)


@cache
def _checked_imports(module_name: str) -> dict[str, tuple[str, str]]:
    """Return name → (module, attribute) for what a module imports for type checkers only, and for its own classes."""
    module = sys.modules[module_name]
    found = {name: (module_name, name) for name, value in vars(module).items() if inspect.isclass(value)}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
    return found


# -- from validation errors to lines --------------------------------------------------------------------------------


@cache
def _validator(name: str, strict: bool) -> Any:
    integers = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    return validators.extend(Draft202012Validator, type_checker=integers)(schema_for(name, strict=strict))


def _lines(prefix: str, error: ValidationError) -> Iterator[str]:
    path = prefix
    for step in error.absolute_path:
        path = f"{path}[{step}]" if isinstance(step, int) else _join(path, step)
    if error.validator == "required":
        missing = [field for field in error.validator_value if field not in error.instance]
        yield from (f"{_join(path, field)}: required, but missing" for field in missing if repr(field) in error.message)
    elif error.validator == "additionalProperties":
        known = error.schema["properties"]
        yield from (f"{_join(path, field)}: unknown field" for field in error.instance if field not in known)
    elif error.validator == "enum":
        yield f"{path}: {error.instance!r} is none of {', '.join(map(repr, error.validator_value))}"
    else:
        yield f"{path or 'object'}: {error.message[:300]}"


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field
