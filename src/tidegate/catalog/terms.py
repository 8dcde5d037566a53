"""What a package, a mapping or an override says of one feature: checked when it is given, plain values afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tidegate.errors import TermsInvalid

FeatureType = Literal["boolean", "config", "metered"]
Reset = Literal["hour", "day", "week", "month", "year", "billing_period", "never"]

FEATURE_TYPES: tuple[FeatureType, ...] = ("boolean", "config", "metered")
RESETS: tuple[Reset, ...] = ("hour", "day", "week", "month", "year", "billing_period", "never")


@dataclass(frozen=True, slots=True)
class Terms:
    """How much of a feature is given.

    boolean: nothing more to say. config: `value`, any JSON but null. metered: `limit` units for each period of `reset`
    (None: that of the base package beside them, else the feature's own), or `unlimited`.
    """

    limit: int | None = None
    unlimited: bool = False
    value: Any = None
    reset: Reset | None = None

    def as_json(self) -> dict[str, Any]:
        """As it stands in tidegate.yaml, in the API and in the store: only what is said."""
        said = {"limit": self.limit, "unlimited": self.unlimited or None, "value": self.value, "reset": self.reset}
        return {name: value for name, value in said.items() if value is not None}


def read_terms(feature: str, type_: FeatureType, given: Any, where: str) -> Terms:
    """The terms that `given` says of a feature of this type: `true`, a number, or an object.

    `where` names what they stand in, for the message. Raises TermsInvalid.
    """
    said = _object(type_, given)
    if said is None:
        raise TermsInvalid(feature=feature, where=where, problem=_EXPECTED[type_])
    unknown = sorted(set(said) - _KNOWN[type_])
    if unknown:
        known = ", ".join(sorted(_KNOWN[type_])) or "only true"
        raise TermsInvalid(
            feature=feature, where=where, problem=f"{', '.join(unknown)} cannot be said of a {type_} feature: {known}."
        )
    if type_ == "boolean":
        return Terms()
    if type_ == "config":
        if said.get("value") is None:
            raise TermsInvalid(feature=feature, where=where, problem=_EXPECTED["config"])
        return Terms(value=said["value"])
    return _metered(feature, said, where)


def stored_terms(said: Mapping[str, Any]) -> Terms:
    """The terms that were checked when they were stored."""
    return Terms(said.get("limit"), bool(said.get("unlimited")), said.get("value"), said.get("reset"))


_KNOWN: dict[FeatureType, frozenset[str]] = {
    "boolean": frozenset(),
    "config": frozenset({"value"}),
    "metered": frozenset({"limit", "unlimited", "reset"}),
}
_EXPECTED: dict[FeatureType, str] = {
    "boolean": "say true.",
    "config": "say {value: …}, any value but null.",
    "metered": "say {limit: 100, reset: month}, a number, or {unlimited: true}.",
}


def _object(type_: FeatureType, given: Any) -> dict[str, Any] | None:
    if isinstance(given, Mapping):
        said: dict[str, Any] = {str(name): value for name, value in given.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if type_ == "boolean" and said.get("value") is True:
            del said["value"]
        return said
    if type_ == "boolean":
        return {} if given is True else None
    if type_ == "config":
        return {"value": given} if given is not None else None
    if given == "unlimited":
        return {"unlimited": True}
    return {"limit": given} if isinstance(given, int) and not isinstance(given, bool) else None


def _metered(feature: str, said: dict[str, Any], where: str) -> Terms:
    limit, unlimited, reset = said.get("limit"), said.get("unlimited", False), said.get("reset")
    if reset is not None and reset not in RESETS:
        raise TermsInvalid(feature=feature, where=where, problem=f"reset is {reset!r}; use {', '.join(RESETS)}.")
    if unlimited is True and limit is None:
        return Terms(unlimited=True, reset=reset)
    if not isinstance(limit, int) or isinstance(limit, bool) or unlimited is True or not 0 <= limit < 2**53:
        raise TermsInvalid(
            feature=feature,
            where=where,
            problem="say either limit, a whole number from 0 to 9,007,199,254,740,991, or unlimited: true.",
        )
    return Terms(limit=limit, reset=reset)
