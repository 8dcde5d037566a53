"""Signing in with an OpenID provider: to it, and back."""

import json
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from tidegate.errors import NotInvited, SecretKeyLost, SignInFailed
from tidegate.security.oidc import LASTS, Question
from tidegate.web.pages import Page, Visit
from tidegate.web.signing_in.sign_in import NEEDS_HTTPS, back_to, is_secure
from tidegate.web.visitors import remember
from tidegate.workflows.operation import provided_users

COOKIE = "tidegate_asked"
PATH = "/login/provider"


def leave(visit: Visit) -> Response:
    """Sends the browser to the provider, with what it brings back in a cookie that only this hub can read."""
    if not is_secure(visit.request):
        return _failed(visit, 403, NEEDS_HTTPS)
    if visit.site.provider is None:
        return _failed(visit, 404, "No OpenID provider is set: TIDEGATE_OIDC_ISSUER names one.")
    try:
        address, question = visit.site.provider.ask(
            _returns_to(visit), back_to(visit.request.query_params.get("next", ""))
        )
    except SignInFailed as error:
        return _failed(visit, 502, str(error))
    answer = visit.go(address)
    sealed = visit.hub.vault.seal(json.dumps(asdict(question))).decode()
    # Lax, not strict: the provider's page sends the browser back.
    answer.set_cookie(COOKIE, sealed, max_age=int(LASTS), secure=True, httponly=True, samesite="lax", path=PATH)
    return answer


def come_back(visit: Visit) -> Response:
    """Signs in whom the provider vouches for."""
    if visit.site.provider is None:
        return _failed(visit, 404, "No OpenID provider is set: TIDEGATE_OIDC_ISSUER names one.")
    try:
        question = _asked(visit)
        who = visit.site.provider.answer(question, dict(visit.request.query_params), _returns_to(visit))
        how = provided_users.admission(visit.hub.settings)
        _, cookie = provided_users.come_in(visit.hub.engine, who, how)
    except (SignInFailed, NotInvited) as error:
        return _failed(visit, 403, str(error))
    # A page that goes on by itself, no redirect: to one that follows another site's, browsers send no strict cookie.
    answer = visit.render("signing_in/signed_in.html", back=question.back)
    remember(answer, cookie)
    answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax", path=PATH)
    return answer


PAGES = (Page(PATH, leave, ""), Page(f"{PATH}/back", come_back, ""))


def _asked(visit: Visit) -> Question:
    try:
        sealed = visit.request.cookies.get(COOKIE, "").encode()
        return Question(**json.loads(visit.hub.vault.open(sealed, "the cookie of signing in")))
    except (SecretKeyLost, ValueError, TypeError) as error:
        raise SignInFailed(problem="This browser did not begin it here, or too long ago; begin again.") from error


def _returns_to(visit: Visit) -> str:
    request: Request = visit.request
    base = visit.hub.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return f"{base}{PATH}/back"


def _failed(visit: Visit, status: int, detail: str) -> Response:
    return visit.render("signing_in/sign_in_failed.html", status, detail=detail)
