"""What health and alerts go by: said in tidegate.yaml or by the API, checked, shown before it holds, told nobody."""

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.builders import customer, invoice, item, price, subscription
from tests.support.placed import NOW, People
from tests.support.shop import Shop, opened
from tests.support.waiting import until

from tidegate.errors import ConfigInvalid, LifecycleInvalid, ManagedByFile, PreviewStale
from tidegate.lifecycle import due, owners, placing, rulebook
from tidegate.lifecycle.alert_rules import RULES, SETTABLE
from tidegate.lifecycle.health import COMPONENTS
from tidegate.wiring import Hub
from tidegate.workflows.config import config_file
from tidegate.workflows.config.config_export import export
from tidegate.workflows.config.config_sections import read
from tidegate.workflows.config.config_yaml import dump
from tidegate.workflows.contacts import contact_properties
from tidegate.workflows.lifecycle import lifecycle, lifecycle_settings
from tidegate.workflows.previewing import preview, settle

ONLY_PROPERTY = [
    *({"key": one.key, "weight": 0} for one in COMPONENTS),
    {"key": "nps", "field": "properties.nps", "curve": [[0, 0], [10, 100]], "weight": 5},
]


@pytest.fixture
def people(hub: Hub) -> People:
    people = People(hub)
    with hub.engine.begin() as db:
        db.exec_driver_sql("delete from tidegate.lifecycle_settings")
    return people


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    """A mirror whose customers become contacts."""
    with opened(fresh_database_url) as shop:
        shop.settings(create_missing=True)
        yield shop


def change(people: People, **said: Any) -> dict[str, Any]:
    return lifecycle_settings.change(people.hub.engine, "ada", as_of=people.now, **said).as_json()


def applied(people: People, text: str) -> Any:
    return settle(people.hub.engine, config_file.apply(read(text, "f.yaml", {}), "ada"), None, anyway=True)


def test_what_nobody_set_is_the_default(people: People) -> None:
    assert {one.key for one in RULES} == {*SETTABLE}
    with people.hub.engine.connect() as db:
        assert rulebook.components(db) == COMPONENTS
        assert rulebook.alert_rules(db) == RULES
        told = lifecycle_settings.shown(db)
    assert (told["health"]["unhealthy_below"], told["health"]["healthy_from"], told["health"]["coverage"]) == (
        40, 45, 0.4,
    )  # fmt: skip
    assert {one["rule"]: one.get("days") for one in told["alerts"]}["trial_ending"] == 7


def test_weights_and_components_of_your_own_score_anew_and_tell_nobody(people: People) -> None:
    key = people.add("acme", {"nps": 3}, status="active", latest_invoice_status="paid", mrr_total=1000)
    people.pass_()
    assert people.of(key, "health") == 100
    told = len(people.told())
    seen = change(people, said_health={"components": ONLY_PROPERTY}, only_preview=True)
    assert (seen["scored"], seen["unhealthy"], seen["done"]) == (1, {"before": 0, "after": 1}, False)
    assert seen["moves"] == [{"from": "customer", "to": "at_risk", "contacts": 1}]
    assert (seen["entered"], seen["opened"]) == ({"at_risk": 1}, {"health_dropped": 1})
    assert people.of(key, "health") == 100, "it was a preview"
    done = change(people, said_health={"components": ONLY_PROPERTY}, token=seen["token"])
    assert done == seen | {"done": True}
    assert (people.of(key, "health"), people.of(key, "stage")) == (30, "at_risk")
    assert people.alerts(key) == [("health_dropped", "open")]
    assert len(people.told()) == told, "settings moved it, nothing happened to it"
    people.pass_()
    assert people.of(key, "health") == 30


def test_a_default_component_keeps_what_is_not_said_of_it(people: People) -> None:
    key = people.add(status="active", latest_invoice_status="paid", mrr_total=50)
    change(people, said_health={"components": [{"key": "revenue_tier", "weight": 30}]})
    assert people.of(key, "health") == 70  # (30 × 100 + 30 × 40) / 60
    people.set(key, latest_invoice_status=None)
    people.pass_()
    assert people.of(key, "health") is None  # 30 of 120 is too little


