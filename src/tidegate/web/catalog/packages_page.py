"""The pages of packages: all of them, and one with its versions, who has it, and how it is changed or removed."""

from typing import Any

from starlette.responses import Response

from tidegate.catalog import features as catalog_features
from tidegate.catalog import packages
from tidegate.catalog.packages import KINDS
from tidegate.catalog.terms import RESETS
from tidegate.errors import CatalogInvalid, CatalogUnknown, ManagedByFile
from tidegate.web import csv_answers
from tidegate.web.catalog import terms_form
from tidegate.web.choosing import livemode_if_any
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.previews import Asked, previewed
from tidegate.web.wording import package_page
from tidegate.workflows import previewing
from tidegate.workflows.catalog import catalog_changes

EXPORTED = ("key", "name", "kind", "is_default", "version", "features", "contacts", "managed_by", "published_at")
REFUSED = (CatalogInvalid, CatalogUnknown, ManagedByFile)


def listing(visit: Visit) -> Response:
    """All packages, with a form to make another."""
    return _listed(visit)


def make(visit: Visit) -> Response:
    """Makes a package, which gives nothing yet, and goes to where its features are said."""
    key, kind = visit.form.get("key", ""), visit.form.get("kind", "base")
    with visit.hub.engine.connect() as db:
        if any(row["key"] == key for row in packages.every(db)):
            return _listed(visit, 422, Texts(key=f"There is a package {key} already."))
    change = catalog_changes.define_package(key, visit.actor, name=visit.form.get("name", ""), kind=kind)
    try:
        previewing.settle(visit.hub.engine, change)
    except CatalogInvalid as error:
        return _listed(visit, 422, Texts(key=str(error)))
    return visit.go(package_page(key))


def one(visit: Visit) -> Response:
    """A package with its versions."""
    return _shown(visit)


def publish(visit: Visit) -> Response:
    """Shows who gains and loses what by another version, and publishes it."""
    key = _key(visit)
    with visit.hub.engine.connect() as db:
        packages.one(db, key)
        given, wrong = terms_form.said(catalog_features.every(db), visit.form)
    if wrong:
        return _shown(visit, 422, wrong, gives=True)
    move = visit.form.get("holders") == "move"
    change = catalog_changes.publish_package(key, visit.actor, features=given, move=move)
    asked = Asked(f"Another version of {key}", "Publish it", package_page(key), _published)
    try:
        return previewed(visit, change, asked)
    except REFUSED as error:
        return _shown(visit, 422, Texts(features=str(error)), gives=True)


def migrate(visit: Visit) -> Response:
    """Shows who gains and loses what by the newest version, and moves everybody to it."""
    key = _key(visit)
    asked = Asked(f"Everybody of {key} on its newest version", "Move them", package_page(key), _moved)
    try:
        return previewed(visit, catalog_changes.migrate_package(key, visit.actor), asked)
    except CatalogInvalid as error:
        return _shown(visit, 422, Texts(versions=str(error)))


def change(visit: Visit) -> Response:
    """Shows what another name, kind or default does, and does it."""
    key = _key(visit)
    with visit.hub.engine.connect() as db:
        known = packages.one(db, key)
    said: dict[str, Any] = {"name": visit.form.get("name", ""), "kind": visit.form.get("kind", known["kind"])}
    said |= {"is_default": visit.form.get("is_default") == "yes", "prices": known["prices"]}
    asked = Asked(f"Change {key}", "Change it", package_page(key))
    try:
        return previewed(visit, catalog_changes.define_package(key, visit.actor, **said), asked)
    except REFUSED as error:
        return _shown(visit, 422, Texts(kind=str(error)))


def removal(visit: Visit) -> Response:
    """What stands in the way of a package's removal, if anything."""
    return _removal(visit)


def remove(visit: Visit) -> Response:
    """Removes a package that nothing names."""
    try:
        with visit.hub.engine.begin() as db:
            catalog_changes.remove_package(db, _key(visit), visit.actor)
    except (CatalogInvalid, ManagedByFile) as error:
        return _removal(visit, 422, str(error))
    return visit.go("/packages")


