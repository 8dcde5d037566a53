"""Builds the API application on a hub."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import Connection

from tidegate import __version__
from tidegate.api import (
    actions,
    auth,
    billing_events,
    catalog_changes,
    contact_reviews,
    contacts,
    described,
    destinations,
    entitlements,
    features,
    health,
    ignored_prices,
    integration,
    lifecycle,
    lifecycle_figures,
    mappings,
    metrics,
    models,
    outbound,
    outbox,
    packages,
    people,
    problems,
    revenue,
    runs,
    selling,
    sources,
    suppressed_properties,
    suppression,
    syncs,
    usage,
    webhooks,
)
from tidegate.api.asked_again import AskedAgain
from tidegate.api.committer import Committer
from tidegate.api.entity_tags import EntityTags, is_single
from tidegate.api.inlet import DatabaseInlet, Ring
from tidegate.api.known import KnownConnections, load
from tidegate.api.segments import WholeSegments
from tidegate.security import kept_answers
from tidegate.wiring import Hub
from tidegate.workflows.doorbell import Doorbell

NOUNS = (
    *(webhooks, health, metrics, integration, runs),
    *(contacts, contact_reviews, suppression, selling, entitlements, usage),
    *(features, ignored_prices, mappings, packages, catalog_changes),
    billing_events,
    revenue,
    *(lifecycle, lifecycle_figures, actions, people),
    *(sources, models, syncs, outbound),
    *(destinations, suppressed_properties, outbox),
)


def create_app(hub: Hub, *, ring_drain: Ring | None = None) -> FastAPI:
    """The API of `hub`. `ring_drain(db, connection)` lets a worker handle the connection's inbox, once `db` commits; by
    default it rings the doorbell.

    The application's lifespan starts and ends the threads that store webhooks, check and count: a server must run it.
    """

    doorbell = Doorbell(hub.engine)

    def drain(db: Connection, connection: str) -> None:
        doorbell.ring("drain", connection=connection, db=db)

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncGenerator[None]:
        doorbell.prepare()
        app.state.known = KnownConnections(lambda: load(hub))
        app.state.committer = Committer(DatabaseInlet(hub.engine, ring_drain or drain))
        app.state.committer.start()
        app.state.desk = entitlements.Desk(hub)
        app.state.desk.start()
        try:
            yield
        finally:
            app.state.desk.stop()
            app.state.committer.stop()

    app = FastAPI(
        title="Tidegate",
        version=__version__,
        summary="The open-source, two-way subscription hub for Stripe.",
        openapi_url=None,  # `described` serves it
        docs_url=None,  # FastAPI's documentation pages load from a CDN
        redoc_url=None,
        redirect_slashes=False,  # to a path that was decoded: an id with a slash would lead elsewhere
        lifespan=living,
    )
    app.state.hub = hub
    app.state.doorbell = doorbell
    app.state.recent_tokens = auth.recent_tokens()
    app.state.recent_modes = entitlements.recent_modes()
    routes = [route for noun in NOUNS for route in noun.router.routes if isinstance(route, APIRoute)]
    problems.install(app, routes)
    things = {one.path_format for one in routes if "GET" in (one.methods or ()) and is_single(one.path_format)}
    app.add_middleware(EntityTags, things=things)
    kept_answers.watch(hub.engine)
    app.add_middleware(AskedAgain)
    app.state.requests = metrics.Requests()
    app.add_middleware(metrics.Measured, requests=app.state.requests)
    app.add_middleware(WholeSegments)
    for noun in NOUNS:
        app.include_router(noun.router)
    described.install(app, things)
    return app
