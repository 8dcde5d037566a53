"""The pages of segments: who is in each, and one of them written, with who would be in it as one types."""

from typing import Any

from starlette.responses import Response

from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.conditions.parse import parse
from tidegate.errors import PreviewStale
from tidegate.errors.wrong import Wrong
from tidegate.lifecycle import rulebook
from tidegate.lifecycle.holding import holding
from tidegate.lifecycle.named import there
from tidegate.lifecycle.places import missing_places
from tidegate.lifecycle.rules import Rule, named
from tidegate.web import csv_answers
from tidegate.web.choosing import livemode, livemode_if_any, modes
from tidegate.web.lifecycle.rules_form import Row, beside, catalogue, conditions, effect
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.typed_yaml import typed, written
from tidegate.web.wording import amounts_said
from tidegate.workflows.lifecycle import lifecycle_rules
from tidegate.workflows.lifecycle.lifecycle import now
from tidegate.workflows.report_readers import counted

EXPORTED = ("key", "name", "contacts", "mrr", "condition")


def every(visit: Visit) -> Response:
    """The segments, with their contacts and MRR."""
    with visit.hub.engine.connect() as db:
        managed = rulebook.managed_by(db, "segments")
    return visit.render("lifecycle/segments.html", segments=_every(visit), managed=managed, modes=modes(visit))


def _every(visit: Visit) -> list[dict[str, Any]]:
    told = visit.report("stages", {"livemode": livemode_if_any(visit)})["segments"]
    with visit.hub.engine.connect() as db:
        found = counted(rulebook.load(db).segments, told)
    return [one | {"condition": written(one["when"])} for one in found]


def one(visit: Visit) -> Response:
    """The form of a segment, or of a new one."""
    key = visit.request.query_params.get("key", "")
    with visit.hub.engine.connect() as db:
        found = [rule for rule in rulebook.load(db).segments if rule.key == key]
    if key and not found:
        return visit.problem(404, f"There is no segment {key}.")
    return _page(visit, Row.of(found[0]) if found else Row(""), was=key)


def who(visit: Visit) -> Response:
    """Who would be in it, as one types: a part of the page."""
    when, wrong = typed(visit.form.get("when", ""))
    found: dict[str, Any] | None = None
    if not wrong and when is not None:
        node, faults = parse(when, CONTACT_FIELDS, named())
        if not faults:
            with visit.hub.engine.connect() as db:
                faults = [Wrong("when", one) for one in missing_places(node, there(db))]
        wrong = "; ".join(f"{fault.where.removeprefix('when').removeprefix('.')} {fault.problem}" for fault in faults)
        if not faults:
            with visit.hub.engine.connect() as db:
                found = holding(db, node, now(db), livemode=livemode_if_any(visit))
    return visit.render("lifecycle/who.html", found=found, wrong=wrong.strip())


def edited(visit: Visit) -> Response:
    """Who would come and go; with the token of that, the segment holds, or is gone."""
    was, form = visit.form.get("was", ""), visit.form
    row = Row(form.get("key", ""), form.get("name", ""), form.get("when", ""))
    remove = form.get("do") == "remove"
    said, unread = row.said()
    with visit.hub.engine.connect() as db:
        there = list(rulebook.load(db).segments)
    if unread and not remove:
        return _page(visit, row, 422, was=was, wrong=Texts({"when.0": unread}))
    with visit.hub.engine.connect() as db:
        read, wrong = lifecycle_rules.read_rules([] if remove else [said], "segments", db)
    if not remove and was != row.key and any(rule.key == row.key for rule in there):
        return _page(visit, row, 422, was=was, wrong=Texts({"key.0": f"There is a segment {row.key} already."}))
    if wrong:
        return _page(visit, row, 422, was=was, wrong=beside(wrong, [row], "segments"))
    return _changed(visit, row, was, _with(there, was, read), remove=remove)


PAGES = (
    Page("/segments", every),
    Page("/segments.csv", csv_answers.of("segments", EXPORTED, lambda visit: map(amounts_said, _every(visit)))),
    Page("/segments/edit", one),
    Page("/segments/who", who, "read", "POST"),
    Page("/segments/edit", edited, "admin", "POST"),
)


def _with(there: list[Rule], was: str, read: list[Rule]) -> list[Rule]:
    """The segments with one in the place of the one that it was, else at the end."""
    if not any(rule.key == was for rule in there):
        return [*there, *read]
    return [one for rule in there for one in (read if rule.key == was else [rule])]


def _changed(visit: Visit, row: Row, was: str, segments: list[Rule], *, remove: bool) -> Response:
    token, stale = visit.form.get("token") or None, ""
    engine = visit.hub.engine
    try:
        found = lifecycle_rules.change(engine, visit.actor, segments=segments, token=token, only_preview=token is None)
        if token is not None:
            return visit.go("/segments")
    except PreviewStale as error:
        stale = str(error)
        found = lifecycle_rules.change(engine, visit.actor, segments=segments, only_preview=True)
    with engine.connect() as db:
        moved = effect(db, found, livemode=livemode(visit))
    return _page(visit, row, 409 if stale else 200, was=was, effect=moved, stale=stale, remove=remove)


def _page(visit: Visit, row: Row, status: int = 200, **told: Any) -> Response:
    with visit.hub.engine.connect() as db:
        managed = rulebook.managed_by(db, "segments")
    mine = visit.who is not None and visit.who.may("admin") and not managed
    facts: dict[str, Any] = {"wrong": Texts(), "effect": None, "stale": "", "remove": False, "was": "", **told}
    facts |= {"catalogue": catalogue(), "conditions": conditions()}
    return visit.render("lifecycle/segment.html", status, row=row, managed=managed, mine=mine, **facts)
