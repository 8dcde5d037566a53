"""The HTTP API: who may do what, every error a problem document, thin routes that do what they say."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from httpx import Client, Response
from sqlalchemy import text
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.connections import accounts, runs
from tidegate.connections.accounts import Credentials
from tidegate.security import audit_log, tokens
from tidegate.security.scopes import SCOPES
from tidegate.wiring import Hub
from tidegate.workflows.operation import users

SECONDS = 20.0
ASKED = text("select args from tidegate.procrastinate_jobs where task_name = 'import_account'")


@pytest.fixture
def url(hub: Hub) -> Iterator[str]:
    with hub.engine.begin() as db:
        db.execute(
            text("truncate tidegate.tokens, tidegate.connections, tidegate.runs, tidegate.procrastinate_jobs cascade")
        )
    with serving(create_app(hub, ring_drain=lambda _db, _connection: None)) as url:
        yield url


@pytest.fixture
def client_of(hub: Hub, url: str) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(*scopes: str) -> Client:
        with hub.engine.begin() as db:
            _, token = tokens.create(db, "test", scopes)
        made.append(Client(base_url=url, headers={"Authorization": f"Bearer {token}"}))
        return made[-1]

    yield make
    for client in made:
        client.close()


def connected(hub: Hub, *names: str) -> None:
    for name in names:
        values = {"name": name, "account": f"acct_{name}", "livemode": False, "rate": 25, "endpoint_rate": 25}
        with hub.engine.begin() as db:
            accounts.save(db, values, Credentials("sk_test_1", "", ()), hub.vault)


def problem(answer: Response, status: int, kind: str = "") -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert {"type", "title", "status", "detail"} <= set(body)
    assert body["status"] == status
    assert body["type"] == (f"urn:tidegate:problem:{kind}" if kind else "about:blank")
    return body


def test_probes_need_no_token(url: str) -> None:
    with Client(base_url=url) as client:
        assert client.get("/healthz").json() == {"status": "alive"}
        ready = client.get("/readyz").json()
    assert ready["status"] == "ready"
    assert ready["database"]["version"] >= 15


def test_a_schema_that_is_behind_is_not_ready(hub: Hub, url: str) -> None:
    with hub.engine.begin() as db:
        before = db.scalar(text("select version_num from tidegate.alembic_version"))
        db.execute(text("update tidegate.alembic_version set version_num = '0000'"))
    try:
        with Client(base_url=url) as client:
            told = problem(client.get("/readyz"), 503, "migration-needed")
        assert "tidegate migrate" in told["detail"]
    finally:
        with hub.engine.begin() as db:
            db.execute(text("update tidegate.alembic_version set version_num = :before"), {"before": before})


GUARDED = [
    ("GET", "/metrics", "read"),
    ("GET", "/api/integrations/stripe/status", "read"),
    ("GET", "/api/runs/{run_id}", "read"),
    ("POST", "/api/integrations/stripe/sync", "operate"),
    ("POST", "/api/integrations/stripe/connect", "admin"),
    ("DELETE", "/api/integrations/stripe", "admin"),
    ("POST", "/api/contacts/1/subscriptions", "operate"),
    ("POST", "/api/contacts/1/subscriptions/change", "operate"),
    ("POST", "/api/contacts/1/subscriptions/cancel", "operate"),
    ("GET", "/api/usage", "read"),
    ("POST", "/api/usage/retry", "operate"),
    ("POST", "/api/usage/discard", "operate"),
    ("GET", "/api/stages", "read"),
    ("GET", "/api/stages/report", "read"),
    ("GET", "/api/stages/drivers", "read"),
    ("POST", "/api/stages", "admin"),
    ("GET", "/api/segments", "read"),
    ("POST", "/api/segments", "admin"),
    ("GET", "/api/lifecycle/settings", "read"),
    ("POST", "/api/lifecycle/settings", "admin"),
    ("GET", "/api/alerts", "read"),
    ("POST", "/api/alerts/1/ack", "operate"),
    ("POST", "/api/alerts/1/snooze", "operate"),
    ("POST", "/api/alerts/1/dismiss", "operate"),
    ("POST", "/api/alerts/1/note", "operate"),
    ("POST", "/api/alerts/1/reopen", "operate"),
    ("PUT", "/api/contacts/1/suppression", "operate"),
    ("DELETE", "/api/contacts/1/suppression", "operate"),
    ("GET", "/api/actions", "read"),
    ("GET", "/api/actions/suggested", "read"),
    ("GET", "/api/actions/1", "read"),
    ("PUT", "/api/actions/1", "admin"),
    ("DELETE", "/api/actions/1", "admin"),
    ("POST", "/api/actions/1/enable", "operate"),
    ("POST", "/api/actions/1/disable", "operate"),
    ("GET", "/api/actions/1/preview", "read"),
    ("POST", "/api/actions/1/preview", "read"),
    ("GET", "/api/actions/1/report", "read"),
    ("GET", "/api/actions/1/fired", "read"),
    ("GET", "/api/contacts/1/health", "read"),
    ("GET", "/api/contacts/1/stage", "read"),
    ("GET", "/api/contacts/1/timeline", "read"),
    ("POST", "/api/contacts/1/notes", "operate"),
    ("DELETE", "/api/contacts/1/notes/1", "operate"),
    ("POST", "/api/contacts/1/tasks", "operate"),
    ("GET", "/api/tasks", "read"),
    ("PATCH", "/api/tasks/1", "operate"),
    ("DELETE", "/api/tasks/1", "operate"),
    ("GET", "/api/owners", "read"),
    ("POST", "/api/owners", "admin"),
    ("DELETE", "/api/owners/1", "admin"),
    ("GET", "/api/suppressed-properties", "read"),
    ("PUT", "/api/suppressed-properties/{name}", "admin"),
    ("DELETE", "/api/suppressed-properties/{name}", "admin"),
    ("GET", "/api/alert-route", "read"),
    ("PUT", "/api/alert-route", "admin"),
    ("GET", "/api/digests", "read"),
    ("GET", "/api/digests/preview", "read"),
    ("POST", "/api/digests/send", "operate"),
    ("GET", "/api/features", "read"),
    ("POST", "/api/features", "admin"),
    ("GET", "/api/features/1", "read"),
    ("PATCH", "/api/features/1", "admin"),
    ("DELETE", "/api/features/1", "admin"),
    ("GET", "/api/packages", "read"),
    ("POST", "/api/packages", "admin"),
    ("GET", "/api/packages/1", "read"),
    ("PATCH", "/api/packages/1", "admin"),
    ("DELETE", "/api/packages/1", "admin"),
    ("PUT", "/api/packages/1/draft", "admin"),
    ("POST", "/api/packages/1/publish", "admin"),
    ("POST", "/api/packages/1/migrate", "admin"),
    ("POST", "/api/packages/1/create-in-stripe", "admin"),
    ("GET", "/api/catalog-changes", "read"),
    ("GET", "/api/mappings", "read"),
    ("POST", "/api/mappings", "admin"),
    ("POST", "/api/mappings/1/remove", "admin"),
    ("GET", "/api/mappings/queue", "read"),
    ("GET", "/api/mappings/kept", "read"),
    ("GET", "/api/mappings/ignored", "read"),
    ("PUT", "/api/mappings/ignored/1", "admin"),
    ("DELETE", "/api/mappings/ignored/1", "admin"),
    ("POST", "/api/mappings/kept/release", "admin"),
    ("GET", "/api/mappings/suggestions", "read"),
    ("POST", "/api/mappings/suggestions/accept", "admin"),
    ("GET", "/api/contacts", "read"),
    ("POST", "/api/contacts", "operate"),
    ("GET", "/api/contacts/{contact}", "read"),
    ("PATCH", "/api/contacts/{contact}", "operate"),
    ("GET", "/api/contacts/{contact}/subscriptions", "read"),
    ("POST", "/api/contacts/{contact}/refresh", "entitlements"),
    ("POST", "/api/contacts/{contact}/links", "operate"),
    ("DELETE", "/api/contacts/{contact}/links/{customer}", "operate"),
    ("POST", "/api/contacts/{contact}/ids", "operate"),
    ("DELETE", "/api/contacts/{contact}/ids/{other}", "operate"),
    ("POST", "/api/contacts/{contact}/merge", "operate"),
    ("POST", "/api/contacts/{contact}/unmerge", "operate"),
    ("POST", "/api/contacts/{contact}/forget", "admin"),
    ("PUT", "/api/contacts/{contact}/members/{user}", "operate"),
    ("DELETE", "/api/contacts/{contact}/members/{user}", "operate"),
    ("GET", "/api/contact-reviews", "read"),
    ("POST", "/api/contact-reviews/accept", "operate"),
    ("POST", "/api/contact-reviews/batches/{batch}/undo", "operate"),
    ("GET", "/api/billing-events", "read"),
    ("GET", "/api/revenue/mrr", "revenue"),
    ("GET", "/api/revenue/movements", "revenue"),
    ("GET", "/api/revenue/metrics", "revenue"),
    ("GET", "/api/revenue/cohorts", "revenue"),
    ("GET", "/api/revenue/at-risk", "revenue"),
    ("GET", "/api/revenue/renewals", "revenue"),
    ("GET", "/api/revenue/data-quality", "revenue"),
    ("GET", "/api/runs/{run_id}/requests", "read"),
    ("POST", "/api/runs/{run_id}/revert", "operate"),
    ("GET", "/api/outbound", "read"),
    ("POST", "/api/outbound/pause", "operate"),
    ("POST", "/api/outbound/resume", "operate"),
    ("GET", "/api/sources", "read"),
    ("POST", "/api/sources", "admin"),
    ("POST", "/api/sources/1/test", "operate"),
    ("DELETE", "/api/sources/1", "admin"),
    ("GET", "/api/models", "read"),
    ("POST", "/api/models", "admin"),
    ("GET", "/api/models/1/preview", "operate"),
    ("DELETE", "/api/models/1", "admin"),
    ("GET", "/api/destinations", "read"),
    ("POST", "/api/destinations", "admin"),
    ("GET", "/api/destinations/1", "read"),
    ("DELETE", "/api/destinations/1", "admin"),
    ("POST", "/api/destinations/1/test", "operate"),
    ("GET", "/api/destinations/1/preview", "operate"),
    ("POST", "/api/destinations/1/pause", "operate"),
    ("POST", "/api/destinations/1/resume", "operate"),
    ("GET", "/api/destinations/1/dead", "operate"),
    ("POST", "/api/destinations/1/replay", "operate"),
    ("POST", "/api/destinations/1/backfill", "admin"),
    ("GET", "/api/outbox", "read"),
    ("GET", "/api/syncs", "read"),
    ("POST", "/api/syncs", "admin"),
    ("GET", "/api/syncs/1", "read"),
    ("DELETE", "/api/syncs/1", "admin"),
    ("POST", "/api/syncs/1/plan", "operate"),
    ("POST", "/api/syncs/1/run", "operate"),
    ("POST", "/api/syncs/1/cancel", "operate"),
    ("GET", "/api/syncs/1/runs", "read"),
    ("GET", "/api/contact-settings", "read"),
    ("PATCH", "/api/contact-settings", "admin"),
]


OWN_TESTS = ("/api/contacts/1/",)
"""Nouns whose own tests say who may do what."""


@pytest.mark.parametrize("noun", sorted({path.split("/")[-1 if path == "/metrics" else 2] for _, path, _ in GUARDED}))
def test_routes_ask_for_a_token_and_its_scope(url: str, client_of: Callable[..., Client], noun: str) -> None:
    lessers = {"entitlements": "admin", "operate": "read", "admin": "operate"}
    held = {scope: client_of(scope) for scope in ("entitlements", "read", "operate", "admin")}
    with Client(base_url=url) as nobody:
        for method, path, scope in GUARDED:
            if path.split("/")[-1 if path == "/metrics" else 2] == noun:
                lesser = held[lessers.get(scope, "entitlements")]
                enough = held["entitlements" if scope == "entitlements" else "admin"]
                asks_for(scope, method, plain(path), nobody, lesser, enough)


def asks_for(scope: str, method: str, path: str, nobody: Client, lesser: Client, enough: Client) -> None:
    route = f"{method} {path}"
    for said in ({}, {"Authorization": "Bearer tg_wrong"}, {"Authorization": "Basic dGc6dGc="}):
        refused = nobody.request(method, path, headers=said)
        assert refused.status_code == 401, route
        problem(refused, 401, "token-refused")
        assert refused.headers["www-authenticate"].startswith("Bearer"), route
    forbidden = lesser.request(method, path)
    assert forbidden.status_code == 403, route
    assert scope in problem(forbidden, 403, "scope-missing")["detail"]
    assert f'scope="{scope}"' in forbidden.headers["www-authenticate"], route
    assert enough.request(method, path).status_code not in {401, 403}, route


def plain(path: str) -> str:
    """A path with 1 for whatever is named in it."""
    return re.sub(r"\{\w+\}", "1", path)


def test_every_route_but_the_probes_and_webhooks_is_guarded(url: str) -> None:
    with Client(base_url=url) as client:
        described = client.get("/api/openapi.json", timeout=60).json()
    operations = {
        (method.upper(), path): "security" in operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    assert described["openapi"].startswith("3.1")
    assert {one for one, guarded in operations.items() if not guarded} == {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("POST", "/api/webhooks/stripe/{connection}"),
    }
    known = {(method, plain(path)) for method, path, _ in GUARDED}
    found = {(method, plain(path)) for (method, path), guarded in operations.items() if guarded}
    assert known <= found
    assert {path for _, path in found - known if not path.startswith(OWN_TESTS)} == set()
    parts = described["components"]["responses"]
    assert all("application/problem+json" in one["content"] for one in parts.values())
    failures = [
        answer
        for methods in described["paths"].values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if int(status) >= 400
    ]
    told = [one for one in failures if "$ref" not in one]  # by the route itself
    assert {one["$ref"].rpartition("/")[2] for one in failures if one not in told} <= set(parts)
    assert all(one["content"] for one in told)


@pytest.mark.parametrize("scope", SCOPES)
def test_each_route_is_open_to_the_scopes_that_it_says_and_to_no_other(
    hub: Hub, url: str, client_of: Callable[..., Client], scope: str
) -> None:
    """Of the scopes that a token may have, every one, on every route; and the cookie of a session, which says nothing
    of scopes, opens none.
    """
    client = client_of(scope)
    [token] = [one for one in _tokens(hub) if one.scopes == (scope,)]
    paths = client.get("/api/openapi.json", timeout=60).json()["paths"]
    cookie = users.begin_session(hub.engine, token)
    with Client(
        base_url=url, headers={"Cookie": f"tidegate_session={cookie}", "Sec-Fetch-Site": "same-origin"}
    ) as page:
        for path, operations in paths.items():
            for method, operation in operations.items():
                if needed := [one["HTTPBearer"][0] for one in operation.get("security", ())]:
                    answer = client.request(method, plain(path))
                    allowed = any(token.may(one) for one in needed)
                    assert (answer.status_code != 403) is allowed, (method, path, answer.text)
                    if scope == "read":
                        assert page.request(method, plain(path)).status_code == 401, (method, path)


def _tokens(hub: Hub) -> list[tokens.Token]:
    with hub.engine.connect() as db:
        return tokens.listing(db)


def test_a_revoked_token_is_refused_at_once(hub: Hub, client_of: Callable[..., Client]) -> None:
    client = client_of("read")
    assert client.get("/api/integrations/stripe/status").status_code == 200
    with hub.engine.begin() as db:
        tokens.revoke(db, tokens.listing(db)[-1].id)
    problem(client.get("/api/integrations/stripe/status"), 401, "token-refused")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("GET", "/api/nothing", None, 404, ""),
        ("PUT", "/api/runs/1", None, 405, ""),
        ("GET", "/api/runs/7", None, 404, "run-unknown"),
        ("GET", f"/api/runs/{10**30}", None, 404, "run-unknown"),
        ("GET", "/api/integrations/stripe/status?connection=ghost", None, 404, "connection-unknown"),
        ("POST", "/api/integrations/stripe/sync", None, 422, "connection-ambiguous"),
        ("POST", "/api/integrations/stripe/sync?connection=ghost", None, 404, "connection-unknown"),
        ("POST", "/api/integrations/stripe/sync?connection=one", {"resources": ["unicorns"]}, 404, "resource-unknown"),
        ("POST", "/api/integrations/stripe/connect", {"api_key": "pk_live_1"}, 422, "usage-error"),
    ],
)
def test_errors_are_problems_that_say_what(
    hub: Hub, client_of: Callable[..., Client], method: str, path: str, body: Any, status: int, kind: str
) -> None:
    connected(hub, "one", "two")
    assert problem(client_of("admin").request(method, path, json=body), status, kind)["detail"]


def test_an_ambiguous_request_is_told_the_parameter_and_no_option(hub: Hub, client_of: Callable[..., Client]) -> None:
    connected(hub, "one", "two")
    told = problem(client_of("admin").post("/api/integrations/stripe/sync"), 422, "connection-ambiguous")["detail"]
    assert told.endswith("Say which with `?connection=NAME`.")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/integrations/stripe/connect", {}, "body.api_key"),
        ("/api/integrations/stripe/connect", {"api_key": "sk_test_1", "rate": -1}, "body.rate"),
        ("/api/integrations/stripe/connect", {"api_key": "sk_test_1", "name": "a/b"}, "body.name"),
        ("/api/integrations/stripe/sync", {"ful": True}, "body.ful"),
        ("/api/integrations/stripe/sync", {"resources": "customers"}, "body.resources"),
    ],
)
def test_what_does_not_fit_is_named_field_by_field(
    client_of: Callable[..., Client], path: str, body: Any, field: str
) -> None:
    told = problem(client_of("admin").post(path, json=body), 422)
    assert [one["field"] for one in told["errors"]] == [field]
    assert "sk_test_1" not in str(told)


def test_a_number_that_nothing_reads_is_refused(hub: Hub, client_of: Callable[..., Client]) -> None:
    connected(hub, "acme")
    told = problem(client_of("read").get("/api/contacts", params={"after": "9" * 5_000}), 422)
    assert "beyond all that there can be" in told["detail"]


def test_a_run_is_shown(hub: Hub, client_of: Callable[..., Client]) -> None:
    connected(hub, "acme")
    with hub.engine.begin() as db:
        run = runs.begin(db, "acme", "import", {}, "me")
        runs.end(db, run, "done", {"resources": {"customers": {"read": 3}}}, "me")
    shown = client_of("read").get(f"/api/runs/{run}").json()
    assert (shown["id"], shown["connection"], shown["state"]) == (run, "acme", "done")
    assert shown["summary"]["resources"]["customers"]["read"] == 3
    assert shown["started_at"].endswith("Z")


def test_a_sync_rings_for_an_import_and_answers_with_the_run_that_begins(
    hub: Hub, client_of: Callable[..., Client]
) -> None:
    connected(hub, "acme")

    def worker() -> None:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with hub.engine.begin() as db:
                job = db.execute(
                    text("select args from tidegate.procrastinate_jobs where task_name = 'import_account'")
                )
                if job.first():
                    runs.begin(db, "acme", "import", {}, "me")
                    return

    thread = threading.Thread(target=worker)
    thread.start()
    answer = client_of("operate").post("/api/integrations/stripe/sync", json={"resources": ["customers"]})
    thread.join(SECONDS)
    started = answer.json()
    assert answer.status_code == 202
    assert (started["connection"], started["run"]["state"]) == ("acme", "running")
    assert answer.headers["location"] == f"/api/runs/{started['run']['id']}"
    with hub.engine.connect() as db:
        asked = db.scalar(ASKED)
    assert asked == {"connection": "acme", "resources": ["customers"], "full": False}


def test_a_sync_without_a_worker_is_accepted_all_the_same(
    hub: Hub, client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.api.integration.START_SECONDS", 0.1)
    connected(hub, "acme")
    answer = client_of("operate").post("/api/integrations/stripe/sync")
    assert answer.status_code == 202
    assert answer.json() == {"connection": "acme", "run": None}
    more = {"full": True, "resources": ["customers"]}
    assert client_of("operate").post("/api/integrations/stripe/sync", json=more).status_code == 202
    with hub.engine.connect() as db:
        assert db.scalar(ASKED) == {"connection": "acme", "resources": [], "full": True}, "nothing is dropped"
        told = [(row["action"], row["subject"], row["detail"]["full"]) for row in audit_log.newest(db, 2)]
    assert told == [("import.asked", "acme", True), ("import.asked", "acme", None)]


def test_connect_and_disconnect(hub: Hub, client_of: Callable[..., Client], make_sandbox: Callable[..., Any]) -> None:
    sandbox = make_sandbox(customers=3, months=1)
    admin = client_of("admin")
    key = {"api_key": sandbox.key, "name": "acme", "api_base": sandbox.url, "webhook_secrets": ["whsec_1"]}
    made = admin.post("/api/integrations/stripe/connect", json=key)
    assert made.status_code == 201
    assert (made.json()["name"], made.json()["mode"], made.json()["sandbox"]) == ("acme", "test", True)
    assert sandbox.key not in made.text
    with hub.engine.connect() as db:
        assert accounts.webhook_secrets(db, "acme", hub.vault) == ("whsec_1",)
    shown = admin.get("/api/integrations/stripe/status", params={"connection": "acme"}).json()
    assert [one["name"] for one in shown["connections"]] == ["acme"]
    ended = admin.delete("/api/integrations/stripe")
    assert ended.json()["disconnected_at"] is not None
    problem(admin.post("/api/integrations/stripe/sync"), 422, "usage-error")
    with hub.engine.connect() as db:
        told = [(row["actor"].split(":")[0], row["action"], row["subject"]) for row in audit_log.newest(db, 2)]
    assert told == [("token", f"connection.{done}", "acme") for done in ("disconnected", "connected")]


def test_a_platform_is_connected_with_its_accounts(
    hub: Hub, client_of: Callable[..., Client], make_sandbox: Callable[..., Any]
) -> None:
    sandbox = make_sandbox(customers=3, months=1, connected=2)
    client = client_of("admin")
    body = {"api_key": sandbox.key, "api_base": sandbox.url, "name": "plat", "rate": 0, "platform": True}
    made = client.post("/api/integrations/stripe/connect", json=body).json()
    assert (made["platform"], made["accounts"]) == (None, ["plat-blue-kiln", "plat-fernwood-studio"])
    with hub.engine.connect() as db:
        assert sorted(db.execute(ASKED).scalars(), key=str) == [{"connection": name} for name in made["accounts"]]
    alone = client.delete("/api/integrations/stripe", params={"connection": "plat-blue-kiln"}).json()
    assert (alone["platform"], alone["accounts"]) == ("plat", [])
    gone = client.delete("/api/integrations/stripe", params={"connection": "plat"}).json()
    assert gone["disconnected_at"]
    with hub.engine.connect() as db:
        assert accounts.every(db, connected=True) == []
