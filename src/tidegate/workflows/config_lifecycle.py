"""Stages and segments of tidegate.yaml: made those that hold, with who moves by it, and written out."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection

from tidegate.lifecycle import rulebook
from tidegate.lifecycle.rules import Rule, wrong_segments, wrong_stages
from tidegate.workflows.config_sections import RuleEntry
from tidegate.workflows.config_steps import FILE, Applying, noted
from tidegate.workflows.lifecycle_rules import named, put

What = Literal["stages", "segments"]


def define(db: Connection, applying: Applying) -> None:
    """Makes the file's stages and segments the ones that hold; an empty list brings the preset back."""
    _define(db, applying, "stages", applying.sections.stages)
    _define(db, applying, "segments", applying.sections.segments)


def _define(db: Connection, applying: Applying, what: What, entries: Sequence[RuleEntry] | None) -> None:
    if entries is None:
        return
    rules = [Rule(entry.key, entry.name or named(entry.key), entry.when) for entry in entries]
    _check(applying, what, entries, rules)
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


def _check(applying: Applying, what: What, entries: Sequence[RuleEntry], rules: Sequence[Rule]) -> None:
    wrong = (wrong_stages(rules) if rules else []) if what == "stages" else wrong_segments(rules)
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
    return {what: [_entry(one) for one in rulebook.written(db, what)] for what in ("stages", "segments")}


def _entry(rule: Rule) -> dict[str, Any]:
    entry: dict[str, Any] = {"key": rule.key}
    if rule.name != named(rule.key):
        entry["name"] = rule.name
    return entry if rule.when is None else entry | {"when": rule.when}
