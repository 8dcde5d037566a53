"""The pages of actions: which there are and what each did, tried on the past, written, switched on and off."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from sqlalchemy import Connection
from starlette.responses import Response

from tidegate.errors import ActionInvalid, ManagedByFile, UsageError
from tidegate.errors.wrong import Wrong
from tidegate.lifecycle.actions import reading, stored
from tidegate.lifecycle.actions.report import STATES
from tidegate.lifecycle.actions.spec import GOALS, KINDS
from tidegate.web import csv_answers
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.typed_yaml import typed, written
from tidegate.workflows.lifecycle import lifecycle_actions

FIRED = 25
"""Occurrences of a page."""
LISTED = (
    "key",
    "name",
    "enabled",
    "since",
    "spec",
    "fired",
    "held_out",
    "failed",
    "last_fired_at",
    "problem",
    "managed_by",
)
EXPORTED = ("id", "at", "decided_at", "contact", "name", "state", "why", "reasons", "goal", "goal_by", "reached_at")


def every(visit: Visit) -> Response:
    """All actions, and those that are offered."""
    return _every(visit)


def one(visit: Visit) -> Response:
    """What an action does, what came of it, and on request what it would have done in the past."""
    return _one(visit)


def switching(*, enabled: bool) -> Callable[[Visit], Response]:
    """What switches an action on or off."""

    def switch(visit: Visit) -> Response:
        key = _key(visit)
        try:
            with visit.hub.engine.begin() as db:
                lifecycle_actions.switch(db, key, visit.actor, enabled=enabled)
        except (ActionInvalid, ManagedByFile) as error:
            return _one(visit, 422, refused=str(error))
        return visit.go(f"/actions/{key}")

    return switch


def remove(visit: Visit) -> Response:
    """Removes an action; what it did stays known."""
    with visit.hub.engine.begin() as db:
        lifecycle_actions.remove(db, _key(visit), visit.actor)
    return visit.go("/actions")


def new(visit: Visit) -> Response:
    """The form of a new action, empty or as one that is offered."""
    wanted = visit.request.query_params.get("from", "")
    with visit.hub.engine.connect() as db:
        offered = [one for one in lifecycle_actions.suggested(db) if one["key"] == wanted]
    key = str(offered[0]["key"]) if offered else ""
    return _form(visit, key=key, spec=_spec(offered[0]) if offered else "", enabled=False)


def edit(visit: Visit) -> Response:
    """The form of an action that there is."""
    with visit.hub.engine.connect() as db:
        found = lifecycle_actions.shown(db, _key(visit))
    return _form(visit, was=found["key"], key=found["key"], spec=_spec(found["spec"]), enabled=found["enabled"])


def write(visit: Visit) -> Response:
    """Writes an action, or tries on the past what was typed."""
    form = visit.form
    was, key, enabled = form.get("was", ""), form.get("key", ""), "enabled" in form
    facts: dict[str, Any] = {"was": was, "key": key, "spec": form.get("spec", ""), "enabled": enabled}
    told, unread = typed(facts["spec"])
    if unread or not isinstance(told, Mapping):
        problem = unread or f"An action says {', '.join(reading.NAMES[1:-1])}."
        return _form(visit, 422, wrong=[Wrong("", problem)], **facts)
    said = {**cast("Mapping[str, Any]", told), "key": key, "enabled": enabled}
    with visit.hub.engine.begin() as db:
        action, wrong = lifecycle_actions.read(db, said)
        if not was and action is not None and stored.find(db, key) is not None:
            wrong = [Wrong("key", f"there is an action {key} already")]
        if action is None or wrong:
            return _form(visit, 422, wrong=wrong, **facts)
        if form.get("do") == "try":
            try:
                dry = lifecycle_actions.preview(db, action, "", form.get("period") or None)
            except UsageError as error:
                return _form(visit, 422, wrong_period=str(error), **facts)
            return _form(visit, dry=dry, **facts)
        try:
            lifecycle_actions.put(db, said, visit.actor)
        except ManagedByFile as error:
            return _form(visit, 409, wrong=[Wrong("", str(error))], **facts)
    return visit.go(f"/actions/{key}")


def exported(visit: Visit) -> list[dict[str, Any]]:
    """The actions for a file."""
    with visit.hub.engine.connect() as db:
        return lifecycle_actions.listing(db)


def fired_exported(visit: Visit) -> Response:
    """All that an action decided, or what the page was narrowed down to, as CSV."""
    key, narrowed = _key(visit), _narrowed(visit)
    with visit.hub.engine.connect() as db:
        rows = _decided(db, key, narrowed, passed=not narrowed, limit=None)
    return csv_answers.answer(f"action-{key}", EXPORTED, iter(rows))


PAGES = (
    Page("/actions", every),
    Page("/actions.csv", csv_answers.of("actions", LISTED, exported)),
    Page("/actions/~new", new, "admin"),
    Page("/actions", write, "admin", "POST"),
    Page("/actions/{key:str}", one),
    Page("/actions/{key:str}/fired.csv", fired_exported),
    Page("/actions/{key:str}/edit", edit, "admin"),
    Page("/actions/{key:str}/enable", switching(enabled=True), "operate", "POST"),
    Page("/actions/{key:str}/disable", switching(enabled=False), "operate", "POST"),
    Page("/actions/{key:str}/remove", remove, "admin", "POST"),
)


def _key(visit: Visit) -> str:
    return str(visit.request.path_params["key"])


def _narrowed(visit: Visit) -> dict[str, str]:
    """To what came to a state, or to what a number of the report counts, as the address asks."""
    asked = visit.request.query_params
    names = ("group", "counted") if asked.get("counted") else ("state",)
    return {name: asked.get(name, "") for name in names if asked.get(name)}


def _decided(
    db: Connection, key: str, narrowed: Mapping[str, str], *, passed: bool, before: int | None = None, limit: int | None
) -> list[dict[str, Any]]:
    """What an action decided, newest first. `passed`: also what was passed over."""
    if "counted" in narrowed:
        group = narrowed.get("group", "")
        return lifecycle_actions.counted(db, key, group, narrowed["counted"], before=before, limit=limit)
    state = narrowed.get("state", "")
    passed = passed or state == "passed"
    return lifecycle_actions.fired(db, key, passed=passed, state=state, before=before, limit=limit)


def _spec(told: Mapping[str, Any]) -> str:
    """An action as it is typed: all but its key and whether it is on, which have fields of their own."""
    return written({name: told[name] for name in reading.NAMES if name in told and name not in ("key", "enabled")})


def _every(visit: Visit) -> Response:
    with visit.hub.engine.connect() as db:
        found = lifecycle_actions.listing(db)
        keys = {one["key"] for one in found}
        offered = [one for one in lifecycle_actions.suggested(db) if one["key"] not in keys]
    return visit.render("lifecycle/actions.html", actions=found, offered=offered)


def _one(visit: Visit, status: int = 200, refused: str = "") -> Response:
    asked, key = visit.request.query_params, _key(visit)
    before = asked.get("before", "")
    dry, wrong_period = None, ""
    with visit.hub.engine.connect() as db:
        found = lifecycle_actions.shown(db, key)
        if "period" in asked:
            try:
                dry = lifecycle_actions.preview_of(db, key, asked["period"] or None)
            except UsageError as error:
                status, wrong_period = 422, str(error)
        last = int(before) if before.isdecimal() and len(before) < 19 else None
        narrowed = _narrowed(visit)
        rows = _decided(db, key, narrowed, passed=False, before=last, limit=FIRED + 1)
        facts: dict[str, Any] = {"action": found, "report": lifecycle_actions.reported(db, key)}
    facts |= {"fired": rows[:FIRED], "older": rows[FIRED - 1]["id"] if len(rows) > FIRED else None}
    facts |= {"spec": _spec(found["spec"]), "dry": dry, "wrong_period": wrong_period, "period": asked.get("period", "")}
    facts |= {"state": narrowed.get("state", ""), "states": STATES, "narrowed": narrowed}
    return visit.render("lifecycle/action.html", status, refused=refused, **facts)


def _form(visit: Visit, status: int = 200, **told: Any) -> Response:
    facts: dict[str, Any] = {"was": "", "wrong": [], "dry": None, "wrong_period": "", **told}
    facts["period"] = visit.form.get("period", "")
    with visit.hub.engine.connect() as db:
        known = stored.known(db)
        managed = lifecycle_actions.shown(db, facts["was"])["managed_by"] if facts["was"] else ""
    beside = Texts({one.where.split(".")[0]: one.problem for one in facts["wrong"] if one.where == "key"})
    facts |= {"beside": beside, "known": known, "kinds": KINDS, "goals": GOALS, "managed": managed}
    return visit.render("lifecycle/action_form.html", status, **facts)
