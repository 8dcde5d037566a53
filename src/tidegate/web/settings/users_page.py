"""The page of users: who may sign in, invited and changed by admins; what was changed, by whom."""

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from tidegate.errors import LastAdmin, UserExists, UserInvalid, UserUnknown
from tidegate.security import audit_log
from tidegate.security import users as stored
from tidegate.security.roles import ROLES
from tidegate.web import csv_answers
from tidegate.web.pages import Page, Texts, Visit, wrong_field
from tidegate.workflows.operation import users

CHANGES = 50
"""The newest changes that the page shows."""
EXPORTED = ("email", "name", "role", "created_at", "last_seen_at", "disabled_at", "can_sign_in")


def listing(visit: Visit) -> Response:
    """Everybody, with a form to invite somebody."""
    return _page(visit)


def invite(visit: Visit) -> Response:
    """Makes a user and shows the link that sets their password, this once."""
    sent = {name: visit.form.get(name, "") for name in ("email", "name", "role")}
    try:
        user, secret = users.invite(visit.hub.engine, **sent, actor=visit.actor)
    except UserInvalid as error:
        return _page(visit, 422, wrong=wrong_field(error), typed=Texts(sent))
    except UserExists as error:
        return _page(visit, 422, wrong=Texts(email=str(error)), typed=Texts(sent))
    return _page(visit, invited=user, link=_link(visit, secret))


def link(visit: Visit) -> Response:
    """Makes another link for a user and shows it, this once."""
    user, secret = users.link(visit.hub.engine, visit.form.get("email", ""), visit.actor)
    return _page(visit, invited=user, link=_link(visit, secret))


def give_role(visit: Visit) -> Response:
    """Gives a user another role."""
    return _changed(
        visit, lambda email: users.give_role(visit.hub.engine, email, visit.form.get("role", ""), visit.actor)
    )


def disable(visit: Visit) -> Response:
    """Signs a user out everywhere, for good."""
    return _changed(visit, lambda email: users.disable(visit.hub.engine, email, visit.actor))


def enable(visit: Visit) -> Response:
    """Lets a user in again."""
    return _changed(visit, lambda email: users.enable(visit.hub.engine, email, visit.actor))


def exported(visit: Visit) -> list[dict[str, Any]]:
    """All of them for a file."""
    with visit.hub.engine.connect() as db:
        return [{name: getattr(one, name) for name in EXPORTED} for one in stored.listing(db)]


PAGES = (
    Page("/users", listing, "admin"),
    Page("/users.csv", csv_answers.of("users", EXPORTED, exported), "admin"),
    Page("/users", invite, "admin", "POST"),
    Page("/users/link", link, "admin", "POST"),
    Page("/users/role", give_role, "admin", "POST"),
    Page("/users/disable", disable, "admin", "POST"),
    Page("/users/enable", enable, "admin", "POST"),
)


def _changed(visit: Visit, change: Callable[[str], object]) -> Response:
    try:
        change(visit.form.get("email", ""))
    except (LastAdmin, UserUnknown, UserInvalid) as error:
        return _page(visit, 422, refused=str(error))
    return visit.go("/users")


def _link(visit: Visit, secret: str) -> str:
    return f"{visit.base}/welcome?link={secret}"


def _page(visit: Visit, status: int = 200, **facts: object) -> Response:
    with visit.hub.engine.connect() as db:
        found, changes = stored.listing(db), audit_log.newest(db, CHANGES)
    told: dict[str, object] = {"wrong": Texts(), "typed": Texts(), "invited": None, "link": "", "refused": "", **facts}
    return visit.render("settings/users.html", status, users=found, roles=tuple(ROLES), changes=changes, **told)
