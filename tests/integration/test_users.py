"""Users: made and changed by command and on the page, signed in, held to their roles, and written down."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from httpx import Client, Response
from httpx import QueryParams as Query
from sqlalchemy import text
from tests.support.command_line import Cli
from tests.support.serving import serving

import tidegate.web
from tidegate.api.app import create_app
from tidegate.errors import LastAdmin, LinkSpent, UserExists, UserInvalid, UserUnknown
from tidegate.security import audit_log, links, sessions
from tidegate.security import users as stored
from tidegate.security.roles import ROLES
from tidegate.security.tries import TRIES
from tidegate.web.app import create_pages, every_page
from tidegate.web.pages import Page
from tidegate.web.site import beside
from tidegate.wiring import Hub
from tidegate.workflows.operation import users

WEB = Path(tidegate.web.__file__).parent
PASSWORD = "correct horse battery staple"
HEADERS = {"X-Forwarded-Proto": "https", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture(autouse=True)
def nobody(hub: Hub) -> None:
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.users, tidegate.audit_log, tidegate.tokens, tidegate.failed_tries cascade"))


@pytest.fixture
def visit(hub: Hub) -> Iterator[Callable[[], Client]]:
    with ExitStack() as running:
        url = running.enter_context(served(hub))
        yield lambda: running.enter_context(Client(base_url=url, headers=HEADERS, timeout=60))


def served(hub: Hub) -> AbstractContextManager[str]:
    """The hub's site, as a web process of its own serves it."""
    return serving(beside(create_app(hub), create_pages(hub, "0.0.0.0")))


def made(hub: Hub, email: str = "ada@acme.example", role: str = "admin") -> stored.User:
    _, secret = users.invite(hub.engine, email, "Ada", role, "cli:test")
    return users.set_password(hub.engine, secret, PASSWORD)[0]


def enter(client: Client, answer: Response) -> None:
    """Keeps the cookie: the client itself would keep a secure one back, since the test speaks plain HTTP."""
    assert answer.status_code == 303, answer.text
    client.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]


def signed_in(client: Client, email: str) -> Client:
    enter(client, client.post("/login", data={"email": email, "password": PASSWORD}))
    return client


def test_the_first_link_makes_the_first_admin_and_no_other(hub: Hub, visit: Callable[[], Client]) -> None:
    secret, later = (users.first_link(hub.engine) or "" for _ in range(2))
    client = visit()
    assert "first admin" in client.get(f"/welcome?link={later}").text
    page = client.get(f"/welcome?link={secret}")  # that another process printed one since takes nothing from it
    assert "first admin" in page.text
    sent = {"link": secret, "name": "Ada <3", "email": "ada@acme.example", "password": PASSWORD, "again": PASSWORD}
    for field, value, said in [
        ("again", "another", "another one than above"),
        ("password", "short", "at least 12"),
        ("email", "ada", "no e-mail address"),
        ("name", " ", "1 to 200"),
    ]:
        wrong = sent | {field: value} | ({"again": value} if field == "password" else {})
        answer = client.post("/welcome", data=wrong)
        assert answer.status_code == 422
        assert said in answer.text
        assert re.search(rf'id="{field}-wrong"', answer.text), "said beside the field"
        assert "Ada &lt;3" in answer.text or field == "name", "what was typed stays"
        assert PASSWORD not in answer.text
    enter(client, client.post("/welcome", data=sent))
    assert "Ada &lt;3" in client.get("/users").text
    assert client.post("/welcome", data=sent | {"email": "eve@acme.example"}).status_code == 410
    assert "used already" in client.get(f"/welcome?link={later}").text
    assert users.first_link(hub.engine) is None


