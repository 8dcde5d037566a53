"""The pages of the mirror: resources and their objects, inbox, audits, SQL, exports; and the banner on made-up data."""

import csv
import io
import json
import re
from collections.abc import Iterator

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.importing import connected, imported
from tests.support.numbers import assert_counted, assert_exported
from tests.support.visiting import sign_in, visited

from tidegate.connections.accounts import Account
from tidegate.mirror import browsing, inbox
from tidegate.mirror.inbox import Entry
from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.server import Sandbox
from tidegate.security import tokens
from tidegate.stripe_api.resources import RESOURCES
from tidegate.web import csv_lines
from tidegate.web.mirror import inbox_page
from tidegate.wiring import Hub
from tidegate.workflows import connection_tasks
from tidegate.workflows.task_context import TaskContext


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(SandboxConfig(customers=60, months=2)) as sandbox:
        yield sandbox


@pytest.fixture
def account(hub: Hub, sandbox: Sandbox) -> Account:
    """Imported once for the module."""
    if not hub.accounts():
        imported(hub, connected(hub, sandbox))
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.users, tidegate.tokens, tidegate.inbox cascade"))
    return hub.account()


@pytest.fixture
def client(hub: Hub, account: Account) -> Iterator[Client]:
    with visited(hub) as client:
        yield client


def failed(hub: Hub, account: Account, event: str = "evt_1", body: str = '{"id": "evt_1"}') -> None:
    """An event that is parked, with a reason."""
    with hub.engine.begin() as db:
        inbox.keep(db, [Entry(account.name, event, "customer.updated", 1_767_225_600, "webhook", body)])
        inbox.fail(db, account.name, event, "It names <nobody>.", 1)


def state(hub: Hub, event: str) -> str:
    with hub.engine.connect() as db:
        return db.execute(text("select state from tidegate.inbox where event_id = :id"), {"id": event}).scalar_one()


def test_every_object_is_reached_page_by_page_the_newest_first(hub: Hub, account: Account) -> None:
    for name, resource in RESOURCES.items():
        found: list[dict[str, object]] = []
        after = ""
        with hub.engine.connect() as db:
            stored = db.scalar(text(f"select count(*) from stripe.{resource.table}"))
            while True:
                page = browsing.objects(db, account.name, resource, after=after, limit=37)
                found += page.rows
                after = page.next
                if not after:
                    break
        assert len(found) == len({(one["parent"], one["id"]) for one in found}) == stored, name
        if not resource.parent:
            dated = [one["created"] for one in found if one["created"]]
            assert dated == sorted(dated, reverse=True), name  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_listing_the_newest_reads_an_index(hub: Hub, account: Account) -> None:
    with hub.engine.begin() as db:
        db.execute(text("set local enable_seqscan = off"))
        db.execute(text("set local enable_sort = off"))
        plan = str(
            db.execute(
                text(
                    f"explain select id from stripe.customers where connection = 'x' "
                    f"order by {browsing.NEWEST} desc, id desc limit 9"
                )
            ).all()
        )
    assert "customers_newest" in plan
    assert "Sort" not in plan


def test_resources_lead_to_their_objects_and_these_to_what_they_name(account: Account, client: Client) -> None:
    resources = set(re.findall(r'href="(/mirror/[^"/]+/\w+)"', client.get("/mirror").text))
    assert {f"/mirror/{account.name}/customers", f"/mirror/{account.name}/invoice_lines"} <= resources
    for path in sorted(resources):
        page = client.get(path)
        assert page.status_code == 200, path
        for link in re.findall(r'href="(/mirror/[^"]+/[^"]+/[^"]+)"', page.text)[:2]:
            assert client.get(link.replace("&amp;", "&")).status_code == 200, link
    page = client.get(f"/mirror/{account.name}/subscriptions").text
    one = client.get(re.findall(r'href="(/mirror/[^"]+/subscriptions/[^"]+)"', page)[0]).text
    assert "As Stripe has it" in one
    assert "Versions, the newest first" in one
    assert re.search(r'href="/mirror/[^"]+/customers/cus_', one)
    assert "dashboard.stripe.com" not in one, "what is simulated is not at Stripe"


