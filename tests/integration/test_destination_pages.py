"""The pages of destinations: made by a form of their kind, tried, paused, sent dead letters again."""

import re
from collections.abc import Callable, Iterator

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.importing import connected
from tests.support.numbers import assert_counted, assert_exported
from tests.support.visiting import sign_in, visited

from tidegate.delivery import backlog, outbox
from tidegate.delivery.outbox import Told
from tidegate.sandbox import Sandbox
from tidegate.web.delivery import destination_form, destinations_page
from tidegate.web.delivery.destination_form import TITLES
from tidegate.wiring import Hub

URL = "http://127.0.0.1:9/hook"


@pytest.fixture
def client(hub: Hub, make_sandbox: Callable[..., Sandbox]) -> Iterator[Client]:
    if not hub.accounts():
        connected(hub, make_sandbox(customers=1, months=1))
    with hub.engine.begin() as db:
        db.execute(
            text("""
truncate tidegate.destinations, tidegate.deliveries, tidegate.outbox, tidegate.suppressed_properties,
  tidegate.tokens, tidegate.users cascade""")
        )
    with visited(hub) as client:
        yield client


@pytest.fixture
def admin(hub: Hub, client: Client) -> Client:
    sign_in(hub, client, "admin")
    return client


def made(admin: Client, **said: str) -> str:
    """A webhook, by its form; the secret that was made for it."""
    form = {"kind": "webhook", "key": "hook", "o_url": URL, "o_allow_private": "yes", **said}
    return re.findall(r"<code>(whsec_[^<]+)</code>", admin.post("/destinations/-/new", data=form).text)[0]


def test_a_webhook_is_made_with_a_secret_that_is_shown_once(admin: Client, hub: Hub) -> None:
    secret = made(admin, o_events="billing_event.*\nalert.opened")
    page = admin.get("/destinations/hook")
    assert page.status_code == 200
    assert secret not in page.text + admin.get("/destinations/hook/edit").text
    changed = admin.post(
        "/destinations/hook/edit", data={"o_url": URL + "s", "o_in_flight": "4", "o_allow_private": "yes"}
    )
    assert changed.headers["location"] == "/destinations/hook"
    with hub.engine.connect() as db:
        now = hub.destination(db, "hook")
    assert (now.options.model_dump()["secrets"], now.options.in_flight, now.events) == ((secret,), 4, ("*",))
    again = admin.post("/destinations/-/new", data={"kind": "webhook", "key": "hook", "o_url": URL})
    assert (again.status_code, "There is a destination hook already" in again.text) == (422, True)
    assert admin.post("/destinations/hook/remove").headers["location"] == "/destinations"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"key": "a b"}, "key"),
        ({"o_url": "ftp://<x>"}, "url"),
        ({"o_url": ""}, "url"),
        ({"o_in_flight": "many"}, "in_flight"),
        ({"o_in_flight": "900"}, "in_flight"),
        ({"o_rename": "nothing"}, "rename"),
        ({"o_secrets": "tooshort"}, "secrets"),
    ],
)
def test_wrong_options_are_said_beside_their_field(admin: Client, said: dict[str, str], field: str) -> None:
    answer = admin.post("/destinations/-/new", data={"kind": "webhook", "key": "hook", "o_url": URL, **said})
    assert (answer.status_code, f'id="{field}-wrong"' in answer.text) == (422, True)
    for name, typed in said.items():
        kept = typed.replace("<", "&lt;").replace(">", "&gt;")
        assert (kept in answer.text) == ("secret" not in name), "what was typed stays, but no secret"


