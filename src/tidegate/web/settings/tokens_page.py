"""The page of API tokens: made and shown once, when each was last used, revoked."""

from typing import Any

from starlette.responses import Response

from tidegate.errors import ScopeUnknown, TokenUnknown, UserInvalid
from tidegate.security import tokens
from tidegate.security.scopes import SCOPES
from tidegate.web import csv_answers
from tidegate.web.pages import Page, Texts, Visit, wrong_field
from tidegate.workflows.operation import api_tokens

MEANS = {
    "entitlements": "Product code: check, consume, refresh. Nothing else.",
    "revenue": "A dashboard: figures of revenue, nobody's data.",
    "read": "Look at everything; includes revenue.",
    "operate": "Link and map, run syncs, sell; includes read.",
    "admin": "Keys, settings, what loses data; includes operate.",
}
EXPORTED = ("id", "name", "scopes", "created_at", "last_used_at", "revoked_at")


def listing(visit: Visit) -> Response:
    """Every token, with a form to make one."""
    return _page(visit)


def create(visit: Visit) -> Response:
    """Makes a token and shows it, this once."""
    name, scopes = visit.form.get("name", ""), [one for one in SCOPES if visit.form.get(f"scope-{one}")]
    try:
        _, token = api_tokens.create(visit.hub.engine, name, scopes, visit.actor)
    except UserInvalid as error:
        return _page(visit, 422, wrong=wrong_field(error), typed=Texts(visit.form))
    except ScopeUnknown:
        return _page(visit, 422, wrong=Texts(scopes="Choose what it may do."), typed=Texts(visit.form))
    return _page(visit, made=name, token=token)


def revoke(visit: Visit) -> Response:
    """Ends a token for good."""
    number = visit.form.get("id", "")
    try:
        api_tokens.revoke(visit.hub.engine, int(number) if number.isdecimal() else 0, visit.actor)
    except TokenUnknown as error:
        return _page(visit, 422, refused=str(error))
    return visit.go("/tokens")


def exported(visit: Visit) -> list[dict[str, Any]]:
    """All of them for a file."""
    with visit.hub.engine.connect() as db:
        return [{name: getattr(one, name) for name in EXPORTED} for one in tokens.listing(db)]


PAGES = (
    Page("/tokens", listing, "admin"),
    Page("/tokens.csv", csv_answers.of("tokens", EXPORTED, exported), "admin"),
    Page("/tokens", create, "admin", "POST"),
    Page("/tokens/revoke", revoke, "admin", "POST"),
)


def _page(visit: Visit, status: int = 200, **facts: object) -> Response:
    with visit.hub.engine.connect() as db:
        found = tokens.listing(db)
    told = {"wrong": Texts(), "typed": Texts(), "made": "", "token": "", "refused": "", **facts}
    shown = sorted(found, key=lambda one: (one.revoked_at is not None, -one.id))
    return visit.render("settings/tokens.html", status, tokens=shown, scopes=MEANS, **told)
