"""Owners: set by hand, by list and by rule, named in many ways; contacts of each, and what becomes of them."""

import json
from typing import Any

import pytest
from tests.support.placed import People

from tidegate.contacts.records import Record
from tidegate.errors import DestinationUnknown, LifecycleInvalid, OwnerUnknown
from tidegate.lifecycle import owners, portfolio
from tidegate.lifecycle.owners import Owner
from tidegate.revenue import editions
from tidegate.wiring import Hub
from tidegate.workflows.contacts import contacts_edit
from tidegate.workflows.lifecycle import people as workflow
from tidegate.workflows.lifecycle.lifecycle_rules import change as change_rules
from tidegate.workflows.lifecycle.lifecycle_rules import rules_of
from tidegate.workflows.operation import standing_problems


@pytest.fixture
def people(hub: Hub) -> People:
    return People(hub)


def define(people: People, key: str, **said: Any) -> None:
    with people.hub.engine.begin() as db:
        owners.define(db, Owner(key, **said))


def owner(people: People, contact: int) -> tuple[str, bool]:
    [row] = people.rows("select owner, owner_by_rule from tidegate.contacts where key = :key", key=contact)
    return row[0], row[1]


def change(people: People, ref: str, said: str) -> None:
    contacts_edit.change(people.hub.engine, False, ref, {"owner": said}, "ada")


@pytest.mark.parametrize("said", ["ada", "ADA@Example.com", "Ada Lovelace"])
def test_a_contact_may_name_its_owner_by_key_name_or_address(people: People, said: str) -> None:
    key = people.add()
    define(people, "ada", name="Ada Lovelace", email="ada@example.com")
    change(people, "acme", said)
    assert owner(people, key) == ("ada", False)


def test_who_was_named_before_the_owner_was_defined_is_its_contact_then(people: People) -> None:
    key = people.add()
    change(people, "acme", "ada@example.com")
    assert owner(people, key)[0] == "ada@example.com"
    define(people, "ada", email="ada@example.com")
    assert owner(people, key)[0] == "ada"


def test_a_list_sets_owners(people: People) -> None:
    define(people, "ada", email="ada@example.com")
    found, _ = contacts_edit.put(
        people.hub.engine, False, Record("account", "new", owner="ada@example.com"), "csv", connection=None
    )
    assert found.owner == "ada"


RULE = {"field": "mrr", "at_least": 1000}


def test_a_rule_gives_contacts_that_nobody_gave_an_owner_to_the_first_that_holds(people: People) -> None:
    big, small, taken = (
        people.add("big", mrr_total=2000),
        people.add("small", mrr_total=10),
        people.add("taken", mrr_total=3000),
    )
    change(people, "taken", "zoe")
    define(people, "ada", when=RULE)
    define(people, "bob", when={"field": "mrr", "at_least": 5})
    assert [owner(people, key) for key in (big, small, taken)] == [("ada", True), ("bob", True), ("zoe", False)]
    people.set(small, mrr_total=1500)
    assert people.pass_().owned == 1
    assert owner(people, small) == ("ada", True)
    people.set(small, mrr_total=1)
    people.pass_()
    assert owner(people, small) == ("", False)
    change(people, "big", "zoe")
    people.pass_()
    assert owner(people, big) == ("zoe", False)
    change(people, "big", "")
    people.pass_()
    assert owner(people, big) == ("ada", True)
    moves = people.rows("select what ->> 'owner', by from tidegate.contact_changes where action = 'owner' order by id")
    assert moves[0] == ("ada", "rule")


def test_an_owner_that_goes_leaves_those_by_rule_and_keeps_those_by_hand(people: People) -> None:
    by_rule, by_hand = people.add("a", mrr_total=2000), people.add("b")
    define(people, "ada", when=RULE)
    change(people, "b", "ada")
    assert workflow.remove_owner(people.hub.engine, "ada", "boss") == 1
    assert [owner(people, key)[0] for key in (by_rule, by_hand)] == ["", "ada"]
    with people.hub.engine.connect() as db:
        told = {one["key"]: (one["known"], one["contacts"]) for one in owners.listing(db)}
    assert told == {"": (False, 1), "ada": (False, 1)}
    with pytest.raises(OwnerUnknown):
        workflow.remove_owner(people.hub.engine, "ada", "boss")


def usd(amount: int) -> list[dict[str, Any]]:
    return [{"currency": "usd", "mrr": amount * 100}]


def paying(people: People, ref: str, health: int | None, segments: tuple[str, ...] = (), **amounts: int) -> None:
    """A contact that pays so much, in whole units of currencies with cents."""
    mrr = json.dumps({currency: amount * 100_000_000 for currency, amount in amounts.items()})
    people.add(ref, status="active", mrr=mrr, mrr_total=sum(amounts.values()), health=health, segments=[*segments])


