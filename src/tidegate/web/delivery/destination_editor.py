"""The form of a destination by its kind, and the page of properties that no destination is told."""

import re
from typing import Any

from starlette.responses import Response

from tidegate.delivery import suppressed_properties
from tidegate.delivery.destinations import KINDS
from tidegate.delivery.stored import FILE
from tidegate.errors import DestinationInvalid, DestinationUnknown, ManagedByFile, TidegateError
from tidegate.settings import environment
from tidegate.web import csv_answers
from tidegate.web.delivery import destination_form
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.wording import destination_page
from tidegate.workflows.delivery import destinations, property_suppression

SUPPRESSED = ("name", "reason", "by", "at", "managed_by")
SECRET = tuple({f"o_{one.name}" for kind in KINDS for one in destination_form.options_of(kind) if one.secret})
"""Fields of any kind's form."""


def blank(visit: Visit) -> Response:
    """The kinds to choose from, or the form of one."""
    kind = visit.request.query_params.get("kind", "")
    if kind not in KINDS:
        return visit.render("delivery/kinds.html", kinds=destination_form.TITLES)
    return _form(visit, "", kind, destination_form.offered(kind))


def edit(visit: Visit) -> Response:
    """The form of a destination that is there; secrets stay as they are where nothing is typed."""
    with visit.hub.engine.connect() as db:
        row = destinations.shown(db, visit.request.path_params["key"])
    if row["managed_by"] == FILE:
        raise ManagedByFile(what=f"The destination {row['key']}")
    return _form(visit, row["key"], row["kind"], destination_form.typed(row["kind"], row["spec"]))


def save(visit: Visit) -> Response:
    """Makes a destination, or changes one. A webhook's new secret is shown this once."""
    key, form = visit.request.path_params.get("key", ""), Texts(visit.form)
    kind, row = form["kind"], None
    if key:
        with visit.hub.engine.connect() as db:
            row = destinations.shown(db, key)
        kind = row["kind"]
    if kind not in KINDS:
        return visit.render("delivery/kinds.html", 422, kinds=destination_form.TITLES)
    options, named, wrong = destination_form.said(kind, form)
    known = environment()
    wrong |= {f"env_{name}": f"The hub's environment has no variable {variable}." for name, variable in named.items()
              if variable not in known}  # fmt: skip
    if wrong:
        return _form(visit, key, kind, form, Texts(wrong), 422)
    options |= {name: known[variable] for name, variable in named.items()}
    variables: dict[str, Any] = {name: {"env": variable} for name, variable in named.items()}
    made, called = "", key or form["key"]
    try:
        with visit.hub.engine.begin() as db:
            if row is None and destinations.exists(db, called):
                problem = f"There is a destination {called} already; it is changed on its own page."
                return _form(visit, key, kind, form, Texts(key=problem), 422)
            if row is not None:
                values, kept = destinations.kept_secrets(visit.hub.destination(db, key), row["spec"])
                stay = values.keys() - options.keys()
                options |= {name: values[name] for name in stay}
                variables |= {name: kept[name] for name in stay & kept.keys()}
            elif kind == "webhook" and "secrets" not in options:
                made = destinations.made_secret()
                options["secrets"] = [made]
            destinations.define(
                db, called, kind, options, visit.actor, variables=variables, vault=lambda: visit.hub.vault
            )
    except DestinationUnknown:
        raise
    except (DestinationInvalid, ManagedByFile) as error:
        return _form(visit, key, kind, form, _wrong(called, kind, error), 422)
    if made:
        return visit.render("delivery/secret.html", key=called, secret=made)
    return visit.go(destination_page(called))


def exported(visit: Visit) -> list[dict[str, Any]]:
    """The properties that are kept back."""
    with visit.hub.engine.connect() as db:
        return suppressed_properties.every(db)


def suppressed(visit: Visit) -> Response:
    """The properties that no destination is told."""
    return _suppressed(visit)


def suppress(visit: Visit) -> Response:
    """Tells nobody of a property from now on."""
    sent = {name: visit.form.get(name, "") for name in ("name", "reason")}
    try:
        with visit.hub.engine.begin() as db:
            property_suppression.suppress(db, sent["name"], sent["reason"], visit.actor)
    except (DestinationInvalid, ManagedByFile) as error:
        problem = str(error.facts.get("problem", error))
        field = "reason" if "reason" in problem else "name"
        return _suppressed(visit, 422, wrong=Texts({field: problem[:1].upper() + problem[1:]}), typed=Texts(sent))
    return visit.go("/suppressed-properties")


def unsuppress(visit: Visit) -> Response:
    """Tells of it again, and how it is now."""
    try:
        with visit.hub.engine.begin() as db:
            property_suppression.unsuppress(db, visit.form.get("name", ""), visit.actor)
    except (DestinationInvalid, ManagedByFile) as error:
        return _suppressed(visit, 422, refused=str(error))
    return visit.go("/suppressed-properties")


PAGES = (
    Page("/destinations/-/new", blank, "admin"),
    Page("/destinations/-/new", save, "admin", "POST", secrets=SECRET),
    Page("/destinations/{key:str}/edit", edit, "admin"),
    Page("/destinations/{key:str}/edit", save, "admin", "POST", secrets=SECRET),
    Page("/suppressed-properties", suppressed),
    Page("/suppressed-properties.csv", csv_answers.of("suppressed-properties", SUPPRESSED, exported)),
    Page("/suppressed-properties", suppress, "admin", "POST"),
    Page("/suppressed-properties/tell", unsuppress, "admin", "POST"),
)


def _wrong(key: str, kind: str, error: TidegateError) -> Texts:
    """Beside the option that an error names, else above the form."""
    if isinstance(error, ManagedByFile):
        return Texts(other=str(error))
    problem = str(error.facts["problem"])
    if problem.startswith("its key"):
        return Texts(key=problem[:1].upper() + problem[1:])
    told = problem.removeprefix(f"{key}: ")
    names = "|".join(one.name for one in destination_form.options_of(kind))
    if needed := re.fullmatch(rf"it needs ({names})", told):
        return Texts({needed[1]: "It is needed."})
    if named := re.match(rf"({names})(?:\.[\w.]+)?: (.+)", told, re.DOTALL):
        return Texts({named[1]: named[2][:1].upper() + named[2][1:]})
    if "`mode`" in told:
        return Texts(mode=told[:1].upper() + told[1:])
    return Texts(other=told[:1].upper() + told[1:])


def _form(visit: Visit, key: str, kind: str, typed: Texts, wrong: Texts | None = None, status: int = 200) -> Response:
    options = destination_form.options_of(kind)
    secret = {f"o_{one.name}" for one in options if one.secret}
    shown = Texts({name: value for name, value in typed.items() if name not in secret})
    facts: dict[str, object] = {
        "key": key, "kind": kind, "title_of": destination_form.TITLES[kind], "options": options,
        "about": destination_form.about(kind), "typed": shown, "wrong": wrong or Texts(),
    }  # fmt: skip
    return visit.render("delivery/form.html", status, **facts)


def _suppressed(visit: Visit, status: int = 200, **told: object) -> Response:
    with visit.hub.engine.connect() as db:
        found = suppressed_properties.every(db)
    beside: dict[str, object] = {"wrong": Texts(), "typed": Texts(), "refused": "", **told}
    return visit.render("delivery/suppressed.html", status, properties=found, **beside)
