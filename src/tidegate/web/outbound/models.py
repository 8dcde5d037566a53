"""The pages of models: listed, written in an editor, previewed with types, keys looked at, removed."""

from typing import Any

from starlette.responses import Response

from tidegate.errors import (
    ManagedByFile,
    ModelInvalid,
    OutboundInUse,
    SourceUnreachable,
    SyncInvalid,
    SyncUnknown,
    TidegateError,
)
from tidegate.outbound import specs, syncs
from tidegate.outbound.specs import Model
from tidegate.outbound.syncs import FILE
from tidegate.web import csv_answers
from tidegate.web.pages import Page, Texts, Visit
from tidegate.workflows.outbound import outbound_changes, sources

EXPORTED = ("key", "source", "sql", "table_name", "primary_key", "syncs", "managed_by", "made_at")
ROWS = 20
"""Rows of a preview."""


def listing(visit: Visit) -> Response:
    """All of them, with what reads them."""
    with visit.hub.engine.connect() as db:
        any_source = bool(syncs.every(db, "sources"))
    source = visit.request.query_params.get("source", "")
    return visit.render("outbound/models.html", models=_every(visit), any_source=any_source, source=source)


def _every(visit: Visit) -> list[dict[str, Any]]:
    """The models, or those of the source that the address names, each with the syncs that read it."""
    source = visit.request.query_params.get("source", "")
    used: dict[str, list[str]] = {}
    with visit.hub.engine.connect() as db:
        for sync in syncs.every(db, "syncs"):
            used.setdefault(sync["model"], []).append(sync["key"])
        found = [one for one in syncs.every(db, "models") if source in {"", one["source"]}]
    return [{**one, "syncs": used.get(one["key"], [])} for one in found]


def blank(visit: Visit) -> Response:
    """The editor, empty."""
    return _editor(visit, "", Texts(source=visit.request.query_params.get("source", "")))


def one(visit: Visit) -> Response:
    """The editor, or for who may not edit, what a model says."""
    key = visit.request.path_params["key"]
    return _editor(visit, key, _said(visit, key))


def save(visit: Visit) -> Response:
    """Defines a model; `do` says whether it is only previewed, or all of its keys are looked at."""
    key, do = visit.request.path_params.get("key", ""), visit.form.get("do", "")
    typed = Texts({name: visit.form.get(name, "") for name in ("key", "source", "sql", "table", "primary_key")})
    if key:
        typed["key"] = key
    try:
        model = _read(typed)
        if do in {"preview", "keys"}:
            return _editor(visit, key, typed, preview=_preview(visit, model, keys=do == "keys"))
        with visit.hub.engine.begin() as db:
            outbound_changes.define_model(db, model, visit.actor)
    except TidegateError as error:
        if not (wrong := _wrong(error)):
            raise
        return _editor(visit, key, typed, 422, wrong=wrong)
    return visit.go(f"/models/{model.key}")


def preview(visit: Visit) -> Response:
    """The first rows of a model as it is stored, and with `do=keys` what is wrong with its keys."""
    key = visit.request.path_params["key"]
    said = _said(visit, key)
    with visit.hub.engine.connect() as db:
        model = syncs.model(db, key)
    try:
        found = _preview(visit, model, keys=visit.form.get("do") == "keys")
    except (ModelInvalid, SourceUnreachable) as error:
        return _editor(visit, key, said, 422, wrong=_wrong(error))
    return _editor(visit, key, said, preview=found)


def remove(visit: Visit) -> Response:
    """Removes a model that no sync names."""
    key = visit.request.path_params["key"]
    try:
        with visit.hub.engine.begin() as db:
            outbound_changes.remove(db, "models", key, visit.actor)
    except (OutboundInUse, ManagedByFile) as error:
        return _editor(visit, key, _said(visit, key), 422, wrong=Texts(key=str(error)))
    return visit.go("/models")


PAGES = (
    Page("/models", listing),
    Page("/models.csv", csv_answers.of("models", EXPORTED, _every)),
    Page("/models/-/new", blank, "admin"),
    Page("/models/-/new", save, "admin", "POST"),
    Page("/models/{key:str}", one),
    Page("/models/{key:str}", save, "admin", "POST"),
    Page("/models/{key:str}/preview", preview, "operate", "POST"),
    Page("/models/{key:str}/remove", remove, "admin", "POST"),
)


def _said(visit: Visit, key: str) -> Texts:
    with visit.hub.engine.connect() as db:
        model = syncs.model(db, key)
    keys = ", ".join(model.primary_key)
    return Texts(key=key, source=model.source, sql=model.sql, table=model.table, primary_key=keys)


def _read(typed: Texts) -> Model:
    if unfit := specs.unfit_key(typed["key"]):
        raise SyncInvalid(what="model", key=typed["key"], problem=unfit)
    keys = [one.strip() for one in typed["primary_key"].split(",") if one.strip()]
    return specs.model({name: typed[name] for name in ("key", "source", "sql", "table")} | {"primary_key": keys})


def _preview(visit: Visit, model: Model, *, keys: bool) -> dict[str, Any]:
    return sources.preview(visit.hub.engine, model, visit.hub.source_url, ROWS, keys=keys)


def _wrong(error: TidegateError) -> Texts:
    """Beside its field: what the database says, beside the query."""
    problem = str(error.facts.get("problem", error))
    match error:
        case ModelInvalid():
            about_key = "primary key" in problem or "primary_key" in problem
            return Texts({"primary_key" if about_key else "sql": problem})
        case SourceUnreachable():
            return Texts(source=str(error))
        case SyncUnknown():
            return Texts(source=str(error))
        case ManagedByFile():
            return Texts(key=str(error))
        case SyncInvalid():
            about = "key" if problem.startswith("its key") else "primary_key" if "primary_key" in problem else "sql"
            return Texts({about: problem[:1].upper() + problem[1:]})
        case _:
            return Texts()


def _editor(visit: Visit, key: str, typed: Texts, status: int = 200, **told: object) -> Response:
    with visit.hub.engine.connect() as db:
        found = [one["key"] for one in syncs.every(db, "sources")]
        managed = any(one["managed_by"] == FILE for one in syncs.every(db, "models") if one["key"] == key)
        used = [one["key"] for one in syncs.every(db, "syncs") if one["model"] == key]
    facts: dict[str, object] = {"sources": found, "managed": managed, "used": used, "key": key, "typed": typed}
    return visit.render("outbound/model.html", status, **facts, **{"preview": None, "wrong": Texts(), **told})
