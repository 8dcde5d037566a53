"""The catalog over HTTP: thin routes on the changes that have a preview."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from httpx import Client, Response
from tests.support.builders import customer, item, price, subscription
from tests.support.serving import serving
from tests.support.shop import Shop

from tidegate.api.app import create_app
from tidegate.security import tokens
from tidegate.settings import Settings
from tidegate.wiring import Hub

ADA = "ada@example.com"


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    from tidegate.store.engine import open_engine

    engine = open_engine(fresh_database_url)
    shop = Shop(engine)
    shop.settings(create_missing=True)
    shop.has({"id": "prod_1", "object": "product", "created": 10, "name": "Pro", "active": True})
    shop.has(price(), customer(), subscription())
    shop.refresh()
    yield shop
    engine.dispose()


@pytest.fixture
def client(shop: Shop, fresh_database_url: str, tmp_path: Path) -> Iterator[Client]:
    config = Settings(home=tmp_path, database_url=fresh_database_url, secret_key=Fernet.generate_key().decode())  # pyright: ignore[reportArgumentType]
    hub = Hub(config, shop.engine)
    with shop.engine.begin() as db:
        _, token = tokens.create(db, "ops", ["admin"])
    with (
        serving(create_app(hub, ring_drain=lambda _db, _connection: None)) as url,
        Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client,
    ):
        yield client
    hub.close()


def ok(answer: Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def refused(answer: Response, status: int, kind: str) -> str:
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:tidegate:problem:{kind}"), answer.text
    return answer.json()["detail"]


def test_the_catalog_is_made_changed_and_taken_apart(client: Client, shop: Shop) -> None:
    for key, type_ in (("seats", "metered"), ("sso", "boolean"), ("theme", "config")):
        assert ok(client.post("/api/features", json={"key": key, "type": type_}), 201)["key"] == key
    assert "already" in refused(
        client.post("/api/features", json={"key": "sso", "type": "boolean"}), 422, "catalog-invalid"
    )
    assert client.post("/api/features", json={"key": "x", "type": "boolean", "tpye": 1}).status_code == 422
    done = ok(client.patch("/api/features/seats", json={"unit": "seat", "reset": "never"}))
    assert (done["done"], done["contacts"], done["result"]) == (True, 0, {"feature": "seats", "changed": True})
    changed = ok(client.get("/api/features/seats"))
    assert (changed["unit"], changed["reset"], changed["name"]) == ("seat", "never", "")
    assert [one["key"] for one in ok(client.get("/api/features?type=config"))["features"]] == ["theme"]
    first = ok(client.get("/api/features?limit=2"))
    assert ([one["key"] for one in first["features"]], first["next"]) == (["seats", "sso"], "sso")
    rest = ok(client.get("/api/features", params={"limit": 2, "after": first["next"]}))
    assert ([one["key"] for one in rest["features"]], rest["next"]) == (["theme"], None)
    ok(client.delete("/api/features/theme"), 204)
    assert "Did you mean" not in refused(client.get("/api/features/theme"), 404, "catalog-unknown")

    made = ok(client.post("/api/packages", json={"key": "pro", "features": {"seats": 10, "sso": True}}), 201)
    assert (made["version"], made["features"]) == (1, {"seats": {"limit": 10}, "sso": {}})
    assert refused(client.post("/api/packages", json={"key": "pro"}), 422, "catalog-invalid")
    assert ok(client.patch("/api/packages/pro", json={"name": "Pro"}))["result"]["changed"]
    queue = ok(client.get("/api/mappings/queue"))
    assert [(one["price"], one["subscriptions"], one["list_value"]) for one in queue["waiting"]] == [
        ("price_1", 1, 1000)
    ]
    mapped = ok(client.post("/api/mappings", json={"price": "price_1", "package": "pro"}))
    assert (mapped["done"], mapped["gained"], mapped["lost"]) == (True, 2, 0)
    assert ok(client.get("/api/mappings/queue"))["waiting"] == []
    [row] = ok(client.get("/api/mappings"))["mappings"]
    assert (row["package"], row["contacts"], row["created_by"]) == ("pro", 1, "token:ops")
    assert ok(client.get("/api/packages/pro"))["versions"][0]["contacts"] == 1
    assert refused(client.delete("/api/packages/pro"), 422, "catalog-invalid")
    by = shop.rows("select distinct by from tidegate.catalog_changes")
    assert by == [("token:ops",)]


@pytest.fixture
def pro(client: Client) -> int:
    """The id of the mapping of a price to a package."""
    ok(client.post("/api/features", json={"key": "seats", "type": "metered", "reset": "never"}), 201)
    ok(client.post("/api/packages", json={"key": "pro", "features": {"seats": 10}}), 201)
    return ok(client.post("/api/mappings", json={"price": "price_1", "package": "pro"}))["result"]["mapping"]


@pytest.mark.wide
def test_a_mapping_is_removed_by_the_token_of_its_preview(client: Client, shop: Shop, pro: int) -> None:
    path, everybody = f"/api/mappings/{pro}/remove", {"keep_holders": False}
    assert "?preview=true" in refused(client.post(path, json=everybody), 409, "preview-needed")
    shown = ok(client.post(f"{path}?preview=true", json=everybody))
    assert (shown["done"], shown["lost"]) == (False, 1)
    assert shown["features"] == {"seats": [{"contact": f"account:{ADA}", "before": {"limit": 10}, "now": None}]}
    shop.has(customer("cus_2", email="bob@example.com"))
    shop.has(subscription("sub_2", [item("si_2", "sub_2")], customer="cus_2"))
    shop.refresh()
    assert refused(client.post(path, json=everybody | {"token": shown["token"]}), 409, "preview-stale")
    shown = ok(client.post(f"{path}?preview=true", json=everybody))
    assert ok(client.post(path, json=everybody | {"token": shown["token"]}))["done"]
    assert refused(client.post(path), 404, "catalog-unknown")
    assert refused(client.post(f"/api/mappings/{2**70}/remove"), 404, "catalog-unknown")


def test_by_default_holders_keep_what_they_have_and_the_answer_says_so(client: Client, shop: Shop, pro: int) -> None:
    done = ok(client.post(f"/api/mappings/{pro}/remove"))
    assert (done["done"], done["result"]["kept"], done["result"]["keep_holders"]) == (True, 1, True)
    assert shop.answer(ADA, "seats")["limit"] == 10
    over = {"price": "price_1", "feature": "seats", "limit": 2, "keep_holders": False}
    shown = ok(client.post("/api/mappings?preview=true", json=over))
    assert shown["changed"] == 1
    assert ok(client.post("/api/mappings", json=over | {"token": shown["token"]}))["result"]["kept"] == 0
    assert shop.answer(ADA, "seats")["limit"] == 2


def test_what_holders_keep_is_listed_and_can_be_ended(client: Client, shop: Shop, pro: int) -> None:
    ok(client.post(f"/api/mappings/{pro}/remove"))
    [row] = ok(client.get("/api/mappings/kept"))["kept"]
    assert (row["price"], row["package"], row["subscriptions"]) == ("price_1", "pro", 1)
    path = "/api/mappings/kept/release"
    refused(client.post(path, json={}), 422, "catalog-invalid")
    refused(client.post(path, json={"price": "price_1"}), 409, "preview-needed")
    shown = ok(client.post(f"{path}?preview=true", json={"price": "price_1"}))
    assert shown["lost"] == 1
    done = ok(client.post(path, json={"price": "price_1", "token": shown["token"]}))
    assert done["result"]["released"] == 1
    assert not shop.answer(ADA, "seats")["granted"]
    assert ok(client.get("/api/mappings/kept"))["kept"] == []
    assert [one["price"] for one in ok(client.get("/api/mappings/queue"))["waiting"]] == ["price_1"]


def test_versions_are_drafted_published_and_migrated_to(client: Client, shop: Shop, pro: int) -> None:
    drafted = ok(client.put("/api/packages/pro/draft", json={"features": {"seats": 3}}))
    assert drafted == {"draft": {"seats": {"limit": 3}}}
    published = ok(client.post("/api/packages/pro/publish"))
    assert (published["result"]["version"], published["result"]["stay"]) == (2, 1)
    assert refused(client.post("/api/packages/pro/publish"), 422, "catalog-invalid")
    assert shop.answer(ADA, "seats")["limit"] == 10
    assert refused(client.post("/api/packages/pro/migrate"), 409, "preview-needed")
    shown = ok(client.post("/api/packages/pro/migrate?preview=true"))
    assert ok(client.post("/api/packages/pro/migrate", json={"token": shown["token"]}))["result"]["moved"] == 1
    assert shop.answer(ADA, "seats")["limit"] == 3
    [one] = ok(client.get("/api/packages"))["packages"]
    assert (one["version"], one["draft"], one["contacts_by_version"]) == (2, None, {"2": 1})
    assert ok(client.put("/api/packages/pro/draft", json={"features": {"seats": 3}})) == {"draft": None}


def test_another_default_is_previewed(client: Client, shop: Shop, pro: int) -> None:
    refused(client.post("/api/packages", json={"key": "free", "is_default": True}), 422, "catalog-invalid")
    ok(client.post("/api/packages", json={"key": "free", "features": {"seats": 1}}), 201)
    assert ok(client.patch("/api/packages/free?preview=true", json={"is_default": True}))["contacts"] == 1
    assert ok(client.patch("/api/packages/free", json={"is_default": True}))["done"]
    assert ok(client.get("/api/packages/free"))["is_default"]


def test_suggestions_are_accepted_by_name(client: Client, shop: Shop) -> None:
    found = ok(client.get("/api/mappings/suggestions"))
    [one] = found["suggestions"]
    assert (one["name"], one["subscriptions"], one["mappings"][0]["product"]) == ("package:pro", 1, "prod_1")
    path = "/api/mappings/suggestions/accept"
    assert refused(client.post(path, json={"names": ["pru"]}), 404, "catalog-unknown")
    assert not ok(client.post(f"{path}?preview=true", json={"names": ["package:pro"]}))["done"]
    assert ok(client.post(path, json={"names": ["package:pro"]}))["result"]["accepted"][0]["name"] == "package:pro"
    assert ok(client.get("/api/mappings/suggestions"))["suggestions"] == []


def test_the_dry_run_of_a_creation_needs_no_key(client: Client, pro: int) -> None:
    prices = [{"amount": 4900, "currency": "usd", "interval": "month"}]
    ok(client.patch("/api/packages/pro", json={"prices": prices}))
    found = ok(client.post("/api/packages/pro/create-in-stripe?dry_run=true"))
    assert [one["path"] for one in found["requests"]] == ["/v1/products", "/v1/prices"]


Ask = Callable[[Client], Response]


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.patch("/api/features/seats", json={"unit": "x"}),
        lambda client: client.delete("/api/features/seats"),
        lambda client: client.patch("/api/packages/pro", json={"name": "x"}),
        lambda client: client.put("/api/packages/pro/draft", json={"features": {}}),
        lambda client: client.post("/api/packages/pro/publish", json={"features": {}}),
        lambda client: client.post("/api/mappings", json={"price": "price_1", "feature": "seats", "limit": 1}),
    ],
)
def test_what_the_file_manages_is_read_only(client: Client, shop: Shop, pro: int, ask: Ask) -> None:
    with shop.engine.begin() as db:
        for table in ("features", "packages", "mappings"):
            db.exec_driver_sql(f"update tidegate.{table} set managed_by = 'file'")
    assert "tidegate config apply" in refused(ask(client), 409, "managed-by-file")


def test_a_preview_counts_all_and_lists_some(client: Client, shop: Shop) -> None:
    for number in (2, 3):
        sub, cus = f"sub_{number}", f"cus_{number}"
        shop.has(customer(cus, email=f"{number}@example.com"), subscription(sub, [item("si", sub)], customer=cus))
    shop.refresh()
    ok(client.post("/api/features", json={"key": "sso", "type": "boolean"}), 201)
    wanted = {"price": "price_1", "feature": "sso"}
    every = ok(client.post("/api/mappings?preview=true", json=wanted))
    assert (every["gained"], len(every["features"]["sso"])) == (3, 3)
    some = ok(client.post("/api/mappings?preview=true&listed=2", json=wanted))
    assert (some["gained"], len(some["features"]["sso"])) == (3, 2)
    assert some["totals"] == {"sso": {"gained": 3, "lost": 0, "changed": 0}}
    assert some["token"] == every["token"]
    assert client.post("/api/mappings?preview=true&listed=10001", json=wanted).status_code == 422


def test_a_price_is_ignored_and_heeded(client: Client, shop: Shop) -> None:
    path = "/api/mappings/ignored/price_1"
    assert ok(client.put(path)) == {"connection": "acme", "price": "price_1", "ignored": True, "changed": True}
    assert [one["price"] for one in ok(client.get("/api/mappings/ignored"))["ignored"]] == ["price_1"]
    assert ok(client.get("/api/mappings/queue"))["waiting"] == []
    assert not ok(client.delete(path))["ignored"]
    assert [one["price"] for one in ok(client.get("/api/mappings/queue"))["waiting"]] == ["price_1"]
    assert "no price" in refused(client.put("/api/mappings/ignored/price_9"), 422, "catalog-invalid")


def test_what_was_changed_is_paged_newest_first(client: Client) -> None:
    for key in ("sso", "seats"):
        ok(client.post("/api/features", json={"key": key, "type": "boolean"}), 201)
    ok(client.post("/api/packages", json={"key": "pro", "features": {"sso": True}}), 201)
    ok(client.post("/api/mappings", json={"price": "price_1", "package": "pro"}))
    first = ok(client.get("/api/catalog-changes?limit=3"))
    rest = ok(client.get("/api/catalog-changes", params={"limit": 3, "after": first["next"]}))
    seen = [(one["action"], one["subject"], one["by"]) for one in first["changes"] + rest["changes"]]
    assert [one[:2] for one in seen] == [
        ("mapping.set", "price_1 → package pro"),
        ("package.published", "pro"),
        ("package.defined", "pro"),
        ("feature.defined", "seats"),
        ("feature.defined", "sso"),
    ]
    assert ({one[2] for one in seen}, rest["next"]) == ({"token:ops"}, None)
    for about, count in (("pro", 3), ("price_1", 1), ("sso", 1), ("o", 0)):
        assert len(ok(client.get("/api/catalog-changes", params={"about": about}))["changes"]) == count


@pytest.mark.parametrize(
    ("table", "columns"),
    [("stripe.subscription_items", "connection, product"), ("tidegate.grants", "mapping, contact")],
)
def test_what_a_mapping_concerns_is_found_by_an_index(shop: Shop, table: str, columns: str) -> None:
    indexes = shop.rows(f"select pg_get_indexdef(indexrelid) from pg_index where indrelid = '{table}'::regclass")
    assert any(definition.endswith(f"({columns})") for (definition,) in indexes)
