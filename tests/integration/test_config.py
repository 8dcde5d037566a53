"""tidegate.yaml against the hub: planned, applied in one transaction, pruned, exported and read again the same."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from tests.support.builders import customer, item, price, subscription
from tests.support.queue import connect
from tests.support.shop import SEATS, Shop

from tidegate.catalog import features, packages
from tidegate.contacts import directory, linking
from tidegate.contacts.directory import Making
from tidegate.entitlements.overrides import Giving, give
from tidegate.errors import ConfigInvalid, ManagedByFile, PreviewNeeded, PreviewStale
from tidegate.workflows.catalog import catalog_changes
from tidegate.workflows.config import config_file
from tidegate.workflows.config.config_export import export
from tidegate.workflows.config.config_sections import read
from tidegate.workflows.config.config_yaml import dump
from tidegate.workflows.contacts import contacts_settings
from tidegate.workflows.previewing import Preview, preview, settle

ADA = "ada@example.com"
FILE = """
features:
  - {key: calls, type: metered, unit: call}
  - {key: seats, type: metered, unit: seat, reset: never}
  - {key: sso, type: boolean}
packages:
  - key: pro
    features: {calls: 1000, seats: {limit: 10}, sso: true}
    prices: [{amount: 4900, currency: usd, interval: month}]
  - {key: extra-seats, kind: add_on, features: {seats: 5}}
mappings:
  - {price: price_1, package: pro}
  - {price: price_seats, package: extra-seats}