def test_thresholds_and_coverage_are_yours(people: People) -> None:
    key = people.add(status="active", latest_invoice_status="paid", mrr_total=50, mrr_trend=0.9)
    people.pass_()
    assert (people.of(key, "health"), people.of(key, "unhealthy_since")) == (78, None)
    seen = change(people, said_health={"unhealthy_below": 80})
    assert seen["unhealthy"] == {"before": 0, "after": 1}
    people.set(key, mrr_trend=1.2)
    people.pass_()
    assert people.of(key, "health") == 88, "healthy_from is 5 above, as by default"
    assert people.of(key, "unhealthy_since") is None
    change(people, said_health={"coverage": 0.9})
    assert people.of(key, "health") is None
    change(people, said_health={})
    assert people.of(key, "health") == 88


def test_other_days_open_and_resolve_alerts_and_the_next_is_told(people: People) -> None:
    far = people.add("far", renews_at=NOW + timedelta(days=50), interval_months=12)
    monthly = people.add("monthly", renews_at=NOW + timedelta(days=10), interval_months=1)
    people.pass_()
    assert people.alerts() == []
    told = len(people.told())
    seen = change(people, said_alerts=[{"rule": "renewal_upcoming", "days": 60, "interval_months": 1}])
    assert seen["opened"] == {"renewal_upcoming": 2}
    assert len(people.told()) == told
    next_one = people.add("next", renews_at=NOW + timedelta(days=62), interval_months=12)
    people.pass_()
    people.pass_(3)
    assert people.alerts(next_one) == [("renewal_upcoming", "open")]
    assert [kind for kind, _ in people.told()[told:] if kind.startswith("alert.")] == ["alert.opened"]
    seen = change(people, said_alerts=[])
    assert seen["resolved"] == {"renewal_upcoming": 3}
    assert people.alerts(far) == people.alerts(monthly) == [("renewal_upcoming", "resolved")]


def test_a_rule_that_is_not_wanted_resolves_what_it_opened_and_opens_nothing(people: People) -> None:
    key = people.add(failed_attempts=1, failing_invoice="in_1")
    people.pass_()
    assert people.alerts(key) == [("payment_failed", "open")]
    assert change(people, said_alerts=[{"rule": "payment_failed", "enabled": False}])["resolved"] == {
        "payment_failed": 1
    }
    people.set(key, failing_invoice="in_2")
    people.pass_()
    assert people.alerts(key) == [("payment_failed", "resolved")]


