"""Access by OAuth: given to a Stripe App or a Connect platform, kept alive, taken back; all of it over HTTP."""

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from httpx import Client, Response
from pydantic import SecretStr
from sqlalchemy import text
from tests.support.importing import connected, imported
from tests.support.visiting import sign_in, visited
from tests.support.waiting import until

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.errors import StripeAccessRevoked, outcome
from tidegate.sandbox import Sandbox
from tidegate.sandbox.oauth import APP, LASTS
from tidegate.sandbox.platform import PLATFORM
from tidegate.sandbox.signatures import signature_header
from tidegate.wiring import Hub
from tidegate.workflows.mirror.ingest_events import handle_events
from tidegate.workflows.mirror.probe import probe
from tidegate.workflows.operation.status import status

pytestmark = pytest.mark.further

START, CALLBACK = "/api/integrations/stripe/start", "/api/integrations/stripe/callback"
THREADS = 4


@pytest.fixture
def sandbox(make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return make_sandbox(customers=3, months=1)


@pytest.fixture
def client(hub: Hub, sandbox: Sandbox) -> Iterator[Client]:
    with hub.engine.begin() as db:
        for table in ("connections", "runs", "problems", "inbox", "users", "tokens", "audit_log"):
            db.execute(text(f"truncate tidegate.{table} cascade"))
    before = hub.settings.model_copy()
    hub.settings.stripe_api_base = sandbox.url
    hub.settings.stripe_app_client_id, hub.settings.stripe_app_key = APP, SecretStr(sandbox.key)
    hub.settings.stripe_connect_client_id = PLATFORM
    with visited(hub) as client:
        sign_in(hub, client, "admin")
        yield client
    for name in ("stripe_api_base", "stripe_app_client_id", "stripe_app_key", "stripe_connect_client_id"):
        setattr(hub.settings, name, getattr(before, name))


def sent(client: Client, query: str = "") -> tuple[str, str]:
    """Where one is sent to, and the cookie to come back with."""
    answer = client.get(f"{START}{query}")
    assert answer.status_code == 303, answer.text
    flags = answer.headers["set-cookie"].lower()
    assert all(one in flags for one in ("httponly", "secure", "samesite=lax"))
    return answer.headers["location"], answer.headers["set-cookie"].partition(";")[0]


def given(to: str, *, say: str = "Give access") -> str:
    """Does on Stripe's page what its link says; returns where that leads."""
    page = httpx.get(to)
    assert page.status_code == 200, page.text
    [link] = re.findall(rf'href="([^"]+)">{say}<', page.text)
    answer = httpx.get(f"http://{urlsplit(to).netloc}{link.replace('&amp;', '&')}")
    assert answer.status_code == 302
    return answer.headers["location"]


def back(client: Client, to: str, cookie: str) -> Response:
    """Comes back from Stripe: a browser keeps the session's cookie back then."""
    return httpx.get(to, headers={"Cookie": cookie}, timeout=60)


def by_app(hub: Hub, client: Client) -> Account:
    to, cookie = sent(client)
    answer = back(client, given(to), cookie)
    assert answer.status_code == 200, answer.text
    return hub.accounts()[0]


def ends(hub: Hub, at: datetime) -> None:
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.connections set token_ends_at = :at"), {"at": at})


def key(hub: Hub) -> str:
    with hub.engine.connect() as db:
        return accounts.credentials(db, "test", hub.vault).api_key


def tokens_asked(sandbox: Sandbox) -> int:
    assert sandbox.server
    return sum(one.ends_at is not None for one in sandbox.server.keys.keys.values())


def test_an_account_gives_access_to_the_app(hub: Hub, sandbox: Sandbox, client: Client) -> None:
    to, cookie = sent(client)
    asked = parse_qs(urlsplit(to).query)
    assert (asked["client_id"], asked["redirect_uri"]) == (
        [APP],
        [f"{client.base_url}{CALLBACK}".replace("//api", "/api")],
    )
    answer = back(client, given(to), cookie)
    assert (answer.status_code, 'href="/connections/test/import"' in answer.text) == (200, True)
    account = hub.accounts()[0]
    assert (account.oauth, account.livemode, account.api_base) == (True, False, sandbox.url)
    assert imported(hub, account)["state"] == "done"
    with hub.engine.connect() as db:
        kept = str(db.execute(text("select to_jsonb(c) from tidegate.connections c")).all())
        changed = db.execute(text("select actor, action, subject from tidegate.audit_log")).all()
    assert key(hub) not in kept
    assert changed[-1] == ("token:desk", "connection.connected", "test")
    assert back(client, given(sent(client)[0]), cookie).status_code == 400, "the cookie of another try"


@pytest.mark.parametrize("wrong", ["again", "cookie", "state", "late", "signed out", "denied", "code"])
def test_nobody_else_comes_back_with_it(hub: Hub, client: Client, wrong: str) -> None:
    to, cookie = sent(client)
    with hub.engine.begin() as db:
        if wrong == "late":
            db.execute(text("update tidegate.oauth_states set expires_at = now()"))
        if wrong == "signed out":
            db.execute(text("delete from tidegate.sessions"))
    there = given(to, say="Do not" if wrong == "denied" else "Give access")
    if wrong == "again":
        assert back(client, there, cookie).status_code == 200
    if wrong in ("state", "code"):
        there = re.sub(rf"\b{wrong}=\w+", f"{wrong}=another", there)
    answer = back(client, there, "tidegate_oauth=another" if wrong == "cookie" else cookie)
    assert (answer.status_code, "begin again" in answer.text) == (400, True), answer.text
    assert len(hub.accounts()) == (wrong == "again")
    if wrong == "denied":
        assert "denied" in answer.text


def test_without_a_client_id_the_way_is_by_key(hub: Hub, client: Client) -> None:
    hub.settings.stripe_app_client_id = ""
    hub.settings.stripe_connect_client_id = ""
    for query in ("", "?connection=test"):
        answer = client.get(f"{START}{query}")
        assert (answer.status_code, "restricted key" in answer.text) == (501, True)


@pytest.mark.parametrize("told", ["before it ends", "by 401"])
def test_a_token_is_renewed_once_by_whoever_is_first(hub: Hub, sandbox: Sandbox, client: Client, told: str) -> None:
    account = by_app(hub, client)
    first, before = key(hub), tokens_asked(sandbox)
    if told == "by 401":
        sandbox.advance(LASTS)
    else:
        ends(hub, datetime.now(UTC) + timedelta(minutes=2))

    def ask(_: int) -> int:
        with hub.stripe(account) as api:  # each its own, as in processes of their own
            return len(api.get("/v1/account").body)

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(ask, range(THREADS)))
    assert key(hub) != first
    assert tokens_asked(sandbox) == before + 1, "a refresh token is good once"