def test_numbers_of_resources_lead_to_the_objects(hub: Hub, account: Account, client: Client) -> None:
    with hub.engine.begin() as db:
        db.execute(
            text("update stripe.customers set deleted_at = now() where id in (select min(id) from stripe.customers)")
        )
        db.execute(
            text("""
insert into tidegate.unreadable (connection, resource, object_id, field, reason)
values (:connection, 'customers', 'cus_<1>', 'name', 'it is no text'), (:connection, 'customers', 'cus_2', '', 'cut')
on conflict do nothing"""),
            {"connection": account.name},
        )
    page = client.get("/mirror").text
    for state in ("stored", "deleted", "unreadable"):
        assert_counted(client, page, f"/mirror/{account.name}/customers?state={state}")
    assert "cus_&lt;1&gt;" in client.get(f"/mirror/{account.name}/customers?state=unreadable").text
    with hub.engine.begin() as db:
        db.execute(text("update stripe.customers set deleted_at = null"))
        db.execute(text("delete from tidegate.unreadable"))


def test_numbers_of_the_inbox_lead_to_the_events(
    hub: Hub, account: Account, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        failed(hub, account, f"evt_many_{number}")
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.inbox set state = 'waiting' where event_id in ('evt_many_0', 'evt_many_1')"))
    monkeypatch.setattr(inbox_page, "EVENTS", 2)
    found = assert_counted(client, client.get("/inbox").text, "/inbox?connection=")
    assert len(found) == 2
    for state in ("waiting", "parked"):
        table = client.get(f"/inbox.csv?connection={account.name}&state={state}").text
        [number] = [number for link, number in found.items() if link.endswith(f"state={state}")]
        assert len([*csv.DictReader(io.StringIO(table))]) == number
    with hub.engine.begin() as db:
        db.execute(text("delete from tidegate.inbox where event_id like 'evt_many%'"))


def test_an_object_of_stripe_leads_to_its_dashboard(hub: Hub, account: Account, client: Client) -> None:
    with hub.engine.begin() as db:
        customer = db.scalar(text("select id from stripe.customers order by id limit 1"))
        db.execute(text("update tidegate.connections set sandbox = false"))
    try:
        page = client.get(f"/mirror/{account.name}/customers/{customer}").text
    finally:
        with hub.engine.begin() as db:
            db.execute(text("update tidegate.connections set sandbox = true"))
    assert f'href="https://dashboard.stripe.com/{account.account}/test/customers/{customer}"' in page


def test_versions_say_what_they_changed(hub: Hub, account: Account, client: Client) -> None:
    with hub.engine.begin() as db:
        price = db.scalar(text("select id from stripe.prices order by id limit 1"))
        db.execute(
            text("""
insert into tidegate.versions (connection, resource, object_id, at, certainty, digest, data)
select connection, 'prices', id, updated_at - interval '1 day', 1, 'x', data || '{"nickname": "<old>"}'
from stripe.prices where id = :id"""),
            {"id": price},
        )
    page = client.get(f"/mirror/{account.name}/prices/{price}").text
    assert "<dt><code>nickname</code></dt>" in page
    assert "&lt;old&gt;" in page or "\\u003cold\\u003e" in page


def test_an_object_is_found_by_its_id(hub: Hub, account: Account, client: Client) -> None:
    with hub.engine.connect() as db:
        invoice = db.scalar(text("select id from stripe.invoices order by id limit 1"))
    found = client.get(f"/mirror/find?id=+{invoice}")
    assert (found.status_code, found.headers["location"]) == (303, f"/mirror/{account.name}/invoices/{invoice}")
    missing = client.get("/mirror/find?id=in_<none>")
    assert (missing.status_code, 'value="in_&lt;none&gt;"' in missing.text) == (422, True)
    assert client.get("/mirror/find").status_code == 422


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/mirror/{}/nothing", 404),
        ("/mirror/{}/customers/cus_none", 404),
        ("/mirror/{}/invoice_lines/il_none?parent=in_none", 404),
        ("/mirror/nobody/customers", 404),
        ("/mirror/{}/customers?after=x~y", 200),
        ("/mirror/{}/customers?after=99999999999999999~y", 200),
        ("/mirror/{}/customers?after=~", 200),
        ("/inbox/{}/evt_none", 404),
        ("/inbox?state=nothing", 200),
        ("/audits/999999", 404),
        ("/audits/99999999999999999999", 404),
        (f"/audits/{'9' * 5_000}", 422),
        (f"/contacts?page={'9' * 5_000}", 422),
        ("/export/users.csv", 422),
        ("/export/customers.csv?connection=nobody", 404),
    ],
)
def test_what_is_not_there_is_said(account: Account, client: Client, path: str, status: int) -> None:
    assert client.get(path.format(account.name)).status_code == status


