"""The review queue on the page: customers given to contacts, made contacts of, kept apart, and all that taken back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx import Client
from tests.support.builders import customer, item, subscription
from tests.support.numbers import assert_exported
from tests.support.pages import done, hidden, site_of
from tests.support.shop import Shop, opened

from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.web.contacts import reviews_page

QUEUE = "/contacts/review"


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    """Four customers wait: two match nobody, two match several."""
    with opened(fresh_database_url) as shop:
        shop.catalog()
        with shop.engine.begin() as db:
            for name in ("one", "two"):
                key = directory.make(db, False, Making("account", name, name=name.title()))
                directory.add_emails(db, key, ["shared@example.com"])
        for n, email in enumerate(("a@example.com", "b@example.com", "shared@example.com", "shared@example.com")):
            cus, sub = f"cus_{n}", f"sub_{n}"
            shop.has(customer(cus, email=email, name=f"C{n}"), subscription(sub, [item(f"si_{n}", sub)], customer=cus))
        shop.refresh()
        yield shop


@pytest.fixture
def client(shop: Shop, fresh_database_url: str, tmp_path: Path) -> Iterator[Client]:
    with site_of(shop, fresh_database_url, tmp_path, "operate") as client:
        yield client


def waiting(shop: Shop) -> list[str]:
    return [row[0] for row in shop.rows("select customer from tidegate.reviews order by 1")]


def test_the_queue_shows_evidence_candidates_and_value(client: Client, shop: Shop) -> None:
    page = client.get(QUEUE).text
    for said in ("All 4", "2 match nobody", "2 match several contacts", "email shared@example.com", "USD a month"):
        assert said in page
    assert "cus_0" not in client.get(f"{QUEUE}?reason=conflict").text
    assert "shared@example.com" in client.get("/contacts/customers/cus_2").text


def test_the_queue_is_exported(client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviews_page, "TOGETHER", 1)
    monkeypatch.setattr(reviews_page, "ROWS", 1)
    assert_exported(client, "/contacts/review")
    assert_exported(client, "/contacts/review?reason=no_match")


def test_the_picked_are_accepted_together_and_taken_back(client: Client, shop: Shop) -> None:
    sent = {"pick:cus_0": "yes", "pick:cus_2": "yes", "contact:cus_2": "account:one", "do": "accept"}
    answer = client.post(QUEUE, data=sent)
    assert answer.status_code == 303
    assert waiting(shop) == ["cus_1", "cus_3"]
    assert (
        shop.scalar(
            "select external_id from tidegate.contacts c join tidegate.links l on l.contact = c.key "
            "where l.customer = 'cus_2'"
        )
        == "one"
    )
    page = client.get(answer.headers["location"]).text
    assert "Take it back" in page
    batches = hidden(page, f"{QUEUE}/undo")["done"]
    assert client.post(f"{QUEUE}/undo", data={"connection": "acme", "done": batches}).status_code == 303
    assert waiting(shop) == ["cus_0", "cus_1", "cus_2", "cus_3"]


def test_what_cannot_be_accepted_is_said_in_its_row_and_the_rest_is_done(client: Client, shop: Shop) -> None:
    sent = {f"pick:cus_{n}": "yes" for n in (0, 2, 3)} | {"contact:cus_2": "", "contact:cus_3": "account:two"}
    answer = client.post(QUEUE, data=sent)
    assert answer.status_code == 422
    assert 'id="wrong-cus_2"' in answer.text
    assert waiting(shop) == ["cus_1", "cus_2"]
    gone = client.post(QUEUE, data={"one": "cus_1", "contact:cus_1": "account:nobody"})
    assert (gone.status_code, 'id="wrong-cus_1"' in gone.text, 'value="account:nobody"' in gone.text) == (
        422,
        True,
        True,
    )
    assert "Pick at least one" in client.post(QUEUE).text
    assert client.post(QUEUE, data={"one": "cus_9"}).status_code == 422


def test_the_picked_are_kept_apart_and_taken_back(client: Client, shop: Shop) -> None:
    answer = client.post(QUEUE, data={"pick:cus_0": "yes", "pick:cus_3": "yes", "do": "reject"})
    assert waiting(shop) == ["cus_1", "cus_2"]
    shop.refresh()
    assert waiting(shop) == ["cus_1", "cus_2"], "no matching links them"
    apart = hidden(client.get(answer.headers["location"]).text, f"{QUEUE}/rematch")["apart"]
    client.post(f"{QUEUE}/rematch", data={"connection": "acme", "apart": apart})
    assert waiting(shop) == ["cus_0", "cus_1", "cus_2", "cus_3"]
    assert client.post(QUEUE, data={"pick:cus_9": "yes", "do": "reject"}).status_code == 422


def test_contacts_are_made_of_all_that_match_nobody(client: Client, shop: Shop) -> None:
    shown, answer = done(client, f"{QUEUE}/all", reason="no_match")
    assert "2 customers wait" in shown
    assert waiting(shop) == ["cus_2", "cus_3"]
    assert "Take it back" in client.get(answer.headers["location"]).text
    assert client.post(f"{QUEUE}/all", data={"reason": "conflict"}).status_code == 422
    assert client.post(f"{QUEUE}/all", data={"reason": "no_match", "token": "7"}).status_code == 409


def test_who_only_looks_settles_nothing(client: Client, shop: Shop) -> None:
    del client.headers["Cookie"]
    assert "Accept" not in client.get(QUEUE).text.partition("<main")[2]
    assert client.post(QUEUE, data={"one": "cus_0"}).status_code == 401