@pytest.mark.parametrize("same", [True, False])
def test_of_two_who_spend_the_first_link_at_once_one_is_admin(hub: Hub, same: bool) -> None:
    secrets = [users.first_link(hub.engine) or ""] * 2 if same else [users.first_link(hub.engine) or "" for _ in "ab"]

    def spend(secret: str, email: str) -> str:
        try:
            return users.set_password(hub.engine, secret, PASSWORD, email=email, name="A")[0].email
        except LinkSpent:
            return ""

    with ThreadPoolExecutor(2) as pool:
        won = list(filter(None, pool.map(spend, secrets, ("a@acme.example", "b@acme.example"))))
    with hub.engine.connect() as db:
        assert [one.email for one in stored.listing(db)] == won
    assert len(won) == 1


def test_who_is_invited_by_command_makes_the_first_link_void(hub: Hub) -> None:
    secret = users.first_link(hub.engine) or ""
    with hub.engine.connect() as db:
        assert links.whose(db, secret) is None, "somebody who is still to be named"
    made(hub)
    with hub.engine.connect() as db, pytest.raises(LinkSpent):
        links.whose(db, secret)
    with pytest.raises(LinkSpent):
        users.set_password(hub.engine, secret, PASSWORD, email="eve@acme.example", name="Eve")


@pytest.mark.parametrize("seconds", [-1, 60])
def test_a_link_is_good_once_and_for_a_while(hub: Hub, seconds: int) -> None:
    _, secret = users.invite(hub.engine, "ada@acme.example", "Ada", "viewer", "cli:test")
    with hub.engine.begin() as db:
        db.execute(
            text("update tidegate.user_links set expires_at = now() + make_interval(secs => :s)"), {"s": seconds}
        )
    if seconds < 0:
        with pytest.raises(LinkSpent):
            users.set_password(hub.engine, secret, PASSWORD)
        return
    with pytest.raises(UserInvalid):
        users.set_password(hub.engine, secret, "short")
    users.set_password(hub.engine, secret, PASSWORD)
    with pytest.raises(LinkSpent):
        users.set_password(hub.engine, secret, PASSWORD)


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "ada@acme.example", "x" * 1001])
def test_a_password_that_is_easily_guessed_is_refused(hub: Hub, password: str) -> None:
    _, secret = users.invite(hub.engine, "Ada@acme.example", "Ada", "viewer", "cli:test")
    with pytest.raises(UserInvalid, match="password"):
        users.set_password(hub.engine, secret, password)


def test_neither_password_cookie_nor_link_is_kept(hub: Hub) -> None:
    made(hub)
    _, cookie = users.sign_in(hub.engine, "ada@acme.example", PASSWORD)
    _, secret = users.link(hub.engine, "ada@acme.example", "cli:test")
    with hub.engine.connect() as db:
        for table in ("users", "sessions", "user_links", "audit_log"):
            kept = str(db.execute(text(f"select to_jsonb(t) from tidegate.{table} t")).all())
            assert not any(one in kept for one in (PASSWORD, cookie, secret))


def test_two_addresses_that_differ_in_case_are_one_user(hub: Hub) -> None:
    made(hub, "Ada@Acme.example")
    with pytest.raises(UserExists):
        users.invite(hub.engine, "ada@acme.EXAMPLE", "Ada", "viewer", "cli:test")
    assert users.sign_in(hub.engine, " ADA@acme.example ", PASSWORD)[0].email == "Ada@Acme.example"


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ada@acme.example", "another password"),
        ("eve@acme.example", PASSWORD),
        ("new@acme.example", PASSWORD),
        ("new@acme.example", "nobody has this password"),  # what is compared with where none is set
        ("", ""),
    ],
)
def test_who_is_nobody_does_not_come_in(hub: Hub, email: str, password: str) -> None:
    made(hub)
    users.invite(hub.engine, "new@acme.example", "New", "viewer", "cli:test")
    with pytest.raises(UserUnknown):
        users.sign_in(hub.engine, email, password)