def exported(visit: Visit) -> list[dict[str, Any]]:
    """The packages, each with how many contacts hold it."""
    held = visit.report("held_now", {"livemode": livemode_if_any(visit)})["held"]
    with visit.hub.engine.connect() as db:
        return [one | {"contacts": held.get(one["key"], 0)} for one in packages.every(db)]


PAGES = (
    Page("/packages", listing),
    Page("/packages.csv", csv_answers.of("packages", EXPORTED, exported)),
    Page("/packages", make, "admin", "POST"),
    Page("/packages/{package:str}", one),
    Page("/packages/{package:str}", change, "admin", "POST"),
    Page("/packages/{package:str}/publish", publish, "admin", "POST"),
    Page("/packages/{package:str}/migrate", migrate, "admin", "POST"),
    Page("/packages/{package:str}/remove", removal, "admin"),
    Page("/packages/{package:str}/remove", remove, "admin", "POST"),
)


def _key(visit: Visit) -> str:
    return visit.request.path_params["package"]


def _published(result: dict[str, Any]) -> list[str]:
    if not result["changed"]:
        return ["The newest version gives the same already: nothing would change."]
    told = [f"It is version {result['version']}, which whoever comes later gets."]
    if result["moved"]:
        told.append(f"{result['moved']:,} subscriptions and overrides move to it at once.")
    if result["stay"]:
        told.append(f"{result['stay']:,} contacts stay on an older version until they are moved.")
    return told


def _moved(result: dict[str, Any]) -> list[str]:
    return [f"{result['moved']:,} subscriptions and overrides move to version {result['version']}."]


def _listed(visit: Visit, status: int = 200, wrong: Texts | None = None) -> Response:
    said = {"wrong": wrong or Texts(), "typed": Texts(visit.form)}
    return visit.render("catalog/packages.html", status, packages=exported(visit), kinds=KINDS, **said)


def _shown(visit: Visit, status: int = 200, wrong: Texts | None = None, *, gives: bool = False) -> Response:
    """The page of a package. `gives`: what was typed is what its next version is to give."""
    key = _key(visit)
    counted = visit.report("held_now", {"livemode": livemode_if_any(visit)})
    held, moving = counted["packages"].get(key, {}), counted["moving"].get(key, {})
    with visit.hub.engine.connect() as db:
        found, every = packages.show(db, key), catalog_features.every(db)
    for row in found["versions"]:
        row["contacts"] = held.get(str(row["version"]), 0)
    draft = next((row["features"] for row in found["versions"] if row["published_at"] is None), None)
    published = [row for row in found["versions"] if row["published_at"] is not None]
    given: dict[str, Any] = draft if draft is not None else published[-1]["features"] if published else {}
    typed = Texts(visit.form) if gives else terms_form.typed(every, given)
    typed |= {name: visit.form[name] for name in ("name", "kind") if name in visit.form}
    shown = [row["key"] for row in every if any(typed[f"{field}:{row['key']}"] for field in ("give", "limit", "value"))]
    newest = published[-1]["version"] if published else 0
    facts: dict[str, Any] = {
        "package": found,
        "versions": list(reversed(found["versions"])),
        "newest": newest,
        "behind": sum(count for version, count in moving.items() if version != str(newest)),
        "features": every,
        "typed": Texts(typed),
        "given": shown,
        "wrong": wrong or Texts(),
        "resets": RESETS,
        "kinds": KINDS,
    }
    return visit.render("catalog/package.html", status, **facts)


def _removal(visit: Visit, status: int = 200, refused: str = "") -> Response:
    key = _key(visit)
    with visit.hub.engine.connect() as db:
        found, used = packages.show(db, key), packages.uses(db, key)
    return visit.render("catalog/package_removal.html", status, package=found, used=used, refused=refused)