def test_access_that_was_taken_back_is_said(hub: Hub, sandbox: Sandbox, client: Client) -> None:
    account = by_app(hub, client)
    httpx.post(f"{sandbox.url}/v1/oauth/deauthorize", auth=(sandbox.key, ""),
               data={"client_id": APP, "stripe_user_id": account.account})  # fmt: skip
    with hub.stripe(account) as api, pytest.raises(StripeAccessRevoked) as refused:
        probe(hub.engine, account, api)
    assert outcome(refused.value) == (3, 502)
    [problem] = status(hub.engine)["connections"][0]["problems"][:1]
    assert (problem["code"], "page under Connect" in problem["remedy"]) == ("oauth_revoked", True)
    again = by_app(hub, client)
    assert again.name == account.name
    assert "oauth_revoked" not in {one["code"] for one in status(hub.engine)["connections"][0]["problems"]}


def test_the_event_of_it_marks_the_connection(hub: Hub, sandbox: Sandbox, client: Client) -> None:
    account = by_app(hub, client)
    secret = "whsec_app"
    with hub.engine.begin() as db:
        accounts.add_webhook_secret(db, account.name, secret, hub.vault)
    url = f"{str(client.base_url).rstrip('/')}/api/webhooks/stripe/{account.name}"
    httpx.post(f"{sandbox.url}/__webhooks", json={"url": url, "secret": secret}).raise_for_status()
    httpx.post(f"{sandbox.url}/v1/oauth/deauthorize", auth=(sandbox.key, ""),
               data={"client_id": APP, "stripe_user_id": account.account}).raise_for_status()  # fmt: skip

    def codes() -> set[str]:
        return {one["code"] for one in status(hub.engine)["connections"][0]["problems"]}

    until(lambda: "oauth_revoked" in codes(), "the problem")
    handle_events(hub.engine, account.name)
    assert "oauth_revoked" in codes()


