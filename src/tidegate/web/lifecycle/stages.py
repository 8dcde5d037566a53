"""The page on which stages are edited: their order and conditions, and who moves by others before they hold."""

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from tidegate.errors import PreviewStale
from tidegate.errors.wrong import Wrong
from tidegate.lifecycle import rulebook
from tidegate.lifecycle.rules import PRESETS
from tidegate.web.choosing import livemode
from tidegate.web.lifecycle.rules_form import Row, beside, catalogue, conditions, effect
from tidegate.web.pages import Page, Texts, Visit
from tidegate.workflows.lifecycle import lifecycle_rules

SPARE = 2
"""Empty rows, for new stages."""
MOST = 100


def shown(visit: Visit) -> Response:
    """The stages as they hold, or as a preset has them."""
    preset = visit.request.query_params.get("preset", "")
    if preset:
        return _page(visit, [Row.of(rule) for rule in lifecycle_rules.preset(preset)], preset=preset)
    with visit.hub.engine.connect() as db:
        return _page(visit, [Row.of(rule) for rule in rulebook.load(db).stages])


def edited(visit: Visit) -> Response:
    """Who would move; with the token of that, they move."""
    rows = _typed(visit)
    told = [row.said() for row in rows]
    unread = {f"when.{place}": wrong for place, (_, wrong) in enumerate(told) if wrong}
    with visit.hub.engine.connect() as db:
        stages, wrong = lifecycle_rules.read_rules([one for one, _ in told], "stages", db)
    if unread or wrong:
        kept = [fault for fault in wrong if not _follows(fault, unread)]
        return _page(visit, rows, 422, wrong=Texts({**beside(kept, rows, "stages"), **unread}))
    token = visit.form.get("token") or None
    stale = ""
    try:
        found = lifecycle_rules.change(
            visit.hub.engine, visit.actor, stages=stages, token=token, only_preview=token is None
        )
        if token is not None:
            return visit.go("/stages")
    except PreviewStale as error:
        stale = str(error)
        found = lifecycle_rules.change(visit.hub.engine, visit.actor, stages=stages, only_preview=True)
    with visit.hub.engine.connect() as db:
        moved = effect(db, found, livemode=livemode(visit))
    return _page(visit, rows, 409 if stale else 200, effect=moved, stale=stale)


PAGES = (
    Page("/stages/edit", shown),
    Page("/stages/edit", edited, "admin", "POST"),
)


def _typed(visit: Visit) -> list[Row]:
    """The rows in the order of their places; an empty one is no stage."""
    placed: list[tuple[float, int, Row]] = []
    for number in range(MOST):
        values = [visit.form.get(f"{name}.{number}", "") for name in ("key", "name", "when")]
        if any(values):
            place = visit.form.get(f"place.{number}", "")
            placed.append((_place(place, number), number, Row(*values)))
    return [row for _, _, row in sorted(placed, key=lambda one: one[:2])]


def _place(said: str, number: int) -> float:
    try:
        return float(said)
    except ValueError:
        return number + 1


def _follows(fault: Wrong, unread: dict[str, str]) -> bool:
    """Whether a fault only follows from a condition that could not be read: it seems to be the default stage then."""
    return bool(unread) and fault.where == "stages"


def _page(visit: Visit, rows: Sequence[Row], status: int = 200, **told: Any) -> Response:
    with visit.hub.engine.connect() as db:
        managed = rulebook.managed_by(db, "stages")
    mine = visit.who is not None and visit.who.may("admin") and not managed
    spare = [Row("") for _ in range(SPARE)] if mine else []
    facts: dict[str, Any] = {"wrong": Texts(), "effect": None, "stale": "", "preset": "", **told}
    facts |= {"catalogue": catalogue(), "conditions": conditions(), "presets": tuple(PRESETS)}
    return visit.render(
        "lifecycle/stages.html", status, rows=[*rows, *spare], filled=len(rows), managed=managed, mine=mine, **facts
    )