def test_the_only_admin_stays_one(hub: Hub) -> None:
    made(hub)
    users.invite(hub.engine, "new@acme.example", "New", "admin", "cli:test")  # cannot sign in yet
    with pytest.raises(LastAdmin):
        users.give_role(hub.engine, "ada@acme.example", "viewer", "cli:test")
    with pytest.raises(LastAdmin):
        users.disable(hub.engine, "ada@acme.example", "cli:test")
    made(hub, "bob@acme.example")
    assert users.give_role(hub.engine, "ada@acme.example", "viewer", "cli:test").role == "viewer"


def test_two_admins_cannot_take_each_others_role_at_once(hub: Hub) -> None:
    both = [made(hub), made(hub, "bob@acme.example")]

    def demote(user: stored.User) -> bool:
        try:
            users.give_role(hub.engine, user.email, "viewer", "cli:test")
        except LastAdmin:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(demote, both)) == [False, True]


def test_who_is_disabled_is_signed_out_and_kept_out(hub: Hub, visit: Callable[[], Client]) -> None:
    made(hub)
    made(hub, "bob@acme.example", "viewer")
    admin, bob = signed_in(visit(), "ada@acme.example"), signed_in(visit(), "bob@acme.example")
    assert bob.get("/").status_code == 200
    assert admin.post("/users/disable", data={"email": "bob@acme.example"}).status_code == 303
    assert bob.get("/").status_code == 303
    assert bob.post("/login", data={"email": "bob@acme.example", "password": PASSWORD}).status_code == 401
    assert admin.post("/users/enable", data={"email": "bob@acme.example"}).status_code == 303
    assert signed_in(visit(), "bob@acme.example").get("/").status_code == 200


def test_a_new_password_ends_the_sessions_before(hub: Hub, visit: Callable[[], Client]) -> None:
    made(hub)
    client = signed_in(visit(), "ada@acme.example")
    _, secret = users.link(hub.engine, "ada@acme.example", "cli:test")
    assert client.get("/").status_code == 200, "until the link is used"
    users.set_password(hub.engine, secret, "another long password")
    assert client.get("/").status_code == 303


def test_sessions_run_out_and_are_forgotten(hub: Hub) -> None:
    made(hub)
    _, cookie = users.sign_in(hub.engine, "ada@acme.example", PASSWORD)
    with hub.engine.begin() as db:
        assert sessions.current(db, cookie) is not None
        db.execute(text("update tidegate.sessions set expires_at = now() - interval '1 second'"))
        assert sessions.current(db, cookie) is None
    users.sign_in(hub.engine, "ada@acme.example", PASSWORD)
    with hub.engine.connect() as db:
        assert db.scalar(text("select count(*) from tidegate.sessions")) == 1


def test_guessing_a_password_is_slow(hub: Hub, visit: Callable[[], Client]) -> None:
    made(hub)
    client = visit()
    wrong = {"email": "ADA@acme.example", "password": "no"}
    for _ in range(TRIES):
        answer = client.post("/login", data=wrong)
        assert (answer.status_code, "ADA@acme.example" in answer.text) == (401, True)
    right = {"email": "ada@acme.example", "password": PASSWORD}
    assert client.post("/login", data=right).status_code == 429
    elsewhere = {"X-Forwarded-For": "192.0.2.7"}
    assert client.post("/login", data=right, headers=elsewhere).status_code == 429, "whoever is guessed is out of reach"
    assert client.post("/login", data=right | {"email": "bob@acme.example"}, headers=elsewhere).status_code == 401


