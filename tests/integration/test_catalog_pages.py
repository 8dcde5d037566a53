"""The pages of the catalog: packages, features and mappings looked at, and changed after a preview."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.builders import customer, item, price, subscription
from tests.support.numbers import assert_counted, assert_exported
from tests.support.pages import ADA, BOB, bob_buys, done, hidden, opened_shop, refused, site_of
from tests.support.shop import Shop, opened

from tidegate.catalog import mappings, packages, subscribed
from tidegate.catalog.subscribed import After, Of
from tidegate.entitlements import overrides
from tidegate.entitlements.overrides import Giving
from tidegate.lifecycle import holders
from tidegate.web.catalog import subscribed_page
from tidegate.workflows.lifecycle import lifecycle

pytestmark = pytest.mark.further


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        opened_shop(shop)
        yield shop


@pytest.fixture
def client(shop: Shop, fresh_database_url: str, tmp_path: Path) -> Iterator[Client]:
    with site_of(shop, fresh_database_url, tmp_path) as client:
        yield client


def test_empty_pages_say_what_to_do(client: Client, shop: Shop) -> None:
    for path in ("/packages", "/features", "/mappings"):
        assert client.get(path).status_code == 200
    with shop.engine.begin() as db:
        db.execute(text("truncate tidegate.packages, tidegate.features cascade"))
    for path in ("/packages", "/features", "/mappings"):
        assert "Suggest from your prices" in client.get(path).text
    assert "prod_1" in client.get("/mappings/suggestions").text


def test_a_version_is_published_after_it_was_seen_who_gains_and_loses(client: Client, shop: Shop) -> None:
    assert "calls 1,000 per" not in client.get("/packages").text
    page = client.get("/packages/pro").text
    assert 'value="1000"' in page
    assert 'href="/contacts?package=pro"' in page
    sent = {"limit:calls": "1,500", "limit:seats": "unlimited", "holders": "move"}
    shown, answer = done(client, "/packages/pro/publish", **sent)
    for said in ("sso", "calls", "yes → –", "1,000 → 1,500", "10 → unlimited", "version 2", "1 subscriptions"):
        assert said in shown
    assert answer.headers["location"] == "/packages/pro"
    assert shop.answer(ADA, "calls")["limit"] == 1500
    assert not shop.answer(ADA, "sso")["granted"]
    again = client.post("/packages/pro/publish", data=sent)
    assert "gives the same already" in again.text


def test_numbers_of_the_catalog_lead_to_whom_they_count(
    client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob_buys(shop)  # to whom nothing is given
    lifecycle.keep(shop.engine)
    assert assert_counted(client, client.get("/packages").text, "/contacts?package=") == {"/contacts?package=pro": 1}
    assert_counted(client, client.get("/packages/pro").text, "/contacts?package=pro&version=")
    features = assert_counted(client, client.get("/features").text, "/contacts?feature=")
    assert {link.partition("=")[2] for link in features} >= {"seats", "sso"}
    assert_counted(client, client.get("/mappings").text, "/contacts?connection=")
    assert_subscriptions_lead(client, shop, monkeypatch)
    assert client.get("/contacts?mapping=999999").status_code == 404
    assert client.get("/contacts?package=pro&version=soon").text.count("Nobody is like that") == 1
    led = client.get("/contacts?feature=seats").text
    assert "to whom something is granted now of the feature seats" in led
    assert '<input type="hidden" form="filters" name="feature" value="seats">' in led, "searching keeps it"


def test_who_holds_a_package_or_a_version_now_is_counted_as_listed(client: Client, shop: Shop) -> None:
    """On the page, and as commands and the API read it: also by an override, or by default; not what is over."""
    over = {"bo": {"status": "canceled", "ended_at": 90}, "cy": {"status": "past_due"}, "di": {"status": "active"}}
    for who, said in over.items():
        bought = subscription(f"sub_{who}", [item(f"si_{who}", f"sub_{who}")], customer=f"cus_{who}", **said)
        shop.has(customer(f"cus_{who}", email=f"{who}@example.com", name=who), bought)
    nothing = [item("si_ed", "sub_ed", price=price("price_seats"), quantity=0)]
    shop.has(customer("cus_ed", email="ed@example.com", name="ed"), subscription("sub_ed", nothing, customer="cus_ed"))
    shop.refresh()
    with shop.engine.begin() as db:
        keys = dict(db.execute(text("select name, key from tidegate.contacts")).all())
        packages.define(db, "free", is_default=True)
        packages.draft(db, "free", {"calls": 10})
        packages.publish(db, "free")
        overrides.give(db, Giving(keys["bo"], "ada", package="pro"))
    lifecycle.keep(shop.engine)
    assert assert_counted(client, client.get("/packages").text, "/contacts?package=") == {
        "/contacts?package=free": 2,  # Cy, who does not pay, and Ed
        "/contacts?package=pro": 3,  # Ada and Di, and Bo by an override
    }
    for key in ("free", "pro"):
        assert_counted(client, client.get(f"/packages/{key}").text, f"/contacts?package={key}&version=")
    assert assert_counted(client, client.get("/mappings").text, "/contacts?connection=") == {
        "/contacts?connection=acme&mapping=1": 2
    }
    with shop.engine.connect() as db:
        counted = holders.of_packages(db, packages.every(db), False)
        of_pro = holders.of_package(db, "pro", None)
        by_mapping = {one["price"]: one["contacts"] for one in holders.of_mappings(db, mappings.every(db))}
    told = {one["key"]: (one["contacts"], one["contacts_by_version"]) for one in counted}
    assert told == {"extra-seats": (0, {}), "free": (2, {"1": 2}), "pro": (3, {"1": 3})}
    assert (of_pro["contacts"], of_pro["versions"][0]["contacts"]) == (3, 3)
    assert by_mapping == {"price_1": 2, "price_seats": 0}
    _, _ = done(client, "/packages/pro/publish", **{"limit:calls": "5", "holders": "stay"})
    assert "Move 4 to version 2" in client.get("/packages/pro").text, "Bo's override, not what Bo canceled; Cy's, too"
    shown, _ = done(client, "/packages/pro/migrate")
    assert "4 subscriptions and overrides move to version 2" in shown


def assert_subscriptions_lead(client: Client, shop: Shop, patched: pytest.MonkeyPatch) -> None:
    """Numbers of subscriptions lead to these, one a row: of what waits, of suggestions, of what is kept."""
    here = "/mappings/subscriptions?connection=acme&of="
    of = price("price_9", unit_amount=9_900, product="prod_9")
    twice = [item("si_2", "sub_2", price=of), item("si_2b", "sub_2", price=of)]  # of one subscription
    shop.has(
        customer("cus_9", email="eve@example.com", name="Eve"),
        subscription("sub_2", twice, customer="cus_2"),
        subscription("sub_9", [item("si_9", "sub_9", price=of)], customer="cus_9"),
        at=150,
    )
    shop.refresh()
    patched.setattr(subscribed_page, "ROWS", 1)
    assert assert_counted(client, client.get("/mappings").text, here) == {f"{here}waiting%3Aprice_9": 2}
    assert_counted(client, client.get("/mappings/map?price=price_9").text, here)
    for of, title in (
        ("waiting:price_9", "of Scale, a month (price_9)<"),
        ("product:prod_9", "product Scale (prod_9)<"),
    ):
        assert title in client.get(f"{here}{of}").text
    found = assert_counted(client, client.get("/mappings/suggestions").text, here)
    assert found == {f"{here}suggestion%3Apackage%3Ascale": 2}
    for link in found:
        assert_exported(client, link)
        assert "Eve" in client.get(link).text
    wanted = [Of("price", "price_9"), Of("product", "prod_1"), Of("product", "prod_9")]
    with shop.engine.connect() as db:
        whole, paged, after = subscribed.subscriptions(db, "acme", wanted), list[dict[str, Any]](), After()
        while page := subscribed.subscriptions(db, "acme", wanted, after, 1):
            paged, after = paged + page, After(page[0]["place"], page[0]["subscription"])
    assert [one["of"] for one in whole] == ["price_9", "price_9", "prod_1", "prod_9", "prod_9"]
    assert paged == whole
    for wrong in ("none", "waiting", "price:", "kept:price_1", "kept:x:price_1"):
        assert client.get(f"{here}{wrong}").status_code == 422, wrong
    assert client.get(f"{here}suggestion:package:none").status_code == 404
    done(client, "/mappings/ignore", price="price_9")
    assert "None any more" in client.get(f"{here}waiting:price_9").text
    done(client, "/mappings/map", price="price_1", target="feature:sso", holders="keep")
    kept = assert_counted(client, client.get("/mappings").text, here)
    assert [link.partition("kept%3A")[2].partition("%3A")[2] for link in kept] == ["price_1"]


def test_lists_of_the_catalog_are_exported(client: Client, shop: Shop) -> None:
    bob_buys(shop)
    for page in ("/packages", "/features"):
        assert_exported(client, page)
    assert_exported(client, "/mappings", within="mapped")
    assert_exported(client, "/mappings?search=pro", within="mapped")
    assert_exported(client, "/mappings", "/mappings/waiting.csv", within="waiting")
    assert_exported(client, "/mappings/suggestions", within="proposed")
    [row] = csv.DictReader(io.StringIO(client.get("/mappings/suggestions.csv").text))
    assert (row["name"], row["mapped"], row["subscriptions"]) == ("package:scale", "prod_9", "1")
    shop.has({"id": "prod_9", "object": "product", "created": 10, "name": "!!!", "active": True}, at=200)
    shop.refresh()
    assert_exported(client, "/mappings/suggestions", "/mappings/suggestions/left.csv", within="left")
    assert client.get("/mappings/suggestions/left.csv").text.splitlines()[1].startswith(("product,", "price,"))


def test_who_stays_on_a_version_can_be_moved(client: Client, shop: Shop) -> None:
    shown, _ = done(client, "/packages/pro/publish", **{"limit:calls": "5", "holders": "stay"})
    assert "Nobody gains or loses" in shown
    assert "1 contacts stay" in shown
    assert shop.answer(ADA, "calls")["limit"] == 1000
    assert "Move 1 to version 2" in client.get("/packages/pro").text
    shown, _ = done(client, "/packages/pro/migrate")
    assert "1,000 → 5" in shown
    assert shop.answer(ADA, "calls")["limit"] == 5


def test_a_stale_preview_is_shown_anew(client: Client, shop: Shop) -> None:
    sent = {"limit:calls": "5", "holders": "move"}
    shown = client.post("/packages/pro/publish", data=sent)
    bob_buys(shop)
    shop.has(
        customer("cus_3", email="eve@example.com"), subscription("sub_3", [item("si_3", "sub_3")], customer="cus_3")
    )
    shop.refresh()
    answer = client.post("/packages/pro/publish", data=hidden(shown.text))
    assert (answer.status_code, "changed since the preview" in answer.text) == (409, True)
    assert client.post("/packages/pro/publish", data=hidden(answer.text)).status_code == 303


@pytest.mark.parametrize(
    ("sent", "said"),
    [({"limit:calls": "many <x>"}, "whole number"), ({"limit:calls": "-1"}, "whole number")],
)
def test_wrong_terms_are_said_beside_their_field(client: Client, sent: dict[str, str], said: str) -> None:
    answer = client.post("/packages/pro/publish", data=sent)
    assert (answer.status_code, 'id="wrong-calls"' in answer.text, said in answer.text) == (422, True, True)
    assert sent["limit:calls"].replace("<", "&lt;").replace(">", "&gt;") in answer.text, "what was typed stays"


def test_packages_are_made_changed_and_removed(client: Client, shop: Shop) -> None:
    refused(client.post("/packages", data={"key": "pro", "kind": "base"}), "key", "already")
    refused(client.post("/packages", data={"key": "no key!", "kind": "base"}), "key")
    assert client.post("/packages", data={"key": "team", "kind": "base"}).headers["location"] == "/packages/team"
    assert "None is published" in client.get("/packages/team").text
    done(client, "/packages/team/publish", **{"give:sso": "yes"})
    done(client, "/packages/team", name="Team", kind="base", is_default="yes")
    assert shop.scalar("select is_default from tidegate.packages where key = 'team'")
    assert "It is the default" in client.get("/packages/team/remove").text
    assert client.post("/packages/team/remove").status_code == 422
    done(client, "/packages/team", name="Team", kind="base")
    assert client.post("/packages/team/remove").headers["location"] == "/packages"
    assert client.get("/packages/team").status_code == 404
    removal = client.get("/packages/pro/remove").text
    assert "1 mapped price" in removal
    assert "Remove it" not in removal
    wrong = client.post("/packages/extra-seats", data={"name": "", "kind": "add_on", "is_default": "yes"})
    refused(wrong, "kind", "only a base package")


def test_features_are_made_changed_and_removed(client: Client, shop: Shop) -> None:
    refused(client.post("/features", data={"key": "sso", "type": "boolean"}), "key", "already")
    refused(
        client.post("/features", data={"key": "x", "type": "boolean", "meter": "x"}), "meter", "only what is metered"
    )
    assert client.post("/features", data={"key": "rows", "type": "metered", "unit": "row"}).status_code == 303
    assert "rows" in client.get("/features").text
    done(client, "/features/rows", name="Rows", unit="row", reset="never", meter="")
    assert shop.scalar("select reset from tidegate.features where key = 'rows'") == "never"
    assert "version 1" in client.get("/features/sso").text
    kept = client.post("/features/sso/remove")
    assert (kept.status_code, "still named" in kept.text) == (422, True)
    assert client.post("/features/rows/remove").headers["location"] == "/features"


def test_what_waits_is_mapped_and_granted(client: Client, shop: Shop) -> None:
    bob_buys(shop)
    page = client.get("/mappings").text
    for said in ("1 price waits", "Scale", "99.00 USD a month", "price_9"):
        assert said in page
    form = client.get("/mappings/map?price=price_9&product=prod_9").text
    assert "1</a> subscription waits" in form
    refused(client.post("/mappings/map", data={"price": "price_9"}), "target", "Choose")
    wrong = client.post("/mappings/map", data={"price": "price_9", "target": "feature:seats", "limit": "a lot"})
    refused(wrong, "limit", "whole number")
    assert 'value="a lot"' in wrong.text
    assert client.post("/mappings/map", data={"price": "price_9", "target": "package:gone"}).status_code == 422
    refused(client.post("/mappings/map", data={"price": "price_9", "target": "else:sso"}), "target", "Choose")
    shown, answer = done(client, "/mappings/map", price="price_9", product="prod_9", of="price", target="package:pro")
    assert "– → yes" in shown
    assert BOB in shown
    assert answer.headers["location"] == "/mappings?connection=acme"
    assert shop.answer(BOB, "sso")["granted"]
    assert "Nothing waits" in client.get("/mappings").text


def test_a_mapping_is_removed_for_those_who_come_later_or_for_all(client: Client, shop: Shop) -> None:
    number = shop.scalar("select id from tidegate.mappings where price = 'price_1'")
    shown, _ = done(client, f"/mappings/{number}/remove")
    assert "1 price of subscriptions keeps" in shown
    assert "take it from whoever has it" in shown
    assert shop.answer(ADA, "sso")["granted"]
    assert "What holders keep" in client.get("/mappings").text
    shown, _ = done(client, "/mappings/release", price="price_1")
    assert "yes → –" in shown
    assert not shop.answer(ADA, "sso")["granted"]
    assert client.post("/mappings/release").status_code == 422


def test_a_price_is_ignored_and_heeded(client: Client, shop: Shop) -> None:
    bob_buys(shop)
    assert "is mapped" in client.post("/mappings/ignore", data={"price": "price_1"}).text
    done(client, "/mappings/ignore", price="price_9")
    page = client.get("/mappings").text
    assert "Nothing waits" in page
    assert "Ignored" in page
    assert "Scale" not in client.get("/mappings/suggestions").text
    assert shop.rows("select price from tidegate.unmapped_prices") == []
    done(client, "/mappings/ignore", price="price_9", heed="yes")
    assert "1 price waits" in client.get("/mappings").text


def test_suggestions_are_accepted_with_a_preview(client: Client, shop: Shop) -> None:
    bob_buys(shop)
    assert "suggested=yes" in client.get("/mappings").text, "what is suggested comes after"
    assert "<strong>scale</strong>" in client.get("/mappings?suggested=yes").text
    page = client.get("/mappings/suggestions").text
    [name] = re.findall(r'name="pick:([^"]+)"', page)
    assert "Pick at least one" in client.post("/mappings/suggestions").text
    assert client.post("/mappings/suggestions", data={"pick:package:gone": "yes"}).status_code == 422
    shown, _ = done(client, "/mappings/suggestions", **{f"pick:{name}": "yes"})
    assert name in shown
    assert "Nothing waits" in client.get("/mappings").text


def test_what_the_file_manages_is_read_only(client: Client, shop: Shop) -> None:
    with shop.engine.begin() as db:
        packages.define(db, "pro", managed_by="file")
        db.execute(text("update tidegate.features set managed_by = 'file' where key = 'sso'"))
        db.execute(text("update tidegate.mappings set managed_by = 'file' where price = 'price_1'"))
        number = db.execute(text("select id from tidegate.mappings where price = 'price_1'")).scalar_one()
    for path in ("/packages/pro", "/features/sso", "/packages/pro/remove"):
        assert "managed by tidegate.yaml" in client.get(path).text
    assert "Preview</button>" not in client.get("/packages/pro").text
    for path, sent in (
        ("/packages/pro/publish", {"limit:calls": "1"}),
        ("/packages/pro", {"name": "x"}),
        ("/features/sso", {"name": "x"}),
        ("/features/sso/remove", {}),
        (f"/mappings/{number}/remove", {}),
        ("/mappings/map", {"price": "price_1", "target": "package:extra-seats"}),
    ):
        answer = client.post(path, data=sent)
        assert (answer.status_code, "managed by tidegate.yaml" in answer.text) == (422, True), path


def test_who_may_not_change_the_catalog_sees_no_buttons(client: Client, shop: Shop) -> None:
    bob_buys(shop)
    del client.headers["Cookie"]
    for path in ("/packages", "/packages/pro", "/features", "/features/sso", "/mappings", "/mappings/suggestions"):
        page = client.get(path).text
        for button in ("Ignore…", "Accept…", "Remove", "Make it", "Preview"):
            assert button not in page, path
