"""/metrics: what Prometheus reads, which stands for what is, and names nobody."""

from collections.abc import Iterator

import pytest
from httpx import Client
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.security import tokens
from tidegate.wiring import Hub
from tidegate.workflows.operation import gauges


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with hub.engine.begin() as db:
        _, token = tokens.create(db, "prometheus", ["read"])
    with (
        serving(create_app(hub, ring_drain=lambda _db, _connection: None)) as url,
        Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client,
    ):
        yield client


def read(client: Client) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every figure by its name and the values of its labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, tuple(s.labels.values())): s.value for family in families for s in family.samples}


def test_requests_are_counted_by_route_and_status(client: Client) -> None:
    client.get("/api/contacts/ada@acme.example")
    client.get("/api/contacts/a%2Fb")
    client.get("/nowhere/ada@acme.example")
    client.request("PROPFIND", "/healthz")
    figures = read(client)
    assert figures["tidegate_http_requests_total", ("GET", "/api/contacts/{contact}", "404")] == 2
    assert figures["tidegate_http_requests_total", ("GET", "none", "404")] == 1
    assert ("other", "405") in {(labels[0], labels[-1]) for name, labels in figures if name.endswith("requests_total")}
    assert figures["tidegate_http_request_seconds_count", ("/api/contacts/{contact}",)] == 2
    assert "ada@" not in client.get("/metrics").text


def test_webhooks_that_are_refused_are_counted_by_why(client: Client) -> None:
    here = "/api/webhooks/stripe/nowhere"
    assert read(client)["tidegate_webhooks_refused_total", ("signature",)] == 0, "told before it happens"
    assert client.post(here, content=b"{}").status_code == 400
    assert client.post(here, content=b"{}", headers={"Stripe-Signature": "t=1,v1=x"}).status_code == 404
    figures = read(client)
    assert figures["tidegate_webhooks_refused_total", ("signature",)] == 1
    assert figures["tidegate_webhooks_refused_total", ("connection",)] == 1
    assert figures["tidegate_webhooks_refused_total", ("failed",)] == 0
    assert "nowhere" not in client.get("/metrics").text


def test_the_hub_is_told_of_as_the_database_has_it(hub: Hub, client: Client) -> None:
    with hub.engine.begin() as db:
        db.execute(
            text("""
insert into tidegate.alerts (rule, subject, occurrence, state, reasons, opened_at, changed_at)
values ('worker_missing', 'worker', '', 'open', '[]', now(), now())""")
        )
        told = {one.name: one for one in gauges.read(db)}
    figures = read(client)
    assert figures["tidegate_up", ()] == 1
    assert figures["tidegate_alerts", ("worker_missing",)] == 1
    assert figures["tidegate_workers", ()] == 0
    assert {f"tidegate_{name}" for name, one in told.items() if one.values} <= {name for name, _ in figures}


def test_a_database_that_is_away_is_told_of(hub: Hub, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ("workers", "Workers.", (), "select 1 from tidegate.nowhere")
    monkeypatch.setattr(gauges, "_GAUGES", (broken,))
    assert read(client)["tidegate_up", ()] == 0