def test_portfolio_health_by_owner_and_segment_is_weighted_by_mrr(people: People) -> None:
    define(people, "ada")
    for ref, mrr, health in (("a", 900, 80), ("b", 100, 20), ("c", 500, 50)):
        paying(people, ref, health, ("big",) if mrr > 400 else (), usd=mrr)
    people.add("prospect")
    change(people, "a", "ada")
    change(people, "b", "ada")
    with people.hub.engine.connect() as db:
        by_owner, by_segment = (portfolio.portfolio_by(db, by, False) for by in ("owner", "segment"))
        listed = {one["key"]: (one["health"], one["mrr"]) for one in owners.listing(db)}
        of_all = portfolio.portfolio(db, False)
    assert of_all["health"] == 66, "(900 × 80 + 100 × 20 + 500 × 50) / 1,500"
    bands = {one["band"]: one["mrr"] for one in of_all["bands"]}
    assert bands == {"fair": usd(500), "good": usd(900), "poor": usd(100)}
    assert [(one["key"], one["mrr"], one["health"]) for one in by_owner] == [("ada", usd(1000), 74), ("", usd(500), 50)]
    assert by_owner[0]["bands"] == {"good": {"contacts": 1, "mrr": usd(900)}, "poor": {"contacts": 1, "mrr": usd(100)}}
    assert [(one["key"], one["contacts"]) for one in by_segment] == [("big", 2), ("", 1)]
    assert listed == {"ada": (74, usd(1000)), "": (50, usd(500))}


def test_what_is_paid_in_several_currencies_adds_up_in_the_base_alone(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(people, "ada")
    paying(people, "a", 80, usd=300)
    paying(people, "b", 20, usd=100)
    paying(people, "c", 40, eur=12_600)
    paying(people, "unknown", None, eur=1)
    for ref in "abc":
        change(people, ref, "ada")
    with people.hub.engine.connect() as db:
        of_all = portfolio.portfolio(db, False)
        [ada] = [one for one in owners.listing(db) if one["key"] == "ada"]
        monkeypatch.setattr(editions, "base", lambda _: "usd")
        based = portfolio.portfolio(db, False)
    by_currency = [{"currency": "eur", "health": 40}, {"currency": "usd", "health": 65}]
    assert (of_all["health"], of_all["by_currency"]) == (None, by_currency)
    bands = {one["band"]: one["mrr"] for one in of_all["bands"]}
    eur = {"currency": "eur", "mrr": 1_260_000}
    assert bands == {"good": usd(300), "poor": usd(100), "fair": [eur], "unknown": [{"currency": "eur", "mrr": 100}]}
    assert (ada["mrr"], ada["health"], ada["by_currency"]) == ([eur, *usd(400)], None, by_currency)
    assert (based["health"], based["by_currency"]) == (40.8, [{"currency": "usd", "health": 40.8}])


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"key": ""}, "it needs a key"),
        ({"key": "x" * 201}, "its key is a line of up to 200"),
        ({"key": "a", "email": "nobody"}, "'nobody' is no e-mail address"),
        ({"key": "a", "digest": "hourly"}, "daily or weekly, not 'hourly'"),
        ({"key": "a", "when": {"field": "mmr", "above": 1}}, "mmr.*mrr"),
        ({"key": "a", "when": {"field": "owner", "is": "a"}}, "cannot follow from its owner"),
        ({"key": "a", "when": {"field": "segments", "has": "enterprize"}}, "'enterprize', perhaps enterprise"),
        ({"key": "a", "when": {"not": {"field": "stage", "is": ["trail"]}}}, "no stage 'trail', perhaps trial"),
        ({"key": "a", "email": "ADA@example.com"}, "ada has that key, name or e-mail address already"),
        ({"key": "Ada"}, "ada has that key"),
    ],
)
def test_an_owner_that_cannot_be_is_refused(people: People, said: dict[str, Any], words: str) -> None:
    define(people, "ada", email="ada@example.com")
    with people.hub.engine.begin() as db, pytest.raises(LifecycleInvalid, match=words):
        owners.define(db, Owner(**said))


def test_a_rule_that_names_a_place_that_is_gone_says_so_and_gives_nobody(people: People) -> None:
    key = people.add("big", mrr_total=2000)
    vips = [{"key": "vips", "when": {"field": "mrr", "at_least": 1000}}]
    change_rules(people.hub.engine, "boss", segments=rules_of(vips, "segments"), as_of=people.now)
    define(people, "ada", when={"field": "segments", "has": "vips"})
    define(people, "bob", when={"field": "stage", "is": "customer"})
    people.pass_()
    assert owner(people, key)[0] == "ada"
    assert idle(people) == {}
    change_rules(people.hub.engine, "boss", segments=rules_of([], "segments"), as_of=people.now)
    people.pass_()
    assert owner(people, key)[0] == ""
    [(named, said)] = idle(people).items()
    assert (named, said.startswith("ada: when: there is no segment 'vips'")) == ("ada", True)
    define(people, "ada", when={"field": "segments", "has": "enterprise"})
    assert idle(people) == {}


def idle(people: People) -> dict[str, str]:
    """By owner what `status` says of its rule."""
    with people.hub.engine.connect() as db:
        found = standing_problems.of_installation(db, [], None)
    return {one["subject"]: one["detail"] for one in found if one["code"] == "owner_idle"}


def test_its_destination_has_to_be_one(people: People) -> None:
    with people.hub.engine.begin() as db, pytest.raises(DestinationUnknown):
        owners.define(db, Owner("ada", destination="nowhere"))


def test_a_contact_is_given_to_an_owner_that_there_is(people: People) -> None:
    key = people.add()
    define(people, "ada", name="Ada")
    workflow.assign_owner(people.hub.engine, False, "acme", "ADA", "boss")
    assert owner(people, key)[0] == "ada"
    with pytest.raises(OwnerUnknown, match="Is it ada"):
        workflow.assign_owner(people.hub.engine, False, "acme", "adda", "boss")
    workflow.assign_owner(people.hub.engine, False, "acme", "", "boss")
    assert owner(people, key)[0] == ""
