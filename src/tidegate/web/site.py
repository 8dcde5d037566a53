"""Puts the API and the page under one address."""

from starlette.types import ASGIApp, Receive, Scope, Send

OF_API = ("/healthz", "/readyz", "/metrics")


def beside(api: ASGIApp, pages: ASGIApp) -> ASGIApp:
    """One application: `/api/…`, the probes and the server's lifespan go to `api`, the rest to `pages`."""

    async def site(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        to_api = scope["type"] != "http" or path == "/api" or path.startswith("/api/") or path in OF_API
        await (api if to_api else pages)(scope, receive, send)

    return site
