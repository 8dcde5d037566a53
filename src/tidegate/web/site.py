"""Puts the API and the page under one address."""

from starlette.types import ASGIApp, Receive, Scope, Send

OF_API = ("/healthz", "/readyz", "/metrics")
OF_PAGES = ("/api/integrations/stripe/start", "/api/integrations/stripe/callback")
"""For a browser whose user is signed in to the page, and Stripe's way back to it."""


def beside(api: ASGIApp, pages: ASGIApp) -> ASGIApp:
    """One application: `/api/…`, the probes and the server's lifespan go to `api`, the rest to `pages`."""

    async def site(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        below_api = (path == "/api" or path.startswith("/api/")) and path not in OF_PAGES
        to_api = scope["type"] != "http" or below_api or path in OF_API
        await (api if to_api else pages)(scope, receive, send)

    return site
