"""Catalog and entitlements from the mirror to the answer: a row for each rule that needs both."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.builders import customer, item, price, subscription
from tests.support.shop import NOW, SEATS, Shop, opened

from tidegate.catalog import features, mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.entitlements import overrides
from tidegate.entitlements.overrides import Giving
from tidegate.errors import TidegateError
from tidegate.workflows import refresh as refreshing
from tidegate.workflows.entitlements.entitlements import Use, check, use

ADA = "ada@example.com"
ANCHOR = int(datetime(2026, 1, 31, tzinfo=UTC).timestamp())


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        shop.settings(create_missing=True)
        shop.has(customer())
        shop.catalog()
        yield shop


def maps(shop: Shop, **wanted: Any) -> None:
    with shop.engine.begin() as db:
        mappings.set_(db, Wanted("acme", **wanted))


def gives(shop: Shop, ref: str, **what: Any) -> None:
    with shop.engine.begin() as db:
        key = directory.find(db, False, ref).key
        overrides.give(db, Giving(key, "ada", since=datetime(2026, 1, 1, tzinfo=UTC), **what))
        refreshing.refresh_contacts(db, [key])


def product(id_: str) -> dict[str, Any]:
    return {"id": id_, "object": "product", "created": 10, "name": id_}


def price_beats_product(shop: Shop) -> None:
    shop.has(product("prod_2"), subscription(items=[item("si_1", price=SEATS, quantity=2)]))
    maps(shop, product="prod_2", feature="seats", terms=100)


def product_speaks_where_no_price_does(shop: Shop) -> None:
    other = price("price_other", product="prod_2")
    shop.has(other, product("prod_2"), subscription(items=[item("si_1", price=other, quantity=2)]))
    maps(shop, product="prod_2", feature="seats", terms=100)


def many_prices_map_to_one_package(shop: Shop) -> None:
    yearly = price("price_yearly", product="prod_1")
    shop.has(yearly, subscription(items=[item("si_1", price=yearly)]))
    maps(shop, price="price_yearly", package="pro")


def a_base_package_ignores_the_quantity(shop: Shop) -> None:
    shop.has(subscription(items=[item("si_1", quantity=7)]))


def an_add_on_is_multiplied(shop: Shop) -> None:
    shop.has(subscription(items=[item("si_1", quantity=7, price=SEATS)]))


def an_add_on_may_ignore_the_quantity(shop: Shop) -> None:
    maps(shop, price="price_seats", package="extra-seats", per_quantity=False)
    shop.has(subscription(items=[item("si_1", quantity=7, price=SEATS)]))


def a_base_package_may_heed_the_quantity(shop: Shop) -> None:
    maps(shop, price="price_1", package="pro", per_quantity=True)
    shop.has(subscription(items=[item("si_1", quantity=7)]))


def a_feature_price_is_multiplied(shop: Shop) -> None:
    maps(shop, price="price_seats", feature="seats", terms={"limit": 1})
    shop.has(subscription(items=[item("si_1", quantity=7, price=SEATS)]))


def two_subscriptions_of_which_one_is_lost(shop: Shop) -> None:
    shop.has(subscription(), subscription("sub_2", [item("si_2", "sub_2")]))
    shop.refresh()
    shop.has(subscription("sub_2", [item("si_2", "sub_2")], status="canceled"), at=200)


def a_pending_update_keeps_the_old_items(shop: Shop) -> None:
    pending = {"subscription_items": [item("si_1", quantity=9, price=SEATS)], "expires_at": ANCHOR}
    shop.has(subscription(pending_update=pending))


def live_items_are_granted_though_the_payment_failed(shop: Shop) -> None:
    begun = {"current_period_start": int(NOW.timestamp())}
    shop.has(
        subscription(items=[item("si_1", **begun), item("si_2", price=SEATS)], status="past_due"),
        at=int(NOW.timestamp()),
    )


def an_item_of_quantity_0_gives_nothing(shop: Shop) -> None:
    shop.has(subscription(items=[item("si_1", quantity=0), item("si_2", price=SEATS, quantity=2)]))


def an_incomplete_subscription_gives_nothing(shop: Shop) -> None:
    shop.has(subscription(status="incomplete"))


def paused_collection_that_voids_gives_nothing(shop: Shop) -> None:
    shop.has(subscription(pause_collection={"behavior": "void", "resumes_at": None}))


def paused_collection_that_keeps_drafts_gives(shop: Shop) -> None:
    shop.has(subscription(pause_collection={"behavior": "keep_as_draft", "resumes_at": None}))


def what_a_pause_gives_is_a_setting(shop: Shop) -> None:
    shop.settings(create_missing=True, paused_gives=["void"])
    shop.has(subscription(pause_collection={"behavior": "void", "resumes_at": None}))


def scheduled_to_cancel_keeps_access(shop: Shop) -> None:
    end = int(datetime(2026, 4, 1, tzinfo=UTC).timestamp())
    last = item("si_1", current_period_end=end)
    shop.has(subscription(items=[last], cancel_at_period_end=True, current_period_end=end))


def scheduled_to_cancel_ends_with_the_last_of_its_periods(shop: Shop) -> None:
    first, last = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (4, 6))
    items = [item("si_1", current_period_end=first), item("si_2", price=SEATS, current_period_end=last)]
    shop.has(subscription(items=items, cancel_at_period_end=True))


def and_ends_then_without_an_event(shop: Shop) -> None:
    end = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
    last = item("si_1", current_period_end=end)
    shop.has(subscription(items=[last], cancel_at_period_end=True, current_period_end=end))


def an_override_adds(shop: Shop) -> None:
    shop.has(subscription())
    shop.refresh()
    gives(shop, ADA, feature="seats", terms=3)


def an_override_replaces(shop: Shop) -> None:
    shop.has(subscription())
    shop.refresh()
    gives(shop, ADA, feature="seats", terms=3, operation="replace")


def a_hub_only_package_is_given(shop: Shop) -> None:
    shop.has(subscription(items=[item("si_1", price=SEATS)]))
    shop.refresh()
    gives(shop, ADA, package="pro")


def unlimited_dominates(shop: Shop) -> None:
    shop.has(subscription())
    shop.refresh()
    gives(shop, ADA, feature="seats", terms={"unlimited": True})


def the_default_package_holds_without_a_base(shop: Shop) -> None:
    default(shop)
    shop.has(subscription(items=[item("si_1", price=SEATS)]))


def and_not_beside_one(shop: Shop) -> None:
    default(shop)
    shop.has(subscription())


def default(shop: Shop) -> None:
    with shop.engine.begin() as db:
        packages.define(db, "free", is_default=True)
        packages.draft(db, "free", {"seats": 2})
        packages.publish(db, "free")


RULES: list[tuple[Callable[[Shop], None], dict[str, Any]]] = [
    (price_beats_product, {"limit": 10}),
    (product_speaks_where_no_price_does, {"limit": 200}),
    (many_prices_map_to_one_package, {"limit": 10}),
    (a_base_package_ignores_the_quantity, {"limit": 10}),
    (an_add_on_is_multiplied, {"limit": 35}),
    (an_add_on_may_ignore_the_quantity, {"limit": 5}),
    (a_base_package_may_heed_the_quantity, {"limit": 70}),
    (a_feature_price_is_multiplied, {"limit": 7}),
    (two_subscriptions_of_which_one_is_lost, {"granted": True, "limit": 10}),
    (a_pending_update_keeps_the_old_items, {"limit": 10}),
    (live_items_are_granted_though_the_payment_failed, {"limit": 15}),
    (an_item_of_quantity_0_gives_nothing, {"limit": 10}),
    (scheduled_to_cancel_ends_with_the_last_of_its_periods, {"until": "2026-06-01T00:00:00+00:00"}),
    (an_incomplete_subscription_gives_nothing, {"granted": False, "reason": "feature_unavailable"}),
    (paused_collection_that_voids_gives_nothing, {"granted": False, "reason": "feature_unavailable"}),
    (paused_collection_that_keeps_drafts_gives, {"granted": True}),
    (what_a_pause_gives_is_a_setting, {"granted": True}),
    (scheduled_to_cancel_keeps_access, {"granted": True, "until": "2026-04-01T00:00:00+00:00"}),
    (and_ends_then_without_an_event, {"granted": False, "reason": "feature_unavailable"}),
    (an_override_adds, {"limit": 13}),
    (an_override_replaces, {"limit": 3}),
    (a_hub_only_package_is_given, {"limit": 15}),
    (unlimited_dominates, {"unlimited": True, "limit": None}),
    (the_default_package_holds_without_a_base, {"limit": 7}),
    (and_not_beside_one, {"limit": 10}),
]


@pytest.mark.parametrize(("rule", "expected"), RULES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_rule(shop: Shop, rule: Callable[[Shop], None], expected: dict[str, Any]) -> None:
    rule(shop)
    shop.refresh()
    found = shop.answer(ADA, "seats", NOW)
    assert {key: found[key] for key in expected} == expected, found


def answered(shop: Shop, ref: str, feature: str) -> dict[str, Any]:
    from tidegate.workflows.entitlements.entitlements import Check

    [found] = check(shop.engine, [Check(False, ref, feature)])
    assert not isinstance(found, TidegateError), found
    return found


def test_usage_resets_on_the_day_of_the_anchor_or_the_months_last(shop: Shop) -> None:
    shop.has(subscription(billing_cycle_anchor=ANCHOR))
    shop.refresh()
    assert shop.answer(ADA, "calls", datetime(2026, 2, 10, tzinfo=UTC))["resets_at"] == "2026-02-28T00:00:00+00:00"
    assert shop.answer(ADA, "calls", datetime(2026, 2, 28, tzinfo=UTC))["resets_at"] == "2026-03-31T00:00:00+00:00"


def test_usage_of_another_anchors_period_counts_until_that_is_over_and_an_old_period_no_longer(shop: Shop) -> None:
    other = subscription("sub_2", [item("si_2", "sub_2", created=11)], billing_cycle_anchor=ANCHOR + 9 * 86400)
    shop.has(subscription(billing_cycle_anchor=ANCHOR), other)
    shop.refresh()
    [done] = use(shop.engine, [Use(False, ADA, "calls", "consume", 1000)])
    assert isinstance(done, dict)
    shop.has(subscription(billing_cycle_anchor=ANCHOR, status="canceled"), at=200)
    shop.refresh()
    left = answered(shop, ADA, "calls")
    assert (left["used"], left["limit"], left["resets_at"]) == (1000, 1000, done["resets_at"])
    later = shop.answer(ADA, "calls", datetime.fromisoformat(done["resets_at"]))
    assert (later["used"], later["granted"]) == (0, True)


def test_seats_go_down_while_the_plan_is_gone_and_the_answer_says_by_how_much(shop: Shop) -> None:
    shop.has(subscription())
    shop.refresh()
    use(shop.engine, [Use(False, ADA, "seats", "consume", 8)])
    shop.has(subscription(status="canceled"), at=200)
    shop.refresh()
    orders = [("release", 3), ("set", 2), ("set", 4), ("release", 5), ("release", 1), ("consume", 1)]
    done = use(shop.engine, [Use(False, ADA, "seats", operation, amount) for operation, amount in orders])
    told = [(one["allowed"], one["debited"], one["used"], one["reason"]) for one in done if isinstance(one, dict)]
    assert told == [
        (allowed, debited, used, "feature_unavailable")
        for allowed, debited, used in (
            (True, -3, 5),
            (True, -3, 2),
            (False, 0, 2),
            (True, -2, 0),
            (True, 0, 0),
            (False, 0, 0),
        )
    ]
    shop.has(subscription(), at=300)
    shop.refresh()
    assert answered(shop, ADA, "seats")["remaining"] == 10


def test_a_renamed_contact_keeps_its_usage_and_its_old_id(shop: Shop) -> None:
    shop.has(subscription())
    shop.refresh()
    use(shop.engine, [Use(False, ADA, "calls", "consume", 7)])
    with shop.engine.begin() as db:
        directory.rename(db, directory.find(db, False, ADA), "w1")
    [done] = use(shop.engine, [Use(False, "w1", "calls", "consume", 1)])
    assert isinstance(done, dict)
    assert done["used"] == 8
    assert answered(shop, ADA, "calls")["used"] == 8


def test_a_user_falls_through_to_the_account_that_has_it_though_there_is_a_default(shop: Shop) -> None:
    default(shop)
    shop.has(subscription())
    shop.refresh()
    with shop.engine.begin() as db:
        user = directory.make(db, False, Making("user", "u1"))
        poor = directory.make(db, False, Making("account", "poor"))
        directory.join(db, poor, user)
        directory.join(db, directory.find(db, False, ADA).key, user)
    mine = answered(shop, "u1", "seats")
    assert (mine["limit"], mine["via"]) == (10, f"account:{ADA}")
    assert [one["package"] for one in mine["packages"]] == ["pro"]
    alone = answered(shop, "poor", "seats")
    assert (alone["limit"], [one["package"] for one in alone["packages"]]) == (2, ["free"])


def test_debits_of_a_user_count_at_the_account_that_gives(shop: Shop) -> None:
    shop.has(subscription())
    shop.refresh()
    with shop.engine.begin() as db:
        user = directory.make(db, False, Making("user", "u1"))
        directory.join(db, directory.find(db, False, ADA).key, user)
    use(shop.engine, [Use(False, "u1", "seats", "consume", 4), Use(False, ADA, "seats", "consume", 4)])
    assert answered(shop, ADA, "seats")["used"] == 8
    gives(shop, "u1", feature="seats", terms=1)
    use(shop.engine, [Use(False, "u1", "seats", "consume", 1)])
    assert (answered(shop, "u1", "seats")["used"], answered(shop, ADA, "seats")["used"]) == (8, 8)


def test_an_override_that_begins_later_is_told_when_it_begins(shop: Shop) -> None:
    with shop.engine.begin() as db:
        key = directory.make(db, False, Making("account", "acme"))
        begins = datetime(2100, 1, 1, tzinfo=UTC)
        overrides.give(db, Giving(key, "ada", feature="sso", since=begins))
        refreshing.refresh_contacts(db, [key])
    assert shop.rows("select changes_at from tidegate.entitlements_told") == [(begins,)]
    assert shop.answer("acme", "sso", begins)["granted"]
    assert not shop.answer("acme", "sso", NOW)["granted"]


def test_a_refresh_that_finds_nothing_new_looks_at_no_entitlement_but_a_new_catalog_is_seen(shop: Shop) -> None:
    shop.has(subscription())
    shop.refresh()
    told = "select count(*), max(revision) from tidegate.entitlements_told"
    before = shop.rows(told)
    assert refreshing.refresh_all(shop.engine, shop.account).told == 0
    assert shop.rows(told) == before
    with shop.engine.begin() as db:
        features.define(db, "new", "boolean")
        packages.define(db, "gift", is_default=True)
        packages.draft(db, "gift", {"new": True})
        packages.publish(db, "gift")
        key = directory.make(db, False, Making("account", "other"))
        refreshing.refresh_contacts(db, [key])
    refreshing.refresh_all(shop.engine, shop.account)
    assert shop.rows("select count(distinct revision) from tidegate.entitlements_told") == [(1,)]
    assert answered(shop, "other", "new")["granted"]
