"""What can be set of health, alerts and worth: weights, curves, days, properties; read, checked, with the defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, cast

from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.conditions.fields import PROPERTIES
from tidegate.errors.wrong import Wrong
from tidegate.lifecycle import health
from tidegate.lifecycle.alert_rules import SETTABLE, AlertRule, rules_of
from tidegate.lifecycle.health import COMPONENTS, Component, Thresholds

WORTH_KEYS = ("mrr", "renews_at")
HEALTH_KEYS = ("components", "unhealthy_below", "healthy_from", "coverage")


@dataclass(frozen=True, slots=True)
class Health:
    """By what health is scored."""

    components: Sequence[Component]
    thresholds: Thresholds


def read_health(said: Mapping[str, Any]) -> tuple[Health, list[Wrong]]:
    """Health as it was said, {components: [{key, field, curve, weight}], unhealthy_below, healthy_from, coverage}, and
    what is wrong with it; of faults the defaults stand.

    A component of a default key changes what it says of it; weight 0 leaves it out. The others are yours.
    """
    wrong = _unknown("health", said, HEALTH_KEYS)
    default = Thresholds()
    low, high, coverage = (
        _number(said, name, known, most, wrong)
        for name, known, most in (
            ("unhealthy_below", default.unhealthy, 100),
            ("healthy_from", None, 100),
            ("coverage", default.coverage, 1),
        )
    )
    assert low is not None and coverage is not None  # noqa: PT018 - they have defaults
    high = min(low + default.well - default.unhealthy, Decimal(100)) if high is None else high
    if high < low:
        wrong.append(Wrong("health.healthy_from", f"it is {low} or more, as unhealthy_below is"))
    components = _components(said.get("components"), wrong)
    return Health(components, Thresholds(low, high, coverage)), wrong


@dataclass(frozen=True, slots=True)
class Worth:
    """Properties of yours (`properties.contract.mrr`) that say what a contact is worth a month, in whole units of the
    base currency, and when it renews; empty, or where a contact has no such value: Stripe does.
    """

    mrr: str = ""
    renews_at: str = ""


def read_worth(said: Mapping[str, Any]) -> tuple[Worth, list[Wrong]]:
    """What was said of it, {mrr, renews_at}, and what is wrong with that; of faults Stripe stands."""
    wrong = _unknown("worth", said, WORTH_KEYS)
    for name in {*said} & {*WORTH_KEYS}:
        field = CONTACT_FIELDS.find(said[name]) if isinstance(said[name], str) else None
        if field is None or field.kind != "any":
            wrong.append(Wrong(f"worth.{name}", f"it names a property of yours, such as {PROPERTIES}{name}"))
    return (Worth() if wrong else Worth(**said)), wrong


def _components(said: Any, wrong: list[Wrong]) -> Sequence[Component]:
    if said is None:
        return COMPONENTS
    if not isinstance(said, list):
        wrong.append(Wrong("health.components", "it is a list of {key, field, curve, weight}"))
        return COMPONENTS
    found = {one.key: one for one in COMPONENTS}
    seen: set[str] = set()
    for place, one in enumerate(cast("list[Any]", said)):
        where = f"health.components.{place}"
        told = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        key = told.get("key")
        if not isinstance(key, str) or not key or key in seen:
            wrong.append(Wrong(where, "each has a key of its own"))
            continue
        seen.add(key)
        told = {name: value for name, value in told.items() if name != "key"}
        if told.get("weight") == 0 and not isinstance(told["weight"], bool):
            found.pop(key, None)
            continue
        known = found.get(key)
        component, faults = health.parse(key, (_said(known) if known else {}) | told)
        wrong += [Wrong(f"{where}.{fault.where.rpartition('.')[2]}", fault.problem) for fault in faults]
        if component is not None:
            if known is not None and known.field == component.field:
                component = replace(known, curve=component.curve, weight=component.weight)
            found[key] = component
    if not found:
        wrong.append(Wrong("health.components", "at least one has a weight above 0"))
    return list(found.values())


def _said(one: Component) -> dict[str, Any]:
    curve = [[float(at), float(score)] for at, score in one.curve]
    return {"field": one.field, "curve": curve, "weight": float(one.weight)}


def read_alerts(said: Sequence[Any]) -> tuple[Sequence[AlertRule], list[Wrong]]:
    """The rules of alerts with what was said of some, [{rule, days, interval_months, enabled}], and what is wrong."""
    wrong: list[Wrong] = []
    found: dict[str, Mapping[str, Any]] = {}
    for place, one in enumerate(said):
        where = f"alerts.{place}"
        told = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        rule = told.get("rule")
        if not isinstance(rule, str) or rule not in SETTABLE:
            near = get_close_matches(str(rule), SETTABLE, 1)
            meant = f", perhaps {near[0]}" if near else ""
            wrong.append(Wrong(f"{where}.rule", f"there is no rule {rule!r}{meant}; rules: {', '.join(SETTABLE)}"))
            continue
        if rule in found:
            wrong.append(Wrong(f"{where}.rule", f"{rule} is there twice"))
        able = {**SETTABLE[rule], "enabled": True}
        wrong += [
            Wrong(f"{where}.{name}", f"{rule} has no {name}; it takes {', '.join(able)}")
            for name in sorted({*told} - {"rule", *able})
        ]
        for name in {*told} & {*SETTABLE[rule]}:
            least, most = (1, 120) if name == "interval_months" else (0, 3660)
            value = told[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                wrong.append(Wrong(f"{where}.{name}", f"it is a number from {least} to {most}"))
        if not isinstance(told.get("enabled", True), bool):
            wrong.append(Wrong(f"{where}.enabled", "it is true or false"))
        found[rule] = told
    return (rules_of({}) if wrong else rules_of(found)), wrong


def _unknown(where: str, said: Mapping[str, Any], known: Sequence[str]) -> list[Wrong]:
    wrong: list[Wrong] = []
    for name in sorted({*said} - {*known}):
        near = get_close_matches(name, known, 1)
        meant = f"; perhaps {near[0]}" if near else ""
        wrong.append(Wrong(f"{where}.{name}", f"there is no such key{meant}. Known: {', '.join(known)}"))
    return wrong


def _number(
    said: Mapping[str, Any], name: str, default: Decimal | None, most: int, wrong: list[Wrong]
) -> Decimal | None:
    value = said.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        wrong.append(Wrong(f"health.{name}", f"it is a number above 0, at most {most}"))
        return default
    return Decimal(str(value))
