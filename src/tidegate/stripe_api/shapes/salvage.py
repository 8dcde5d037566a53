"""Reads an object that does not fit its shape field by field: what fits stays, what does not becomes a fault."""

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from tidegate.stripe_api.shapes.base import Body, Shape
from tidegate.stripe_api.shapes.decoders import decoder

MISFIT = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Fault(msgspec.Struct, frozen=True):
    """A field that did not fit: its path in the object ("status_transitions.paid_at") and why."""

    field: str
    reason: str


def salvage(body: Body, shape: type[Shape]) -> tuple[Shape, list[Fault]]:
    """The shape filled with all that fits, and a fault for each value that does not.

    A value of a list or map that does not fit is left out; an integral float counts as an integer. Raises what msgspec
    raises when the body is no JSON object.
    """
    faults: list[Fault] = []
    return _struct(shape, body, "", faults), faults


def _struct(kind: type[Any], raw: Body, path: str, faults: list[Fault]) -> Any:
    told = decoder(dict[str, msgspec.Raw]).decode(raw)
    fits: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.encode_name in told:
            value = _value(field.type, told[field.encode_name], f"{path}{field.encode_name}", faults)
            if value is not msgspec.UNSET:
                fits[field.name] = value
    return kind(**fits)


def _value(kind: Any, raw: msgspec.Raw, path: str, faults: list[Fault]) -> Any:
    """The value, or UNSET after noting a fault."""
    try:
        return decoder(kind).decode(raw)
    except MISFIT as wrong:
        reason = str(wrong).split(" - at `")[0]
    text = bytes(raw).lstrip()
    for choice in _choices(kind):
        if text.startswith(b"{") and isinstance(choice, type) and issubclass(choice, msgspec.Struct):
            return _struct(choice, raw, f"{path}.", faults)
        if text.startswith(b"{") and get_origin(choice) is dict:
            return _map(get_args(choice)[1], raw, path, faults)
        if text.startswith(b"[") and get_origin(choice) is list:
            return _list(get_args(choice)[0], raw, path, faults)
        if _is_integer(choice) and (whole := _integral(raw, choice)) is not None:
            return whole
    faults.append(Fault(path, reason))
    return msgspec.UNSET


def _list(kind: Any, raw: msgspec.Raw, path: str, faults: list[Fault]) -> list[Any]:
    values = [
        _value(kind, each, f"{path}[{place}]", faults)
        for place, each in enumerate(decoder(list[msgspec.Raw]).decode(raw))
    ]
    return [value for value in values if value is not msgspec.UNSET]


def _map(kind: Any, raw: msgspec.Raw, path: str, faults: list[Fault]) -> dict[str, Any]:
    told = decoder(dict[str, msgspec.Raw]).decode(raw)
    values = {key: _value(kind, each, f"{path}.{key}", faults) for key, each in told.items()}
    return {key: value for key, value in values.items() if value is not msgspec.UNSET}


def _integral(raw: msgspec.Raw, kind: Any) -> int | None:
    """An integral float such as 1000.0 or 1e3 as the integer it is, if it is within the bounds."""
    try:
        number = decoder(float).decode(raw)
        return msgspec.convert(int(number), kind) if number.is_integer() else None
    except (*MISFIT, OverflowError):
        return None


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _is_integer(kind: Any) -> bool:
    return kind is int or (get_origin(kind) is Annotated and get_args(kind)[0] is int)
