"""The page over HTTP: who may see it, what it says, how safely."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from httpx import Client, Response
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.connections import accounts, permissions, problems, runs
from tidegate.connections.accounts import Credentials
from tidegate.connections.permissions import Permission
from tidegate.errors import AssetMissing
from tidegate.secrets import Vault
from tidegate.security import sessions, tokens, tries, users
from tidegate.web.app import create_pages
from tidegate.web.assets import Assets
from tidegate.web.mirror import status_page
from tidegate.web.navigation import SECTIONS
from tidegate.web.pages import LONGEST_FORM
from tidegate.web.site import beside
from tidegate.web.visitors import COOKIE
from tidegate.wiring import Hub

HTTPS = {"X-Forwarded-Proto": "https"}
WRITES = ("PUT", "PATCH", "DELETE")
"""Ways to change something that no page of ours has, besides a form's."""


@pytest.fixture
def visit(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    """Serves the site as if bound to a host; the client speaks to it."""
    monkeypatch.setattr(status_page, "LASTING", 0.0)
    with hub.engine.begin() as db:
        for table in ("tokens", "users", "connections", "runs", "problems", "refetches", "failed_tries"):
            db.execute(text(f"truncate tidegate.{table} cascade"))
    with ExitStack() as running:

        def serve(bound_to: str = "127.0.0.1", **headers: str) -> Client:
            site = beside(create_app(hub), create_pages(hub, bound_to))
            url = running.enter_context(serving(site))
            return running.enter_context(Client(base_url=url, headers={"Sec-Fetch-Site": "same-origin", **headers}))

        yield serve


def connected(hub: Hub, name: str = "acme", display_name: str = "Acme") -> None:
    values = {"name": name, "account": "acct_1", "livemode": False, "rate": 25, "endpoint_rate": 25}
    with hub.engine.begin() as db:
        accounts.save(db, values | {"display_name": display_name}, Credentials("sk_test_1", "", ()), hub.vault)


def token_of(hub: Hub, *scopes: str) -> tuple[int, str]:
    with hub.engine.begin() as db:
        return tokens.create(db, "page", scopes)


def signed_in(client: Client, token: str) -> Response:
    return client.post("/login", data={"token": token}, headers=HTTPS)


def cookie_of(answer: Response) -> dict[str, str]:
    """The cookie as a header: the client itself would keep a secure one back, since the test speaks plain HTTP."""
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def test_an_empty_hub_says_what_to_do_next(visit: Callable[..., Client]) -> None:
    page = visit().get("/")
    assert page.status_code == 200
    assert "tidegate connect" in page.text
    assert "tidegate demo" in page.text


def test_the_page_shows_connections_problems_and_imports(hub: Hub, visit: Callable[..., Client]) -> None:
    connected(hub, display_name="<b>Acme</b> & Sons")
    client = visit()
    assert "tidegate import --connection acme" in client.get("/status").text
    with hub.engine.begin() as db:
        problems.note(db, "acme", "permission_missing", "No <invoices> for you.", "invoices")
        problems.note(db, "acme", "oauth_revoked", "Stripe told so.")
        db.execute(text("insert into tidegate.refetches (connection, resource, object_id, reason, next_try_at) "
                        "values ('acme', 'prices', 'price_1', 'event', now() - interval '2 minutes')"))  # fmt: skip
        run = runs.begin(db, "acme", "import", {}, "me")
        runs.beat(db, run, {"resources": {"customers": {"read": 1200}, "prices": {"read": 34}}}, "me")
        for resource, done in (("customers", False), ("prices", True)):
            db.execute(
                text("insert into tidegate.import_ranges (run, resource, pages, done) values (:run, :name, 1, :done)"),
                {"run": run, "name": resource, "done": done},
            )
        db.execute(
            text(
                "insert into stripe.customers (connection, id, updated_at, certainty, data) "
                "values ('acme', 'cus_1', now(), 1, '{}')"
            )
        )
    for path in ("/status", "/parts/status"):
        page = client.get(path).text
        assert "&lt;b&gt;Acme&lt;/b&gt; &amp; Sons" in page
        assert "Permission missing: invoices" in page
        assert "OAuth access revoked" in page
        assert "No worker" in page, "a problem of all connections stands above them"
        assert "No &lt;invoices&gt; for you." in page
        assert "1,234 objects read" in page
        assert "1 of 2 resources are complete; reading customers" in page
        assert "Customers" in page
    assert "<html" not in client.get("/parts/status").text


def test_the_page_shows_sweeps_permissions_and_a_platforms_accounts(hub: Hub, visit: Callable[..., Client]) -> None:
    connected(hub)
    connected(hub, "acme-shop", "The <Shop>")
    with hub.engine.begin() as db:
        accounts.note(db, "acme", fan_out_at=datetime.now(UTC) + timedelta(hours=5, minutes=1))
        accounts.note(db, "acme-shop", platform="acme", account="acct_2")
        permissions.store(
            db, "acme", [Permission("GET /v1/customers", True), Permission("GET /v1/charges", False, "No.")]
        )
        runs.end(db, runs.begin(db, "acme", "import", {}, "me"), "done", {"resources": {}, "problems": {}}, "me")
        mended = {"customers": {"missing": 2, "changed": 0, "vanished": 1, "listed": 9, "unchanged": 7}}
        runs.end(db, runs.begin(db, "acme", "sweep", {}, "me"), "done", {"mended": mended, "problems": {}}, "me")
    page = visit().get("/status").text
    assert "Mended 2 missing and 1 deleted in Stripe: customers" in page
    assert re.search(r"Next <time [^>]*>in \d+ h</time>", page)
    assert '<span class="badge bg-orange-lt">1 refused</span>' in page
    assert '<li class="refused" title="No.">Charges' in page
    assert '<li class="granted">Customers' in page
    assert '<a href="#connection-acme-shop">The &lt;Shop&gt;</a>' in page
    assert 'id="connection-acme-shop"' in page
    assert re.search(r"New accounts are looked for <time [^>]*>in 5 h</time>", page)
    assert 'through <a class="link-secondary" href="#connection-acme">' in page


def test_every_answer_carries_the_security_headers(visit: Callable[..., Client]) -> None:
    client = visit()
    for path in ("/", "/status", "/parts/status", "/login", "/nothing", "/static/tidegate.css"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
    assert client.get("/").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("bound_to", "headers", "is_open"),
    [
        ("127.0.0.1", {}, True),
        ("localhost", {"Host": "localhost:8420"}, True),
        ("::1", {"Host": "[::1]:8420"}, True),
        ("127.0.0.1", {"Host": "evil.example:8420"}, False),
        ("127.0.0.1", {"Host": "127.0.0.1.evil.example"}, False),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.5"}, False),
        ("127.0.0.1", {"Forwarded": "for=203.0.113.5"}, False),
        ("0.0.0.0", {}, False),
        ("0.0.0.0", {"Host": "127.0.0.1"}, False),
    ],
)
def test_only_this_machine_sees_the_page_without_signing_in(
    visit: Callable[..., Client], bound_to: str, headers: dict[str, str], is_open: bool
) -> None:
    client = visit(bound_to)
    page = client.get("/", headers=headers)
    if is_open:
        assert page.status_code == 200
        assert client.get("/session", headers=headers).json() == {"entered": False, "name": ""}, "looks, unknown"
        asked = client.post("/tokens", data={"name": "mine", "scopes": "admin"}, headers=headers)
        assert (asked.status_code, "/login?next=" in asked.text) == (401, True), "and changes nothing"
    else:
        assert (page.status_code, page.headers["location"]) == (303, "/login")
        part = client.get("/parts/status", headers=headers | {"HX-Request": "true"})
        assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login")


def test_once_there_is_a_user_this_machine_signs_in_too(hub: Hub, visit: Callable[..., Client]) -> None:
    client = visit()
    assert client.get("/").status_code == 200
    with hub.engine.begin() as db:
        users.add(db, "ada@acme.example", "Ada", "admin")
    assert client.get("/").headers["location"] == "/login"


def test_a_form_that_is_too_long_or_does_not_say_is_not_read(visit: Callable[..., Client]) -> None:
    client, typed = visit(), {"email": "a" * LONGEST_FORM}
    assert client.post("/login", data=typed).status_code == 413
    sent = client.post(
        "/login", content=iter([b"email=a"]), headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert sent.status_code == 413
    assert client.post("/login", data={"email": "a" * (LONGEST_FORM // 2)}, headers=HTTPS).status_code == 401


def test_signing_in_with_a_token_and_out_again(hub: Hub, visit: Callable[..., Client]) -> None:
    token_id, token = token_of(hub, "read")
    client = visit("0.0.0.0")
    answer = signed_in(client, token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    for part in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert part in answer.headers["set-cookie"]
    assert token not in answer.headers["set-cookie"]
    cookie, elsewhere = cookie_of(answer), cookie_of(signed_in(client, token))
    assert client.get("/", headers=cookie).status_code == 200
    assert client.get("/login", headers=cookie).headers["location"] == "/"
    ended = client.post("/logout", headers=cookie)
    assert 'tidegate_session=""' in ended.headers["set-cookie"]
    assert client.get("/", headers=cookie).status_code == 303, "whoever has kept the cookie is out, too"
    assert client.get("/", headers=elsewhere).status_code == 200
    with hub.engine.begin() as db:
        tokens.revoke(db, token_id)
    assert client.get("/", headers=elsewhere).status_code == 303


def test_a_token_that_may_not_read_does_not_open_the_page(hub: Hub, visit: Callable[..., Client]) -> None:
    answer = signed_in(visit("0.0.0.0"), token_of(hub, "entitlements")[1])
    assert answer.status_code == 401
    assert "lacks the scope read" in answer.text


@pytest.mark.parametrize("forged", ["x", "gAAAAA", "%00", "ü"])
def test_forged_cookies_open_nothing(hub: Hub, visit: Callable[..., Client], forged: str) -> None:
    client = visit("0.0.0.0")
    others = Vault([Fernet.generate_key().decode()], "another")
    cookies = [forged, others.seal('{"token": 1, "until": 99999999999}').decode(), hub.vault.seal("sk_test_1").decode()]
    for cookie in cookies:
        assert client.get("/", headers={"Cookie": f"{COOKIE}={cookie}".encode()}).status_code == 303


def test_a_session_runs_out(hub: Hub, visit: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LASTS", timedelta(seconds=-1))
    client = visit("0.0.0.0")
    answer = signed_in(client, token_of(hub, "read")[1])
    assert client.get("/", headers=cookie_of(answer)).status_code == 303


def test_failed_tries_are_limited(hub: Hub, visit: Callable[..., Client]) -> None:
    client, (_, right) = visit("0.0.0.0"), token_of(hub, "read")
    for given, status in ((right, 303), ("tg_guess", 401)):
        for _ in range(tries.TRIES):
            assert signed_in(client, given).status_code == status, "who comes in has not failed"
    assert signed_in(client, "tg_guess").status_code == 429
    assert signed_in(client, right).status_code == 429


def test_failed_tries_are_forgotten_after_a_minute_and_counted_per_address(hub: Hub) -> None:
    mine, others = (hub.vault.mark(one, "address") for one in ("192.0.2.1", "192.0.2.2"))
    with hub.engine.begin() as db:
        db.execute(text("delete from tidegate.failed_tries"))
        noted = [tries.begin(db, [mine]) for _ in range(tries.TRIES)]
        assert None not in noted
        assert tries.begin(db, [mine]) is None
        assert tries.begin(db, [others, mine]) is None, "one of both suffices"
        assert tries.begin(db, [others]) is not None
        tries.succeeded(db, noted[0] or [])
        assert tries.begin(db, [mine]) is not None, "what succeeded is no failure"
        assert tries.begin(db, [mine]) is None
        db.execute(text("update tidegate.failed_tries set at = at - interval '61 seconds'"))
        assert tries.begin(db, [mine]) is not None
        assert db.scalar(text("select count(*) from tidegate.failed_tries")) == 1, "older ones went with it"
        kept = db.scalar(text("select whom from tidegate.failed_tries"))
        assert bytes(kept or b"") != hashlib.sha256(b"192.0.2.1").digest(), "nobody finds out by trying addresses"
        db.execute(text("delete from tidegate.failed_tries"))


def test_no_token_is_taken_over_plain_http_from_elsewhere(hub: Hub, visit: Callable[..., Client]) -> None:
    client = visit("0.0.0.0")
    elsewhere = {"Host": "hub.example.com"}
    assert "needs HTTPS" in client.get("/login", headers=elsewhere).text
    assert client.post("/login", data={"token": token_of(hub, "read")[1]}, headers=elsewhere).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "{own}"}, 303),
        ({"Cookie": "tidegate_session=x"}, 403),  # no browser of today
    ],
)
def test_another_sites_form_is_refused(visit: Callable[..., Client], headers: dict[str, str], status: int) -> None:
    client = visit()
    del client.headers["Sec-Fetch-Site"]
    told = {name: value.format(own=str(client.base_url).rstrip("/")) for name, value in headers.items()}
    assert client.post("/logout", headers=told).status_code == status
    if status == 403:
        assert [client.request(way, "/logout", headers=told).status_code for way in WRITES] == [403] * len(WRITES)


def test_static_files_are_gzipped_and_kept_by_browsers(visit: Callable[..., Client]) -> None:
    client = visit()
    assets = Assets()
    answer = client.get(assets.url("tabler.min.css"))
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")
    plain = client.get("/static/tabler.min.css", headers={"Accept-Encoding": "identity"})
    assert plain.content == answer.content
    assert plain.headers["cache-control"] == "no-cache"
    assert client.get("/static/nothing.css").status_code == 404
    assert client.get("/static/..%2fassets.py").status_code == 404


def test_missing_assets_are_an_error_at_start(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match="make assets"):
        Assets(tmp_path)


def test_first_paint_is_light(visit: Callable[..., Client]) -> None:
    client = visit()
    page = client.get("/status")
    names = ("theme.js", "tabler.min.css", "tidegate.css", "htmx.min.js", "tidegate.js")
    assert all(f"/static/{name}?" in page.text for name in names)
    assert "echarts" not in page.text
    sent = sum(int(client.get(Assets().url(name)).headers["content-length"]) for name in names)
    assert sent + len(page.content) < 150_000


def test_every_page_of_the_menu_is_there_before_anything_is_connected(hub: Hub, visit: Callable[..., Client]) -> None:
    client = visit(**cookie_of(signed_in(visit(), token_of(hub, "admin")[1])))
    for path in (entry.path for _, entries in SECTIONS for entry in entries):
        assert client.get(path).status_code == 200, path
    assert "What to do first" in client.get("/contacts").text


def test_errors_are_pages_here_and_problems_under_the_api(visit: Callable[..., Client]) -> None:
    client = visit()
    assert "There is nothing at this address" in client.get("/nothing").text
    assert client.get("/nothing").status_code == 404
    assert client.put("/").status_code == 405
    assert client.get("/api/nothing").headers["content-type"] == "application/problem+json"
    assert client.get("/healthz").json() == {"status": "alive"}


@pytest.mark.parametrize(
    "path",
    [
        "/contacts?search=a%00b",
        "/contacts.csv?search=a%00b",
        "/contacts/a%00b",
        "/contacts?page=" + "9" * 30,
        "/alerts?after=" + "9" * 30,
    ],
)
def test_what_the_database_can_have_nothing_of_is_the_askers_own_fault(
    hub: Hub, visit: Callable[..., Client], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    connected(hub)
    page = visit().get(path)
    assert page.status_code == 422
    assert "That cannot be done" in page.text
    assert not caplog.records, "nothing failed"


def test_a_hub_that_is_all_taken_says_so(
    hub: Hub, visit: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = visit()

    def taken(*_: object) -> None:
        raise PoolTimeoutError("all of them are in use")

    monkeypatch.setattr(sessions, "current", taken)
    page = client.get("/", headers={"Cookie": "tidegate_session=x"})
    assert page.status_code == 503
    assert "Not just now" in page.text


def test_a_database_that_fails_is_said(hub: Hub, visit: Callable[..., Client]) -> None:
    client = visit()
    with hub.engine.begin() as db:
        db.execute(text("alter table tidegate.connections rename to connections_away"))
    try:
        page = client.get("/")
    finally:
        with hub.engine.begin() as db:
            db.execute(text("alter table tidegate.connections_away rename to connections"))
    assert page.status_code == 503
    assert "database" in page.text
