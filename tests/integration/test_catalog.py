"""Changes of the catalog: what they give and take, told before and done by the token of what was told."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
import typer
from sqlalchemy import Engine, text
from tests.support.builders import customer, item, price, subscription
from tests.support.shop import SEATS, Shop

from tidegate.catalog import features, ignoring, mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.entitlements import overrides
from tidegate.entitlements.overrides import Giving
from tidegate.errors import CatalogInvalid, CatalogUnknown, ManagedByFile, PreviewNeeded, PreviewStale, TermsInvalid
from tidegate.workflows import standings
from tidegate.workflows.catalog import catalog_changes
from tidegate.workflows.previewing import Change, Preview, preview, settle

ADA = "ada@example.com"
BOB = "bob@example.com"


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    from tidegate.store.engine import open_engine

    engine: Engine = open_engine(fresh_database_url)
    shop = Shop(engine)
    shop.settings(create_missing=True)
    shop.has(customer(), subscription())
    shop.has({"id": "prod_1", "object": "product", "created": 10, "name": "Pro"})
    shop.catalog()
    shop.refresh()
    yield shop
    engine.dispose()


LATER = 4_000_000_000
"""Epoch seconds after everything that a test publishes."""


def bob(shop: Shop, price_: dict[str, Any] | None = None) -> None:
    """Somebody who subscribes later."""
    shop.has(customer("cus_2", email=BOB))
    items = [item("si_2", "sub_2", price=price_ or price())]
    shop.has(subscription("sub_2", items, customer="cus_2"), at=LATER)
    shop.refresh()


def to_price(package: str = "extra-seats", **said: Any) -> Wanted:
    return Wanted("acme", price="price_1", package=package, by="ada", **said)


def number_of(shop: Shop, price_: str | None = "price_1", product: str | None = None) -> int:
    with shop.engine.connect() as db:
        known = mappings.in_force(db, "acme", price_, product)
    assert known is not None
    return int(known["id"])


def removal(shop: Shop, number: int, *, keep_holders: bool = False) -> Change:
    with shop.engine.connect() as db:
        return catalog_changes.remove_mapping(db, number, "ada", keep_holders=keep_holders)


def lost(found: Preview) -> dict[str, list[str]]:
    return {
        feature: [one["contact"] for one in changes if one["now"] is None]
        for feature, changes in found.features.items()
    }


def test_a_preview_names_per_feature_who_loses_what_and_does_nothing(shop: Shop) -> None:
    bob(shop)
    change = removal(shop, number_of(shop))
    both = ["account:ada@example.com", "account:bob@example.com"]
    for _ in range(2):
        found = preview(shop.engine, change)
        assert lost(found) == {"calls": both, "seats": both, "sso": both}
        assert (found.done, found.contacts) == (False, 2)
    assert found.features["seats"][0] == {"contact": both[0], "before": {"limit": 10}, "now": None}
    assert shop.answer(ADA, "sso")["granted"]


def test_a_preview_counts_all_and_names_the_first(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    bob(shop)
    change = removal(shop, number_of(shop))
    whole = preview(shop.engine, change)
    monkeypatch.setattr(standings, "NAMED", 1)
    monkeypatch.setattr(standings, "BATCH", 1)
    found = preview(shop.engine, change)
    assert {feature: len(changes) for feature, changes in found.features.items()} == {"calls": 1, "seats": 1, "sso": 1}
    assert found.totals() == whole.totals() == {
        feature: {"lost": 2, "gained": 0, "changed": 0} for feature in ("calls", "seats", "sso")
    }  # fmt: skip
    assert (found.concerned, found.hurts, found.token) == (2, True, whole.token)
    with pytest.raises(PreviewNeeded, match="2 contacts"):
        settle(shop.engine, change)
    assert settle(shop.engine, change, found.token).as_json()["lost"] == 6
    with shop.engine.connect() as db:
        assert db.execute(text("select to_regclass('standings_before')")).scalar_one() is None


def test_what_takes_something_is_refused_without_its_preview(shop: Shop) -> None:
    change = removal(shop, number_of(shop))
    with pytest.raises(PreviewNeeded, match="1 contacts"):
        settle(shop.engine, change)
    assert shop.answer(ADA, "sso")["granted"]
    assert settle(shop.engine, change, anyway=True).done
    assert not shop.answer(ADA, "sso")["granted"]


def test_a_removal_is_done_by_its_token_and_told(shop: Shop) -> None:
    change = removal(shop, number_of(shop))
    found = settle(shop.engine, change, preview(shop.engine, change).token)
    assert found.done
    assert not shop.answer(ADA, "sso")["granted"]
    told = shop.rows("select type from tidegate.outbox where id > 5 order by type, id")
    assert told == [("entitlement.revoked",)] * 3 + [("mapping.unmapped",)]
    assert shop.rows("select price from tidegate.unmapped_prices") == [("price_1",)]
    [journal] = shop.rows("select by, action, subject from tidegate.catalog_changes")
    assert journal == ("ada", "mapping.removed", "price_1 → package pro")


def test_a_stale_removal_preview_is_refused(shop: Shop) -> None:
    change = removal(shop, number_of(shop))
    token = preview(shop.engine, change).token
    bob(shop)
    with pytest.raises(PreviewStale):
        settle(shop.engine, change, token)
    assert shop.answer(ADA, "sso")["granted"]
    settle(shop.engine, change, preview(shop.engine, change).token)


def test_the_token_of_another_change_is_refused(shop: Shop) -> None:
    number = number_of(shop)
    kept = preview(shop.engine, removal(shop, number, keep_holders=True)).token
    with pytest.raises(PreviewStale):
        settle(shop.engine, removal(shop, number), kept)


def test_an_entitlement_that_two_subscriptions_give_survives_the_loss_of_one(shop: Shop) -> None:
    shop.has(price("price_2", product="prod_2"))
    second = subscription("sub_9", [item("si_9", "sub_9", price=price("price_2", product="prod_2"))])
    shop.has(second)
    with shop.engine.begin() as db:
        mappings.set_(db, Wanted("acme", price="price_2", feature="sso"))
    shop.refresh()
    change = removal(shop, number_of(shop))
    found = preview(shop.engine, change)
    assert "sso" not in found.features
    settle(shop.engine, change, found.token)
    assert shop.answer(ADA, "sso")["granted"]
    assert not shop.answer(ADA, "seats")["granted"]


def test_holders_keep_what_they_have_and_later_ones_get_the_new(shop: Shop) -> None:
    found = settle(shop.engine, catalog_changes.set_mapping(to_price()))
    assert (found.features, found.result["kept"], found.result["keep_holders"]) == ({}, 1, True)
    bob(shop)
    assert shop.answer(ADA, "seats")["limit"] == 10
    assert shop.answer(BOB, "seats")["limit"] == 5
    shop.has(subscription(description="changed"), at=500)
    shop.refresh()
    assert shop.answer(ADA, "seats")["limit"] == 10


def test_all_holders_may_go_over_to_the_new(shop: Shop) -> None:
    settle(shop.engine, catalog_changes.set_mapping(to_price()))
    change = catalog_changes.set_mapping(to_price(), keep_holders=False)
    found = preview(shop.engine, change)
    assert found.features["seats"] == [
        {"contact": "account:ada@example.com", "before": {"limit": 10}, "now": {"limit": 5}}
    ]
    settle(shop.engine, change, found.token)
    assert shop.answer(ADA, "seats")["limit"] == 5
    assert shop.rows("select * from tidegate.kept_mappings") == []


def test_who_holds_by_the_product_keeps_that_when_the_price_is_mapped(shop: Shop) -> None:
    with shop.engine.begin() as db:
        mappings.set_(db, Wanted("acme", product="prod_1", package="pro"))
    settle(shop.engine, removal(shop, number_of(shop)), anyway=True)
    assert shop.answer(ADA, "seats")["limit"] == 10
    assert settle(shop.engine, catalog_changes.set_mapping(to_price())).result["kept"] == 1
    bob(shop)
    assert (shop.answer(ADA, "seats")["limit"], shop.answer(BOB, "seats")["limit"]) == (10, 5)


def test_a_price_beats_its_product(shop: Shop) -> None:
    settle(shop.engine, catalog_changes.set_mapping(Wanted("acme", product="prod_1", package="extra-seats")))
    assert shop.answer(ADA, "seats")["limit"] == 10
    other = price("price_3")
    shop.has(other)
    bob(shop, other)
    assert shop.answer(BOB, "seats")["limit"] == 5


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ({"package": "pro"}, 10),
        ({"package": "pro", "per_quantity": True}, 30),
        ({"package": "extra-seats"}, 15),
        ({"package": "extra-seats", "per_quantity": False}, 5),
        ({"feature": "seats", "terms": 2}, 6),
        ({"feature": "seats", "terms": 2, "per_quantity": False}, 2),
    ],
)
def test_quantity_multiplies_add_ons_and_features_and_no_base_package(
    shop: Shop, said: dict[str, Any], limit: int
) -> None:
    three = price("price_3", product="prod_3")
    shop.has(three, customer("cus_2", email=BOB))
    shop.has(subscription("sub_2", [item("si_2", "sub_2", quantity=3, price=three)], customer="cus_2"))
    shop.refresh()
    settle(shop.engine, catalog_changes.set_mapping(Wanted("acme", price="price_3", **said)))
    assert shop.answer(BOB, "seats")["limit"] == limit


def test_mapping_what_waits_grants_it_at_once_and_needs_no_preview(shop: Shop) -> None:
    waiting = price("price_x", product="prod_x")
    shop.has(waiting)
    bob(shop, waiting)
    assert not shop.answer(BOB, "sso")["granted"]
    change = catalog_changes.set_mapping(Wanted("acme", price="price_x", package="pro"))
    assert {feature: len(rows) for feature, rows in settle(shop.engine, change).features.items()} == {
        "calls": 1,
        "seats": 1,
        "sso": 1,
    }
    assert shop.answer(BOB, "sso")["granted"]
    assert shop.rows("select price from tidegate.unmapped_prices") == []


@pytest.mark.parametrize(
    ("wanted", "refusal", "told"),
    [
        (Wanted("acme", package="pro"), CatalogInvalid, "price or of a product"),
        (Wanted("acme", price="price_1", product="prod_1", package="pro"), CatalogInvalid, "name one of them"),
        (Wanted("acme", price="price_1"), CatalogInvalid, "package or to a feature"),
        (Wanted("acme", price="price_1", package="pro", feature="sso"), CatalogInvalid, "name one"),
        (Wanted("acme", price="price_9", package="pro"), CatalogInvalid, "has no price price_9"),
        (Wanted("acme", product="prod_9", package="pro"), CatalogInvalid, "has no product prod_9"),
        (Wanted("acme", price="price_1", package="prp"), CatalogUnknown, "Did you mean pro?"),
        (Wanted("acme", price="price_1", feature="set"), CatalogUnknown, "Did you mean seats?"),
        (Wanted("acme", price="price_1", feature="seats"), TermsInvalid, "say {limit: 100"),
        (Wanted("acme", price="price_1", feature="sso", terms={"limit": 3}), TermsInvalid, "boolean feature"),
        (Wanted("acme", price="price_1", package="pro", terms={"limit": 3}), CatalogInvalid, "terms already"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(shop: Shop, wanted: Wanted, refusal: type[Exception], told: str) -> None:
    with pytest.raises(refusal) as refused:
        settle(shop.engine, catalog_changes.set_mapping(wanted))
    assert told in str(refused.value)
    assert shop.answer(ADA, "sso")["granted"]


def test_a_version_is_published_while_subscribers_stay_on_theirs(shop: Shop) -> None:
    found = settle(shop.engine, catalog_changes.publish_package("pro", "ada", features={"seats": 3}))
    assert (found.features, found.result["version"], found.result["stay"]) == ({}, 2, 1)
    bob(shop)
    assert (shop.answer(ADA, "seats")["limit"], shop.answer(BOB, "seats")["limit"]) == (10, 3)
    same = settle(shop.engine, catalog_changes.publish_package("pro", "ada", features={"seats": {"limit": 3}}))
    assert (same.result["changed"], same.result["version"]) == (False, 2)
    change = catalog_changes.migrate_package("pro", "ada")
    with pytest.raises(PreviewNeeded):
        settle(shop.engine, change)
    shown = preview(shop.engine, change)
    assert shown.features["seats"][0]["now"] == {"limit": 3}
    assert settle(shop.engine, change, shown.token).result["moved"] == 1
    assert shop.answer(ADA, "seats")["limit"] == 3
    back = catalog_changes.migrate_package("pro", "ada", to=1, subscriptions=["sub_2"])
    settle(shop.engine, back, anyway=True)
    assert (shop.answer(ADA, "seats")["limit"], shop.answer(BOB, "seats")["limit"]) == (3, 10)
    with pytest.raises(CatalogInvalid, match="there is 1, 2"):
        settle(shop.engine, catalog_changes.migrate_package("pro", "ada", to=7))


def test_a_hub_only_package_is_given_by_an_override_and_migrated_with_the_rest(shop: Shop) -> None:
    with shop.engine.begin() as db:
        packages.define(db, "beta")
        packages.draft(db, "beta", {"calls": 5})
        packages.publish(db, "beta")
        key = directory.make(db, False, Making("account", "w1"))
        overrides.give(db, Giving(key, "ada", package="beta"))
    settle(shop.engine, catalog_changes.publish_package("beta", "ada", features={"calls": 9}))
    assert shop.answer("w1", "calls", datetime.now(UTC))["limit"] == 5
    settle(shop.engine, catalog_changes.migrate_package("beta", "ada"), anyway=True)
    assert shop.answer("w1", "calls", datetime.now(UTC))["limit"] == 9


def test_the_default_package_holds_for_whoever_has_no_base_package(shop: Shop) -> None:
    with shop.engine.begin() as db:
        packages.define(db, "free")
        packages.draft(db, "free", {"calls": 5})
        packages.publish(db, "free")
        directory.make(db, False, Making("account", "w1"))
    change = catalog_changes.define_package("free", "ada", is_default=True)
    assert [one["contact"] for one in preview(shop.engine, change).features["calls"]] == ["account:w1"]
    settle(shop.engine, change)
    assert (shop.answer("w1", "calls")["limit"], shop.answer(ADA, "calls")["limit"]) == (5, 1000)
    told = shop.rows("select type from tidegate.outbox where contact = (select max(key) from tidegate.contacts)")
    assert told == [("entitlement.granted",)]
    less = catalog_changes.publish_package("free", "ada", features={"calls": 1})
    with pytest.raises(PreviewNeeded):
        settle(shop.engine, less)
    settle(shop.engine, less, preview(shop.engine, less).token)
    assert shop.answer("w1", "calls")["limit"] == 1
    with shop.engine.begin() as db, pytest.raises(CatalogInvalid, match="is the default"):
        catalog_changes.remove_package(db, "free", "ada")
    off = catalog_changes.define_package("free", "ada", is_default=False)
    assert settle(shop.engine, off, anyway=True).features["calls"][0]["now"] is None
    assert not shop.answer("w1", "calls")["granted"]
    assert shop.rows("select type from tidegate.outbox order by id desc limit 1") == [("entitlement.revoked",)]


def test_an_add_on_adds_its_limit_times_quantity(shop: Shop) -> None:
    both = [item("si_1"), item("si_2", quantity=3, price=SEATS)]
    shop.has(subscription(items=both), at=300)
    shop.refresh()
    assert shop.answer(ADA, "seats")["limit"] == 25
    change = catalog_changes.define_package("extra-seats", "ada", kind="base")
    found = preview(shop.engine, change)
    assert found.features["seats"][0]["now"] == {"limit": 15}  # the larger of two base packages


Do = Callable[[Any], Any]


@pytest.mark.parametrize(
    ("do", "told"),
    [
        (lambda db: features.remove(db, "sso"), "named by 1 package versions"),
        (lambda db: packages.remove(db, "pro"), "named by 1 mappings, 1 grants"),
        (lambda db: features.define(db, "sso", "metered"), "cannot become metered"),
        (lambda db: features.define(db, "a b", "boolean"), "cannot be the key"),
        (lambda db: features.define(db, "x", "bool"), "use boolean, config, metered"),
        (lambda db: packages.define(db, "x", kind="plan"), "use base or add_on"),
        (lambda db: packages.define(db, "x", kind="add_on", is_default=True), "only a base package"),
        (lambda db: packages.publish(db, "pro"), "no draft to publish"),
    ],
)
def test_a_change_that_would_break_what_stands_is_refused(shop: Shop, do: Do, told: str) -> None:
    with shop.engine.begin() as db, pytest.raises(CatalogInvalid) as refused:
        do(db)
    assert told in str(refused.value)


def test_what_nobody_holds_any_more_can_be_removed(shop: Shop) -> None:
    settle(shop.engine, removal(shop, number_of(shop)), anyway=True)
    with shop.engine.begin() as db:
        catalog_changes.remove_package(db, "pro", "ada")
        features.remove(db, "sso")
    assert shop.rows("select key from tidegate.features order by key") == [("calls",), ("seats",)]
    assert shop.rows("select key from tidegate.packages") == [("extra-seats",)]


def test_an_old_version_that_nobody_holds_keeps_no_feature(shop: Shop) -> None:
    settle(shop.engine, catalog_changes.publish_package("pro", "ada", features={"calls": 1000, "seats": 10}))
    with shop.engine.begin() as db, pytest.raises(CatalogInvalid, match="1 package versions"):
        features.remove(db, "sso")
    settle(shop.engine, catalog_changes.migrate_package("pro", "ada"), anyway=True)
    with shop.engine.begin() as db:
        features.remove(db, "sso")


def test_what_the_file_manages_is_read_only_elsewhere(shop: Shop) -> None:
    with shop.engine.begin() as db:
        features.define(db, "sso", "boolean", managed_by="file")
        packages.define(db, "pro", managed_by="file")
        mappings.set_(db, Wanted("acme", price="price_1", package="pro", managed_by="file"))
    number = number_of(shop)
    tries: list[Do] = [
        lambda db: features.define(db, "sso", "boolean", name="x"),
        lambda db: features.remove(db, "sso"),
        lambda db: packages.define(db, "pro", name="x"),
        lambda db: packages.draft(db, "pro", {"seats": 1}),
        lambda db: packages.publish(db, "pro"),
        lambda db: packages.remove(db, "pro"),
        lambda db: mappings.set_(db, to_price()),
        lambda db: mappings.remove(db, number),
    ]
    for do in tries:
        with shop.engine.begin() as db, pytest.raises(ManagedByFile):
            do(db)
    assert shop.answer(ADA, "sso")["granted"]


def test_suggestions_are_made_from_what_is_seen_and_undone_by_removing(shop: Shop) -> None:
    from tidegate.workflows.catalog import catalog_suggest

    for number in (1, 2, 3):
        shop.has(
            {
                "id": f"prod_{number}0",
                "object": "product",
                "created": 10,
                "name": ("Gold", "Extra seats", "Calls")[number - 1],
            }
        )
    gold, seats = price("price_g", product="prod_10"), price("price_s", product="prod_20")
    used = price(
        "price_c", product="prod_30", recurring={"interval": "month", "interval_count": 1, "usage_type": "metered"}
    )
    shop.has(gold, seats, used, customer("cus_2", email=BOB))
    items = [
        item("si_a", "sub_2", price=gold),
        item("si_b", "sub_2", quantity=4, price=seats),
        item("si_c", "sub_2", price=used),
    ]
    shop.has(subscription("sub_2", items, customer="cus_2"))
    shop.refresh()
    with shop.engine.connect() as db:
        found, left = catalog_suggest.found(db, "acme")
    assert left == []
    assert {one.name: (one.subscriptions, one.contacts, one.features) for one in found} == {
        "package:gold": (1, 1, ()),
        "feature:seats": (1, 1, ()),
        "feature:calls": (1, 1, ()),
    }
    done = catalog_suggest.accept(shop.engine, "acme", found, "ada")
    assert shop.answer(BOB, "seats")["limit"] == 4
    assert shop.answer(BOB, "calls")["unlimited"]
    assert [one["package"] for one in shop.answer(BOB, "seats")["packages"]] == ["gold"]
    with shop.engine.connect() as db:
        assert catalog_suggest.found(db, "acme") == ([], [])
    for one in done.result["accepted"]:
        for number in one["mappings"]:
            settle(shop.engine, removal(shop, number), anyway=True)
    assert not shop.answer(BOB, "seats")["granted"]
    assert len(shop.rows("select * from tidegate.unmapped_prices")) == 3
    with shop.engine.connect() as db, pytest.raises(CatalogUnknown, match=r"Did you mean package:gold\?"):
        catalog_suggest.chosen(catalog_suggest.found(db, "acme")[0], ["package:golf"])


class Terminal(StringIO):
    """A terminal at which somebody has typed."""

    def isatty(self) -> bool:
        return True


def test_at_a_terminal_it_is_asked_before_something_is_taken(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tidegate.cli.previews import carry_out

    change = removal(shop, number_of(shop))
    how: dict[str, Any] = {"only_preview": False, "yes": False, "token": None, "as_json": False}
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    with pytest.raises(typer.Abort):
        carry_out(shop.engine, change, **how)
    assert "3 lost" in capsys.readouterr().out
    assert shop.answer(ADA, "sso")["granted"]
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert carry_out(shop.engine, change, **how).done
    monkeypatch.setattr("sys.stdin", Terminal(""))  # giving asks nothing
    assert carry_out(shop.engine, catalog_changes.set_mapping(to_price()), **how).done


def test_a_price_that_means_nothing_waits_no_more(shop: Shop) -> None:
    shop.has(price("price_9", product="prod_9"))
    bob(shop, price("price_9", product="prod_9"))
    shop.refresh()
    waits = "select price from tidegate.unmapped_prices"
    assert shop.rows(waits) == [("price_9",)]
    ignored = settle(shop.engine, catalog_changes.ignore_price("acme", "price_9", "ada"))
    assert (ignored.result["changed"], ignored.features) == (True, {})
    assert not settle(shop.engine, catalog_changes.ignore_price("acme", "price_9", "ada")).result["changed"]
    shop.refresh()
    with shop.engine.connect() as db:
        assert mappings.queue(db, "acme") == []
        assert [row["price"] for row in ignoring.every(db, "acme")] == ["price_9"]
    assert shop.rows(waits) == []
    settle(shop.engine, catalog_changes.ignore_price("acme", "price_9", "ada", heed=True))
    assert shop.rows(waits) == [("price_9",)]
    for unknown, told in (("price_1", "is mapped"), ("price_7", "has no price")):
        with pytest.raises(CatalogInvalid, match=told):
            settle(shop.engine, catalog_changes.ignore_price("acme", unknown, "ada"))


def test_a_version_may_be_published_for_subscribers_as_well(shop: Shop) -> None:
    change = catalog_changes.publish_package("pro", "ada", features={"seats": 3}, move=True)
    shown = preview(shop.engine, change)
    assert shown.features["seats"][0]["now"] == {"limit": 3}
    with pytest.raises(PreviewNeeded):
        settle(shop.engine, change)
    done = settle(shop.engine, change, shown.token)
    assert (done.result["moved"], done.result["stay"]) == (1, 0)
    assert shop.answer(ADA, "seats")["limit"] == 3