def test_two_web_processes_that_are_guessed_at_once_look_at_no_more_than_one(
    hub: Hub, visit: Callable[[], Client]
) -> None:
    made(hub)
    wrong, right = ({"email": "ada@acme.example", "password": one} for one in ("no", PASSWORD))
    with served(hub) as other, Client(base_url=other, headers=HEADERS, timeout=60) as elsewhere:
        clients = [visit(), elsewhere]

        def guess(number: int) -> int:
            return clients[number % 2].post("/login", data=wrong).status_code

        with ThreadPoolExecutor(8) as pool:
            answers = Counter(pool.map(guess, range(3 * TRIES)))
        assert answers == {401: TRIES, 429: 2 * TRIES}
        assert [one.post("/login", data=right).status_code for one in clients] == [429, 429]


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/users", "/users"),
        ("/contacts?stage=trial&search=a%26b", "/contacts?stage=trial&search=a%26b"),
        *((evil, "/") for evil in ("https://evil.example", "//evil.example", "/\\evil.example", "")),
        *((f"/{left_out}/evil.example", "/") for left_out in "\t\n\r"),
    ],
)
def test_signing_in_leads_back_to_the_page_that_was_asked_for(
    hub: Hub, visit: Callable[[], Client], asked: str, led: str
) -> None:
    made(hub)
    client = visit()
    assert client.get("/users").headers["location"] == "/login?next=/users"
    assert led_back(client.get("/contacts?stage=trial&search=a%26b")) == "/contacts?stage=trial&search=a%26b"
    assert led_back(client.get("/contacts/user%3Aa%3Fb")) == "/contacts/user%3Aa%3Fb"
    here = str(client.base_url)
    form, part = (
        {"Referer": f"{here}/contacts/a/edit?x=1"},
        {"HX-Request": "true", "HX-Current-URL": f"{here}/?days=90"},
    )
    assert led_back(client.post("/views", headers=form)) == "/contacts/a/edit?x=1", "where the form was"
    assert client.get("/parts/status", headers=part).headers["hx-redirect"] == "/login?next=/%3Fdays%3D90"
    assert led_back(client.post("/views", headers={"Referer": "https://evil.example/x"})) == ""
    sent = {"email": "ada@acme.example", "password": PASSWORD, "next": asked}
    assert client.post("/login", data=sent).headers["location"] == led


def led_back(answer: Response) -> str:
    """The page to which the page of signing in, that the answer leads to, leads back."""
    return Query(urlsplit(answer.headers["location"]).query).get("next", "")


def test_a_page_can_ask_whether_its_session_has_ended(hub: Hub, visit: Callable[[], Client]) -> None:
    client = signed_in(visit(), made(hub).email)
    assert client.get("/session").json() == {"entered": True, "name": "Ada"}
    assert 'id="ended"' in client.get("/users").text
    with hub.engine.begin() as db:
        sessions.end_everybodys(db)
    assert client.get("/session").json() == {"entered": False, "name": ""}
    assert 'id="ended"' not in client.get("/login").text, "who is not signed in has no session that could end"
    assert led_back(client.get("/signed-in")) == "/signed-in", "who signs in beside a form comes there"


