"""The page of what health goes by: components, weights and curves, with how all would be spread as one types."""

from typing import Any

from starlette.responses import Response

from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.lifecycle import health, rulebook
from tidegate.lifecycle.health import BANDS, COMPONENTS, Component, Thresholds
from tidegate.lifecycle.settings import read_health
from tidegate.web.choosing import livemode_if_any
from tidegate.web.lifecycle.settings_form import changed, number
from tidegate.web.pages import Page, Texts, Visit
from tidegate.workflows.lifecycle import lifecycle_settings
from tidegate.workflows.lifecycle.lifecycle import now

MOST = 40
"""Components of a form."""
LIMITS = {"unhealthy_below": "unhealthy", "healthy_from": "well", "coverage": "coverage"}
"""Thresholds as they are set, and as they are kept."""


def shown(visit: Visit) -> Response:
    """The settings as they hold."""
    with visit.hub.engine.connect() as db:
        held = lifecycle_settings.shown(db)["health"]
    return _page(visit, _typed_of(held))


def spread(visit: Visit) -> Response:
    """How many would be in each band, beside how many are, as one types: a part of the page."""
    with visit.hub.engine.connect() as db:
        typed = visit.form if "coverage" in visit.form else _typed_of(lifecycle_settings.shown(db)["health"])
    read, wrong = read_health(_said(typed))
    facts: dict[str, Any] = {"wrong": [f"{fault.where}: {fault.problem}" for fault in wrong], "bands": []}
    if not wrong:
        mode = livemode_if_any(visit)
        with visit.hub.engine.connect() as db:
            at, held = now(db), rulebook.health(db)
            before = health.distribution(db, held.components, at, livemode=mode, thresholds=held.thresholds)
            after = health.distribution(db, read.components, at, livemode=mode, thresholds=read.thresholds)
        whole = max(1, sum(before[band] for band in BANDS))
        facts["bands"] = [
            {"band": band, "before": before[band], "after": after[band], "whole": whole}
            for band in (*BANDS, "unhealthy")
        ]
    return visit.render("lifecycle/spread.html", **facts)


def edited(visit: Visit) -> Response:
    """What other settings would do; with the token of that, they hold."""
    typed, said = Texts(visit.form), _said(visit.form)
    _, wrong = read_health(said)
    if wrong:
        return _page(visit, typed, 422, wrong=_beside(said, visit.form, [(one.where, one.problem) for one in wrong]))

    def page(**told: Any) -> Response:
        return _page(visit, typed, **told)

    return changed(visit, page, "/health", said_health=said)


PAGES = (
    Page("/health", shown),
    Page("/health/spread", spread, "read", "POST"),
    Page("/health", edited, "admin", "POST"),
)


def _typed_of(held: dict[str, Any]) -> Texts:
    """The form as the settings fill it; default components that were left out have weight 0."""
    rows = {one["key"]: one for one in held["components"]}
    for one in COMPONENTS:
        rows.setdefault(one.key, _as_said(one) | {"weight": 0})
    typed = {name: f"{held[name]:g}" for name in LIMITS}
    for place, one in enumerate(rows.values()):
        curve = ", ".join(f"{at:g}: {score:g}" for at, score in one["curve"])
        typed |= {f"key.{place}": one["key"], f"field.{place}": one["field"]}
        typed |= {f"curve.{place}": curve, f"weight.{place}": f"{one['weight']:g}"}
    return Texts(typed | {f"{name}.{len(rows)}": "" for name in ("key", "field", "curve", "weight")})


def _as_said(one: Component) -> dict[str, Any]:
    curve = [[float(at), float(score)] for at, score in one.curve]
    return {"key": one.key, "field": one.field, "curve": curve, "weight": float(one.weight)}


def _said(form: Any) -> dict[str, Any]:
    """What was typed and is not so by itself, as tidegate.yaml would say it."""
    usual = {one.key: _as_said(one) for one in COMPONENTS}
    components: list[dict[str, Any]] = []
    for place in _places(form):
        one = _component(form, place)
        if one != usual.get(one["key"]):
            components.append(one)
    defaults = Thresholds()
    limits = {name: number(form.get(name, "")) for name in LIMITS}
    told: dict[str, Any] = {
        name: value for name, value in limits.items() if value != float(getattr(defaults, LIMITS[name]))
    }
    return told | ({"components": components} if components else {})


def _places(form: Any) -> list[int]:
    return [place for place in range(MOST) if form.get(f"key.{place}") or form.get(f"field.{place}")]


def _component(form: Any, place: int) -> dict[str, Any]:
    points = [point.split(":") for point in form.get(f"curve.{place}", "").split(",") if point.strip()]
    curve = [[number(part.strip()) for part in point] for point in points]
    weight = number(form.get(f"weight.{place}", ""))
    return {
        "key": form.get(f"key.{place}", ""),
        "field": form.get(f"field.{place}", ""),
        "curve": curve,
        "weight": weight,
    }


def _beside(said: dict[str, Any], form: Any, wrong: list[tuple[str, str]]) -> Texts:
    """Faults by the field that they stand beside."""
    usual = {one.key: _as_said(one) for one in COMPONENTS}
    places = [place for place in _places(form) if (one := _component(form, place)) != usual.get(one["key"])]
    found: dict[str, str] = {}
    for where, problem in wrong:
        parts = where.split(".")[1:]
        if parts[0] != "components" or len(parts) == 1:
            found[parts[0] if parts[0] in LIMITS else "whole"] = problem
            continue
        name = parts[2] if len(parts) > 2 else "key"
        found[f"{name}.{places[int(parts[1])]}"] = problem
    return Texts(found)


def _page(visit: Visit, typed: Texts, status: int = 200, **told: Any) -> Response:
    with visit.hub.engine.connect() as db:
        managed = rulebook.managed_by(db, "health")
    mine = visit.who is not None and visit.who.may("admin") and not managed
    facts: dict[str, Any] = {"wrong": Texts(), "effect": None, "stale": "", **told}
    rows = [place for place in range(MOST) if f"key.{place}" in typed]
    numbers = [one.name for one in CONTACT_FIELDS.known.values() if one.kind == "number" and one.name != "health"]
    facts |= {"rows": rows, "numbers": numbers, "usual": {one.key for one in COMPONENTS}}
    return visit.render("lifecycle/health.html", status, typed=typed, managed=managed, mine=mine, **facts)
