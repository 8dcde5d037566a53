"""Reads an action as a person wrote it; everything that is wrong is told, each with its place and the nearest name."""

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, cast

from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.conditions.parse import parse
from tidegate.errors.wrong import Wrong
from tidegate.lifecycle.actions import wording
from tidegate.lifecycle.actions.spec import (
    BARE,
    GOALS,
    KINDS,
    MOST_DAYS,
    MOST_MONTHS,
    Action,
    Goal,
    Known,
    Step,
    Trigger,
)
from tidegate.lifecycle.places import missing, missing_places
from tidegate.lifecycle.rules import NEVER, named

NAMES = ("key", "name", "on", "when", "cooldown_days", "do", "goal", "hold_out", "enabled")
_STEP = ("destination", "template", "title", "event")
_GOAL = ("reach", "within_days", "property", "value")
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
TAKEN = "suggested"
"""`GET /api/actions/suggested` is no action."""
MOST_STEPS = 10
MOST_HELD_OUT = 0.5
NO_EVENTS = ("hubspot", "http")
"""Kinds of destinations that take properties of contacts, no events."""


def read(said: Any, known: Known) -> tuple[Action | None, list[Wrong]]:
    """The action, or None and all that is wrong with it."""
    if not isinstance(said, Mapping):
        return None, [Wrong("action", f"an action says {', '.join(NAMES)}")]
    told = cast("Mapping[str, Any]", said)
    reader = _Reader(known)
    reader.names(told, NAMES, "")
    key, name = told.get("key"), told.get("name") or ""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        reader.refuse("key", "it is up to 64 letters, digits, _ and -")
    if key == TAKEN:
        reader.refuse("key", f"{TAKEN} is what is offered; call it otherwise")
    if not isinstance(name, str):
        reader.refuse("name", "it is a text")
    on, when = reader.trigger(told.get("on")), reader.condition(told.get("when"))
    do, goal = reader.steps(told.get("do"), on), reader.goal(told.get("goal"))
    cooldown = reader.number(told, "cooldown_days", MOST_DAYS, "a number of days")
    hold_out = reader.number(told, "hold_out", MOST_HELD_OUT, "a share, such as 0.1")
    if hold_out and goal is None:
        reader.refuse("hold_out", "without a goal nothing is learnt from it; say goal: {reach: …, within_days: …}")
    enabled = told.get("enabled", True)
    if not isinstance(enabled, bool):
        reader.refuse("enabled", "it is true or false")
    if reader.wrong:
        return None, reader.wrong
    plain = str(key).replace("_", " ").replace("-", " ").capitalize()
    return Action(str(key), name or plain, on, do, when, cooldown, goal, hold_out, enabled), []


def idle_of(action: Action, known: Known) -> list[Wrong]:
    """What a sound action names that can never be: alert rules that are switched off, and in its condition stages,
    segments and packages that there are not.
    """
    kind = action.on.kind
    off = known.off if KINDS[kind].takes == "alerts" else ()
    found = [
        Wrong(f"on.{kind}", f"the alert rule {rule} is switched off, so it opens nothing")
        for rule in action.on.keys
        if rule in off
    ]
    node, _ = parse(action.when, CONTACT_FIELDS, named()) if action.when is not None else (NEVER, ())
    return found + [Wrong("when", one) for one in missing_places(node, known.places)]


