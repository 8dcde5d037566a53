"""The wizard of a sync: a step at a time, what was typed carried along, until a review of all of it."""

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from starlette.responses import Response

from tidegate.errors import ManagedByFile, SyncInvalid, SyncUnknown, TidegateError, UsageError
from tidegate.outbound import specs, syncs
from tidegate.outbound.field_map.parse import REFERENCES
from tidegate.outbound.resources import INSERT_ONLY, MATCHES, OPTIONS, OWN
from tidegate.outbound.syncs import FILE
from tidegate.web.outbound import sync_form
from tidegate.web.outbound.field_rows import HOWS, NULLS, Row, known_fields
from tidegate.web.outbound.sync_form import MOST_ROWS, OFFERED, STEPS
from tidegate.web.pages import Page, Texts, Visit
from tidegate.workflows.outbound import outbound_changes, sources

RESOURCES = (*MATCHES, *sorted(INSERT_ONLY))
EMPTY_ROWS = 3
WAYS = {
    "id": "Stripe's id",
    "email": "the e-mail address, whatever its case",
    "lookup_key": "the lookup key",
    "metadata": "your id, kept in metadata",
}
TITLES = {
    "model": "What goes where",
    "match": "Which row is which object",
    "fields": "What fills each field",
    "rules": "When rows leave, and when Stripe was edited",
    "schedule": "When it runs",
    "review": "Review",
}


def begin(visit: Visit) -> Response:
    """The first step of a new sync."""
    model = visit.request.query_params.get("model", "")
    return _step(visit, "", "model", Texts({**OFFERED, "model": model}))


def edit(visit: Visit) -> Response:
    """The wizard of a sync that is there, at a step of choice."""
    key = visit.request.path_params["key"]
    entry = _entry(visit, key)
    form = sync_form.typed(entry)
    if not sync_form.is_whole(form, entry):
        problem = (
            f"What fills the fields of {key} is more than a form holds; change it with tidegate.yaml, or over HTTP."
        )
        raise UsageError(problem=problem)
    step = visit.request.query_params.get("step", "model")
    return _step(visit, key, step if step in STEPS else "model", form)


def go_on(visit: Visit) -> Response:
    """Takes a step: on, back, to another; adds a row to the field map; saves at the end."""
    key, form = visit.request.path_params.get("key", ""), Texts(visit.form)
    if key:
        form["key"] = key
    steps, step, do = list(STEPS), form["step"], form["do"]
    if step not in STEPS:
        step = "model"
    if do == "add" and len(sync_form.rows_in(form)) > MOST_ROWS - EMPTY_ROWS:
        return _step(visit, key, "fields", form, Texts(fields=f"A form fills {MOST_ROWS} fields at most."), 422)
    if do == "add" or do.startswith("drop-"):
        return _step(visit, key, "fields", _changed_rows(form, do))
    wrong = sync_form.problems(form)
    here = Texts({name: words for name, words in wrong.items() if _shown_at(name) == step})
    if do == "save":
        if wrong:
            first = min((_shown_at(name) for name in wrong), key=steps.index)
            return _step(visit, key, first, form, wrong, 422)
        return _save(visit, key, form)
    if do == "next" and here:
        return _step(visit, key, step, form, wrong, 422)
    following = do if do in STEPS else steps[min(steps.index(step) + 1, len(steps) - 1)]
    return _step(visit, key, following, form)


PAGES = (
    Page("/syncs/-/new", begin, "admin"),
    Page("/syncs/-/new", go_on, "admin", "POST"),
    Page("/syncs/{key:str}/edit", edit, "admin"),
    Page("/syncs/{key:str}/edit", go_on, "admin", "POST"),
)


def as_yaml(entry: Mapping[str, Any]) -> str:
    """An entry as it stands in tidegate.yaml."""
    yaml: Any = YAML()
    yaml.width = 120
    out = io.StringIO()
    yaml.dump(dict(entry), out)
    return out.getvalue()


def _shown_at(field: str) -> str:
    return sync_form.step_of(field)


