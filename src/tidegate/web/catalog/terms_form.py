"""What a form says of features: how much of each is given, typed by somebody who does not know JSON (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.catalog.terms import read_terms
from tidegate.errors import TermsInvalid
from tidegate.web import typed_values
from tidegate.web.pages import Texts


def typed(features: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> Texts:
    """The fields of a form that says what is given: `give:KEY`, `limit:KEY`, `reset:KEY`, `value:KEY`."""
    fields = Texts()
    for one in features:
        key, said = one["key"], given.get(one["key"])
        if said is None:
            continue
        fields[f"give:{key}"] = "yes"
        fields[f"limit:{key}"] = "unlimited" if said.get("unlimited") else str(said.get("limit", ""))
        fields[f"reset:{key}"] = said.get("reset") or ""
        fields[f"value:{key}"] = typed_values.shown(said.get("value"))
    return fields


def said(features: Sequence[Mapping[str, Any]], form: Mapping[str, str]) -> tuple[dict[str, Any], Texts]:
    """The terms by feature that a form gives, and what is wrong with its fields."""
    found: dict[str, Any] = {}
    wrong = Texts()
    for one in features:
        key, type_ = one["key"], one["type"]
        field = {"boolean": "give", "config": "value", "metered": "limit"}[type_]
        if not form.get(f"{field}:{key}"):
            continue
        parts = (form.get(f"{name}:{key}", "") for name in ("limit", "value", "reset"))
        try:
            found[key] = checked(key, type_, *parts)
        except TermsInvalid as error:
            wrong[f"{field}:{key}"] = str(error.facts["problem"]).capitalize()
    return found, wrong


def checked(key: str, type_: Any, limit: str, value: str, reset: str) -> Any:
    """The terms of one feature by its type, as the file would say them. Raises TermsInvalid."""
    given = True if type_ == "boolean" else config(value) if type_ == "config" else metered(limit, reset)
    read_terms(key, type_, given, "the form")
    return given


def config(value: str) -> Any:
    """The value that was typed."""
    return {"value": typed_values.read(value)} if value else None


def metered(limit: str, reset: str) -> Any:
    """The limit that was typed: a whole number, with or without commas, or `unlimited`."""
    plain = limit.replace(",", "").replace("_", "").strip().lower()
    said: dict[str, Any] = {"unlimited": True} if plain == "unlimited" else {"limit": _whole(plain)}
    return said | ({"reset": reset} if reset else {})


def _whole(plain: str) -> int | str:
    return int(plain) if plain.isdecimal() and len(plain) < 20 else plain