def test_a_secret_may_come_from_the_environment(admin: Client, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    form = {"kind": "segment", "key": "segment", "env_write_key": "SEGMENT_KEY"}
    missing = admin.post("/destinations/-/new", data=form)
    assert (missing.status_code, "has no variable SEGMENT_KEY" in missing.text) == (422, True)
    monkeypatch.setenv("SEGMENT_KEY", "geheim")
    assert admin.post("/destinations/-/new", data=form).status_code == 303
    assert admin.post("/destinations/segment/edit", data={"o_rate": "5"}).status_code == 303
    with hub.engine.connect() as db:
        assert hub.destination(db, "segment").options.model_dump()["write_key"] == "geheim"
    assert "geheim" not in admin.get("/destinations/segment").text
    assert 'value="SEGMENT_KEY"' in admin.get("/destinations/segment/edit").text


def test_a_destination_is_tried_paused_and_sent_dead_letters_again(
    admin: Client, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(admin)
    tried = admin.post("/destinations/hook/test")
    assert (tried.status_code, 'role="alert"' in tried.text) == (422, True)
    with hub.engine.begin() as db:
        outbox.tell(db, [Told("sync.finished", {"sync": f"s{n}"}, connection="acme") for n in range(3)])
        db.execute(
            text("""
update tidegate.deliveries set state = 'dead', status = 400, error = 'It said <no>.', attempts = 1,
  done_at = clock_timestamp() where id <> (select max(id) from tidegate.deliveries)""")
        )
        db.execute(text("update tidegate.deliveries set attempts = 2, error = 'slow' where state = 'waiting'"))
    page = admin.get("/destinations/hook").text
    assert page.count("It said &lt;no&gt;.") == 2
    assert "Failed, and tried again" in page
    assert "sync.finished" in admin.post("/destinations/hook/preview").text
    monkeypatch.setattr(destinations_page, "DEAD", 1)
    assert_counted(admin, admin.get("/destinations").text, "/destinations/hook/deliveries?state=")
    counted = assert_counted(admin, page, "/destinations/hook/deliveries?state=")
    numbers = {link.rpartition("=")[2]: number for link, number in counted.items()}
    assert numbers == {"waiting": 1, "failing": 1, "dead": 2}
    assert len(admin.get("/destinations/hook/deliveries.csv?state=dead").text.splitlines()) == 3
    assert "It said &lt;no&gt;." in admin.get("/destinations/hook/deliveries?state=dead").text
    assert_exported(admin, "/destinations")
    assert_exported(admin, "/destinations/hook/deliveries?state=dead")
    assert_delivered_lead(admin, hub, monkeypatch)
    one = re.findall(r'name="delivery" value="(\d+)"', page)[0]
    assert "1 sent again" in admin.post("/destinations/hook/replay", data={"delivery": one}).text
    for no_such in (one, "all of them", "9" * 30):
        assert admin.post("/destinations/hook/replay", data={"delivery": no_such}).status_code == 422
    assert "1 sent again" in admin.post("/destinations/hook/replay").text
    assert admin.post("/destinations/hook/pause").status_code == 303
    assert "paused" in admin.get("/destinations").text
    assert admin.post("/destinations/hook/resume").status_code == 303
    counted = admin.post("/destinations/hook/backfill", data={"since": "2020-01-01"}).text
    assert "Send them" in counted
    assert admin.post("/destinations/hook/backfill", data={"since": "soon"}).text.count('id="since-wrong"') == 1
    assert "due now" in admin.post("/destinations/hook/backfill", data={"since": "2020-01-01", "do": "send"}).text
    assert admin.post("/destinations/nothing/test").status_code == 404


def assert_delivered_lead(admin: Client, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken leads to it as long as each of it is there, else as much as there is does."""
    with hub.engine.begin() as db:
        outbox.tell(db, [Told("sync.finished", {"sync": f"t{n}"}, connection="acme") for n in range(3)])
        db.execute(
            text("""
update tidegate.deliveries set state = 'delivered', status = 200, done_at = clock_timestamp()
where id in (select id from tidegate.deliveries order by id desc limit 3)""")
        )
    link, pages = "/destinations/hook/deliveries?state=delivered", ("/destinations", "/destinations/hook")
    for taken, number, title in ((3, 3, False), (5, 3, True)):
        with hub.engine.begin() as db:
            db.execute(text("update tidegate.destinations set delivered = :n"), {"n": taken})
        for path in pages:
            page = admin.get(path).text
            assert assert_counted(admin, page, link) == {link: number}
            assert ("One by one it is told since" in page) is title
    assert_exported(admin, link)
    monkeypatch.setattr(backlog, "LATE", 2)
    assert assert_counted(admin, admin.get("/destinations").text, link) == {link: 2}
    with hub.engine.begin() as db:
        db.execute(text("delete from tidegate.deliveries where state = 'delivered'"))
    nothing = admin.get(link).text
    assert "It took nothing of late" in nothing
    assert "What it took is under" not in nothing, "it is there that one looks"
    for path in pages:
        page = admin.get(path).text
        assert ("how contacts are not at all" in page, link in page) == (True, False)


def test_properties_are_kept_back_with_a_reason(admin: Client) -> None:
    wrong = admin.post("/suppressed-properties", data={"name": "mrrr", "reason": "<private>"})
    assert (wrong.status_code, "Is it mrr?" in wrong.text, "&lt;private&gt;" in wrong.text) == (422, True, True)
    assert admin.post("/suppressed-properties", data={"name": "mrr", "reason": ""}).text.count('id="reason-wrong"') == 1
    assert admin.post("/suppressed-properties", data={"name": "mrr", "reason": "private"}).status_code == 303
    assert "<code>mrr</code>" in admin.get("/suppressed-properties").text
    assert admin.post("/suppressed-properties/tell", data={"name": "mrr"}).status_code == 303
    assert admin.post("/suppressed-properties/tell", data={"name": "mrr"}).status_code == 422


def test_who_may_only_look_sees_no_buttons(client: Client, hub: Hub) -> None:
    for path in ("/destinations", "/suppressed-properties"):
        assert '<form method="post"' not in client.get(path).text
    assert client.get("/destinations/-/new").headers["location"].startswith("/login")


@pytest.mark.parametrize("kind", sorted(TITLES))
def test_every_kind_has_its_form(admin: Client, kind: str) -> None:
    page = admin.get(f"/destinations/-/new?kind={kind}").text
    for one in destination_form.options_of(kind):
        assert f'name="o_{one.name}"' in page
    assert f"kind={kind}" in admin.get("/destinations/-/new").text