def _entry(visit: Visit, key: str) -> Any:
    with visit.hub.engine.connect() as db:
        syncs.sync(db, key)
        row = next(one for one in syncs.every(db, "syncs") if one["key"] == key)
    if row["managed_by"] == FILE:
        raise ManagedByFile(what=f"The sync {key}")
    return row["spec"]


def _changed_rows(form: Texts, do: str) -> Texts:
    rows = [row for n, row in enumerate(sync_form.rows_in(form)) if do != f"drop-{n}" and row.name]
    return sync_form.with_rows(form, [*rows, *([Row("")] * EMPTY_ROWS if do == "add" else [])])


def _save(visit: Visit, key: str, form: Texts) -> Response:
    try:
        sync = specs.sync(sync_form.said(form))
        with visit.hub.engine.begin() as db:
            if not key and any(one["key"] == sync.key for one in syncs.every(db, "syncs")):
                wrong = Texts(key=f"There is a sync {sync.key} already; it is changed on its own page.")
                return _step(visit, key, "model", form, wrong, 422)
            outbound_changes.define_sync(db, sync, visit.actor)
    except (SyncInvalid, SyncUnknown, ManagedByFile) as error:
        return _step(visit, key, "review", form, Texts(other=str(error)), 422)
    return visit.go(f"/syncs/{sync.key}")


def _step(visit: Visit, key: str, step: str, form: Texts, wrong: Texts | None = None, status: int = 200) -> Response:
    with visit.hub.engine.connect() as db:
        models = [one["key"] for one in syncs.every(db, "models")]
    resource, rows = form["resource"], sync_form.rows_in(form)
    entry = sync_form.said(form)
    if step == "fields" and not rows:
        rows = _first_rows(form)
    facts: dict[str, Any] = {
        "key": key, "step": step, "steps": TITLES, "typed": form, "models": models,
        "connections": [one.name for one in visit.hub.accounts()], "resources": RESOURCES, "rows": rows,
        "ways": [(way, _way(resource, way)) for way in sorted(MATCHES.get(resource, ()))],
        "own": resource in OWN,
        "insert_only": resource in INSERT_ONLY,
        "options": OPTIONS.get(resource, frozenset()), "hows": HOWS, "nulls": NULLS,
        "carried": _carried(form, step), "names_others": sorted(REFERENCES),
        "known": known_fields(resource) if step == "fields" else [],
    }  # fmt: skip
    columns, unread = _columns(visit, form["model"]) if step in {"match", "fields"} else ([], "")
    facts |= {"columns": columns, "unread": unread, "entry": as_yaml(entry)}
    problems = sync_form.problems(form) if step == "review" and wrong is None else wrong
    return visit.render("outbound/wizard.html", status, **facts, wrong=problems or Texts(), where=_shown_at)


def _way(resource: str, way: str) -> str:
    return "your id" if resource in OWN else WAYS.get(way, way)


def _first_rows(form: Texts) -> list[Row]:
    """Of a field map that is empty: a row for what rows are matched by, which is written as well, and some more."""
    by, way = form["by"], form["way"]
    name = f"metadata.{form['mark']}" if way == "metadata" else way
    return [*([Row(name, "column", by)] if by and way and way != "id" else []), *([Row("")] * EMPTY_ROWS)]


def _carried(form: Texts, step: str) -> dict[str, str]:
    """What was typed into the other steps."""
    here = {*STEPS[step], "step", "do"}
    kept = {name: value for name, value in form.items() if name not in here}
    if step == "fields":
        kept = {name: value for name, value in kept.items() if sync_form.step_of(name) != "fields"}
    return kept


def _columns(visit: Visit, key: str) -> tuple[list[dict[str, str]], str]:
    """The columns of a model with their types; or why they could not be read."""
    try:
        with visit.hub.engine.connect() as db:
            model = syncs.model(db, key)
        return sources.preview(visit.hub.engine, model, visit.hub.source_url, 1, keys=False)["columns"], ""
    except TidegateError as error:
        return [], str(error)
