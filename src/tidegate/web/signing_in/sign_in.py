"""Signing in and out: with e-mail address and password, with an API token, and by the link that sets a password."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tidegate.errors import UserInvalid, UserUnknown
from tidegate.security import links, sessions, tokens, tries
from tidegate.security import users as stored
from tidegate.web.access import host_of, is_loopback
from tidegate.web.pages import Page, Texts, Visit, wrong_field
from tidegate.web.visitors import COOKIE, forget, remember
from tidegate.workflows.operation import users

NEEDS_HTTPS = "Signing in needs HTTPS."
NOT_BELIEVED = "A proxy at {address} says that this came over HTTPS: name it in TIDEGATE_TRUSTED_PROXIES."
TOO_MANY = "Too many failed tries. Wait a minute."


def form(visit: Visit) -> Response:
    """Asks who it is; who is signed in already is sent on."""
    back = back_to(visit.request.query_params.get("next", ""))
    if visit.who is not None and visit.who.known:
        return visit.go(back)
    return _page(visit, back)


def sign_in(visit: Visit) -> Response:
    """Takes address and password, or a token; what is wrong is said beside the field, and the address stays."""
    sent, back = visit.form, back_to(visit.form.get("next", ""))
    email, token = sent.get("email", ""), sent.get("token", "")
    if not is_secure(visit.request):
        return _page(visit, back, why_insecure(visit.request), 403)
    noted = _begun(visit, email)
    if noted is None:
        return _page(visit, back, TOO_MANY, 429)
    wrong, cookie = _with_token(visit, token) if token else _with_password(visit, email, sent.get("password", ""))
    if wrong:
        return _page(visit, back, wrong, 401)
    _succeeded(visit, noted)
    answer = visit.go(back)
    remember(answer, cookie)
    return answer


def sign_out(visit: Visit) -> Response:
    """Ends the session."""
    with visit.hub.engine.begin() as db:
        sessions.end(db, visit.request.cookies.get(COOKIE, ""))
    answer = visit.go("/login")
    forget(answer)
    return answer


def welcome(visit: Visit) -> Response:
    """Asks for the password that a link sets; the first admin for name and address, too."""
    link = visit.request.query_params.get("link", "")
    return _welcome_page(visit, link)


def set_password(visit: Visit) -> Response:
    """Sets it and signs in; what is wrong is said beside its field, and what was typed stays but for passwords."""
    sent = visit.form
    if not is_secure(visit.request):
        return _welcome_page(visit, sent.get("link", ""), {"password": why_insecure(visit.request)}, 403)
    password = sent.get("password", "")
    if password != sent.get("again", ""):
        return _welcome_page(visit, sent.get("link", ""), {"again": "This is another one than above."}, 422)
    noted = _begun(visit)
    if noted is None:
        return _welcome_page(visit, sent.get("link", ""), {"password": TOO_MANY}, 429)
    named = {name: sent.get(name, "") for name in ("email", "name")}
    try:
        _, cookie = users.set_password(visit.hub.engine, sent.get("link", ""), password, **named)
    except UserInvalid as error:
        _succeeded(visit, noted)
        return _welcome_page(visit, sent.get("link", ""), wrong_field(error), 422)
    _succeeded(visit, noted)
    answer = visit.go("/")
    remember(answer, cookie)
    return answer


def session(visit: Visit) -> Response:
    """Whether who asks is signed in, and as whom: a page asks before it sends a form. JSON: {entered, name}."""
    name = visit.who.name if visit.who is not None and visit.who.known else ""
    return JSONResponse({"entered": bool(name), "name": name})


def signed_in_again(visit: Visit) -> Response:
    """Where one comes to who signed in beside a form."""
    return visit.render("signing_in/signed_in_again.html")


PAGES = (
    Page("/session", session, ""),
    Page("/signed-in", signed_in_again),
    Page("/login", form, ""),
    Page("/login", sign_in, "", "POST"),
    Page("/logout", sign_out, "", "POST"),
    Page("/welcome", welcome, ""),
    Page("/welcome", set_password, "", "POST"),
)


def _begun(visit: Visit, email: str = "") -> list[int] | None:
    """Notes a try to come in, from its address and, where an e-mail address is tried, as that one; None: too many."""
    whose = {"address": visit.request.client.host if visit.request.client else "", "email": email.lower()}
    marks = [visit.hub.vault.mark(said, purpose) for purpose, said in whose.items() if said or purpose == "address"]
    with visit.hub.engine.begin() as db:
        return tries.begin(db, marks)


def _succeeded(visit: Visit, noted: list[int]) -> None:
    with visit.hub.engine.begin() as db:
        tries.succeeded(db, noted)


def _with_token(visit: Visit, given: str) -> tuple[str, str]:
    """What is wrong with the token, or the cookie of a session with it."""
    with visit.hub.engine.begin() as db:
        token = tokens.verify(db, given)
    if token is None:
        return "This token is unknown or was revoked.", ""
    if not token.may("read"):
        return "This token lacks the scope read.", ""
    return "", users.begin_session(visit.hub.engine, token)


def _with_password(visit: Visit, email: str, password: str) -> tuple[str, str]:
    try:
        return "", users.sign_in(visit.hub.engine, email, password)[1]
    except UserUnknown:
        return "No user has this address and password.", ""


def _page(visit: Visit, back: str, wrong: str = "", status: int = 200) -> Response:
    with visit.hub.engine.connect() as db:
        any_users = stored.any_exists(db)
    by_token = bool(visit.form.get("token")) or not any_users
    provider = visit.site.provider is not None
    facts = {
        "provider": provider,
        "wrong": wrong,
        "back": back,
        "email": visit.form.get("email", ""),
        "any_users": any_users,
    }
    return visit.render("signing_in/login.html", status, by_token=by_token, **facts, **_security(visit.request))


def _welcome_page(visit: Visit, link: str, wrong: dict[str, str] | None = None, status: int = 200) -> Response:
    with visit.hub.engine.connect() as db:
        user = links.whose(db, link)
    facts = {"link": link, "user": user, **_security(visit.request)}
    return visit.render("signing_in/welcome.html", status, wrong=Texts(wrong or {}), typed=Texts(visit.form), **facts)


def back_to(path: str) -> str:
    """The page of ours that was asked for before; another site's is none. Browsers leave tabs and line breaks out of an
    address before they read it: what has one may be another site's, too.
    """
    ours = path.startswith("/") and not path.startswith(("//", "/\\", "/login", "/welcome"))
    return path if ours and path.isprintable() else "/"


def _security(request: Request) -> dict[str, Any]:
    """Whether a form may be sent, and why not, as the templates show it."""
    return {"secure": is_secure(request), "insecure": why_insecure(request)}


def why_insecure(request: Request) -> str:
    """Why nobody can sign in so: a proxy that is not believed is the likely reason where a header says HTTPS."""
    if request.headers.get("x-forwarded-proto", "").strip() == "https" and request.client:
        return f"{NEEDS_HTTPS} {NOT_BELIEVED.format(address=request.client.host)}"
    return NEEDS_HTTPS


def is_secure(request: Request) -> bool:
    """Whether a cookie for secure connections comes back: over HTTPS, or on this machine, where browsers allow it."""
    return request.url.scheme == "https" or is_loopback(host_of(request.headers))
