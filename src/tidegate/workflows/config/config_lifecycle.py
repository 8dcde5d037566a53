"""Stages, segments, worth, health and alerts of tidegate.yaml: made those that hold, who moves by it, written out."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection

from tidegate.errors.wrong import Wrong
from tidegate.lifecycle import rulebook
from tidegate.lifecycle.rules import Rule
from tidegate.lifecycle.settings import read_alerts, read_health, read_worth
from tidegate.workflows.config.config_sections import RuleEntry
from tidegate.workflows.config.config_steps import FILE, Applying, noted
from tidegate.workflows.lifecycle import lifecycle_settings
from tidegate.workflows.lifecycle.lifecycle_rules import named, put, wrong_rules

What = Literal["stages", "segments"]


def define(db: Connection, applying: Applying) -> None:
    """Makes the file's stages and segments, and what it sets of worth, health and alerts, hold; an empty section brings
    the defaults back.
    """
    _define(db, applying, "stages", applying.sections.stages)
    _define(db, applying, "segments", applying.sections.segments)
    _worth(db, applying)
    _health(db, applying)
    _alerts(db, applying)


def _worth(db: Connection, applying: Applying) -> None:
    for entry in applying.sections.worth or ():
        said = entry.model_dump(exclude_none=True)
        _refuse(applying, read_worth(said)[1])
        _settle(db, applying, "worth", said)


def _health(db: Connection, applying: Applying) -> None:
    for entry in applying.sections.health or ():
        said = entry.model_dump(exclude_none=True)
        _refuse(applying, read_health(said)[1])
        _settle(db, applying, "health", said)


def _alerts(db: Connection, applying: Applying) -> None:
    entries = applying.sections.alerts
    if entries is None:
        return
    said = [entry.model_dump(exclude_none=True) for entry in entries]
    _refuse(applying, read_alerts(said)[1])
    _settle(db, applying, "alerts", said)


def _refuse(applying: Applying, wrong: Sequence[Wrong]) -> None:
    """Raises ConfigInvalid with the line of the first fault, and all of them."""
    if wrong:
        place = tuple(int(part) if part.isdecimal() else part for part in wrong[0].where.split("."))
        told = "; ".join(f"{one.where}: {one.problem}" for one in wrong)
        raise applying.sections.document.wrong(place, told)


def _settle(db: Connection, applying: Applying, what: rulebook.Settings, said: Any) -> None:
    known, by = rulebook.settings(db, what), rulebook.managed_by(db, what)
    if known == said and by == (FILE if said else ""):
        return
    given: dict[str, Any] = {f"said_{what}": said}
    effect = lifecycle_settings.put(db, applying.by, **given, managed_by=FILE).as_json()
    detail = {name: value for name, value in effect.items() if value and name not in {"token", "done"}}
    noted(applying, what, what, {"said": known} if known else None, {"said": said}, **detail)


def _define(db: Connection, applying: Applying, what: What, entries: Sequence[RuleEntry] | None) -> None:
    if entries is None:
        return
    rules = [Rule(entry.key, entry.name or named(entry.key), entry.when) for entry in entries]
    _check(db, applying, what, entries, rules)
    known = rulebook.written(db, what)
    if known == rules and rulebook.managed_by(db, what) == (FILE if rules else ""):
        return
    if what == "stages":
        told = put(db, applying.by, stages=rules, managed_by=FILE).as_json()
        detail = {"contacts": told["contacts"], "moves": told["moves"]}
    else:
        told = put(db, applying.by, segments=rules, managed_by=FILE).as_json()
        detail = {"contacts": told["contacts"], "entered": told["entered"], "left": told["left"]}
    before = {"rules": [_entry(one) for one in known]} if known else None
    noted(applying, what, what, before, {"rules": [_entry(one) for one in rules]}, **detail)


def _check(db: Connection, applying: Applying, what: What, entries: Sequence[RuleEntry], rules: Sequence[Rule]) -> None:
    wrong = wrong_rules(db, rules, what) if rules else []
    if not wrong:
        return
    first = wrong[0]
    key = first.where.partition(".")[0]
    entry = next((one for one in entries if one.key == key), None)
    place = applying.sections.of(entry) if entry is not None else (what,)
    told = "; ".join(f"{one.where}: {one.problem}" for one in wrong)
    raise applying.sections.document.wrong(place, told)


def export(db: Connection) -> dict[str, Any]:
    """The sections as plain values; what nobody wrote is left out."""
    rules = {what: [_entry(one) for one in rulebook.written(db, what)] for what in ("stages", "segments")}
    return rules | {what: rulebook.settings(db, what) for what in ("worth", "health", "alerts")}


def _entry(rule: Rule) -> dict[str, Any]:
    entry: dict[str, Any] = {"key": rule.key}
    if rule.name != named(rule.key):
        entry["name"] = rule.name
    return entry if rule.when is None else entry | {"when": rule.when}
