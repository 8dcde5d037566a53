"""Saved views: what a list shows now, kept by name and shown again from its header."""

from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from tidegate.errors import UserInvalid, UserUnknown, ViewUnknown
from tidegate.security import saved_views
from tidegate.security.saved_views import View
from tidegate.web.pages import Page, Texts, Visit, wrong_field

LISTS = frozenset(
    {
        *("/contacts", "/contacts/review", "/mappings", "/alerts", "/inbox", "/audit-log"),
        *("/revenue", "/revenue/retention", "/revenue/cohorts", "/revenue/trials", "/revenue/groups"),
        *("/revenue/movements", "/revenue/renewals", "/revenue/renewals/at-risk", "/revenue/quality"),
        *("/calendar", "/stages/report"),
    }
)
"""Pages whose views can be saved: lists and reports that are narrowed down by their address."""
OF_THE_PLACE = frozenset({"after", "page"})
"""Parameters that say how far one has read, not what."""


def save(visit: Visit) -> Response:
    """Keeps what a list shows, by name."""
    page, name = visit.form.get("page", ""), visit.form.get("name", "")
    if page not in LISTS:
        return visit.problem(422, f"Views are of {', '.join(sorted(LISTS))}.")
    if visit.who is None or not visit.who.known:
        return visit.go("/login")
    query = [(key, value) for key, value in parse_qsl(visit.form.get("query", "")) if key not in OF_THE_PLACE]
    shared = bool(visit.form.get("shared")) and visit.who.may("operate")
    try:
        with visit.hub.engine.begin() as db:
            view = saved_views.save(db, visit.actor, page, name, urlencode(query), shared=shared)
    except UserInvalid as error:
        back = f"{page}?{urlencode(query)}" if query else page
        return visit.render("settings/view.html", 422, typed=Texts(visit.form), wrong=wrong_field(error), back=back)
    return visit.go(view.address)


def remove(visit: Visit) -> Response:
    """Forgets a view: one's own; an admin any."""
    if visit.who is None or not visit.who.known:
        return visit.go("/login")
    number = visit.form.get("id", "")
    try:
        with visit.hub.engine.begin() as db:
            wanted = int(number) if number.isdecimal() and len(number) < 19 else 0
            view = saved_views.remove(db, wanted, visit.actor, any_owner=visit.who.may("admin"))
    except (ViewUnknown, UserUnknown) as error:
        return visit.problem(404, str(error))
    return visit.go(view.page)


PAGES = (Page("/views", save, "read", "POST"), Page("/views/delete", remove, "read", "POST"))


def views_of(visit: Visit) -> list[View]:
    """What can be chosen on the list that is shown."""
    if visit.who is None or visit.request.url.path not in LISTS:
        return []
    with visit.hub.engine.connect() as db:
        return saved_views.of_page(db, visit.actor, visit.request.url.path)
