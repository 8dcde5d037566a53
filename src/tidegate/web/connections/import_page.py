"""The way from a new connection to contacts: what is found, mapped, matched and imported, each shown before it is done.

How far it is stands in the runs and the tables alone: a page that is loaded again, by whomever, goes on from there.
"""

from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from tidegate.connections.accounts import Account
from tidegate.contacts import policy
from tidegate.errors import CatalogUnknown, ContactsBusy, ContactSettingsInvalid, ManagedByFile, PreviewStale
from tidegate.mirror import changed
from tidegate.web.pages import Page, Texts, Visit
from tidegate.workflows import previewing
from tidegate.workflows.catalog import catalog_suggest
from tidegate.workflows.contacts import contacts_settings
from tidegate.workflows.mirror import first_look, import_account
from tidegate.workflows.operation.capacity import workers_alive

STEPS = ("found", "map", "match", "import", "result")
OF = {"new": "found", "looking": "found", "looked": "map", "importing": "import", "imported": "result"}
"""The step at which somebody is, by how far the import is (`first_look.standing`)."""
SHOWN = 30
"""Suggestions and customers that the page names; all are counted."""


def wizard(visit: Visit) -> Response:
    """The step that is asked for, else the one that is next."""
    return _page(visit, _account(visit))


def part(visit: Visit) -> Response:
    """How far the import is; htmx asks for it again and again, and for the whole page once it has ended."""
    account = _account(visit)
    told = _progress(visit, account)
    asked = visit.request.query_params.get("while", "")
    if asked and told["standing"] != asked:
        return visit.go(import_page(account.name), part=200)
    return visit.render("parts/import.html", account=account, **told)


def look(visit: Visit) -> Response:
    """Lets a worker read what mapping and matching are decided by."""
    return _rung(visit, list(first_look.RESOURCES))


def everything(visit: Visit) -> Response:
    """Lets a worker import everything, or go on with it."""
    return _rung(visit, [])


def map_(visit: Visit) -> Response:
    """Shows what the chosen suggestions do and, with the token of that, does it."""
    account, engine = _account(visit), visit.hub.engine
    names = [name.removeprefix("take:") for name in visit.form if name.startswith("take:")]
    if not names:
        return _page(visit, account, 422, step="map", wrong=Texts(take="Choose at least one, or go on without."))
    try:
        with engine.connect() as db:
            wanted = catalog_suggest.chosen(catalog_suggest.found(db, account.name)[0], names)
        change = catalog_suggest.acceptance(account.name, wanted, visit.actor)
        token = visit.form.get("token", "")
        if not token:
            shown = previewing.preview(engine, change)
            return _page(visit, account, step="map", taken=names, shown=shown.as_json(0))
        previewing.commit(engine, change, token)
    except (PreviewStale, CatalogUnknown, ContactsBusy) as error:
        return _page(visit, account, 409, step="map", taken=names, refused=str(error))
    return visit.go(f"{import_page(account.name)}?step=match")


def match(visit: Visit) -> Response:
    """Shows how customers would be matched under these settings and, with the token of that, matches them."""
    account, engine, sent = _account(visit), visit.hub.engine, visit.form
    given: dict[str, Any] = {
        "kind": sent.get("kind", ""),
        "metadata_keys": [one.strip() for one in sent.get("metadata_keys", "").split(",") if one.strip()],
        "create_missing": "create_missing" in sent,
        "only_subscribed": "only_subscribed" in sent,
    }
    try:
        if not sent.get("token"):
            effect = contacts_settings.preview(engine, account, given)
            return _page(visit, account, step="match", settings=given, effect=effect)
        contacts_settings.commit(engine, account, given, visit.actor, sent["token"])
    except ContactSettingsInvalid as error:
        field = next((name for name in given if str(error.facts["problem"]).startswith(name)), "kind")
        return _page(visit, account, 422, step="match", settings=given, wrong=Texts({field: str(error)}))
    except (PreviewStale, ManagedByFile, ContactsBusy) as error:
        return _page(visit, account, 409, step="match", settings=given, refused=str(error))
    return visit.go(f"{import_page(account.name)}?step=import")


PAGES = (
    Page("/connections/{name:str}/import", wizard),
    Page("/connections/{name:str}/import/progress", part),
    Page("/connections/{name:str}/import/look", look, "operate", "POST"),
    Page("/connections/{name:str}/import/map", map_, "admin", "POST"),
    Page("/connections/{name:str}/import/match", match, "admin", "POST"),
    Page("/connections/{name:str}/import/all", everything, "operate", "POST"),
)


def import_page(name: str) -> str:
    """Where the import of a connection is."""
    return f"/connections/{quote(name)}/import"


def _account(visit: Visit) -> Account:
    return visit.hub.account(visit.request.path_params["name"])


def _rung(visit: Visit, resources: list[str]) -> Response:
    account = _account(visit)
    if account.disconnected_at:
        said = f"It has no key any more. Connect {account.name} again first."
        return _page(visit, account, 409, refused=said)
    import_account.ask(visit.hub.engine, account, visit.actor, resources)
    return visit.go(import_page(account.name))


def _progress(visit: Visit, account: Account) -> dict[str, Any]:
    with visit.hub.engine.connect() as db:
        return {
            "standing": first_look.standing(db, account.name),
            "now": first_look.progress(db, account.name),
            "attended": workers_alive(db) > 0,
            "deriving": changed.waiting(db, account.name),
        }


def _page(visit: Visit, account: Account, status: int = 200, step: str = "", **facts: Any) -> Response:
    told = _progress(visit, account)
    at = OF[told["standing"]]
    asked = step or visit.request.query_params.get("step", "")
    here = asked if asked in STEPS and (step or told["standing"] != "new") else at
    values: dict[str, Any] = {
        "refused": "",
        "wrong": Texts(),
        "taken": None,
        "shown": None,
        "effect": None,
        **_of_step(visit, account, here),
        **facts,
    }
    return visit.render(
        "connections/import.html", status, account=account, steps=STEPS, here=here, at=at, **told, **values
    )


def _of_step(visit: Visit, account: Account, step: str) -> dict[str, Any]:
    """What a step shows."""
    engine = visit.hub.engine
    with engine.connect() as db:
        match step:
            case "found":
                return {"found": first_look.found(db, account.name)}
            case "map":
                seen = visit.report("seen", {"connection": account.name})
                wanted, left = catalog_suggest.found_of(db, account.name, seen)
                return {"wanted": wanted[:SHOWN], "more": len(wanted[SHOWN:]), "left": left}
            case "match":
                stored = policy.in_full(policy.stored(db, account.name))
                by_file = policy.managed_by(db, account.name) == "file"
                return {"settings": stored, "by_file": by_file, "limit": SHOWN}
            case "result":
                return {"result": visit.report("understood", {"connection": account.name})}
            case _:
                return {}