def test_events_that_failed_are_tried_again_by_who_may(hub: Hub, account: Account, client: Client) -> None:
    failed(hub, account)
    page = client.get("/inbox").text
    assert "It names &lt;nobody&gt;." in page
    assert 'action="/inbox/replay"' not in page, "whoever is at this machine only looks"
    assert client.post("/inbox/replay", data={"event": "evt_1"}).status_code == 401
    sign_in(hub, client)
    assert "Try the parked one again" in client.get("/inbox").text
    answer = client.post("/inbox/replay", data={"connection": account.name, "event": "evt_1"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/inbox/{account.name}/evt_1")
    assert state(hub, "evt_1") == "waiting"
    with hub.engine.connect() as db:
        job = "select count(*) from procrastinate_jobs where task_name = 'drain' and status = 'todo'"
        assert db.scalar(text(job)) == 1, "a worker is told"
    failed(hub, account, "evt_2", "cut off")
    assert client.post("/inbox/replay", data={"connection": account.name}).status_code == 303
    assert state(hub, "evt_2") == "waiting"
    assert client.post("/inbox/discard", data={"connection": account.name, "event": "evt_2"}).status_code == 303
    assert state(hub, "evt_2") == "skipped"
    with hub.engine.connect() as db:
        noted = db.execute(text("select actor, action from tidegate.audit_log order by id")).all()[-3:]
    assert [tuple(row) for row in noted] == [
        ("token:desk", f"events.{done}") for done in ("replayed", "replayed", "discarded")
    ]
    assert "cut off" in client.get(f"/inbox/{account.name}/evt_2").text
    assert client.post("/inbox/replay", data={"event": "evt_none"}).status_code == 404
    assert client.get("/inbox/find?event=evt_1").headers["location"] == f"/inbox/{account.name}/evt_1"
    assert client.get("/inbox/find?event=evt_none").status_code == 422


def test_an_audit_is_asked_for_watched_and_read(hub: Hub, account: Account, client: Client) -> None:
    assert "Never audited" in client.get("/audits").text
    assert client.post("/audits").headers["location"] == "/login"
    sign_in(hub, client)
    assert client.post("/audits", data={"connection": account.name}).status_code == 303
    part = client.get("/audits", headers={"HX-Request": "true", "HX-Target": "audits"}).text
    assert "One waits for a worker." in part
    assert "<html" not in part
    with hub.engine.begin() as db:
        db.execute(text("delete from stripe.customers where id = (select min(id) from stripe.customers)"))
        db.execute(text("update procrastinate_jobs set status = 'succeeded' where task_name = 'audit'"))
    told = connection_tasks.audit(TaskContext(hub.engine, hub.stripe), account.name)
    assert told["clean"] is False
    assert_exported(client, "/audits")
    listed = client.get("/audits").text
    assert "differs" in listed
    assert f'href="/audits/{told["run"]}"' in listed
    page = client.get(f"/audits/{told['run']}").text
    assert "<strong>1 missing</strong>" in page
    assert "What has to hold" in page
    with hub.engine.connect() as db:
        actions = "select actor, action, subject from tidegate.audit_log order by id desc limit 1"
        assert tuple(db.execute(text(actions)).one()) == ("token:desk", "audit.asked", account.name)
        summary = db.execute(text("select summary from tidegate.runs where id = :r"), {"r": told["run"]}).scalar_one()
    assert "compared" not in summary, "how far it was is not what it found"


def test_a_query_is_answered_as_a_table_and_as_csv(client: Client) -> None:
    page = client.get("/sql").text
    assert "from subscriptions" in page
    assert 'id="table-stripe-customers"' in page
    sql = "select id, livemode, data, 1.5 as n from customers order by id"
    shown = client.post("/sql", data={"sql": sql, "rows": "100", "seconds": "30"}).text
    assert "cus_" in shown
    assert 'value="30" selected' in shown
    few = client.post("/sql", data={"sql": "select generate_series(1, 101) as n"}).text
    assert "The first 100 rows" in few
    answer = client.post("/sql.csv", data={"sql": "select '=cmd()' as a, generate_series(1, 101) as n"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert (len(rows), rows[0]) == (101, {"a": "'=cmd()", "n": "1"})
    assert "0 rows" in client.post("/sql", data={"sql": "select 1 as a where false"}).text


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("", "write one"),
        ("select <nothing>", "syntax error"),
        ("select 1; select 2", "one statement"),
        ("delete from customers", "select, show or explain"),
        ("select pg_sleep(30)", "longer than 10s"),
        ("select url from sources", "stored credentials"),
        ("select email from users", "is for admins"),
        ("select * from audit_log", "is for admins"),
    ],
)
@pytest.mark.parametrize("path", ["/sql", "/sql.csv"])
def test_what_is_wrong_with_a_query_stands_beside_it(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str, sql: str, said: str
) -> None:
    if "sleep" in sql:
        monkeypatch.setattr("tidegate.web.mirror.sql_page.SECONDS", ("1",))
        said = "longer than 1s"
    answer = client.post(path, data={"sql": sql})
    assert answer.status_code == 422
    beside = answer.text.partition('id="sql-wrong"')[2].partition("</div>")[0]
    assert said in beside
    assert sql.replace("<", "&lt;").replace(">", "&gt;") in answer.text, "what was typed stays"


def test_admins_ask_who_may_use_the_hub(hub: Hub, client: Client) -> None:
    with hub.engine.begin() as db:
        _, token = tokens.create(db, "root", ["admin"])
    answer = client.post("/login", data={"token": token})
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert client.post("/sql", data={"sql": "select count(*) from users"}, headers=cookie).status_code == 200
    assert client.post("/sql", data={"sql": "select password from users"}, headers=cookie).status_code == 422


def test_a_table_is_exported_as_the_command_does(hub: Hub, account: Account, client: Client) -> None:
    page = client.get("/export").text
    assert f"tidegate export DIR --connection {account.name}" in page
    for table in ("customers", "subscription_items", "links", "billing_events"):
        assert f'href="/export/{table}.csv?connection={account.name}"' in page
        assert client.get(f"/export/{table}.csv?connection={account.name}").status_code == 200
    answer = client.get(f"/export/prices.csv?connection={account.name}")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    with hub.engine.connect() as db:
        assert len(rows) == db.scalar(text("select count(*) from stripe.prices"))
    assert json.loads(rows[0]["data"])["object"] == "price"


def test_no_name_of_a_customer_is_a_formula_in_an_exported_table(hub: Hub, account: Account, client: Client) -> None:
    """A customer names itself at checkout; the same texts are marked as in other CSV of pages."""
    names = ['=HYPERLINK("http://x")', "+1", "-1", "@a", "\tx", "\rx", "Acme = 1", ""]
    with hub.engine.begin() as db:
        ids = list(db.scalars(text("select id from stripe.customers order by id limit 8")))
        known = {row.id: row.name for row in db.execute(text("select id, name from stripe.customers"))}
        for one, name in zip(ids, names, strict=True):
            db.execute(text("update stripe.customers set name = :name where id = :id"), {"id": one, "name": name})
    answer = client.get(f"/export/customers.csv?connection={account.name}")
    with hub.engine.begin() as db:
        for one in ids:
            db.execute(text("update stripe.customers set name = :name where id = :id"), {"id": one, "name": known[one]})
    told = {row["id"]: row["name"] for row in csv.DictReader(io.StringIO(answer.text, newline=""))}
    assert [told[one] for one in ids] == [csv_lines.cell(name) for name in names]
    assert told[ids[0]].startswith("'=")


def test_every_page_says_that_data_are_not_real(hub: Hub, account: Account, client: Client) -> None:
    for path in ("/", "/status", "/contacts", "/sql", "/nothing"):
        said = "Simulated:</strong>" in client.get(path).text
        assert said == (path != "/nothing"), path
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.connections set sandbox = false"))
    try:
        assert "Test mode:</strong>" in client.get("/").text
        with hub.engine.begin() as db:
            db.execute(text("update tidegate.connections set livemode = true"))
        assert "no money is behind it" not in client.get("/").text
    finally:
        with hub.engine.begin() as db:
            db.execute(text("update tidegate.connections set sandbox = true, livemode = false"))
