"""Builds the application that serves the pages."""

import logging

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidegate.errors import ConfigurationError, ConnectionMissing, TextInvalid, TidegateError, outcome
from tidegate.security.oidc import Provider
from tidegate.store.outage import Outage
from tidegate.store.trouble import has_too_many_digits, was_given_nul, was_out_of_range
from tidegate.web import overview_page
from tidegate.web.access import Guard
from tidegate.web.assets import shipped
from tidegate.web.catalog import features_page, mappings_page, packages_page, subscribed_page
from tidegate.web.connections import connect_page, connections_page, import_page, oauth_page
from tidegate.web.contacts import (
    contact_changes,
    contact_merging,
    contact_notes,
    contact_overrides,
    contact_page,
    contacts_page,
    reviews_page,
    search_page,
    selling_page,
)
from tidegate.web.delivery import destination_editor, destinations_page
from tidegate.web.lifecycle import actions, alert_rules, figures, health, lifecycle_page, segments, stages
from tidegate.web.mirror import audits_page, export_page, inbox_page, mirror_page, sql_page, status_page
from tidegate.web.mirror.status_page import StatusReading
from tidegate.web.navigation import menu
from tidegate.web.outbound import live, models, plans, runs, sources, syncs, wizard
from tidegate.web.pages import Page, Site, Visit, route
from tidegate.web.revenue import (
    cohorts,
    conversions,
    explain,
    groups,
    policy,
    quality,
    reconcile,
    renewals,
    retention,
    revenue_page,
)
from tidegate.web.settings import (
    audit_log_page,
    digests_page,
    schedules_page,
    tokens_page,
    users_page,
    views_page,
)
from tidegate.web.signing_in import provider_page, sign_in
from tidegate.web.templating import environment
from tidegate.wiring import Hub
from tidegate.workflows.operation import provided_users

log = logging.getLogger(__name__)
BEYOND = "A number or a time in what was asked for is beyond all that there can be."


def every_page(hub: Hub) -> tuple[Page, ...]:
    """All pages of a hub, and what their forms ask for."""
    reading = StatusReading(hub)
    return (
        *overview_page.pages(hub, reading),
        *connect_page.PAGES,
        *connections_page.pages(reading),
        *contacts_page.PAGES,
        *import_page.PAGES,
        *reviews_page.PAGES,
        *contact_changes.PAGES,
        *contact_merging.PAGES,
        *contact_overrides.PAGES,
        *contact_notes.PAGES,
        *contact_page.PAGES,
        *search_page.PAGES,
        *packages_page.PAGES,
        *features_page.PAGES,
        *mappings_page.PAGES,
        *subscribed_page.PAGES,
        *lifecycle_page.PAGES,
        *(page for one in (stages, figures, segments, alert_rules, actions, health) for page in one.PAGES),
        *revenue_page.PAGES,
        *(page for one in (retention, cohorts, conversions, groups, renewals, quality) for page in one.PAGES),
        *(page for one in (reconcile, policy, explain) for page in one.PAGES),
        *status_page.pages(reading),
        *mirror_page.pages(reading),
        *inbox_page.PAGES,
        *audits_page.PAGES,
        *sql_page.PAGES,
        *export_page.PAGES,
        *oauth_page.PAGES,
        *selling_page.PAGES,
        *wizard.PAGES,
        *plans.PAGES,
        *syncs.PAGES,
        *runs.PAGES,
        *live.pages(),
        *models.PAGES,
        *sources.PAGES,
        *destination_editor.PAGES,
        *destinations_page.PAGES,
        *sign_in.PAGES,
        *provider_page.PAGES,
        *schedules_page.PAGES,
        *digests_page.PAGES,
        *users_page.PAGES,
        *tokens_page.PAGES,
        *views_page.PAGES,
        *audit_log_page.PAGES,
    )


def create_pages(hub: Hub, bound_to: str) -> Starlette:
    """The pages of `hub`. `bound_to` is the host that is served: on loopback they may be looked at by everybody until
    there is a user, elsewhere one signs in.

    Raises AssetMissing when the assets were not built.
    """
    assets = shipped()
    site = Site(hub, bound_to, environment(assets), provider=_provider(hub), views_of=views_page.views_of)
    failures = Failures(site)

    async def static(request: Request) -> Response:
        return assets.answer(request)

    return Starlette(
        routes=[*(route(site, page) for page in every_page(hub)), Route("/static/{name}", static)],
        middleware=[Middleware(Guard)],
        exception_handlers={
            HTTPException: failures.of_http,
            TidegateError: failures.of_error,
            DBAPIError: failures.of_database,
            PoolTimeoutError: failures.of_database,
            ValueError: failures.of_value,
            Exception: failures.unexpected,
        },
    )


def _provider(hub: Hub) -> Provider | None:
    """The OpenID provider of the settings. Raises ConfigurationError when they do not go together."""
    said = hub.settings
    if not said.oidc_issuer:
        return None
    if not said.oidc_client_id:
        raise ConfigurationError(problem="TIDEGATE_OIDC_ISSUER needs TIDEGATE_OIDC_CLIENT_ID beside it.")
    provided_users.admission(said)
    return Provider(said.oidc_issuer, said.oidc_client_id, said.oidc_client_secret.get_secret_value())


class Failures:
    """The pages that say what went wrong."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._outage = Outage(log)

    def of_http(self, request: Request, error: Exception) -> Response:
        """For errors of HTTP itself."""
        assert isinstance(error, HTTPException)
        detail = "There is nothing at this address." if error.status_code == 404 else error.detail
        return self._page(request, error.status_code, detail)

    def of_error(self, request: Request, error: Exception) -> Response:
        """For our own errors: their words, which say what to do. Where nothing is connected yet, a page says so."""
        assert isinstance(error, TidegateError)
        visit: Visit | None = getattr(request.state, "visit", None)
        if type(error) is ConnectionMissing and request.method == "GET" and visit is not None:
            here = [one.title for one in menu(visit.who, request.url.path).pages if one.current]
            return visit.render("nothing_connected.html", title=here[0] if here else "Nothing is connected yet")
        return self._page(request, outcome(error)[1], str(error))

    def of_database(self, request: Request, error: Exception) -> Response:
        """For a database that does not answer, or was asked for what it can have nothing of."""
        if was_given_nul(error):
            return self.of_error(request, TextInvalid())
        if was_out_of_range(error):
            return self._page(request, 422, BEYOND)
        self._outage.note("the page failed at the database", error)
        return self._page(request, 503, "The database could not be reached or did not answer in time.")

    def of_value(self, request: Request, error: Exception) -> Response:
        """For a number that nothing reads, wherever in an address or a form it stands. Raises what is none."""
        if has_too_many_digits(error):
            return self._page(request, 422, BEYOND)
        raise error

    def unexpected(self, request: Request, error: Exception) -> Response:
        """For what was not foreseen; the log has the rest."""
        log.error("page_failed", exc_info=error)
        return self._page(request, 500, "Tidegate failed unexpectedly; its log says how.")

    def _page(self, request: Request, status: int, detail: str) -> Response:
        visit: Visit = getattr(request.state, "visit", None) or Visit(self._site, request, None, {})
        return visit.problem(status, detail)
