"""Who may see the page, and what every answer says to the browser about safety."""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
FORWARDING = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def is_loopback(host: str) -> bool:
    """Whether a host name or address (without port) can only be this machine."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_of(headers: Headers) -> str:
    """The host that the browser asked for, without its port."""
    return urlsplit(f"//{headers.get('host', '')}").hostname or ""


def is_local(request: Request, bound_to: str) -> bool:
    """Whether the page needs no log-in: bound to loopback, asked for by a loopback name, and not through a proxy.

    The name keeps other web sites out, whose own name was made to point to this machine (DNS rebinding); a proxy's
    header tells that the request began elsewhere.
    """
    return (
        is_loopback(bound_to)
        and is_loopback(host_of(request.headers))
        and not any(name in request.headers for name in FORWARDING)
    )


def from_elsewhere(headers: Headers) -> bool:
    """Whether another site's page may have sent this request (cross-site request forgery).

    Browsers always say of a POST where it came from; one that brings a cookie and does not say is not believed.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in {"same-origin", "none"}
    if origin is None:
        return "cookie" in headers
    return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


class Guard:
    """Adds the security headers to every answer, and refuses changes that another site asked for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        guarded = _with_headers(send)
        if scope["method"] not in {"GET", "HEAD", "OPTIONS"} and from_elsewhere(Headers(scope=scope)):
            refusal = PlainTextResponse("This request came from another site's page and was refused.", 403)
            await refusal(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)


def _with_headers(send: Send) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return add
