"""Contacts over HTTP, from being made to being forgotten; every change that hurts is previewed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from httpx import Client, Response
from tests.support.builders import customer, invoice, item, subscription
from tests.support.serving import serving
from tests.support.shop import Shop, opened

from tidegate.api.app import create_app
from tidegate.security import tokens
from tidegate.settings import Settings
from tidegate.wiring import Hub


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        shop.catalog()
        yield shop


@pytest.fixture
def client_of(shop: Shop, fresh_database_url: str, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    config = Settings(home=tmp_path, database_url=fresh_database_url, secret_key=Fernet.generate_key().decode())  # pyright: ignore[reportArgumentType]
    hub, made = Hub(config, shop.engine), list[Client]()
    with serving(create_app(hub, ring_drain=lambda _db, _connection: None)) as url:

        def make(*scopes: str) -> Client:
            with shop.engine.begin() as db:
                _, token = tokens.create(db, "product", scopes)
            made.append(Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30))
            return made[-1]

        yield make
        for client in made:
            client.close()
    hub.close()


def buys(shop: Shop, number: int, **fields: Any) -> None:
    sub, cus = f"sub_{number}", f"cus_{number}"
    shop.has(customer(cus, number, **fields), subscription(sub, [item(f"si_{number}", sub)], customer=cus))


def ok(answer: Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(answer: Response, status: int, kind: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.json()["type"] == f"urn:tidegate:problem:{kind}"
    return answer.json()["detail"]


def test_a_contact_is_made_changed_listed_and_given_members(client_of: Callable[..., Client]) -> None:
    client = client_of("operate")
    new = {
        "id": "acme",
        "name": "Acme",
        "emails": ["a@acme.com"],
        "domains": ["acme.com"],
        "properties": {"plan": ["x"]},
    }
    answer = client.post("/api/contacts", json=new)
    assert ok(answer, 201)["contact"] == "account:acme"
    assert answer.headers["location"] == "/api/contacts/account%3Aacme"
    assert ok(client.get(answer.headers["location"]))["properties"] == {"plan": ["x"]}
    assert ok(client.post("/api/contacts", json={"id": "acme", "owner": "eve"}))["owner"] == "eve"
    ok(client.post("/api/contacts", json={"id": "bob", "kind": "user", "account": "acme", "role": "admin"}), 201)
    assert ok(client.get("/api/contacts/acme"))["members"][0]["role"] == "admin"
    assert ok(client.put("/api/contacts/acme/members/bob", json={"role": "owner"}))["role"] == "owner"
    assert ok(client.delete("/api/contacts/acme/members/bob"))["role"] is None
    changed = ok(client.patch("/api/contacts/acme", json={"id": "acme-2", "properties": {"plan": None, "n": 1}}))
    assert (changed["id"], changed["name"], changed["properties"]) == ("acme-2", "Acme", {"n": 1})
    assert {one["by"] for one in changed["changes"]} == {"token:product"}
    ok(client.post("/api/contacts", json={"id": "taken"}), 201)
    other = {"id": "taken", "name": "Newer", "emails": ["newer@acme.com"]}
    refused(client.patch("/api/contacts/acme-2", json=other), 409, "contact-exists")
    assert ok(client.get("/api/contacts/acme-2"))["name"] == "Acme"  # all of it or nothing
    assert ok(client.post("/api/contacts/acme/ids", json={"id": "w1"}))["contact"] == "account:acme-2"
    assert len(ok(client.delete("/api/contacts/acme-2/ids/acme"))["ids"]) == 2
    page = ok(client.get("/api/contacts", params={"limit": 1}))
    assert [one["id"] for one in page["contacts"]] == ["acme-2"]
    rest = ok(client.get("/api/contacts", params={"after": page["next"]}))
    assert ([one["id"] for one in rest["contacts"]], rest["next"]) == (["bob", "taken"], None)
    assert ok(client.get("/api/contacts", params={"search": "W1"}))["contacts"][0]["id"] == "acme-2"
    assert refused(client.get("/api/contacts/acme"), 404, "contact-unknown")
    assert refused(client.post("/api/contacts", json={"id": "x", "emails": ["x"]}), 422, "contact-invalid")
    assert client.post("/api/contacts", json={"id": "x", "e-mail": "x"}).status_code == 422
    for number in ("1e999", "NaN"):
        body = '{"id": "x", "properties": {"size": [%s]}}' % number  # noqa: UP031 - braces
        answer = client.post("/api/contacts", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, "a number that is too large" in answer.text) == (422, True)


def test_links_are_previewed_made_and_ended(shop: Shop, client_of: Callable[..., Client]) -> None:
    buys(shop, 1)
    shop.refresh()
    client = client_of("operate")
    ok(client.post("/api/contacts", json={"id": "acme"}), 201)
    tried = ok(client.post("/api/contacts/acme/links", json={"customer": "cus_1"}, params={"preview": True}))
    assert (tried["done"], tried["gained"], tried["lost"]) == (False, 3, 0)
    assert ok(client.get("/api/contacts/acme"))["links"] == []
    done = ok(client.post("/api/contacts/acme/links", json={"customer": "cus_1"}, params={"token": tried["token"]}))
    assert done["done"]
    [one] = ok(client.get("/api/contacts/acme"))["links"]
    assert (one["customer"], one["method"], one["linked_by"]) == ("cus_1", "manual", "token:product")
    [sub] = ok(client.get("/api/contacts/acme/subscriptions"))["subscriptions"]
    assert (sub["id"], sub["items"][0]["unit_amount"]) == ("sub_1", 1000)
    stale = client.delete("/api/contacts/acme/links/cus_1", params={"token": tried["token"]})
    refused(stale, 409, "preview-stale")
    assert "3 " not in refused(client.delete("/api/contacts/acme/links/cus_1"), 409, "preview-needed")
    tried = ok(client.delete("/api/contacts/acme/links/cus_1", params={"preview": True}))
    params = {"token": tried["token"]}
    assert ok(client.delete("/api/contacts/acme/links/cus_1", params=params))["lost"] == 3
    refused(client.delete("/api/contacts/acme/links/cus_1"), 404, "customer-unknown")
    refused(client.post("/api/contacts/acme/links", json={"customer": "cus_9"}), 404, "customer-unknown")


def test_the_queue_is_settled_and_settings_are_changed(shop: Shop, client_of: Callable[..., Client]) -> None:
    buys(shop, 1)
    buys(shop, 2, email="bob@example.com")
    shop.refresh()
    client = client_of("operate")
    found = ok(client.get("/api/contact-reviews", params={"limit": 1}))
    assert (found["waiting"], len(found["customers"])) == ({"no_match": 2}, 1)
    assert found["customers"][0]["list_value"][0]["amount"] == 1000
    assert ok(client.get("/api/contact-reviews", params={"after": found["next"]}))["next"] is None
    done = ok(client.post("/api/contact-reviews/accept", json={"all": True, "reason": "no_match"}))
    assert (done["linked"], done["created"]) == (2, 2)
    assert ok(client.post(f"/api/contact-reviews/batches/{done['batch']}/undo"))["removed"] == 2
    refused(client.post(f"/api/contact-reviews/batches/{done['batch']}/undo"), 404, "change-unknown")
    refused(client.post("/api/contact-reviews/accept", json={"customers": ["cus_9"]}), 404, "review-unknown")
    admin = client_of("admin")
    tried = ok(admin.patch("/api/contact-settings", json={"create_missing": True}, params={"preview": True}))
    assert (tried["created"], tried["queued"], tried["done"]) == (2, 0, False)
    assert ok(client.get("/api/contact-settings"))["settings"]["create_missing"] is False
    params = {"token": tried["token"]}
    assert ok(admin.patch("/api/contact-settings", json={"create_missing": True}, params=params))["done"]
    assert ok(client.get("/api/contact-settings"))["set"] == {"create_missing": True}
    refused(admin.patch("/api/contact-settings", json={"kind": "x"}), 422, "contact-settings-invalid")
    ok(client.post("/api/contacts", json={"id": "w1"}), 201)
    shop.has(customer("cus_1", 1, metadata={"workspace_id": "w1"}), at=300)
    other = {"metadata_keys": ["workspace_id"]}
    refused(admin.patch("/api/contact-settings", json=other), 409, "preview-needed")
    tried = ok(admin.patch("/api/contact-settings", json=other, params={"preview": True}))
    assert [one["contact"] for one in tried["features"]["sso"]] == ["account:ada@example.com", "account:w1"]
    shop.has(customer("cus_2", 2, email="bob@example.com", metadata={"workspace_id": "w1"}), at=300)
    refused(admin.patch("/api/contact-settings", json=other, params={"token": tried["token"]}), 409, "preview-stale")
    assert "metadata_keys" not in ok(client.get("/api/contact-settings"))["set"]


def test_contacts_are_merged_parted_and_forgotten(shop: Shop, client_of: Callable[..., Client]) -> None:
    buys(shop, 1, name="Ada")
    shop.settings(create_missing=True)
    shop.refresh()
    client = client_of("admin")
    ok(client.post("/api/contacts", json={"id": "acme"}), 201)
    other = {"other": "ada@example.com"}
    tried = ok(client.post("/api/contacts/acme/merge", json=other, params={"preview": True}))
    done = ok(client.post("/api/contacts/acme/merge", json=other, params={"token": tried["token"]}))
    assert [one["contact"] for one in ok(client.get("/api/contacts/acme"))["merged"]] == ["account:ada@example.com"]
    merge = {"merge": done["result"]["merge"]}
    ok(client.post("/api/contacts", json={"id": "else"}), 201)
    refused(client.post("/api/contacts/else/unmerge", json=merge), 404, "change-unknown")
    refused(client.post("/api/contacts/acme/unmerge", json=merge), 409, "preview-needed")
    tried = ok(client.post("/api/contacts/acme/unmerge", json=merge, params={"preview": True}))
    done = ok(client.post("/api/contacts/acme/unmerge", json=merge, params={"token": tried["token"]}))
    assert done["result"]["stayed"] == []
    refused(client.post("/api/contacts/ada@example.com/forget"), 422, "usage-error")
    tried = ok(client.post("/api/contacts/ada@example.com/forget", params={"preview": True}))
    assert tried["customers"] == [{"connection": "acme", "customer": "cus_1"}]
    done = ok(client.post("/api/contacts/ada@example.com/forget", params={"token": tried["token"]}))
    refused(client.get("/api/contacts/ada@example.com"), 404, "contact-unknown")
    assert ok(client.get(f"/api/contacts/{done['contact']}"))["name"] == ""


def test_product_code_refreshes_and_learns_that_stripe_is_away(shop: Shop, client_of: Callable[..., Client]) -> None:
    buys(shop, 1)
    shop.settings(create_missing=True)
    shop.refresh()
    product = client_of("entitlements")
    ok(client_of("operate").post("/api/contacts", json={"id": "alone"}), 201)
    found = ok(product.post("/api/contacts/alone/refresh"))
    assert (found["contact"], found["fetched"]["customers"]) == ("account:alone", 0)
    assert found["features"]["sso"]["granted"] is False
    refused(product.post("/api/contacts/nobody/refresh"), 404, "contact-unknown")
    # The connection's key cannot be opened: it never was one.
    assert product.post("/api/contacts/ada@example.com/refresh").status_code in {502, 503}


def test_invoices_are_paged_newest_first(shop: Shop, client_of: Callable[..., Client]) -> None:
    client = client_of("operate")
    shop.has(customer("cus_1"), customer("cus_2"), customer("cus_3"))
    made = {"in_1": 10, "in_2": 30, "in_3": 20, "in_4": 20, "in_5": 5}
    shop.has(*(invoice(id_, customer=f"cus_{1 + at % 3 % 2}", created=at) for id_, at in made.items()))
    shop.has(invoice("in_other", customer="cus_3", created=99))
    ok(client.post("/api/contacts", json={"id": "a/b", "billing_ids": ["cus_1", "cus_2"]}), 201)
    path, seen, after = "/api/contacts/a%2Fb/invoices", list[str](), ""
    while after is not None:
        page = ok(client.get(path, params={"limit": 2, "after": after}))
        seen += [one["id"] for one in page["invoices"]]
        after = page["next"]
    assert seen == ["in_2", "in_4", "in_3", "in_1", "in_5"]
    first = ok(client.get(path))["invoices"][0]
    assert (first["total"], first["currency"], first["status"]) == (1000, "usd", "paid")
    assert "no place in the list" in refused(client.get(path, params={"after": "in_2"}), 422, "contact-invalid")
    refused(client.get("/api/contacts/nobody/invoices"), 404, "contact-unknown")
