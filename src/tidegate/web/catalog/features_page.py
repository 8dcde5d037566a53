"""The pages of features: all of them, and the forms that make, change and remove one."""

from typing import Any

from starlette.responses import Response

from tidegate.catalog import features
from tidegate.catalog.terms import FEATURE_TYPES, RESETS
from tidegate.errors import CatalogInvalid, ManagedByFile
from tidegate.web import csv_answers
from tidegate.web.choosing import livemode_if_any
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.previews import Asked, previewed
from tidegate.workflows import previewing
from tidegate.workflows.catalog import catalog_changes

EXPORTED = ("key", "name", "type", "unit", "reset", "meter", "contacts", "managed_by")
FIELDS = ("name", "unit", "reset", "meter")


def listing(visit: Visit) -> Response:
    """All features, with a form to make another."""
    return _listed(visit)


def make(visit: Visit) -> Response:
    """Makes a feature, which nobody has yet."""
    key = visit.form.get("key", "")
    with visit.hub.engine.connect() as db:
        if any(row["key"] == key for row in features.every(db)):
            return _listed(visit, 422, Texts(key=f"There is a feature {key} already."))
    said = {name: visit.form.get(name, "") for name in FIELDS}
    said["reset"] = said["reset"] or "month"
    try:
        made = catalog_changes.define_feature(key, visit.form.get("type", "boolean"), visit.actor, **said)
        previewing.settle(visit.hub.engine, made)
    except CatalogInvalid as error:
        return _listed(visit, 422, Texts({"meter" if "meter" in str(error) else "key": str(error)}))
    return visit.go("/features")


def one(visit: Visit) -> Response:
    """A feature, with what gives it."""
    return _shown(visit)


def change(visit: Visit) -> Response:
    """Shows what another name, unit, reset or meter does to whom, and does it."""
    key = _key(visit)
    with visit.hub.engine.connect() as db:
        known = features.one(db, key)
    said = {name: visit.form.get(name, known[name]) for name in FIELDS}
    asked = Asked(f"Change {key}", "Change it", f"/features/{key}")
    try:
        return previewed(visit, catalog_changes.define_feature(key, known["type"], visit.actor, **said), asked)
    except (CatalogInvalid, ManagedByFile) as error:
        return _shown(visit, 422, Texts({"meter" if "meter" in str(error) else "name": str(error)}))


def remove(visit: Visit) -> Response:
    """Removes a feature that nothing names."""
    try:
        with visit.hub.engine.begin() as db:
            catalog_changes.remove_feature(db, _key(visit), visit.actor)
    except (CatalogInvalid, ManagedByFile) as error:
        return _shown(visit, 422, Texts(removal=str(error)))
    return visit.go("/features")


def exported(visit: Visit) -> list[dict[str, Any]]:
    """The features, each with how many contacts it is given to."""
    held = visit.report("held_now", {"livemode": livemode_if_any(visit)})["features"]
    with visit.hub.engine.connect() as db:
        return [one | {"contacts": held.get(one["key"], 0)} for one in features.every(db)]


PAGES = (
    Page("/features", listing),
    Page("/features.csv", csv_answers.of("features", EXPORTED, exported)),
    Page("/features", make, "admin", "POST"),
    Page("/features/{feature:str}", one),
    Page("/features/{feature:str}", change, "admin", "POST"),
    Page("/features/{feature:str}/remove", remove, "admin", "POST"),
)


def _key(visit: Visit) -> str:
    return visit.request.path_params["feature"]


def _listed(visit: Visit, status: int = 200, wrong: Texts | None = None) -> Response:
    found = exported(visit)
    said = {"wrong": wrong or Texts(), "typed": Texts(visit.form)}
    return visit.render("catalog/features.html", status, features=found, types=FEATURE_TYPES, resets=RESETS, **said)


def _shown(visit: Visit, status: int = 200, wrong: Texts | None = None) -> Response:
    key = _key(visit)
    with visit.hub.engine.connect() as db:
        facts: dict[str, Any] = {"feature": features.one(db, key), "given_by": features.given_by(db, key)}
    typed = Texts(visit.form or {name: facts["feature"][name] for name in FIELDS})
    return visit.render("catalog/feature.html", status, wrong=wrong or Texts(), typed=typed, resets=RESETS, **facts)