def test_a_preview_that_is_no_longer_true_is_refused(people: People) -> None:
    people.add("acme", {"nps": 3}, status="active")
    said = {"components": ONLY_PROPERTY}
    token = change(people, said_health=said, only_preview=True)["token"]
    people.add("zen", {"nps": 1}, status="active")
    with pytest.raises(PreviewStale):
        change(people, said_health=said, token=token)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"said_health": {"unhealthy": 3}}, "perhaps unhealthy_below"),
        ({"said_health": {"unhealthy_below": 50, "healthy_from": 45}}, "healthy_from: it is 50 or more"),
        ({"said_health": {"coverage": 2}}, "health.coverage: it is a number above 0, at most 1"),
        ({"said_health": {"components": {}}}, "it is a list"),
        ({"said_health": {"components": [{"weight": 1}]}}, "components.0: each has a key of its own"),
        ({"said_health": {"components": [{"key": "a", "field": "mrrr"}]}}, "perhaps mrr"),
        ({"said_health": {"components": ONLY_PROPERTY[:-1]}}, "at least one has a weight above 0"),
        ({"said_alerts": [{"rule": "inactiv"}]}, "perhaps inactive"),
        ({"said_alerts": [{"rule": "past_due", "days": 3}]}, "past_due has no days; it takes enabled"),
        ({"said_alerts": [{"rule": "inactive", "days": -1}]}, "it is a number from 0 to 3660"),
        ({"said_alerts": [{"rule": "inactive", "enabled": "no"}]}, "it is true or false"),
        ({"said_alerts": [{"rule": "inactive"}, {"rule": "inactive"}]}, "inactive is there twice"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_with_where_it_stands(people: People, said: Mapping[str, Any], words: str) -> None:
    with pytest.raises(LifecycleInvalid) as refused:
        change(people, **said)
    assert words in str(refused.value)
    with people.hub.engine.connect() as db:
        assert rulebook.settings(db, "health") == {}


FILE = """
health:
  unhealthy_below: 60
  components:
    - {key: tenure, weight: 0}
    - {key: nps, field: properties.nps, curve: [[0, 0], [10, 100]], weight: 40}
alerts:
  - {rule: inactive, days: 14}
  - {rule: downgrade, enabled: false}
"""


def test_the_file_says_it_is_planned_exported_and_read_again_the_same(people: People) -> None:
    key = people.add("acme", {"nps": 1}, status="active", last_active_at=NOW - timedelta(days=20), mrr_total=1000)
    people.pass_()
    planned = preview(people.hub.engine, config_file.apply(read(FILE, "f.yaml", {}), "ada")).result["steps"]
    assert [(one["action"], one["section"]) for one in planned] == [("create", "health"), ("create", "alerts")]
    assert planned[0]["unhealthy"] == {"before": 0, "after": 1}
    assert people.of(key, "unhealthy_since") is None
    applied(people, FILE)
    assert people.of(key, "unhealthy_since") is not None
    assert applied(people, FILE).result["steps"] == []
    with pytest.raises(ManagedByFile):
        change(people, said_health={})
    with people.hub.engine.connect() as db:
        written = export(db)
    assert list(written) == ["health", "alerts"]
    assert applied(people, dump(written)).result["steps"] == []
    applied(people, "health: {}\nalerts: []")
    with people.hub.engine.connect() as db:
        assert rulebook.components(db) == COMPONENTS
    change(people, said_health={})


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("health:\n  unhealthy_belo: 3", 2, "Did you mean unhealthy_below?"),
        (
            "health:\n  components:\n    - {key: a, field: mrr, curve: [[0, 0]]}\n    - {key: b, field: name}",
            4,
            "a text",
        ),
        ("health: []", 1, "health is its keys"),
        ("alerts:\n  - {rule: inactive}\n  - {rule: activ}", 3, "there is no rule 'activ'"),
        ("alerts:\n  - {rule: inactive, day: 3}", 2, "Did you mean days?"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_line(people: People, text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        applied(people, text)
    assert f"line {line}" in str(refused.value)
    assert words in str(refused.value)


def test_however_many_move_by_other_settings_no_more_than_a_chunk_is_held(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(5):
        people.add(f"c{n}", {"nps": 3}, status="active", latest_invoice_status="paid", mrr_total=1000)
    people.pass_()
    held: list[int] = []
    moves = placing.moves

    def counted(*said: Any, **more: Any) -> list[placing.Move]:
        held.append(len(found := moves(*said, **more)))
        return found

    monkeypatch.setattr(placing, "CHUNK", 2)
    monkeypatch.setattr(placing, "moves", counted)
    found = change(people, said_health={"components": ONLY_PROPERTY}, only_preview=True)
    assert found["moves"] == [{"from": "customer", "to": "at_risk", "contacts": 5}]
    assert found["opened"] == {"health_dropped": 5}
    assert max(held) == 2


WORTH = {"mrr": "properties.contract.mrr", "renews_at": "properties.contract.until"}


def worth(people: People, key: int) -> tuple[Any, ...]:
    """(MRR, next renewal, MRR at destinations, renewal there) of a contact."""
    asked = people.rows("select mrr_total, renewals[1] from tidegate.contact_lifecycle where contact = :k", k=key)
    with people.hub.engine.connect() as db:
        told = contact_properties.properties(db, [key], ["mrr", "renews_at"])[key]
    return (*asked[0], told["mrr"], told["renews_at"])


def test_a_property_says_what_a_contact_is_worth_and_when_it_renews(people: People) -> None:
    contract = {"mrr": 1500, "until": "2026-04-01"}
    big = people.add("big", {"contract": contract})
    odd = people.add("odd", {"contract": {"mrr": "much", "until": "2026-02-31"}})
    slips = [people.add(f"slip{mrr % 7}", {"contract": {"mrr": mrr}}) for mrr in (10**400, -5)]
    people.pass_()
    assert people.of(big, "segments") == []
    shown = change(people, said_worth=WORTH, only_preview=True)
    assert (shown["weighed"], shown["entered"], shown["opened"]) == (1, {"enterprise": 1}, {"renewal_upcoming": 1})
    assert people.of(big, "segments") == [], "a preview changes nothing"
    assert change(people, said_worth=WORTH, token=shown["token"])["done"]
    due = datetime(2026, 4, 1, tzinfo=UTC)
    assert worth(people, big) == (1500, due, 1500, "2026-04-01T00:00:00Z")
    assert worth(people, odd) == (0, None, 0, None), "what is no number and no date is nothing"
    assert [worth(people, one) for one in slips] == [(0, None, 0, None)] * 2, "nor is what nobody can be worth"
    with people.hub.engine.connect() as db:
        assert [one["mrr"] for one in owners.listing(db)] == [[]], "which is of no currency here, and breaks no sum"
    assert people.of(big, "segments") == ["enterprise"]
    assert people.told() == [], "nothing happened to anybody"
    change(people, said_alerts=[{"rule": "renewal_upcoming", "interval_months": 24}])
    assert people.alerts(big) == [("renewal_upcoming", "open")], "a date of yours is one to look at"
    with people.hub.engine.begin() as db:
        db.execute(
            text("""
update tidegate.contacts set properties = '{"contract": {"mrr": 300}}' where key = :k"""),
            {"k": big},
        )
    people.pass_(1)
    assert worth(people, big)[:3] == (300, None, 300)
    assert [kind for kind, _ in people.told()] == ["segment.left", "segment.entered"]
    assert change(people, said_worth={})["done"]
    assert people.of(big, "mrr_total") == 0


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"mrr": "mrr"}, "worth.mrr: it names a property of yours, such as properties.mrr"),
        ({"mrr": 5}, "worth.mrr: it names a property"),
        ({"renewal": "properties.x"}, "perhaps renews_at"),
    ],
)
def test_what_says_no_worth_is_refused(people: People, said: dict[str, Any], words: str) -> None:
    with pytest.raises(LifecycleInvalid, match=words):
        change(people, said_worth=said)


