"""The pages by which an account is connected, kept and let go of, and the way from there to contacts."""

import csv
import io
import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.importing import connected, imported
from tests.support.numbers import assert_exported
from tests.support.visiting import sign_in, visited
from tests.support.waiting import until
from tests.support.working import worker

from tidegate.connections import accounts
from tidegate.sandbox import Sandbox
from tidegate.stripe_api.key_link import key_permissions
from tidegate.wiring import Hub

TABLES = (
    "connections",
    "runs",
    "problems",
    "inbox",
    "users",
    "tokens",
    "audit_log",
    "contacts",
    "packages",
    "mappings",
)


@pytest.fixture
def sandbox(make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return make_sandbox(customers=12, months=3)


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with hub.engine.begin() as db:
        for table in TABLES:
            db.execute(text(f"truncate tidegate.{table} cascade"))
        db.execute(text("delete from tidegate.procrastinate_jobs"))
    with visited(hub) as client:
        sign_in(hub, client, "admin")
        yield client


def add_key(sandbox: Sandbox, secret: str, lacking: tuple[str, ...] = ()) -> str:
    """A key that may read everything but what is lacking."""
    names = [*sandbox.state.collections, "balance"]
    permissions = {name: "read" for name in names if name not in lacking}
    httpx.post(f"{sandbox.url}/__keys", json={"secret": secret, "permissions": permissions}).raise_for_status()
    return secret


def beside(page: str, field: str) -> str:
    """What is said beside a field."""
    found = re.search(rf'id="{field}-wrong">([^<]+)<', page)
    return found[1] if found else ""


def test_before_there_is_one_the_page_says_how(hub: Hub, client: Client) -> None:
    page = client.get("/connections").text
    assert 'href="/connect"' in page
    form = client.get("/connect").text
    assert "dashboard.stripe.com/test/apikeys/create" in form
    assert all(one in form for one in key_permissions()), "the link asks for all that is mirrored"
    assert "Not set up here" in form, "OAuth without a client id"
    client.headers.pop("Cookie")
    assert "tidegate connect" in client.get("/connections").text
    assert client.get("/connect").status_code == 303


def test_a_key_is_connected_and_each_permission_shown(hub: Hub, sandbox: Sandbox, client: Client) -> None:
    key = add_key(sandbox, "rk_test_connect_page", ("disputes",))
    answer = client.post("/connect", data={"api_key": key, "name": "acme", "api_base": sandbox.url, "rate": "0"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/connections/acme")
    page = client.get("/connections/acme").text
    assert key not in page
    assert "rak_disputes_read" in page
    assert "Disputed payments." in page
    assert page.count(">granted<") > 15
    assert 'href="/connections/acme/import"' in page
    assert "1 refused" in client.get("/connections").text
    assert_exported(client, "/connections")
    [row] = csv.DictReader(io.StringIO(client.get("/connections.csv").text))
    assert (row["name"], row["permissions_refused"], row["import"]) == ("acme", "GET /v1/disputes", "")
    with hub.engine.connect() as db:
        [change] = db.execute(text("select actor, action, subject, detail from tidegate.audit_log")).all()
    assert change[:3] == ("token:desk", "connection.connected", "acme")
    assert key not in str(change.detail)


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("api_key", {"api_key": ""}, "A key is needed"),
        ("api_key", {"api_key": "pk_test_1"}, "not a Stripe secret key"),
        ("api_key", {"api_key": "sk_test_unknown"}, "does not accept this key"),
        ("api_key", {"api_key": "rk_test_hidden"}, "may not read the account"),
        ("write_key", {"write_key": "sk_test_unknown"}, "does not accept this key"),
        ("write_key", {"write_key": "sk_live_other"}, "not of the same mode"),
        ("name", {"name": "Not A Name"}, "cannot be a name"),
        ("name", {"name": "taken"}, "belongs to the Stripe account"),
        ("api_base", {"api_base": "http://127.0.0.1:1"}, "could not be reached"),
        ("webhook_secret", {"webhook_secret": "secret"}, "begins with whsec_"),
        ("rate", {"rate": "fast"}, "A number"),
        ("endpoint_rate", {"endpoint_rate": "-1"}, "A number"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    hub: Hub, sandbox: Sandbox, client: Client, field: str, typed: dict[str, str], said: str
) -> None:
    add_key(sandbox, "rk_test_hidden", ("accounts",))
    connected(hub, sandbox, "taken")
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.connections set account = 'acct_other'"))
    right = {"api_key": sandbox.key, "name": "new<name", "api_base": sandbox.url, "rate": "7"}
    if field != "name":
        right["name"] = "new"
    answer = client.post("/connect", data=right | typed)
    assert answer.status_code == 422, answer.text
    assert said in beside(answer.text, field).replace("&#39;", "'")
    for name, value in ((right | typed) | {"x": "x"}).items():
        if name in ("name", "api_base", "rate"):
            assert f'value="{value.replace("<", "&lt;")}"' in answer.text, "what was typed stays"
    assert sandbox.key not in answer.text
    assert len(hub.accounts()) == 1


def test_a_key_is_replaced_and_what_is_not_given_stays(hub: Hub, sandbox: Sandbox, client: Client) -> None:
    connected(hub, sandbox, webhook_secrets=("whsec_kept",))
    assert "takes the place of" in client.get("/connect?name=acme").text
    key = add_key(sandbox, "rk_test_another")
    assert client.post("/connect", data={"api_key": key, "name": "acme"}).status_code == 303
    with hub.engine.connect() as db:
        kept = accounts.credentials(db, "acme", hub.vault)
    assert (kept.api_key, kept.webhook_secrets) == (key, ("whsec_kept",))


def test_webhooks_are_set_up_where_the_key_may(hub: Hub, sandbox: Sandbox, client: Client) -> None:
    connected(hub, sandbox)
    assert "Set it up at Stripe" in client.get("/connections/acme").text
    assert client.post("/connections/acme/webhooks").status_code == 303
    [made] = httpx.get(f"{sandbox.url}/v1/webhook_endpoints", auth=(sandbox.key, "")).json()["data"]
    assert (made["enabled_events"], made["url"]) == (["*"], f"{client.base_url}/api/webhooks/stripe/acme")
    page = client.get("/connections/acme").text
    assert "A signing secret is stored" in page
    changed = {"object": sandbox.call(lambda: sandbox.state.full("customers", sandbox.state["customers"].ids[0]))}
    httpx.post(f"{sandbox.url}/__objects", json=changed | {"event": "customer.updated"}).raise_for_status()
    until(lambda: hub.account("acme").last_webhook_at is not None or _inbox(hub) > 0, "a webhook")
    again = client.post("/connections/acme/webhooks")
    assert (again.status_code, "at this address already" in again.text) == (409, True)


def _inbox(hub: Hub) -> int:
    with hub.engine.connect() as db:
        return int(db.scalar(text("select count(*) from tidegate.inbox where source = 'webhook'")) or 0)


def test_where_the_key_may_not_the_steps_are_shown(hub: Hub, sandbox: Sandbox, client: Client) -> None:
    connected(hub, sandbox, api_key=add_key(sandbox, "rk_test_reads"))
    refused = client.post("/connections/acme/webhooks")
    assert refused.status_code == 409
    assert "by hand" in refused.text
    assert f"{client.base_url}/api/webhooks/stripe/acme" in refused.text
    wrong = client.post("/connections/acme/secret", data={"secret": "secret"})
    assert (wrong.status_code, "begins with whsec_" in beside(wrong.text, "secret")) == (422, True)
    assert client.post("/connections/acme/secret", data={"secret": "whsec_by_hand"}).status_code == 303
    assert client.post("/connections/acme/secret", data={"secret": "whsec_newer"}).status_code == 303
    with hub.engine.connect() as db:
        assert accounts.webhook_secrets(db, "acme", hub.vault) == ("whsec_newer", "whsec_by_hand")
    assert "whsec_newer" not in client.get("/connections/acme").text


@pytest.mark.parametrize("purge", [False, True])
def test_disconnecting_says_what_happens_and_wants_the_name(
    hub: Hub, sandbox: Sandbox, client: Client, purge: bool
) -> None:
    imported(hub, connected(hub, sandbox), "customers")
    where = f"/connections/acme/disconnect{'?purge=1' if purge else ''}"
    page = client.get(where).text
    assert ("stripe.customers" in page) is purge
    sent = {"purge": "yes"} if purge else {}
    wrong = client.post("/connections/acme/disconnect", data=sent | {"confirm": "acm"})
    assert (wrong.status_code, bool(beside(wrong.text, "confirm"))) == (422, True)
    assert len(hub.accounts()) == 1
    done = client.post("/connections/acme/disconnect", data=sent | {"confirm": "acme"})
    assert done.status_code == (200 if purge else 303)
    assert hub.accounts() == []
    with hub.engine.connect() as db:
        left = int(db.scalar(text("select count(*) from stripe.customers where connection = 'acme'")) or 0)
        [change] = db.execute(text("select actor, action from tidegate.audit_log where actor <> 'cli:test'")).all()
    assert change == ("token:desk", "connection.purged" if purge else "connection.disconnected")
    assert (left == 0) is purge
    if not purge:
        assert "Connect it again" in client.get("/connections/acme").text


@pytest.mark.further
def test_the_accounts_of_a_platform_are_shown_first(
    hub: Hub, make_sandbox: Callable[..., Sandbox], client: Client
) -> None:
    sandbox = make_sandbox(customers=2, months=1, connected=2)
    sent = {"api_key": sandbox.key, "name": "plat", "api_base": sandbox.url, "platform": "yes"}
    answer = client.post("/connect", data=sent)
    assert answer.headers["location"] == "/connections/plat/accounts"
    page = client.get("/connections/plat/accounts").text
    assert page.count("is connected and imported") == 2
    assert len(hub.accounts()) == 1, "nothing was done yet"
    assert client.post("/connections/plat/accounts").status_code == 303
    assert len(hub.accounts()) == 3


@pytest.mark.further
def test_from_a_key_to_contacts(hub: Hub, sandbox: Sandbox, client: Client) -> None:
    connected(hub, sandbox)
    way = "/connections/acme/import"
    assert "Look what is there" in client.get(way).text
    assert client.post(f"{way}/look").status_code == 303
    waiting = client.get(way).text
    assert "Waiting for a worker" in waiting
    assert "No worker is alive" in waiting
    with worker(hub):
        until(lambda: "What prices mean" in client.get(way).text, "the first look", seconds=60)
        assert client.get(f"{way}?step=found").text.count("tile") > 4
        mapped(client, way)
        matched(client, way)
        assert client.post(f"{way}/all").status_code == 303
        until(lambda: "Customers linked" in client.get(way).text, "the import", seconds=60)
        until(lambda: "still move" not in client.get(way).text, "what is derived", seconds=60)
    page = client.get(way).text
    linked = re.search(r"Customers linked</dt><dd>(\d+)", page)
    assert linked
    assert int(linked[1]) > 0
    assert "done" in page


def mapped(client: Client, way: str) -> None:
    """Takes the first suggestion, once it was shown what that does."""
    page = client.get(f"{way}?step=map").text
    names = re.findall(r'name="(take:[^"]+)"', page)
    assert names
    none = client.post(f"{way}/map", data={})
    assert (none.status_code, "Choose at least one" in none.text) == (422, True)
    shown = client.post(f"{way}/map", data={names[0]: "yes"})
    assert shown.status_code == 200
    [token] = re.findall(r'name="token" value="(\w+)"', shown.text)
    stale = client.post(f"{way}/map", data={names[0]: "yes", "token": "0" * 32})
    assert stale.status_code == 409
    done = client.post(f"{way}/map", data={names[0]: "yes", "token": token})
    assert done.headers["location"] == f"{way}?step=match"
    assert names[0] not in client.get(f"{way}?step=map").text


def matched(client: Client, way: str) -> None:
    """Matches customers to contacts that are made of them."""
    sent = {"kind": "account", "metadata_keys": "workspace_id, ", "create_missing": "yes", "only_subscribed": "yes"}
    wrong = client.post(f"{way}/match", data=sent | {"kind": "company"})
    assert (wrong.status_code, "use user or account" in wrong.text) == (422, True)
    shown = client.post(f"{way}/match", data=sent)
    assert shown.status_code == 200
    assert 'value="workspace_id"' in shown.text
    [token] = re.findall(r'name="token" value="(\w+)"', shown.text)
    done = client.post(f"{way}/match", data=sent | {"token": token})
    assert done.headers["location"] == f"{way}?step=import"


def test_an_import_whose_worker_died_is_shown_and_gone_on_with(hub: Hub, sandbox: Sandbox, client: Client) -> None:
    connected(hub, sandbox)
    way = "/connections/acme/import"
    with hub.engine.begin() as db:
        db.execute(
            text("""
insert into tidegate.runs (connection, kind, state, heartbeat_at, process, options, summary)
values ('acme', 'import', 'running', now() - interval '1 minute', 'host:1', '{"resources": [], "began": 1}',
  '{"resources": {"customers": {"read": 40}, "prices": {"read": 2}}, "expected": {"customers": 100, "prices": 2},
    "rate": 20}')""")
        )
    page = client.get(way).text
    assert "interrupted" in page
    assert "host:1 died" in page
    assert "Go on with it" in page
    part = client.get(f"{way}/progress?while=importing", headers={"HX-Request": "true"})
    assert "<html" not in part.text
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.runs set state = 'done', finished_at = now()"))
    ended = client.get(f"{way}/progress?while=importing", headers={"HX-Request": "true"})
    assert ended.headers["hx-redirect"] == way


def test_how_long_it_takes_is_told_while_it_runs(hub: Hub, sandbox: Sandbox, client: Client) -> None:
    connected(hub, sandbox)
    with hub.engine.begin() as db:
        db.execute(
            text("""
insert into tidegate.runs (connection, kind, state, options, summary) values ('acme', 'import', 'running',
  '{"resources": []}', '{"resources": {"customers": {"read": 40}}, "expected": {"customers": 1240}, "rate": 20}')""")
        )
    page = client.get("/connections/acme/import").text
    assert "of about 1,240" in page
    assert "20 a second, about 1 min left" in page
    assert "hx-get" in page