class _Reader:
    def __init__(self, known: Known) -> None:
        self._known = known
        self.wrong: list[Wrong] = []

    def refuse(self, where: str, problem: str) -> None:
        self.wrong.append(Wrong(where, problem))

    def names(self, told: Mapping[str, Any], known: Sequence[str], where: str) -> None:
        for name in told:
            if name not in known:
                self.refuse(f"{where}{name}", missing("key", str(name), known))

    def number(self, told: Mapping[str, Any], name: str, most: float, is_a: str) -> float:
        value = told.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            self.refuse(name, f"it is {is_a}, from 0 to {most:g}")
            return 0
        return value

    def trigger(self, said: Any) -> Trigger:
        nothing = Trigger("payment_failed")
        if isinstance(said, str) and said in BARE:
            return Trigger(said)
        if isinstance(said, str):
            self.refuse("on", missing("trigger", said, KINDS) if said not in KINDS else f"say on: {{{said}: …}}")
            return nothing
        if not isinstance(said, Mapping) or len(cast("Mapping[str, Any]", said)) != 1:
            self.refuse("on", f"it is one trigger with what stands behind it: {', '.join(KINDS)}")
            return nothing
        [(kind, rest)] = cast("Mapping[str, Any]", said).items()
        if kind not in KINDS:
            self.refuse(f"on.{kind}", missing("trigger", str(kind), KINDS))
            return nothing
        takes = KINDS[kind].takes
        if takes == "days":
            return self._ahead(kind, rest)
        if takes == "nothing":
            self.refuse(f"on.{kind}", f"nothing stands behind it: say on: {kind}")
            return nothing
        return Trigger(kind, self._keys(f"on.{kind}", rest, takes))

    def _ahead(self, kind: str, rest: Any) -> Trigger:
        """A trigger of so many days; of renewals also {days, interval_months}."""
        where, days, months = f"on.{kind}", rest, 0
        if kind == "renewal_in_days" and isinstance(rest, Mapping):
            told = _mapping(rest)
            self.names(told, ("days", "interval_months"), f"{where}.")
            where, days, months = f"{where}.days", told.get("days"), told.get("interval_months", 0)
            if isinstance(months, bool) or not isinstance(months, int | float) or not 0 <= months <= MOST_MONTHS:
                self.refuse(f"on.{kind}.interval_months", f"it is a number of months, from 0 to {MOST_MONTHS}")
                months = 0
        if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MOST_DAYS:
            self.refuse(where, f"it is a whole number of days, from 1 to {MOST_DAYS}")
            days = 1
        return Trigger(kind, (), days, months)

    def _keys(self, where: str, said: Any, what: str) -> tuple[str, ...]:
        several: list[Any] = cast("list[Any]", said) if isinstance(said, list) else [said]
        there = cast("Sequence[str]", getattr(self._known, what))
        for one in several:
            if one not in there:
                self.refuse(where, missing(_ONE_OF[what], str(one), there))
        if not several:
            self.refuse(where, f"it names at least one {_ONE_OF[what]}")
        return tuple(str(one) for one in several)

    def condition(self, said: Any) -> Mapping[str, Any] | None:
        if said is None:
            return None
        _, wrong = parse(said, CONTACT_FIELDS, named())
        self.wrong += wrong
        return cast("Mapping[str, Any]", said)

    def steps(self, said: Any, on: Trigger) -> tuple[Step, ...]:
        listed = cast("list[Any]", said) if isinstance(said, list) else []
        if not 0 < len(listed) <= MOST_STEPS:
            self.refuse("do", f"it is a list of 1 to {MOST_STEPS}: [{{destination: KEY, template: …}}]")
        return tuple(self._step(one, f"do.{place}", on) for place, one in enumerate(listed))

    def _step(self, said: Any, where: str, on: Trigger) -> Step:
        told = _mapping(said)
        self.names(told, _STEP, f"{where}.")
        destination = str(told.get("destination") or "")
        there = self._known.destinations
        if destination not in there:
            self.refuse(f"{where}.destination", missing("destination", destination, there))
        elif there[destination] in NO_EVENTS:
            self.refuse(
                f"{where}.destination", f"{destination} takes properties of contacts, no events ({there[destination]})"
            )
        texts = {name: told.get(name, "") for name in _STEP[1:]}
        for name, text in texts.items():
            if not isinstance(text, str):
                self.refuse(f"{where}.{name}", "it is a text")
            elif text and name != "event":
                self.wrong += [Wrong(f"{where}.{name}", one) for one in wording.wrong(name, text, on)]
        if not texts["template"] and not texts["event"]:
            self.refuse(where, "it says what is sent: a template (Liquid), or an event (its name there)")
        return Step(destination, **{name: str(text) for name, text in texts.items()})

    def goal(self, said: Any) -> Goal | None:
        if said is None:
            return None
        told = _mapping(said)
        self.names(told, _GOAL, "goal.")
        reach, days, path = told.get("reach"), told.get("within_days"), told.get("property", "")
        if reach not in GOALS:
            self.refuse("goal.reach", missing("goal", str(reach or ""), GOALS))
        if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MOST_DAYS:
            self.refuse("goal.within_days", f"it is a whole number of days, from 1 to {MOST_DAYS}")
            days = 1
        if (reach == "property_set") != (isinstance(path, str) and path != ""):
            self.refuse("goal.property", "property_set, and nothing else, names the property: onboarding.done")
        value = told.get("value")
        if value is not None and not (isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))):
            self.refuse("goal.value", "it is a text, a number, true or false")
        return Goal(str(reach), days, str(path), value)


def _mapping(said: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", said) if isinstance(said, Mapping) else {}


_ONE_OF = {
    "stages": "stage",
    "segments": "segment",
    "alerts": "alert rule",
    "movements": "kind of movement",
    "features": "feature",
    "events": "billing event",
}