def test_the_file_says_which_properties_are_worth_something(people: People) -> None:
    file = "worth: {mrr: properties.contract.mrr}"
    people.add("big", {"contract": {"mrr": 1500}})
    people.pass_()
    planned = preview(people.hub.engine, config_file.apply(read(file, "f.yaml", {}), "ada"))
    [step] = planned.result["steps"]
    assert (step["section"], step["weighed"], step["entered"]) == ("worth", 1, {"enterprise": 1})
    applied(people, file)
    assert applied(people, file).result["steps"] == []
    with people.hub.engine.connect() as db:
        assert export(db)["worth"] == {"mrr": "properties.contract.mrr"}
    with pytest.raises(ManagedByFile):
        change(people, said_worth={})
    with pytest.raises(ConfigInvalid, match="names a property"):
        applied(people, "worth: {mrr: mrr}")
    assert len(applied(people, "worth: {}").result["steps"]) == 1


def test_what_happened_before_other_worth_is_told(shop: Shop) -> None:
    shop.has(price(), customer(), subscription("sub_1", items=[item("si_1", "sub_1")]))
    shop.refresh()
    lifecycle.keep(shop.engine, as_of=NOW)
    shop.has(invoice("in_1", status="open", attempt_count=1, amount_remaining=100))
    shop.refresh()
    with shop.engine.begin() as db:
        due.note(db, [shop.scalar("select key from tidegate.contacts")])  # and that is news
    lifecycle_settings.change(shop.engine, "ada", said_worth=WORTH, as_of=NOW)
    assert shop.rows("select data ->> 'rule' from tidegate.outbox where type = 'alert.opened' and not history") == [
        ("payment_failed",)
    ]
    assert shop.rows("select rule from tidegate.alerts where not history") == [("payment_failed",)]


def test_whoever_is_looked_at_while_worth_is_changed_has_the_other(people: People) -> None:
    key = people.add(properties={"contract": {"mrr": 700}}, status="active")
    people.pass_()
    engine = people.hub.engine
    with engine.begin() as db:
        lifecycle_settings.put(db, "ada", said_worth=WORTH, as_of=people.now)
        with engine.begin() as other:
            due.note(other, [key])
        looking = threading.Thread(target=people.pass_)
        looking.start()
        until(lambda: people.rows("select 1 from pg_locks where not granted"), "somebody waits", seconds=10)
    looking.join()
    assert people.of(key, "mrr_total") == 700
