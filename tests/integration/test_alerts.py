"""Alerts and health: one alert for each occurrence, resolved by the facts; a score that says how much it knows."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.support.placed import NOW, People

from tidegate.contacts import directory
from tidegate.errors import AlertUnknown, LifecycleInvalid
from tidegate.lifecycle import alerts, happened, health, listing, timeline
from tidegate.lifecycle.alert_rules import RULES
from tidegate.lifecycle.alerts import condition
from tidegate.lifecycle.health import COMPONENTS, parse
from tidegate.wiring import Hub


@pytest.fixture
def people(hub: Hub) -> People:
    return People(hub)


def day(number: float) -> Any:
    return NOW + timedelta(days=number)


def test_every_rule_is_sound() -> None:
    assert all(condition(rule) for rule in RULES)


@pytest.mark.parametrize(
    ("facts", "rules"),
    [
        ({"failed_attempts": 1, "failing_invoice": "in_1"}, ["payment_failed"]),
        ({"statuses": ["past_due"], "past_due_since": day(-1)}, ["past_due"]),
        ({"status": "active", "card_expires_at": day(16)}, ["card_expiring"]),
        ({"status": "active", "card_expires_at": day(16), "has_backup": True}, []),
        ({"status": "canceled", "card_expires_at": day(16)}, []),
        ({"renews_at": day(20), "interval_months": 12}, ["renewal_upcoming"]),
        ({"renews_at": day(20), "interval_months": 3}, ["renewal_upcoming"]),
        ({"renews_at": day(20), "interval_months": 1}, []),
        ({"renews_at": day(31), "interval_months": 12}, []),
        ({"ends_at": day(60)}, ["cancellation_scheduled"]),
        ({"churned_at": day(-1)}, ["canceled"]),
        ({"churned_at": day(-31)}, []),
        ({"downgraded_at": day(-1)}, ["downgrade"]),
        ({"downgraded_at": day(-31)}, []),
        ({"trial_ends_at": day(6)}, ["trial_ending"]),
        ({"trial_ends_at": day(8)}, []),
        ({"status": "active", "last_active_at": day(-30)}, ["inactive"]),
        ({"status": "active", "last_active_at": day(-29)}, []),
        ({}, []),
    ],
    ids=str,
)
def test_each_rule_alerts_of_what_it_is_named_after(people: People, facts: dict[str, Any], rules: list[str]) -> None:
    key = people.add("acme", None, **facts)
    people.pass_()
    assert [rule for rule, _ in people.alerts(key)] == rules


def test_an_occurrence_alerts_once_and_the_next_one_again(people: People) -> None:
    key = people.add()
    people.pass_()
    people.set(key, failed_attempts=1, failing_invoice="in_1")
    assert people.pass_().opened == 1
    people.set(key, failed_attempts=2)
    assert people.pass_(1).opened == 0
    people.set(key, failed_attempts=0, failing_invoice=None)
    assert people.pass_(1).resolved == 1
    people.set(key, failed_attempts=1, failing_invoice="in_2")
    assert people.pass_(30).opened == 1
    assert people.alerts() == [("payment_failed", "resolved"), ("payment_failed", "open")]
    told = [(kind, data["occurrence"]) for kind, data in people.told()]
    assert told == [("alert.opened", "in_1"), ("alert.resolved", "in_1"), ("alert.opened", "in_2")]


def test_who_comes_with_a_past_has_its_alerts_and_nobody_is_told(people: People) -> None:
    people.add(failed_attempts=1, failing_invoice="in_1")
    assert people.pass_().opened == 1
    assert people.told() == []


def test_one_occurrence_gives_way_to_the_next_at_once(people: People) -> None:
    key = people.add(failed_attempts=1, failing_invoice="in_1")
    people.pass_()
    people.set(key, failing_invoice="in_2")
    people.pass_()
    assert people.alerts() == [("payment_failed", "resolved"), ("payment_failed", "open")]


def test_an_older_invoice_that_fails_meanwhile_ends_nothing(people: People) -> None:
    key = people.add(failed_attempts=1, failing_invoices=["in_2"])
    people.pass_()
    people.set(key, failed_attempts=2, failing_invoices=["in_1", "in_2"])
    people.pass_(1)
    assert people.alerts() == [("payment_failed", "open"), ("payment_failed", "open")]
    people.set(key, failed_attempts=1, failing_invoices=["in_2"])
    assert (people.pass_(1).resolved, people.alerts()) == (
        1,
        [("payment_failed", "open"), ("payment_failed", "resolved")],
    )


@pytest.mark.parametrize(
    ("facts", "over"),
    [
        ({"status": "active", "card_expires_at": day(16)}, {"has_backup": True}),
        ({"renews_at": day(20), "interval_months": 12}, {"renews_at": None}),
        ({"trial_ends_at": day(6)}, {"trial_ends_at": day(9)}),
        ({"status": "active", "last_active_at": day(-40)}, {"status": "canceled"}),
        ({"statuses": ["past_due"], "past_due_since": day(-1)}, {"statuses": ["active"]}),
    ],
    ids=str,
)
def test_what_is_so_again_opens_again(people: People, facts: dict[str, Any], over: dict[str, Any]) -> None:
    key = people.add("acme", None, **facts)
    people.pass_()
    [(rule, _)] = people.alerts()
    people.set(key, **over)
    people.pass_()
    assert people.alerts() == [(rule, "resolved")]
    people.set(key, **{"has_backup": None} | facts)
    people.pass_()
    assert people.alerts() == [(rule, "open")]


def test_a_card_updated_while_the_invoice_stays_open_leaves_the_alert_open(people: People) -> None:
    key = people.add(status="active", failed_attempts=1, failing_invoice="in_1", card_expires_at=day(1))
    people.pass_()
    people.set(key, card_expires_at=day(900))
    people.pass_()
    assert people.alerts() == [("payment_failed", "open"), ("card_expiring", "resolved")]


def test_after_days_without_anybody_looking_each_is_told_once(people: People) -> None:
    people.add("a", trial_ends_at=day(7.5))
    people.add("b", trial_ends_at=day(9))
    assert people.pass_().opened == 0
    assert people.pass_(3).opened == 2
    assert people.pass_(0.01).opened == 0


def test_people_move_alerts_and_the_facts_have_the_last_word(people: People) -> None:
    key = people.add(ends_at=day(60))
    people.pass_()
    [(number,)] = people.rows("select id from tidegate.alerts")

    def move(state: Any, **more: Any) -> None:
        with people.hub.engine.begin() as db:
            alerts.move(db, number, state, "ada", people.now, **more)

    move("acknowledged")
    assert people.alerts() == [("cancellation_scheduled", "acknowledged")]
    move("snoozed", until=day(2))
    people.pass_(1)
    assert people.alerts() == [("cancellation_scheduled", "snoozed")]
    people.pass_(1)
    assert people.alerts() == [("cancellation_scheduled", "open")]
    with people.hub.engine.begin() as db:
        alerts.write_note(db, number, "Ada calls", "bob", people.now)
    assert people.alerts() == [("cancellation_scheduled", "open")], "a note moves nothing"
    move("acknowledged")
    assert people.rows("select note, changed_by from tidegate.alerts") == [("Ada calls", "ada")]
    with pytest.raises(LifecycleInvalid, match="with a reason"):
        move("dismissed")
    with pytest.raises(LifecycleInvalid, match="still to come"):
        move("snoozed", until=day(-1))
    move("dismissed", note="they told us")
    people.pass_(1)
    assert people.alerts() == [("cancellation_scheduled", "dismissed")]
    people.set(key, ends_at=day(90))
    people.pass_()
    assert people.alerts() == [("cancellation_scheduled", "dismissed"), ("cancellation_scheduled", "open")]
    people.set(key, ends_at=None)
    people.pass_()
    number += 1
    with pytest.raises(LifecycleInvalid, match="resolved by the facts"):
        move("acknowledged")
    first, number = number - 1, 99
    with pytest.raises(AlertUnknown):
        move("acknowledged")
    told = people.rows("select actor, action, subject, detail ->> 'rule' from tidegate.audit_log order by id")
    assert {(row[2], row[3]) for row in told} == {(f"alert {first}", "cancellation_scheduled")}, "only what was done"
    assert [tuple(row[:2]) for row in told] == [
        (who, f"alert.{done}")
        for who, done in (
            ("ada", "acknowledged"), ("ada", "snoozed"), ("bob", "noted"), ("ada", "acknowledged"),
            ("ada", "dismissed"),
        )
    ]  # fmt: skip


@pytest.mark.parametrize("state", ["acknowledged", "snoozed"])
def test_the_facts_resolve_what_people_put_aside(people: People, state: Any) -> None:
    key = people.add(ends_at=day(60))
    people.pass_()
    [(number,)] = people.rows("select id from tidegate.alerts")
    with people.hub.engine.begin() as db:
        until = day(20) if state == "snoozed" else None
        alerts.move(db, number, state, "ada", people.now, until=until)
    people.set(key, ends_at=None)
    people.pass_(1)
    assert people.alerts() == [("cancellation_scheduled", "resolved")]
    people.pass_(30)
    assert people.alerts() == [("cancellation_scheduled", "resolved")], "and it does not come back by its time"


HEALTHY: dict[str, Any] = {
    "status": "active",
    "latest_invoice_status": "paid",
    "usage_share": Decimal("0.8"),
    "last_active_at": NOW,
    "mrr_trend": Decimal("1.2"),
    "customer_since": day(-365),
    "mrr_total": 1000,
}


def test_health_is_the_weighted_mean_of_what_has_data(people: People) -> None:
    whole = people.add("whole", None, **HEALTHY)
    some = people.add("some", status="active", latest_invoice_status="paid", mrr_total=50, mrr_trend=Decimal("0.9"))
    people.pass_()
    assert (people.of(whole, "health"), people.of(whole, "health_coverage")) == (100, 1)
    # (30 × 100 + 10 × 50 + 10 × 40) / 50, of 100
    assert (people.of(some, "health"), people.of(some, "health_coverage")) == (78, Decimal("0.5"))
    assert people.of(some, "health_parts") == {"payment": 100, "mrr_trend": 50, "revenue_tier": 40}


def test_the_part_of_each_component_in_a_change_is_told(people: People) -> None:
    key = people.add("acme", None, **HEALTHY)
    people.pass_()
    people.set(key, past_due_since=people.now, usage_share=Decimal("0.3"), last_active_at=None)
    people.pass_(7)
    people.set(key, status="canceled")
    people.pass_(1)
    with people.hub.engine.connect() as db:
        told = listing.health(db, key)
        happened_ = timeline.page(db, directory.of_key(db, key), kinds=["health"])["timeline"]
    assert told is not None
    gone, fell, first = told["history"]
    # of 100 points payment made 30, usage 20, recency 20; of 80 known then payment has 30 × 30, usage 20 × 60 of 100
    assert (first["health"], fell["health"], gone["health"]) == (100, 63.8, None)
    assert list(fell["moved"].items()) == [
        ("recency", -20), ("payment", -18.8), ("usage", -5), ("mrr_trend", 2.5), ("revenue_tier", 2.5), ("tenure", 2.5),
    ]  # fmt: skip
    assert sum(fell["moved"].values()) == pytest.approx(63.8 - 100, abs=0.2)
    assert (first["moved"], gone["moved"]) == ({}, {})
    assert [one["data"]["moved"] for one in happened_] == [{}, fell["moved"], {}]
    assert happened.told(happened_[1]).startswith("100.0 → 63.8: recency -20, payment -18.8")


def test_whoever_is_scored_no_more_is_not_unhealthy_for_ever(people: People) -> None:
    debt = {"latest_invoice_status": "open", "past_due_since": people.now - timedelta(days=40)}
    key = people.add(status="active", mrr_total=0, **debt)
    people.pass_()
    assert (people.of(key, "health"), ("health_dropped", "open") in people.alerts(key)) == (0, True)
    people.set(key, mrr_total=None)
    people.pass_()
    assert people.of(key, "health") is None
    assert ("health_dropped", "open") in people.alerts(key), "too little is known to say that it is over"
    people.set(key, status="canceled")
    people.pass_()
    assert people.of(key, "unhealthy_since") is None
    assert ("health_dropped", "resolved") in people.alerts(key)


def test_too_little_data_is_unknown_and_never_fifty(people: People) -> None:
    key = people.add(status="active", latest_invoice_status="paid")
    people.pass_()
    assert (people.of(key, "health"), people.of(key, "health_coverage")) == (None, Decimal("0.3"))
    gone = people.add("gone", None, **HEALTHY | {"status": "canceled"})
    people.pass_()
    assert people.of(gone, "health") is None


@pytest.mark.parametrize(
    ("days", "score"), [(-1, 60), (0, 60), (3.5, 45), (7, 30), (18.5, 15), (30, 0), (400, 0)], ids=str
)
def test_a_curve_is_straight_between_its_points_and_level_beyond(people: People, days: float, score: float) -> None:
    late = {"past_due_since": day(-days)} if days >= 0 else {"past_due_since": NOW}
    key = people.add("acme", None, **HEALTHY | late)
    people.pass_()
    assert people.of(key, "health_parts")["payment"] == score


def test_around_the_threshold_it_alerts_once(people: People) -> None:
    """39, 41, 39 is one crossing; 39, 46, 39 are two."""
    only = [parse("score", {"field": "properties.score", "curve": [[0, 0], [100, 100]], "weight": 1})[0]]
    key = people.add(status="active", properties={"score": 60})

    def see(score: float) -> None:
        with people.hub.engine.begin() as db:
            db.exec_driver_sql(f"update tidegate.contacts set properties = '{{\"score\": {score}}}'")
            people.now += timedelta(days=1)
            health.keep(db, [one for one in only if one], people.now)
            alerts.keep(db, RULES, people.now)

    for score in (60, 39, 41, 39, 44.9, 39):
        see(score)
    assert people.alerts(key) == [("health_dropped", "open")]
    see(46)
    assert people.alerts(key) == [("health_dropped", "resolved")]
    see(39)
    assert people.alerts(key) == [("health_dropped", "resolved"), ("health_dropped", "open")]
    kept = people.rows("select health from tidegate.health_history where contact = :key order by at", key=key)
    assert [float(one) for (one,) in kept] == [60, 39, 41, 39, 44.9, 39, 46, 39]


def test_what_changes_by_less_than_a_point_is_not_kept_each_time(people: People) -> None:
    key = people.add("acme", None, **HEALTHY | {"customer_since": day(-100)})
    for _ in range(5):
        people.pass_(1)
    assert len(people.rows("select from tidegate.health_history where contact = :key", key=key)) < 5


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"field": "mrr", "curve": [[0, 0]], "weight": 0}, "weight: it is a number above 0"),
        ({"field": "mrr", "curve": [[1, 0], [1, 5]]}, "values rising"),
        ({"field": "mrr", "curve": [[1, 101]]}, "scores from 0 to 100"),
        ({"field": "mrr", "curve": []}, "1 to 20"),
        ({"field": "name", "curve": [[1, 1]]}, "name is a text; a component takes a number"),
        ({"field": "health", "curve": [[1, 1]]}, "health cannot be a part of itself"),
        ({"field": "mrrr", "curve": [[1, 1]]}, "perhaps mrr"),
        ({"field": "mrr", "curve": [[1, 1]], "colour": 1}, "colour: there is no such key"),
    ],
    ids=str,
)
def test_a_component_that_cannot_be_is_refused(said: dict[str, Any], words: str) -> None:
    component, wrong = parse("mine", said)
    assert component is None
    assert any(words in f"{one.where.partition('.')[2]}: {one.problem}" for one in wrong)


def test_the_default_weights_are_a_hundred() -> None:
    assert sum(one.weight for one in COMPONENTS) == 100
