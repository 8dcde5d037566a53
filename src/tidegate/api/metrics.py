"""Figures for Prometheus: what this process answered, and how the hub stands, which every process tells alike."""

import time
from collections.abc import Iterator

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.api.auth import HubOf, requires
from tidegate.errors import BodyTooLarge, ConnectionUnknown, EventRefused, InboxBusy, SignatureInvalid
from tidegate.wiring import Hub
from tidegate.workflows.operation import gauges

router = APIRouter(tags=["health"])

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Bounds of the histogram of answering times."""


REFUSALS: dict[type[Exception], str] = {
    SignatureInvalid: "signature",
    ConnectionUnknown: "connection",
    EventRefused: "event",
    BodyTooLarge: "too_large",
    InboxBusy: "busy",
    ClientDisconnect: "gone",
}
"""Why a webhook is not taken, by the error that says so; whatever else it is, it is `failed`."""
OTHER = "failed"


class Requests:
    """What an application answered since it began: by route, never by address, which names people."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._answered = Counter(
            "tidegate_http_requests",
            "Requests that this process answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._took = Histogram(
            "tidegate_http_request_seconds",
            "How long this process took to answer.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )

        self._refused = Counter(
            "tidegate_webhooks_refused",
            "Webhooks that this process did not take.",
            ("reason",),
            registry=self.registry,
        )
        for reason in (*REFUSALS.values(), OTHER):
            self._refused.labels(reason)  # so that each is 0 before it happens

    def refused(self, error: Exception) -> None:
        """Counts a webhook that was not taken, by why."""
        self._refused.labels(REFUSALS.get(type(error), OTHER)).inc()

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one. What is no method of HTTP is not told apart, since anybody may send any."""
        known = method if method in {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} else "other"
        self._answered.labels(known, route, str(status)).inc()
        self._took.labels(route).observe(seconds)


class Measured:
    """The middleware that counts."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app, self._requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path_format", "none")
            self._requests.note(scope["method"], route, status, time.perf_counter() - began)


class Standing(Collector):
    """How the hub stands; `tidegate_up` 0 where the database does not answer."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterator[Metric]:
        """Reads the figures."""
        up, read = 1, list[gauges.Gauge]()
        try:
            with self._hub.engine.connect() as db:
                read = list(gauges.read(db))
        except SQLAlchemyError:
            up = 0
        yield GaugeMetricFamily("tidegate_up", "Whether the database answers.", value=up)
        pool = self._hub.engine.pool
        if taken := getattr(pool, "checkedout", None):
            told = "Connections of this process's pool that are in use."
            yield GaugeMetricFamily("tidegate_pool_in_use", told, value=float(taken()))
        for one in read:
            family = GaugeMetricFamily(f"tidegate_{one.name}", one.means, labels=one.labels)
            for labels, value in one.values:
                family.add_metric(labels, value)
            yield family


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[requires("read")],
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request, hub: HubOf) -> Response:
    """Figures in the text format of Prometheus. Those of requests are of the process that answers, all others of the
    whole hub.
    """
    counted: Requests = request.app.state.requests
    whole = CollectorRegistry()
    whole.register(Standing(hub))
    body = generate_latest(counted.registry) + generate_latest(whole)
    return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})
