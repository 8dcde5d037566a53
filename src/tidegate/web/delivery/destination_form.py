"""The form of a destination, made of the options of its kind, and what was typed into it as options (pure)."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args, get_origin

from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

from tidegate.delivery.destinations import KINDS
from tidegate.delivery.options import Options
from tidegate.web.pages import Texts
from tidegate.workflows.config.config_yaml import NO_YAML

TITLES = {
    "webhook": "Webhook: signed requests to a URL of yours",
    "http": "HTTP: contacts kept in sync with an API of yours",
    "segment": "Segment: what happens as track calls, contacts as users and groups",
    "kissmetrics": "Kissmetrics: what happens as events, contacts as persons",
    "hubspot": "HubSpot: contacts kept in sync as contacts and companies",
    "apprise": "Apprise: Slack, e-mail and a hundred others",
    "files": "Files: JSON lines or Parquet in a folder",
    "warehouse": "Warehouse: tables in PostgreSQL or DuckDB",
}
Looks = Literal["text", "lines", "mapping", "switch", "choice", "number"]


@dataclass(frozen=True, slots=True)
class Option:
    """An option as a field of the form. `choices`: of a choice, where the first is what holds when nothing is said."""

    name: str
    looks: Looks
    secret: bool
    required: bool
    common: bool
    offered: str
    choices: tuple[str, ...] = ()


def options_of(kind: str) -> list[Option]:
    """The options of a kind, its own first."""
    model = KINDS[kind].options
    found = [_option(name, one, model) for name, one in model.model_fields.items()]
    return sorted(found, key=lambda one: (one.common, not one.required))


def about(kind: str) -> str:
    """What its options mean, as where they are defined."""
    own, every = (" ".join(inspect.cleandoc(one.__doc__ or "").split()) for one in (KINDS[kind].options, Options))
    return f"{own} {every.removeprefix('A destination. ')}" if own != every else every


def said(kind: str, form: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str], Texts]:
    """What a form says: options with their values, the variables that secret ones come from, and what is no value."""
    options: dict[str, Any] = {}
    variables: dict[str, str] = {}
    wrong = Texts()
    for one in options_of(kind):
        typed = form.get(f"o_{one.name}", "")
        if one.secret and not typed and form.get(f"env_{one.name}"):
            variables[one.name] = form[f"env_{one.name}"]
            continue
        if one.looks == "switch":
            if bool(typed) != (one.offered == "yes"):
                options[one.name] = bool(typed)
            continue
        if not typed or (one.looks != "lines" and typed == one.offered and not one.secret):
            continue
        try:
            options[one.name] = _value(one, typed)
        except ValueError as error:
            wrong[one.name] = str(error)
    return options, variables, wrong


def typed(kind: str, spec: Mapping[str, Any]) -> Texts:
    """The options of a stored destination as its form shows them; secrets stay empty."""
    form = Texts()
    for one in options_of(kind):
        told = spec.get(one.name)
        if one.secret:
            named = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
            form[f"env_{one.name}"] = str(named["env"]) if set(named) == {"env"} else ""
        elif told is None:
            form[f"o_{one.name}"] = one.offered
        else:
            form[f"o_{one.name}"] = _text(one, told)
    return form


def offered(kind: str) -> Texts:
    """What a new destination is offered."""
    return typed(kind, {})


def _option(name: str, field: FieldInfo, model: type[Options]) -> Option:
    looks, choices = _looks(field.annotation)
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    shown = Option(name, looks, name in model.secret, field.is_required(), name in Options.model_fields, "", choices)
    text = "" if default is None or shown.secret else _text(shown, default)
    if looks == "choice" and default is None:
        choices = ("", *choices)
    return Option(name, looks, shown.secret, shown.required, shown.common, text, choices)


def _looks(annotation: Any) -> tuple[Looks, tuple[str, ...]]:
    origin, parts = get_origin(annotation), [one for one in get_args(annotation) if one is not type(None)]
    if origin is Literal:
        return "choice", tuple(map(str, parts))
    if annotation is bool:
        return "switch", ()
    if annotation in (int, float):
        return "number", ()
    if origin is tuple:
        return "lines", ()
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "mapping", ()
    if len(parts) == 1 and type(None) in get_args(annotation):
        return _looks(parts[0])
    return "text", ()


def _value(option: Option, typed: str) -> Any:
    """Raises ValueError, which says what it could be."""
    if option.looks == "lines":
        return [line.strip() for line in typed.replace(",", "\n").splitlines() if line.strip()]
    if option.looks == "number":
        try:
            return float(typed) if "." in typed else int(typed)
        except ValueError:
            raise ValueError("It is a number.") from None
    if option.looks == "mapping":
        return _mapping(typed)
    return typed


def _mapping(typed: str) -> dict[str, str]:
    yaml: Any = YAML(typ="safe", pure=True)
    try:
        found = yaml.load(typed)
    except NO_YAML:
        found = None
    if not isinstance(found, dict):
        raise ValueError("It is a name and a value on each line, `name: value`.")
    return {str(name): str(value) for name, value in cast("dict[Any, Any]", found).items()}


def _text(option: Option, value: Any) -> str:
    if option.looks == "switch":
        return "yes" if value else ""
    if option.looks == "mapping":
        return "\n".join(f"{name}: {one}" for name, one in cast("dict[str, Any]", dict(value)).items())
    if option.looks == "lines":
        return "\n".join(cast("list[str]", [value] if isinstance(value, str) else list(value)))
    return f"{value:g}" if isinstance(value, float) else str(value)
