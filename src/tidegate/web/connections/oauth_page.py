"""Access by OAuth: sends an admin's browser to Stripe, and takes it back with what the account's owner said there."""

from starlette.responses import RedirectResponse, Response

from tidegate.connections.oauth import STATE_LASTS
from tidegate.security import sessions
from tidegate.web.pages import Page, Visit
from tidegate.web.visitors import COOKIE
from tidegate.wiring import open_by_key
from tidegate.workflows.mirror import oauth
from tidegate.workflows.mirror.oauth import CALLBACK, Return

START = "/api/integrations/stripe/start"
SENT = "tidegate_oauth"
"""The cookie that the browser brings back from Stripe; that of the session it keeps to requests of our own pages."""


def start(visit: Visit) -> Response:
    """To Stripe, where access is given: to the Stripe App, or to the platform that `connection` names."""
    hub = visit.hub
    with hub.engine.connect() as db:
        session = sessions.of_cookie(db, visit.request.cookies.get(COOKIE, ""))
    assert session is not None, "only who is signed in may do this"
    platform = visit.request.query_params.get("connection") or None
    url, sent = oauth.begin(hub.engine, hub.registered, session, f"{visit.base}{CALLBACK}", platform)
    answer = RedirectResponse(url, 303)
    age = int(STATE_LASTS.total_seconds())
    answer.set_cookie(SENT, sent.cookie, max_age=age, secure=True, httponly=True, samesite="lax", path=CALLBACK)
    return answer


def callback(visit: Visit) -> Response:
    """Back from Stripe: connects the account. The page leads on by itself, so that the browser sends its session's
    cookie again.
    """
    asked, hub = visit.request.query_params, visit.hub
    came = Return(
        asked.get("state", ""),
        visit.request.cookies.get(SENT, ""),
        asked.get("code", ""),
        asked.get("error_description", "") or asked.get("error", ""),
    )
    account = oauth.finish(hub.engine, hub.vault, hub.registered, came, open_by_key, hub.stripe)
    answer = visit.render("connections/given.html", account=account)
    answer.delete_cookie(SENT, secure=True, httponly=True, samesite="lax", path=CALLBACK)
    return answer


PAGES = (Page(START, start, "admin"), Page(CALLBACK, callback, ""))
