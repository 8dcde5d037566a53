"""The first page: what to do first, and then revenue, alerts, renewals and whether everything works."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.importing import connected, imported
from tests.support.numbers import assert_counted, assert_exported
from tests.support.placed import People
from tests.support.visiting import visited

from tidegate.connections import accounts, problems
from tidegate.connections.accounts import Credentials
from tidegate.contacts import policy
from tidegate.lifecycle import outlook, roster
from tidegate.sandbox import Sandbox
from tidegate.security import scopes, tokens
from tidegate.web.assets import Assets
from tidegate.wiring import Hub
from tidegate.workflows import refresh
from tidegate.workflows.lifecycle import lifecycle_settings

pytestmark = pytest.mark.further

RENEWING = "/contacts?sort=renewal&renews=30"


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.users, tidegate.tokens cascade"))
    with visited(hub) as client:
        yield client


def company(hub: Hub, make_sandbox: Callable[..., Sandbox]) -> None:
    """Imported and valued, once for the module."""
    if not hub.accounts():
        account = connected(hub, make_sandbox(customers=40, months=8))
        with hub.engine.begin() as db:
            policy.store(db, account.name, policy.checked({"create_missing": True}))
        imported(hub, account)
        refresh.refresh_all(hub.engine, account)


def test_without_a_connection_it_says_what_to_do_first(client: Client) -> None:
    page = client.get("/").text
    for said in ('href="/connect"', "tidegate connect", "tidegate import", "tidegate demo", "tidegate setup"):
        assert said in page


def test_the_waterfall_adds_up_and_its_steps_lead_to_movements(
    hub: Hub, client: Client, make_sandbox: Callable[..., Sandbox]
) -> None:
    company(hub, make_sandbox)
    page = client.get("/?days=365").text
    currencies = re.findall(r'href="/\?currency=(\w+)&amp;days=365"', page)
    assert len(currencies) > 1
    for currency in currencies:
        page = client.get(f"/?currency={currency}&days=365").text
        drawn = json.loads(re.findall(r'<script type="application/json" id="mrr-data">(.*?)</script>', page, re.S)[0])
        first, *moved, last = (one["value"] for one in drawn["steps"])
        assert first + sum(moved) == last
        with hub.engine.connect() as db:
            stands = db.scalar(text("select sum(amount) from tidegate.mrr_days where currency = :c"), {"c": currency})
        assert last == round(int(stands or 0) / 1_000_000)
    links = re.findall(r'href="(/revenue/movements\?[^"]+)"', page)
    assert any("kind=new" in link for link in links)
    for link in links:
        assert client.get(link.replace("&amp;", "&")).status_code == 200
    assert client.get("/?days=7&currency=xyz").status_code == 200


def test_contacts_that_are_counted_as_paying_are_listed(
    hub: Hub, client: Client, make_sandbox: Callable[..., Sandbox]
) -> None:
    company(hub, make_sandbox)
    paying = "/contacts?sort=mrr&paying="
    currencies = re.findall(r'href="/\?currency=(\w+)&amp;days=365"', client.get("/?days=365").text)
    currencies, counted = list(dict.fromkeys(currencies)), dict[str, int]()
    for currency in currencies:
        counted |= assert_counted(client, client.get(f"/revenue?currency={currency}").text, paying)
        assert f'href="{paying.replace("&", "&amp;")}{currency}"' in client.get(f"/?currency={currency}").text
    assert [*counted] == [f"{paying}{currency}" for currency in currencies]
    assert all(counted.values())
    first = currencies[0]
    assert f"that pay in {first.upper()} now" in client.get(f"{paying}{first}").text
    assert_exported(client, f"{paying}{first}", "/contacts.csv")
    assert client.get(f"{paying}dollars").status_code == 422
    other = {"name": "zulu", "account": "acct_2", "livemode": False, "rate": 25, "endpoint_rate": 25}
    with hub.engine.begin() as db:
        accounts.save(db, other, Credentials("rk_test_2", "", ()), hub.vault)
    try:
        here = client.get(f"/revenue?currency={first}&connection=acme").text
        assert assert_counted(client, here, paying) == {f"{paying}{first}&connection=acme": counted[paying + first]}
        assert "0 contacts" in client.get(f"{paying}{first}&connection=zulu").text
        assert f"{paying}{first}&connection=acme".replace("&", "&amp;") in client.get(f"/revenue?currency={first}").text
    finally:
        with hub.engine.begin() as db:
            db.execute(text("delete from tidegate.connections where name = 'zulu'"))
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.ledgers set base_currency = 'usd'"))
        pay = db.scalar(text("select count(*) from tidegate.contact_facts where mrr <> '{}'"))
        assert roster.total(db, roster.Wanted(False, paying="usd")) == pay
        db.execute(text("update tidegate.ledgers set base_currency = ''"))


def test_what_was_read_stays_to_be_seen_when_the_account_is_disconnected(
    hub: Hub, client: Client, make_sandbox: Callable[..., Sandbox]
) -> None:
    company(hub, make_sandbox)
    at = text("update tidegate.connections set disconnected_at = :at")
    with hub.engine.begin() as db:
        db.execute(at, {"at": datetime.now(UTC)})
    try:
        for path in ("/revenue", "/revenue/retention", "/mappings", "/contacts/review", "/contacts", "/search?q=acct"):
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert not re.search("Nothing is connected|No revenue yet", answer.text), path
        assert re.search(r'href="/contacts/[^"]+"', client.get("/search?q=example").text)
    finally:
        with hub.engine.begin() as db:
            db.execute(at, {"at": None})


def test_first_paint_needs_no_chart_library(hub: Hub, client: Client, make_sandbox: Callable[..., Sandbox]) -> None:
    company(hub, make_sandbox)
    page = client.get("/?days=365")
    loaded = re.findall(r'<(?:script|link)[^>]* (?:src|href)="/static/([\w.]+)\?', page.text)
    assert "charts.js" in loaded
    assert "echarts.min.js" not in loaded
    sent = sum(int(client.get(Assets().url(name)).headers["content-length"]) for name in loaded)
    assert sent + len(page.content) < 150_000


def test_alerts_renewals_and_who_is_at_risk(hub: Hub, client: Client, make_sandbox: Callable[..., Sandbox]) -> None:
    company(hub, make_sandbox)
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.contacts, tidegate.alerts cascade"))
    assert "Nothing to look after" in client.get("/").text
    people = People(hub)
    soon = datetime.now(UTC) + timedelta(days=3)
    mrr = json.dumps({"usd": 1_234_500_000})
    key = people.add("acme", status="active", mrr_total=12, renews_at=soon, mrr=mrr)
    people.add("later", status="active", mrr_total=12, renews_at=soon + timedelta(days=90), mrr=mrr)
    people.add("half", status="active", mrr_total=12, renews_at=soon, ends_at=soon - timedelta(days=1), mrr=mrr)
    other = json.dumps({"usd": 7_000_000_000})
    gone = people.add("gone", status="active", mrr_total=70, renews_at=soon, mrr=other, failed_attempts=1)
    people.pass_()
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.contacts set forgotten_at = now() where key = :k"), {"k": gone})
    people.set(key, failed_attempts=1, failing_invoice="in_1")
    people.pass_()
    with visited(hub) as fresh:  # figures are kept for some seconds
        page = fresh.get("/").text
        assert assert_counted(fresh, page, "/contacts?sort=renewal&renews=") == {RENEWING: 2}
        assert_exported(fresh, RENEWING, "/contacts.csv")
        for wrong in ("0", "soon", "99999999999"):
            assert fresh.get(f"/contacts?renews={wrong}").status_code == 422
    assert 'href="/alerts?state=open&amp;rule=payment_failed">Payment failed 1<' in page
    assert 'href="/contacts/account:acme"' in page
    assert "2</a> contacts, 24.69 USD a month" in page, "of one only one subscription ends"
    assert "later" not in page
    assert re.search(r'href="/contacts\?segment=at_risk">\d+ contact', page)


def test_what_properties_say_renews_as_well(hub: Hub, client: Client, make_sandbox: Callable[..., Sandbox]) -> None:
    company(hub, make_sandbox)
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.contacts, tidegate.alerts cascade"))
        db.execute(text("update tidegate.ledgers set base_currency = 'usd'"))
    people = People(hub)
    now = datetime.now(UTC)
    soon = (now + timedelta(days=3)).date().isoformat()
    people.add("byhand", {"mrr": 1500.5, "until": "2019-01-01"}, ends_at=now + timedelta(days=1))
    later = (now + timedelta(days=90)).date().isoformat()
    people.add("faraway", {"until": later}, renews_at=now + timedelta(days=2))
    people.add("stripes", mrr=json.dumps({"usd": 1_000_000_000}), renews_at=now + timedelta(days=2))
    worth = {"mrr": "properties.mrr", "renews_at": "properties.until"}
    lifecycle_settings.change(hub.engine, "ada", said_worth=worth, as_of=now)
    with hub.engine.begin() as db:  # nobody has been placed anew since
        said = "jsonb_set(properties, '{until}', to_jsonb(cast(:u as text)))"
        db.execute(text(f"update tidegate.contacts set properties = {said} where external_id = 'byhand'"), {"u": soon})
    with hub.engine.connect() as db:
        found = outlook.renewing(db, False, now, now + timedelta(days=30), 5)
        rows = {row["id"]: row for row in roster.page(db, roster.Wanted(False), sort="renewal")}
    assert [(one["contact"], one["mrr"]) for one in found["next"]] == [
        ("account:stripes", {"usd": 1_000_000_000}), ("account:byhand", {"usd": 150_050_000_000}),
    ]  # fmt: skip
    assert (found["contacts"], found["mrr"]) == (2, {"usd": 151_050})
    assert rows["byhand"]["mrr"] == {"usd": 150_050_000_000}
    said = [(name, f"{row['renews_at']:%Y-%m-%d}") for name, row in rows.items()]
    assert said[1:] == [("byhand", soon), ("faraway", later)], "as it is narrowed down by, before each is placed anew"
    with visited(hub) as fresh:
        page = fresh.get("/").text
        assert assert_counted(fresh, page, "/contacts?sort=renewal&renews=") == {RENEWING: 2}
        assert_exported(fresh, RENEWING, "/contacts.csv")
        told = fresh.get(RENEWING.replace("/contacts?", "/contacts.csv?")).text
        assert re.findall(r"account:\w+", told) == ["account:stripes", "account:byhand"], "the same as on the page"
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.ledgers set base_currency = ''"))
        db.execute(text("delete from tidegate.lifecycle_settings"))
    assert "2</a> contacts, 1,510.50 USD a month" in page


def test_whether_it_works_leads_to_where_it_is_told(
    hub: Hub, client: Client, make_sandbox: Callable[..., Sandbox]
) -> None:
    company(hub, make_sandbox)
    page = client.get("/").text
    lines = dict(re.findall(r'href="([^"]+)"><span class="status-dot (bg-\w+) me-2"></span>', page))
    assert lines["/inbox"] == "bg-green"
    assert lines["/syncs"] == "bg-secondary"
    name = hub.account().name
    with hub.engine.begin() as db:
        problems.note(db, name, "key_invalid", "Stripe does not accept the key.")
        db.execute(
            text("insert into tidegate.inbox (connection, event_id, type, created, source, body, state) "
                 "values (:name, 'evt_1', 'x', now(), 'webhook', '{}', 'parked')"), {"name": name},
        )  # fmt: skip
    with visited(hub) as fresh:
        page = fresh.get("/").text
    lines = dict(re.findall(r'href="([^"]+)"><span class="status-dot (bg-\w+) me-2"></span>', page))
    assert lines["/inbox"] == "bg-orange"
    assert lines[f"/status#connection-{name}"] == "bg-orange"
    assert "1 parked" in page


def test_who_may_not_see_revenue_sees_the_rest(
    hub: Hub, client: Client, make_sandbox: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    company(hub, make_sandbox)
    monkeypatch.setitem(scopes.SCOPES, "read", frozenset({"read"}))
    with hub.engine.begin() as db:
        _, token = tokens.create(db, "reader", ["read"])
    answer = client.post("/login", data={"token": token})
    page = client.get("/", headers={"Cookie": answer.headers["set-cookie"].partition(";")[0]})
    assert page.status_code == 200
    assert "MRR" not in page.text.partition("<main")[2]
    assert "Whether it works" in page.text