"""


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    """A mirror with a subscriber, and nothing of a catalog."""
    from tidegate.store.engine import open_engine

    engine = open_engine(fresh_database_url)
    shop = Shop(engine)
    shop.settings(create_missing=True)
    shop.has(price(), SEATS, customer(), subscription(items=[item("si_1"), item("si_2", quantity=2, price=SEATS)]))
    shop.refresh()
    yield shop
    engine.dispose()


def change(text: str, **said: Any) -> Any:
    return config_file.apply(read(text, "f.yaml", {}), "ada", **said)


def apply(shop: Shop, text: str = FILE, **said: Any) -> Preview:
    return settle(shop.engine, change(text, **said), anyway=True)


def steps(found: Preview) -> list[tuple[str, str, str]]:
    return [(step["action"], step["section"], step["subject"]) for step in found.result["steps"]]


def planned(shop: Shop, text: str, **said: Any) -> list[tuple[str, str, str]]:
    return steps(preview(shop.engine, change(text, **said)))


def exported(shop: Shop) -> str:
    with shop.engine.connect() as db:
        return dump(export(db))


def test_a_file_is_applied_at_once_and_then_nothing_differs(shop: Shop) -> None:
    plan = preview(shop.engine, change(FILE))
    assert steps(plan) == [
        ("create", "features", "calls"),
        ("create", "features", "seats"),
        ("create", "features", "sso"),
        ("create", "packages", "pro"),
        ("publish", "packages", "pro"),
        ("create", "packages", "extra-seats"),
        ("publish", "packages", "extra-seats"),
        ("create", "mappings", "price_1 → package pro"),
        ("create", "mappings", "price_seats → package extra-seats"),
    ]
    assert plan.features["seats"] == [{"contact": "account:ada@example.com", "before": None, "now": {"limit": 20}}]
    assert shop.rows("select * from tidegate.features") == []
    done = settle(shop.engine, change(FILE), plan.token)
    assert steps(done) == steps(plan)
    assert shop.answer(ADA, "seats")["limit"] == 20
    assert planned(shop, FILE) == []
    assert shop.rows("select distinct managed_by from tidegate.mappings") == [("file",)]


def test_an_error_is_told_with_its_line_and_nothing_is_done(shop: Shop) -> None:
    for wrong, line, told in [
        ("price_1, package: pro}", 12, "has no price price_l"),
        ("price_1, package: pro}", 12, "has no price"),
    ]:
        with pytest.raises(ConfigInvalid) as refused:
            apply(shop, FILE.replace(wrong, "price_l, package: pro}"))
        assert f"line {line}: " in str(refused.value)
        assert told in str(refused.value)
    for text, told in [
        (FILE.replace("sso: true}", "ssso: true}"), "line 7: There is no feature ssso. Did you mean sso?"),
        (FILE.replace("amount: 4900", "amount: 49.0"), "line 7: The package pro, price 1: amount is a whole number"),
        (FILE.replace("key: sso,", "key: S S O,"), "line 5: 'S S O' cannot be the key"),
        (FILE + "contacts: {kind: person}\n", "line 14: The contact settings cannot be taken: kind is 'person'"),
        (FILE.replace("package: pro}", "package: pro, connection: eu}"), "line 12: There is no connection named eu"),
    ]:
        with pytest.raises(ConfigInvalid) as refused:
            apply(shop, text)
        assert told in str(refused.value)
    assert shop.rows("select * from tidegate.features") == []


def test_another_reset_of_a_feature_shows_whom_it_changes(shop: Shop) -> None:
    apply(shop)
    monthly = FILE.replace("reset: never", "reset: month", 1)
    assert monthly != FILE
    done = apply(shop, monthly)
    assert done.features["seats"] == [
        {"contact": f"account:{ADA}", "before": {"limit": 20}, "now": {"limit": 20, "reset": "month"}}
    ]
    assert shop.answer(ADA, "seats")["resets_at"] is not None


def test_other_features_are_another_version_and_subscribers_stay(shop: Shop) -> None:
    apply(shop)
    fewer = FILE.replace("seats: {limit: 10}", "seats: {limit: 3}")
    done = apply(shop, fewer)
    [step] = done.result["steps"]
    assert (step["action"], step["version"], step["before"]["seats"], step["now"]["seats"]) == (
        "publish",
        2,
        {"limit": 10},
        {"limit": 3},
    )
    assert shop.answer(ADA, "seats")["limit"] == 20
    assert planned(shop, fewer) == []


def test_what_takes_something_needs_its_preview(shop: Shop) -> None:
    apply(shop)
    other = FILE.replace("{price: price_1, package: pro}", "{price: price_1, feature: sso}")
    with pytest.raises(PreviewNeeded):
        settle(shop.engine, change(other, keep_holders=False))
    assert preview(shop.engine, change(other)).features == {}  # whoever holds it keeps it
    token = preview(shop.engine, change(other, keep_holders=False)).token
    assert "calls" in settle(shop.engine, change(other, keep_holders=False), token).features
    assert shop.answer(ADA, "seats")["limit"] == 10


def test_what_the_file_names_no_longer_stays_and_is_free_or_is_pruned(shop: Shop) -> None:
    apply(shop)
    less = FILE.replace("  - {price: price_seats, package: extra-seats}\n", "")
    less = less.replace("  - {key: extra-seats, kind: add_on, features: {seats: 5}}\n", "")
    assert planned(shop, less) == [
        ("release", "mappings", "price_seats → package extra-seats"),
        ("release", "packages", "extra-seats"),
    ]
    with pytest.raises(ConfigInvalid, match="still named by 1 grants") as refused:
        apply(shop, less, prune=True)  # whoever holds it keeps it
    assert "extra-seats" in str(refused.value)
    done = apply(shop, less, prune=True, keep_holders=False)
    assert steps(done) == [
        ("remove", "mappings", "price_seats → package extra-seats"),
        ("remove", "packages", "extra-seats"),
    ]
    assert shop.answer(ADA, "seats")["limit"] == 10
    assert (planned(shop, less), planned(shop, less, prune=True)) == ([], [])


def test_what_is_released_may_be_changed_elsewhere_and_is_no_drift(shop: Shop) -> None:
    apply(shop)
    apply(shop, "features:\n  - {key: calls, type: metered, unit: call}\n")
    assert planned(shop, "features:\n  - {key: calls, type: metered, unit: call}\n", prune=True) == []
    with shop.engine.begin() as db:
        assert features.define(db, "sso", "boolean", name="Single sign-on")
    assert shop.rows("select distinct managed_by from tidegate.packages") == [("file",)]  # of another section


def test_what_was_made_elsewhere_is_left_alone_and_taken_over_when_it_is_named(shop: Shop) -> None:
    shop.catalog()
    with shop.engine.begin() as db:
        features.define(db, "beta", "boolean")
    shop.refresh()
    found = planned(shop, FILE, prune=True)
    assert {action for action, _, _ in found} == {"manage", "change"}
    assert not any(subject == "beta" for _, _, subject in found)
    number = shop.rows("select id from tidegate.mappings where price = 'price_1'")
    apply(shop)
    assert shop.rows("select id from tidegate.mappings where price = 'price_1'") == number
    assert shop.rows("select * from tidegate.kept_mappings") == []


def test_contact_settings_are_stored_and_ask_for_matching_anew(shop: Shop) -> None:
    text = "contacts: {kind: user, metadata_keys: [workspace_id], create_missing: true}\n"
    done = apply(shop, text)
    assert steps(done) == [("change", "contacts", "acme")]
    assert done.result["matched"]["acme"]["customers"] == 1
    assert planned(shop, text) == []
    grace = text.replace("}", ", grace_days: 3}")
    assert apply(shop, grace).result["matched"]["acme"]["linked"] == 0
    assert planned(shop, grace) == []


def test_the_plan_tells_what_other_settings_do_to_links(shop: Shop) -> None:
    with shop.engine.begin() as db:
        db.exec_driver_sql("delete from tidegate.links")
        db.exec_driver_sql("update tidegate.contacts set external_id = 'w1'")
    text = "contacts: {create_missing: false}\n"
    assert preview(shop.engine, change(text)).result["matched"]["acme"]["linked"] == 1
    assert shop.rows("select * from tidegate.links") == []
    apply(shop, text)
    assert shop.rows("select method from tidegate.links") == [("email",)]


def test_matching_under_other_settings_holds_nobody_up_and_goes_on_when_it_was_broken_off(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop.engine.begin() as db:
        db.exec_driver_sql("delete from tidegate.links")
        db.exec_driver_sql("update tidegate.contacts set external_id = 'w1'")
    matching, free = contacts_settings.match_under, list[bool]()

    def looking(*args: Any) -> Any:
        free.append(shop.scalar("select pg_try_advisory_xact_lock(hashtext('tidegate.contacts'))"))
        return matching(*args)

    monkeypatch.setattr(contacts_settings, "match_under", looking)
    monkeypatch.setattr(config_file, "refresh_changed", lambda *_: None)
    text = "contacts: {create_missing: false}\n"
    done = settle(shop.engine, change(text), anyway=True)
    assert (free, done.done, done.result["matched"]["acme"]["linked"]) == ([True], True, 1)
    assert (planned(shop, text), shop.rows("select * from tidegate.links")) == ([], [])
    shop.refresh()
    assert shop.rows("select method from tidegate.links") == [("email",)]


def test_other_settings_that_move_a_customer_need_their_preview(shop: Shop) -> None:
    apply(shop)
    with shop.engine.begin() as db:
        linking.lock(db)
        directory.make(db, False, Making("account", "w1"))
    shop.has(customer(metadata={"workspace_id": "w1"}), at=200)
    text = "contacts: {create_missing: true, metadata_keys: [workspace_id]}\n"
    with pytest.raises(PreviewNeeded):
        settle(shop.engine, change(text))
    plan = preview(shop.engine, change(text))
    assert plan.features["sso"] == [
        {"contact": "account:ada@example.com", "before": True, "now": None},
        {"contact": "account:w1", "before": None, "now": True},
    ]
    shop.has(customer("cus_2", 2, email=None), at=200)
    shop.has(subscription("sub_2", [item("si_9", "sub_2")], customer="cus_2", status="canceled"), at=200)
    with pytest.raises(PreviewStale):  # another link would be made, though nobody has anything of it
        settle(shop.engine, change(text), plan.token)
    assert shop.rows("select method from tidegate.links where customer = 'cus_1'") == [("created",)]
    done = settle(shop.engine, change(text), preview(shop.engine, change(text)).token)
    assert done.features["sso"] == plan.features["sso"]
    assert shop.answer("w1", "sso")["granted"]
    assert planned(shop, text) == []


def test_a_longer_grace_is_previewed(shop: Shop) -> None:
    apply(shop)
    shop.has(subscription(status="past_due", items=[item("si_1")]), at=200)
    late = {"id": "in_1", "object": "invoice", "created": 10, "customer": "cus_1", "subscription": "sub_1"}
    late |= {"status": "open", "collection_method": "send_invoice", "lines": {"object": "list", "data": []}}
    from time import time

    shop.has(late | {"due_date": int(time()) - 20 * 86_400})
    shop.refresh()
    text = "contacts: {create_missing: true, grace_days: 30}\n"
    gained = preview(shop.engine, change(text)).features
    assert gained["sso"] == [{"contact": "account:ada@example.com", "before": None, "now": True}]


def test_several_connections_are_named(shop: Shop) -> None:
    apply(shop)
    connect(shop.engine, "eu")
    with pytest.raises(ConfigInvalid, match=r"line 12: There are several connections"):
        apply(shop)
    text = exported(shop)
    assert "{price: price_1, package: pro, per_quantity: false, connection: acme}" in text
    assert "contacts:\n  - {create_missing: true, connection: acme}" in text
    assert planned(shop, text) == [("manage", "contacts", "acme")]


def test_prices_that_are_to_mean_nothing_are_said_in_the_file(shop: Shop) -> None:
    plain = FILE.replace("  - {price: price_seats, package: extra-seats}\n", "")
    text = plain + "ignored_prices: [price_seats]\n"
    assert ("create", "ignored_prices", "price_seats") in planned(shop, text)
    assert shop.rows("select * from tidegate.ignored_prices") == [], "the plan did nothing"
    apply(shop, text)
    assert planned(shop, text) == []
    assert "ignored_prices:\n  - price_seats\n" in exported(shop)
    assert [one for one in planned(shop, exported(shop)) if one[1] != "contacts"] == [], "what is exported is there"
    with pytest.raises(ManagedByFile):
        settle(shop.engine, catalog_changes.ignore_price("acme", "price_seats", "ada", heed=True))
    apply(shop, plain + "ignored_prices: []\n")
    assert shop.rows("select price, managed_by from tidegate.ignored_prices") == [("price_seats", "")]
    assert planned(shop, text) == [("manage", "ignored_prices", "price_seats")]
    apply(shop, text)
    assert steps(apply(shop, plain + "ignored_prices: []\n", prune=True)) == [
        ("remove", "ignored_prices", "price_seats")
    ]
    assert shop.rows("select price from tidegate.ignored_prices") == []
    for wrong, said in (("price_gone", "no price price_gone"), ("price_1", "is mapped")):
        with pytest.raises(ConfigInvalid, match=said):
            apply(shop, plain + f"ignored_prices:\n  - {wrong}\n")


def test_an_export_holds_no_override_and_no_draft(shop: Shop) -> None:
    apply(shop)
    before = exported(shop)
    with shop.engine.begin() as db:
        key = db.exec_driver_sql("select key from tidegate.contacts").scalar_one()
        give(db, Giving(key, "ada", feature="sso"))
        packages.draft(db, "pro", {"seats": 1}, by_file=True)
    assert exported(shop) == before


keys = st.text("abc", min_size=1, max_size=3)
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
whole = st.integers(0, 2**53 - 1)
resets = st.sampled_from(["hour", "day", "week", "month", "year", "billing_period", "never"])
metered = st.one_of(
    st.fixed_dictionaries({"limit": whole}, optional={"reset": resets}),
    st.fixed_dictionaries({"unlimited": st.just(True)}, optional={"reset": resets}),
)
values = st.fixed_dictionaries({"value": whole | names | st.booleans() | st.lists(names, max_size=2)})
terms = {"boolean": st.just({}), "metered": metered, "config": values}
prices = st.lists(
    st.fixed_dictionaries(
        {"amount": whole, "currency": st.sampled_from(["usd", "jpy"]), "interval": st.sampled_from(["month", "year"])},
        optional={"interval_count": st.integers(2, 12)},
    ),
    max_size=2,
    unique_by=lambda one: tuple(sorted(one.items())),
)


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """Sections of a file as an export writes them: sorted, and without what is a default."""
    types = draw(st.dictionaries(keys, st.sampled_from(["boolean", "metered", "config"]), min_size=1, max_size=4))
    listed = [
        {"key": key, "type": types[key]} | draw(st.fixed_dictionaries({}, optional={"unit": names, "name": names}))
        for key in sorted(types)
    ]
    bundles: list[dict[str, Any]] = []
    for key in sorted(draw(st.sets(keys, max_size=3))):
        chosen = draw(st.sets(st.sampled_from(sorted(types)), max_size=3))
        given_ = {name: draw(terms[types[name]]) or True for name in sorted(chosen)}
        bundle: dict[str, Any] = {"key": key, "features": given_} | draw(
            st.fixed_dictionaries({}, optional={"kind": st.just("add_on"), "name": names})
        )
        bundles.append(bundle | ({"prices": found} if (found := draw(prices)) else {}))
    mapped: list[dict[str, Any]] = []
    for id_ in ("price_1", "price_seats"):
        target = draw(st.sampled_from(sorted(types)))
        if bundles and draw(st.booleans()):
            mapped.append({"price": id_, "package": draw(st.sampled_from([one["key"] for one in bundles]))})
        else:
            mapped.append({"price": id_, "feature": target, **draw(terms[types[target]])})
        mapped[-1]["per_quantity"] = draw(st.booleans())
    sections = {"features": listed, "packages": bundles, "mappings": mapped}
    return {name: [_without_empty(one) for one in rows] for name, rows in sections.items() if rows}


def _without_empty(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value != "" or name == "value"}


@pytest.fixture
def idle(shop: Shop) -> Iterator[Connection]:
    with shop.engine.connect() as db:
        db.exec_driver_sql("delete from tidegate.contact_settings")
        db.commit()
        yield db


def done_in(db: Connection, text: str) -> dict[str, Any]:
    wanted = change(text)
    wanted.prepare(db)
    return wanted.do(db)


@pytest.mark.wide
@given(sections=files())
@example(sections={"features": [{"key": "a", "type": "boolean", "unit": "?0"}]})
@hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_export_is_what_was_applied_and_changes_nothing(idle: Connection, sections: dict[str, Any]) -> None:
    trying = idle.begin()
    try:
        done_in(idle, dump(sections))
        written = export(idle)
        assert written == sections
        assert done_in(idle, dump(written))["steps"] == []
    finally:
        trying.rollback()
