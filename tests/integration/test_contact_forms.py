"""Contacts on the page: linked, edited, merged, given something, suppressed, forgotten; found, and why they are so."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest
from httpx import Client
from tests.support.builders import customer, invoice
from tests.support.pages import ADA, BOB, bob_buys, done, opened_shop, refused, site_of
from tests.support.queue import connect
from tests.support.shop import Shop, opened

pytestmark = pytest.mark.further

A = f"account:{ADA}"
B = f"account:{BOB}"


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        opened_shop(shop)
        bob_buys(shop, "price_1")
        yield shop


@pytest.fixture
def client(shop: Shop, fresh_database_url: str, tmp_path: Path) -> Iterator[Client]:
    with site_of(shop, fresh_database_url, tmp_path) as client:
        yield client


def test_a_customer_is_unlinked_and_linked_by_hand(client: Client, shop: Shop) -> None:
    shown, answer = done(client, f"/contacts/unlink/{A}", connection="acme", customer="cus_1")
    assert "nobody&#39;s then" in shown
    assert "yes → –" in shown
    assert answer.headers["location"] == f"/contacts/{A}"
    assert not shop.answer(ADA, "sso")["granted"]
    explained = client.get("/contacts/customers/cus_1?connection=acme").text
    assert "A person took it from its contact" in explained
    shown, _ = done(client, f"/contacts/link/{B}", connection="acme", customer="cus_1")
    assert shop.scalar("select count(*) from tidegate.links where customer = 'cus_1' and method = 'manual'") == 1
    done(client, f"/contacts/unlink/{B}", connection="acme", customer="cus_1", rematch="yes")
    assert shop.rows("select customer from tidegate.links where method = 'manual'") == []
    refused(client.post(f"/contacts/link/{A}", data={"connection": "acme"}), "customer", "begins with cus_")
    unknown = client.post(f"/contacts/link/{A}", data={"connection": "acme", "customer": "cus_<9>"})
    refused(unknown, "customer")
    assert 'value="cus_&lt;9&gt;"' in unknown.text
    assert client.post(f"/contacts/unlink/{B}", data={"connection": "acme", "customer": "cus_1"}).status_code == 422


def test_a_contact_is_edited_all_or_nothing(client: Client, shop: Shop) -> None:
    form = client.get(f"/contacts/edit/{A}").text
    assert "It follows Stripe" in form
    sent = {"id": "ada", "name": "Ada L.", "emails": f"{ADA}\nada@work.example", "owner": ""}
    answer = client.post(f"/contacts/edit/{A}", data=sent | {"new_property": "seats", "new_value": "5"})
    assert answer.headers["location"] == "/contacts/account:ada"
    page = client.get("/contacts/account:ada").text
    for said in ("Ada L.", "ada@work.example", "seats"):
        assert said in page
    assert shop.scalar("select properties from tidegate.contacts where external_id = 'ada'") == {"seats": 5}
    assert client.get(f"/contacts/{A}").status_code == 200, "the old id leads there"
    client.post("/contacts/edit/account:ada", data=sent | {"name": "", "property:seats": ""})
    assert shop.scalar("select properties from tidegate.contacts where external_id = 'ada'") == {}
    refused(client.post("/contacts/edit/account:ada", data=sent | {"id": BOB, "name": "X"}), "id", "belongs to another")
    wrong = client.post("/contacts/edit/account:ada", data=sent | {"emails": "nowhere", "name": "X <y>"})
    refused(wrong, "emails")
    assert "X &lt;y&gt;" in wrong.text
    refused(client.post("/contacts/edit/account:ada", data=sent | {"owner": "eve"}), "owner", "no owner")
    assert shop.scalar("select name from tidegate.contacts where external_id = 'ada'") != "X", "nothing was done"


def test_a_form_that_lay_about_takes_nothing_back(client: Client, shop: Shop) -> None:
    def shown() -> dict[str, str]:
        page = client.get(f"/contacts/edit/{A}").text
        sent = {name: unescape(value) for name, value in re.findall(r'name="([^"]+)"[^>]*? value="([^"]*)"', page)}
        lines = re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>([^<]*)<', page)
        return sent | {name: unescape(value) for name, value in lines} | {"owner": ""}

    def known() -> tuple[str, str, list[str]]:
        [(name, seats)] = shop.rows(
            f"select name, properties ->> 'seats' from tidegate.contacts where external_id = '{ADA}'"
        )
        mails = shop.rows("select e.email from tidegate.contact_emails e join tidegate.contacts c on c.key = e.contact"
                          f" where c.external_id = '{ADA}' order by 1")  # fmt: skip
        return name, seats, [mail for (mail,) in mails]

    client.post(f"/contacts/edit/{A}", data=shown() | {"new_property": "seats", "new_value": "1"})
    stale = shown()
    assert stale["property:seats"] == "1"
    other = shown()
    other |= {"name": "Countess", "property:seats": "2", "emails": f"{ADA}\nada@home.example"}
    assert client.post(f"/contacts/edit/{A}", data=other).status_code == 303
    mine = stale | {"emails": f"{ADA}\nada@work.example", "new_property": "plan", "new_value": "x"}
    assert client.post(f"/contacts/edit/{A}", data=mine).status_code == 303
    assert known() == ("Countess", "2", sorted([ADA, "ada@home.example", "ada@work.example"]))
    both = client.post(f"/contacts/edit/{A}", data=stale | {"name": "Lady", "property:seats": "3"})
    refused(both, "name", "It is Countess since you came here")
    assert "seats is 2 since you came here" in both.text
    [again] = re.findall(r'name="shown" value="([^"]*)"', both.text)
    sent = stale | {"name": "Lady", "property:seats": "3", "shown": unescape(again)}
    assert client.post(f"/contacts/edit/{A}", data=sent).status_code == 303
    assert known() == ("Lady", "3", sorted([ADA, "ada@home.example", "ada@work.example"]))
    for sent, field, said in (
        ({"new_property": "<plan>"}, "new_value", "What is its value?"),
        ({"new_value": "<5>"}, "new_property", "What is it called?"),
    ):
        answer = client.post(f"/contacts/edit/{A}", data=shown() | {"name": "Lord"} | sent)
        refused(answer, field, said)
        assert ("Lord" in answer.text, "&lt;" in answer.text) == (True, True)
    assert known()[0] == "Lady"


def test_two_contacts_are_merged_and_parted(client: Client, shop: Shop) -> None:
    assert "Bob" in client.get(f"/contacts/merge/{A}?q=bob").text
    assert "No other account is called that" in client.get(f"/contacts/merge/{A}?q=nobody").text
    assert client.post(f"/contacts/merge/{A}").status_code == 422
    assert client.post(f"/contacts/merge/{A}", data={"other": A}).status_code == 422
    shown, _ = done(client, f"/contacts/merge/{A}", other=B)
    assert f"It moves from {B} to {A}" in shown
    page = client.get(f"/contacts/{B}").text
    assert "Merged into it" in page
    [number] = re.findall(r'name="merge" value="(\d+)"', page)
    shown, _ = done(client, f"/contacts/unmerge/{A}", merge=number)
    assert "would be two contacts again" in shown
    assert "Merged into it" not in client.get(f"/contacts/{A}").text
    again = client.post(f"/contacts/unmerge/{A}", data={"merge": number})
    assert (again.status_code, "cannot be undone" in again.text) == (422, True)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"reason": "x"}, "target"),
        ({"target": "feature:seats", "limit": "5"}, "reason"),
        ({"target": "feature:seats", "limit": "some", "reason": "x"}, "limit"),
        ({"target": "feature:seats", "limit": "5", "reason": "x", "until": "soon"}, "until"),
        ({"target": "feature:seats", "limit": "5", "reason": "x", "until": "2020-01-01"}, "until"),
        ({"target": "feature:gone", "reason": "x"}, "target"),
        ({"target": "package:pro", "operation": "replace", "reason": "x"}, "target"),
    ],
)
def test_what_cannot_be_given_is_said_beside_its_field(client: Client, sent: dict[str, str], field: str) -> None:
    refused(client.post(f"/contacts/override/{A}", data=sent), field)


def test_something_is_given_and_taken_back(client: Client, shop: Shop) -> None:
    sent = {"target": "feature:seats", "limit": "0", "operation": "replace", "reason": "<fraud>", "until": "9998-01-01"}
    assert client.post(f"/contacts/override/{A}", data=sent).headers["location"] == f"/contacts/{A}"
    page = client.get(f"/contacts/{A}").text
    for said in ("Given by people", "&lt;fraud&gt;", "9998-01-02", "instead of all else"):
        assert said in page
    assert shop.answer(ADA, "seats", datetime.now(UTC))["limit"] == 0
    [number] = re.findall(r'name="number" value="(\d+)"', page)
    assert client.post(f"/contacts/revoke/{A}", data={"number": number}).status_code == 303
    assert shop.answer(ADA, "seats", datetime.now(UTC))["limit"] == 10
    assert client.post(f"/contacts/revoke/{B}", data={"number": number}).status_code == 404


def test_nobody_is_told_of_a_suppressed_contact(client: Client, shop: Shop) -> None:
    refused(client.post(f"/contacts/suppress/{A}"), "reason", "with a reason")
    client.post(f"/contacts/suppress/{A}", data={"reason": "they asked"})
    assert "they asked" in client.get(f"/contacts/{A}").text
    client.post(f"/contacts/suppress/{A}", data={"do": "end"})
    assert "Suppressed by" not in client.get(f"/contacts/{A}").text


def test_a_person_is_forgotten_after_it_was_seen_what_goes(client: Client, shop: Shop) -> None:
    shown, answer = done(client, f"/contacts/forget/{A}")
    assert "It cannot be undone" in shown
    assert "cus_1" in shown
    page = client.get(answer.headers["location"]).text
    assert "forgotten on" in page
    assert ADA not in page
    assert "Edit</a>" not in page


def test_tasks_are_added_done_and_removed(client: Client, shop: Shop) -> None:
    refused(client.post(f"/contacts/task/{A}", data={"task": ""}), "task")
    wrong = client.post(f"/contacts/task/{A}", data={"task": "Call <her>", "due_on": "soon"})
    refused(wrong, "due_on")
    assert "Call &lt;her&gt;" in wrong.text
    client.post(f"/contacts/task/{A}", data={"task": "Call her", "due_on": "2020-01-01"})
    page = client.get(f"/contacts/{A}").text
    assert "due 2020-01-01" in page
    [number] = re.findall(r'name="number" value="(\d+)"', page)
    client.post(f"/contacts/task-change/{B}", data={"number": number, "do": "remove"})
    assert "Call her" in client.get(f"/contacts/{A}").text, "another's task stays"
    client.post(f"/contacts/task-change/{A}", data={"number": number, "do": "done"})
    assert 'name="number"' not in client.get(f"/contacts/{A}").text


def test_why_it_may_use_something_or_not(client: Client, shop: Shop) -> None:
    page = client.get(f"/contacts/why/{A}?feature=sso").text
    for said in ("<html", "yes, by the package pro", "customer cus_1", "mapping", "May it use sso?"):
        assert said in page
    part = client.get(f"/contacts/why/{A}?feature=sso", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    done(client, f"/contacts/unlink/{A}", connection="acme", customer="cus_1")
    assert "ever gave it" in client.get(f"/contacts/why/{A}?feature=sso").text
    assert client.get(f"/contacts/why/{A}?feature=gone").status_code == 404
    assert "The first of the stages that holds" in client.get(f"/contacts/why/{A}").text
    assert f"/revenue/explain?{urlencode({'contact': A})}" in client.get(f"/contacts/{A}").text
    assert client.get("/revenue/explain", params={"contact": A}).status_code == 200


def test_with_live_and_test_data_links_stay_in_the_mode_that_is_looked_at(client: Client, shop: Shop) -> None:
    connect(shop.engine, "live", livemode=True)
    assert client.get(f"/contacts/{A}?connection=live").status_code == 404, "there is none of live data"
    led = client.get(f"/contacts/{A}").headers["location"]
    assert led == f"/contacts/{A}?connection=acme", "as lists of both lead to it"
    for page in ("/contacts?connection=acme", f"/contacts/{A}?connection=acme"):
        shown = client.get(page)
        assert shown.status_code == 200
        kept = re.sub(r'<nav [^>]*aria-label="Live or test data">.*?</nav>', "", shown.text, flags=re.S)
        assert ('aria-label="Live or test data"' in shown.text) is page.startswith("/contacts?")
        links = {unescape(one) for one in re.findall(r'(?<= )(?:href|hx-get)="(/[^"#]*)', kept)}
        about = {one for one in links if one.startswith(("/contacts", "/revenue", "/mappings", "/subscriptions"))}
        assert "/contacts?connection=acme" in about
        for link in sorted(about):
            assert "connection=acme" in link, f"{page} leads to {link}"
            assert client.get(link).status_code == 200, link
    sent = client.post(f"/notes/{A}?connection=acme", data={"note": "Called."})
    assert sent.headers["location"] == f"/contacts/{A}?connection=acme"


def test_invoices_are_shown_page_by_page(client: Client, shop: Shop) -> None:
    shop.has(*(invoice(f"in_{n:02}", customer="cus_1", created=1_000 + n) for n in range(12)))
    page = client.get(f"/contacts/{A}").text
    assert 'href="/mirror/acme/invoices/in_11"' in page, "also of an account that Stripe's dashboard does not have"
    assert 'href="/mirror/acme/customers/cus_1"' in page
    assert "in_00" not in page
    after = page.partition(f"/contacts/invoices/{A}?after=")[2].partition('"')[0]
    assert "in_00" in client.get(f"/contacts/invoices/{A}?after={after}").text
    assert client.get("/mirror/acme/invoices/in_11").status_code == 200


@pytest.mark.parametrize(
    ("said", "led"),
    [
        ("ada@", f"/contacts/{A}"),
        (A, f"/contacts/{A}"),
        ("bob", f"/contacts/{B}"),
        ("cus_2", "/contacts/customers/cus_2?connection=acme"),
        ("sub_2", f"/contacts/{B}#sub_2"),
        ("in_7", f"/contacts/{B}#invoices"),
    ],
)
def test_the_search_finds_contacts_and_ids_of_stripe(client: Client, shop: Shop, said: str, led: str) -> None:
    shop.has(invoice("in_7", customer="cus_2"), customer("cus_3", email="x@y.example"))
    assert f'href="{led}"' in client.get("/search", params={"q": said}).text
    part = client.get("/search", params={"q": said}, headers={"HX-Request": "true", "HX-Target": "found"}).text
    assert f'href="{led}"' in part
    assert "<html" not in part


def test_a_search_for_nothing_says_what_can_be_found(client: Client) -> None:
    assert "Nothing is called that" in client.get("/search?q=100%25_").text
    assert "Type a name" in client.get("/search?q=a").text
    assert client.get("/search", params={"q": "\0\0\0"}).status_code == 200


def test_who_only_looks_sees_no_buttons(client: Client) -> None:
    del client.headers["Cookie"]
    page = client.get(f"/contacts/{A}").text
    for button in ("Edit</a>", "Merge…", "Unlink…", "Forget this", "Add</button>"):
        assert button not in page
