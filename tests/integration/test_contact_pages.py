"""The pages of contacts: the table as it is narrowed down, sorted and exported, and everything of one contact."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.importing import connected
from tests.support.placed import People
from tests.support.visiting import sign_in, visited

from tidegate.connections import accounts
from tidegate.connections.accounts import Credentials
from tidegate.contacts import directory
from tidegate.errors import LifecycleInvalid
from tidegate.lifecycle import health, listing, portfolio, roster, rulebook
from tidegate.lifecycle.roster import Wanted
from tidegate.sandbox import Sandbox
from tidegate.security import tokens
from tidegate.wiring import Hub


@pytest.fixture
def people(hub: Hub, make_sandbox: Callable[..., Sandbox]) -> People:
    if not hub.accounts():
        connected(hub, make_sandbox(customers=1, months=1))
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.contacts, tidegate.users, tidegate.tokens cascade"))
    return People(hub)


@pytest.fixture
def client(hub: Hub, people: People) -> Iterator[Client]:
    with visited(hub) as client:
        yield client


@pytest.fixture
def live(hub: Hub, people: People) -> Iterator[str]:
    """A live connection beside the one of test data, after it by name."""
    values = {"name": "zulu", "account": "acct_live", "livemode": True, "rate": 25, "endpoint_rate": 25}
    with hub.engine.begin() as db:
        name = accounts.save(db, values, Credentials("rk_live_1", "rk_live_2", ()), hub.vault).name
    yield name
    with hub.engine.begin() as db:
        db.execute(text("delete from tidegate.connections where name = :n"), {"n": name})


def made_live(hub: Hub, key: int) -> None:
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.contacts set livemode = true where key = :k"), {"k": key})
        db.execute(text("update tidegate.contact_ids set livemode = true where contact = :k"), {"k": key})


def named(rows: list[dict[str, object]]) -> list[object]:
    return [row["id"] for row in rows]


def test_the_table_is_narrowed_down_and_sorted(hub: Hub, people: People) -> None:
    for name, mrr in (("small", 10), ("large", 5_000), ("middle", 300)):
        people.add(name, status="active", mrr_total=mrr)
    people.add("gone", status="canceled")
    people.pass_()
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.contacts set owner = 'ada', name = 'Zoë' where external_id = 'small'"))
        everybody = Wanted(livemode=hub.livemode())
        assert named(roster.page(db, everybody))[:3] == ["large", "middle", "small"]
        assert named(roster.page(db, everybody, skip=1, limit=1)) == ["middle"]
        assert named(roster.page(db, everybody, sort="newest"))[0] == "gone"
        assert named(roster.page(db, everybody, sort="name"))[-1] == "small"
        assert named(roster.page(db, Wanted(everybody.livemode, owner="ada"))) == ["small"]
        assert named(roster.page(db, Wanted(everybody.livemode, search="ZO"))) == ["small"]
        assert named(roster.page(db, Wanted(everybody.livemode, search="100%"))) == []
        customers = roster.page(db, Wanted(everybody.livemode, stage="customer"))
        assert {"large", "middle", "small"} == set(named(customers))
        assert roster.total(db, Wanted(everybody.livemode, stage="customer")) == 3
        assert named(roster.page(db, Wanted(not everybody.livemode))) == []
        for one in portfolio.portfolio(db, everybody.livemode)["bands"]:
            assert roster.total(db, Wanted(everybody.livemode, health=one["band"])) == one["contacts"], one
            assert "gone" not in named(roster.page(db, Wanted(everybody.livemode, health=one["band"]))), "it has left"
        assert roster.total(db, Wanted(everybody.livemode, health="else")) == 0
        assert [row["id"] for row in roster.every(db, everybody)] == named(roster.page(db, everybody))
        with pytest.raises(LifecycleInvalid, match="but by mrr"):
            roster.page(db, everybody, sort="; drop table")


def test_amounts_of_several_currencies_are_compared_in_the_base_or_apart(hub: Hub, people: People) -> None:
    def add(name: str, total: int | None, **amounts: int) -> None:
        people.add(name, status="active", mrr_total=total, mrr=json.dumps({k: v * 10**6 for k, v in amounts.items()}))

    add("yen", 90_000, jpy=90_000)
    add("small", 10, usd=1_000)
    add("large", 900, usd=90_000)
    add("both", None, usd=50_000, eur=10)
    add("euros", 700, eur=70_000)
    add("none", 0)
    with hub.engine.begin() as db:
        rows = named(roster.page(db, Wanted(hub.livemode())))
        assert rows == ["large", "both", "small", "euros", "yen", "none"]
        db.execute(text("update tidegate.contact_lifecycle set mrr_total = 600 where mrr_total = 90000"))
        db.execute(
            text("insert into tidegate.ledgers (connection, edition, preset, base_currency, time_zone, adopted_at) "
                 "values ('acme', 9999, 'default', 'usd', '', now())")
        )  # fmt: skip
        rows = named(roster.page(db, Wanted(hub.livemode())))
        db.rollback()
    assert rows == ["large", "euros", "yen", "small", "none", "both"]


def test_the_page_of_the_table(hub: Hub, people: People, client: Client) -> None:
    assert "tidegate contacts import" in client.get("/contacts").text
    for number in range(60):
        mrr = json.dumps({"usd": number * 100 * 10**6})
        people.add(f"c{number:02}", status="active", mrr_total=number, mrr=mrr)
    people.pass_()
    page = client.get("/contacts").text
    assert "60 contacts" in page
    assert "Page 1 of 2" in page
    assert "c59" in page
    place = re.escape("account%3Ac59")
    for number in (
        rf'href="/revenue/explain\?contact={place}"[^>]*>59\.00',
        r'href="/contacts/why/account:c59"[^>]*>\s*<span class="badge',
    ):
        assert re.search(number, page), "it leads to what it is made of"
    second = client.get("/contacts?page=2").text
    assert "c59" not in second
    assert "c00" in second
    part = client.get("/contacts?search=c0", headers={"HX-Request": "true", "HX-Target": "contacts"}).text
    assert "10 contacts" in part
    assert "<html" not in part
    assert "Nobody is like that" in client.get("/contacts?search=nobody").text
    assert client.get("/contacts?sort=nothing").status_code == 422


def test_the_export_is_what_the_page_shows_and_no_formula(hub: Hub, people: People, client: Client) -> None:
    people.add("acme", status="active", mrr_total=10)
    people.add("other", status="active", mrr_total=20)
    people.pass_()
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.contacts set name = '=cmd()' where external_id = 'acme'"))
    answer = client.get("/contacts.csv?search=acme")
    assert answer.headers["content-type"].startswith("text/csv")
    [row] = list(csv.DictReader(io.StringIO(answer.text)))
    assert (row["contact"], row["name"], row["stage"]) == ("account:acme", "'=cmd()", "customer")


def test_everything_of_a_contact(hub: Hub, people: People, client: Client) -> None:
    people.add("acme/eu ü", status="past_due", mrr_total=2_000)
    people.pass_()
    with hub.engine.connect() as db:
        ref = directory.find(db, hub.livemode(), "acme/eu ü").ref
    listed = client.get("/contacts").text
    assert 'href="/contacts/account:acme%2Feu%20%C3%BC"' in listed
    page = client.get("/contacts/account:acme%2Feu%20%C3%BC")
    assert page.status_code == 200
    for said in ("acme/eu ü", "Customer", "What it may use", "Timeline", "Customers in Stripe"):
        assert said in page.text
    assert 'action="/notes/' not in page.text, "whoever is at this machine only looks"
    assert client.get("/contacts/nobody").status_code == 404
    assert client.post("/notes/account:acme%2Feu%20%C3%BC", data={"note": "x"}).status_code == 401
    with hub.engine.begin() as db:
        _, token = tokens.create(db, "desk", ["operate"])
    answer = client.post("/login", data={"token": token})
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    written = client.post("/notes/account:acme%2Feu%20%C3%BC", data={"note": "<b>Call</b> them"}, headers=cookie)
    assert (written.status_code, written.headers["location"]) == (303, "/contacts/account:acme%2Feu%20%C3%BC")
    shown = client.get(written.headers["location"], headers=cookie).text
    assert "&lt;b&gt;Call&lt;/b&gt; them (token:desk" in shown
    empty = client.post("/notes/account:acme%2Feu%20%C3%BC", data={"note": " "}, headers=cookie)
    assert (empty.status_code, "Write something." in empty.text) == (422, True)
    assert ref == "account:acme/eu ü"


def test_the_parts_of_a_health_add_up_to_it(hub: Hub, people: People, client: Client) -> None:
    since = {"past_due_since": people.now - timedelta(days=3), "customer_since": people.now - timedelta(days=100)}
    key = people.add("acme", status="past_due", mrr_total=2_000, **since)
    people.pass_()
    with hub.engine.connect() as db:
        kept = listing.health(db, key)
        parts = health.explained(db, rulebook.components(db), people.now, key)
    assert kept is not None
    whole = sum(one["part"] for one in parts if one["part"] is not None)
    assert float(whole) == pytest.approx(float(kept["health"]), abs=0.05)
    assert {one["key"]: round(one["score"]) for one in parts if one["score"] is not None} == kept["parts"]
    page = client.get("/contacts/account:acme").text
    assert "The parts add up to the health" in page
    assert "days_past_due" in page


def test_a_timeline_goes_on_where_the_page_ended(hub: Hub, people: People, client: Client) -> None:
    people.add("acme", status="active", mrr_total=10)
    people.pass_()
    sign_in(hub, client)
    for number in range(30):
        client.post("/notes/account:acme", data={"note": f"note {number:02}."})
    page = client.get("/contacts/account:acme").text
    assert "note 29." in page
    assert "note 00." not in page
    after = page.partition("/timelines/account:acme?after=")[2].partition('"')[0]
    assert "note 00." in client.get(f"/timelines/account:acme?after={after}").text
    notes = client.get("/contacts/account:acme?kind=note").text
    after = notes.partition("/timelines/account:acme?after=")[2].partition('"')[0]
    assert after.endswith("&amp;kind=note"), "what is older is of that kind as well"
    older = client.get(f"/timelines/account:acme?after={after.replace('&amp;', '&')}").text
    assert ("note 00." in older, "Stage" in older) == (True, False)
    stages = client.get("/contacts/account:acme?kind=stage").text.partition('id="timeline"')[2]
    assert ("note 29." in stages, "nowhere → customer" in stages) == (False, True)
    assert "Nothing of this kind" in client.get("/contacts/account:acme?kind=task").text
    assert client.get("/contacts/account:acme?kind=nothing").status_code == 422


def test_live_and_test_data_stay_apart_from_page_to_page(hub: Hub, client: Client, people: People, live: str) -> None:
    made_live(hub, people.add("both", status="active", mrr_total=12))
    key = people.add("both", status="active", mrr_total=12)
    people.add("test", status="active", mrr_total=12)
    people.pass_()
    people.set(key, failed_attempts=1, failing_invoice="in_1")
    people.pass_()
    there = r'href="(/(?:contacts|alerts|revenue)(?:[/?][^"]*)?)"'
    with visited(hub) as fresh:
        for address, name in (("/", live), ("/?connection=acme", "acme")):
            page = fresh.get(address).text
            told = re.findall(there, page.partition('id="alerts"')[2])
            assert told, address
            assert all(f"connection={name}" in one for one in told), told
        assert "All 1</a>" in page
        assert "Nothing to look after" in fresh.get("/").text
    for path in ("/contacts", "/alerts", "/stages", "/segments", "/stages/report"):
        page = client.get(path).text
        other, here = re.findall(rf'<a class="btn btn-sm [^>]*href="({path}[^"]*)">(?:Test|Live)</a>', page)[::-1]
        assert ("connection=acme" in other, f"connection={live}" in here) == (True, True), path
        page = client.get(other.replace("&amp;", "&")).text
        assert re.search(r'aria-current="true" href="[^"]*connection=acme[^"]*">Test</a>', page), path
    listed = client.get("/contacts?connection=acme").text
    assert "2 contacts" in listed
    assert "1 contact<" in client.get("/contacts").text
    [alerts] = set(re.findall(r'href="(/alerts\?[^"]*contact=[^"]*)"', listed))
    assert 'href="/contacts/account:both?connection=acme"' in client.get(alerts.replace("&amp;", "&")).text
    assert client.get("/contacts/test").headers["location"].endswith("?connection=acme")
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.connections set disconnected_at = now() where name = :n"), {"n": live})
    assert "2 contacts" in client.get("/contacts").text, "what is connected comes first"
    assert client.get("/contacts/both").status_code == 200


def test_a_version_goes_with_the_package_that_it_is_of(client: Client, people: People) -> None:
    people.add("acme", packages=["basic"])
    page = client.get("/contacts?package=pro&version=1").text
    for name, value in (("version", "1"), ("version_of", "pro")):
        assert f'<input type="hidden" form="filters" name="{name}" value="{value}">' in page
    assert "with version 1 of it" in page
    asked = "/contacts?package=basic&version=1&version_of=pro&sort=mrr"
    part = client.get(asked, headers={"hx-request": "true", "hx-target": "contacts"})
    assert "1 contact<" in part.text
    assert "version" not in part.text
    assert part.headers["hx-push-url"] == "/contacts?package=basic&sort=mrr"
    assert "account:acme" in client.get(asked.replace("/contacts?", "/contacts.csv?")).text
    alone = client.get("/contacts?version=1")
    assert (alone.status_code, "A version is one of a package" in alone.text) == (422, True)


def test_without_contacts_pages_lead_to_how_customers_are_matched(hub: Hub, client: Client) -> None:
    sign_in(hub, client, "admin")
    step = "/connections/acme/import?step=match"
    for path in ("/contacts", "/contacts/review"):
        page = client.get(path).text
        assert f'href="{step}"' in page, path
        assert "tidegate contacts settings" not in page, path
    assert client.get(step).status_code == 200, "or what comes before, as long as nothing is read"