def test_what_was_sent_after_its_session_is_kept_to_be_sent_again(hub: Hub, visit: Callable[[], Client]) -> None:
    """Without scripts nothing asks before a form goes."""
    client = signed_in(visit(), made(hub).email)
    with hub.engine.begin() as db:
        sessions.end_everybodys(db)
    typed = {"name": 'Eve "<x>"\n', "email": "eve@acme.example", "role": "viewer"}
    held = client.post("/users?connection=a", data=typed)
    assert (held.status_code, "location" in held.headers) == (401, False)
    assert 'href="/login?next=/signed-in" target="_blank"' in held.text
    [(action, fields)] = re.findall(r'<form class="mt-2" method="post" action="([^"]+)">(.*?)</form>', held.text, re.S)
    kept = {name: unescape(said) for name, said in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', fields)}
    assert (action, kept) == ("/users?connection=a", {name: value.strip() for name, value in typed.items()})
    assert client.post("/users", data=typed, headers={"HX-Request": "true"}).headers["hx-redirect"] == "/login"
    assert client.post("/users", data=typed, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    with hub.engine.connect() as db:
        assert len(stored.listing(db)) == 1, "nothing is done before somebody is signed in"
    again = signed_in(client, "ada@acme.example").post(action, data=kept)
    assert "eve@acme.example" in again.text


def test_no_secret_that_was_sent_after_its_session_stands_in_a_page(hub: Hub, visit: Callable[[], Client]) -> None:
    stranger = visit()
    secret = [page for page in every_page(hub) if page.secrets]
    assert len(secret) == 5
    for page in secret:
        sent = {"name": "kept <b>"} | dict.fromkeys(page.secrets, "rk_live_hush")
        held = stranger.post(re.sub(r"\{\w+:\w+\}", "1", page.path), data=sent)
        assert held.status_code == 401
        assert "rk_live_hush" not in held.text, page.path
        assert 'value="kept &lt;b&gt;"' in held.text
        assert "Send it again without them" in held.text
    forms = [one.read_text() for one in (WEB / "templates/connections").glob("*.html")]
    hidden = {name for form in forms for name in re.findall(r'field\("(\w+)"[^}]*type="password"', form)}
    assert hidden == {"api_key", "write_key", "webhook_secret", "secret"}
    assert hidden <= {name for page in secret for name in page.secrets}


@pytest.mark.parametrize("role", ROLES)
def test_each_page_is_for_those_whose_role_allows_it(hub: Hub, visit: Callable[[], Client], role: str) -> None:
    made(hub, "root@acme.example")
    user = made(hub, f"{role}@acme.example", role)
    client, stranger = signed_in(visit(), user.email), visit()

    def asked(client: Client, page: Page) -> Response:
        path = re.sub(r"\{\w+:\w+\}", "1", page.path)
        return client.request(page.method, path, data={} if page.method == "POST" else None)

    for page in every_page(hub):
        if not page.scope:
            continue
        assert (asked(client, page).status_code == 403) == (not user.may(page.scope)), (page.method, page.path)
        refused = asked(stranger, page)
        assert (refused.status_code, refused.headers["location"][:6]) == (303, "/login")


def test_admins_invite_on_the_page(hub: Hub, visit: Callable[[], Client]) -> None:
    made(hub)
    client = signed_in(visit(), "ada@acme.example")
    wrong = client.post("/users", data={"name": "Eve <x>", "email": "nowhere", "role": "viewer"})
    assert (wrong.status_code, 'id="email-wrong"' in wrong.text, "Eve &lt;x&gt;" in wrong.text) == (422, True, True)
    again = client.post("/users", data={"name": "Ada", "email": "ADA@acme.example", "role": "viewer"})
    assert (again.status_code, "already" in again.text) == (422, True)
    invited = client.post("/users", data={"name": "Eve", "email": "eve@acme.example", "role": "operator"})
    [link] = re.findall(r"<code>https?://[^/]+([^<]+)</code>", invited.text)
    assert "Welcome, Eve" in client.get(link).text
    last = client.post("/users/role", data={"email": "ada@acme.example", "role": "viewer"})
    assert (last.status_code, "only admin" in last.text) == (422, True)
    with hub.engine.connect() as db:
        assert [(one["actor"], one["action"], one["subject"]) for one in audit_log.newest(db, 9)][:1] == [
            ("user:ada@acme.example", "user.invited", "eve@acme.example")
        ]


def test_the_commands(hub: Hub, database_url: str, tmp_path: Path) -> None:
    cli = Cli(tmp_path, database_url)
    said = cli.json("users", "invite", "ada@acme.example", "--name", "Ada", "--role", "admin")
    assert (said["role"], said["can_sign_in"]) == ("admin", False)
    with hub.engine.connect() as db:
        assert links.whose(db, said["link"].rpartition("=")[2]) == stored.by_email(db, "ada@acme.example")
    assert "invited" in cli("users", "list").stdout
    assert "link=" in cli("users", "link", "ada@acme.example").stdout
    assert "is operator" in cli("users", "role", "ada@acme.example", "operator").stdout
    assert "disabled" in cli("users", "disable", "ada@acme.example").stdout
    assert "invited" in cli("users", "enable", "ada@acme.example").stdout
    assert [one["role"] for one in cli.json("users", "list")["users"]] == ["operator"]
    assert "no user eve@" in cli("users", "link", "eve@acme.example", code=2).stderr