@pytest.mark.parametrize("whose", ["acct_other", "acct_stranger"])
def test_one_endpoint_takes_the_events_of_all_who_installed_the_app(hub: Hub, client: Client, whose: str) -> None:
    account = by_app(hub, client)
    with hub.engine.begin() as db:
        accounts.add_webhook_secret(db, account.name, "whsec_app", hub.vault)
        db.execute(text("""
insert into tidegate.connections (name, account, livemode, rate, endpoint_rate, oauth)
values ('other', 'acct_other', false, 0, 0, true)"""))  # fmt: skip
    event = {"id": "evt_1", "object": "event", "type": "account.application.deauthorized", "account": whose,
             "created": int(time.time()), "livemode": False, "data": {"object": {"id": APP}}}  # fmt: skip
    body = json.dumps(event).encode()
    signed = {"Stripe-Signature": signature_header(body, "whsec_app", int(time.time()))}
    assert client.post(f"/api/webhooks/stripe/{account.name}", content=body, headers=signed).status_code == 200
    with hub.engine.connect() as db:
        noted = db.execute(text("select connection, code from tidegate.problems")).all()
        kept = db.execute(text("select connection, state from tidegate.inbox where event_id = 'evt_1'")).all()
    if whose == "acct_other":
        assert (noted, kept) == ([("other", "oauth_revoked")], [("other", "waiting")])
    else:
        assert (noted, kept) == ([], [("test", "skipped")])


def test_disconnecting_gives_the_access_back(hub: Hub, sandbox: Sandbox, client: Client) -> None:
    account = by_app(hub, client)
    token = key(hub)
    assert client.post("/connections/test/disconnect", data={"confirm": "test"}).status_code == 303
    assert httpx.get(f"{sandbox.url}/v1/account", auth=(token, "")).status_code == 401
    with hub.engine.connect() as db:
        left = db.execute(text("select api_key, refresh_token from tidegate.connections")).one()
    assert tuple(left) == (None, None)
    assert account.name == "test"


def test_a_platform_gets_one_more_account(hub: Hub, sandbox: Sandbox, client: Client) -> None:
    platform = connected(hub, sandbox, "plat")
    to, cookie = sent(client, "?connection=plat")
    assert parse_qs(urlsplit(to).query)["scope"] == ["read_only"]
    answer = back(client, given(to), cookie)
    assert answer.status_code == 200, answer.text
    [one] = [one for one in hub.accounts() if one.platform]
    assert (one.platform, one.oauth) == (platform.name, False)
    assert f'href="/connections/{one.name}/import"' in answer.text
    assert imported(hub, one)["state"] == "done"


def test_a_connection_by_key_takes_the_place_of_tokens(hub: Hub, sandbox: Sandbox, client: Client) -> None:
    by_app(hub, client)
    assert not connected(hub, sandbox, "test").oauth
    assert key(hub) == sandbox.key
    sandbox.advance(LASTS)
    with hub.stripe(hub.accounts()[0]) as api:
        api.get("/v1/account")


@pytest.mark.parametrize(
    ("path", "data", "error"),
    [
        ("/v1/oauth/token", {"grant_type": "authorization_code", "code": "ac_1"}, "invalid_grant"),
        ("/v1/oauth/token", {"grant_type": "refresh_token", "refresh_token": "rt_1"}, "invalid_grant"),
        ("/oauth/token", {"grant_type": "refresh_token", "refresh_token": "rt_1"}, "unsupported_grant_type"),
        ("/v1/oauth/deauthorize", {"client_id": APP, "stripe_user_id": "acct_1"}, "invalid_client"),
    ],
)
def test_the_sandbox_refuses_as_oauth_does(sandbox: Sandbox, path: str, data: dict[str, str], error: str) -> None:
    answer = httpx.post(f"{sandbox.url}{path}", auth=(sandbox.key, ""), data=data)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert httpx.post(f"{sandbox.url}{path}", data=data).status_code == 401


@pytest.mark.parametrize(
    "query", ["client_id=ca_1&redirect_uri=http://localhost/", f"client_id={APP}&redirect_uri=https://evil.example/"]
)
def test_the_sandbox_approves_only_what_it_knows(sandbox: Sandbox, query: str) -> None:
    answer = httpx.get(f"{sandbox.url}/oauth/v2/authorize?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")
