"""The page of sources: listed, added, replaced, tried, removed."""

from typing import Any

from starlette.responses import Response

from tidegate.errors import ManagedByFile, OutboundInUse, SyncInvalid, SyncUnknown, TidegateError
from tidegate.outbound import syncs
from tidegate.outbound.sources.location import has_secret, without_secret
from tidegate.web import csv_answers
from tidegate.web.pages import Page, Texts, Visit
from tidegate.workflows.outbound import outbound_changes, sources

EXPORTED = ("key", "url", "env", "models", "managed_by", "made_at")
HIDDEN = "…"
"""What stands for a password where a URL is shown."""


def listing(visit: Visit) -> Response:
    """All of them, with a form for one: another, or the one that the address names."""
    return _page(visit)


def define(visit: Visit) -> Response:
    """Adds a source, or replaces the one of that key."""
    sent = {name: visit.form.get(name, "") for name in ("key", "url", "env")}
    wrong = Texts()
    if HIDDEN in sent["url"]:
        wrong = Texts(url="The password is not shown again: type the whole URL.")
    else:
        try:
            with visit.hub.engine.begin() as db:
                outbound_changes.define_source(db, **sent, vault=lambda: visit.hub.vault, by=visit.actor)
            return visit.go("/sources")
        except (SyncInvalid, ManagedByFile) as error:
            wrong = _wrong(sent["key"], error)
    typed = sent | {"url": without_secret(sent["url"]) if has_secret(sent["url"]) else sent["url"]}
    return _page(visit, 422, typed=Texts(typed), wrong=wrong)


def test(visit: Visit) -> Response:
    """Asks a source for a row, and says what came of it beside it."""
    key = visit.request.path_params["key"]
    try:
        with visit.hub.engine.connect() as db:
            found = sources.tried(visit.hub.engine, db, key, visit.hub.source_url)
    except SyncUnknown:
        raise
    except TidegateError as error:
        return _page(visit, 422, tried=key, answer=str(error), good=False)
    return _page(visit, tried=key, answer=f"It answered; it was asked for {found['asked']}.", good=True)


def remove(visit: Visit) -> Response:
    """Removes a source that no model names."""
    key = visit.request.path_params["key"]
    try:
        with visit.hub.engine.begin() as db:
            outbound_changes.remove(db, "sources", key, visit.actor)
    except (OutboundInUse, ManagedByFile) as error:
        return _page(visit, 422, tried=key, answer=str(error), good=False)
    return visit.go("/sources")


def exported(visit: Visit) -> list[dict[str, Any]]:
    """The sources, each with how many models read it."""
    with visit.hub.engine.connect() as db:
        reading = [model["source"] for model in syncs.every(db, "models")]
        return [{**one, "models": reading.count(one["key"])} for one in syncs.every(db, "sources")]


PAGES = (
    Page("/sources", listing),
    Page("/sources.csv", csv_answers.of("sources", EXPORTED, exported)),
    Page("/sources", define, "admin", "POST", secrets=("url",)),
    Page("/sources/{key:str}/test", test, "operate", "POST"),
    Page("/sources/{key:str}/remove", remove, "admin", "POST"),
)


def _wrong(key: str, error: TidegateError) -> Texts:
    if isinstance(error, ManagedByFile):
        return Texts(key=str(error))
    problem = str(error.facts["problem"])
    return Texts({"key" if "key" in problem or not key else "url": problem[:1].upper() + problem[1:]})


def _page(visit: Visit, status: int = 200, **told: object) -> Response:
    found = exported(visit)
    chosen = visit.request.query_params.get("edit", "") if visit.request.method == "GET" else ""
    typed = next(
        (Texts(key=one["key"], url="" if one["env"] else one["url"], env=one["env"])
         for one in found if one["key"] == chosen),
        Texts(),
    )  # fmt: skip
    facts = {"sources": found, "schemes": sources.SCHEMES, "chosen": chosen if typed else ""}
    beside: dict[str, object] = {"typed": typed, "wrong": Texts(), "tried": "", "answer": "", "good": True}
    return visit.render("outbound/sources.html", status, **facts, **{**beside, **told})
