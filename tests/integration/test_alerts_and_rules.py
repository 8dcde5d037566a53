"""What other rules and imports do to alerts and stages: it fires nothing, swallows nothing, and what it ended may begin
again.
"""

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.acting import Acting
from tests.support.placed import NOW

from tidegate.delivery import suppressing
from tidegate.delivery.outbox import as_history
from tidegate.lifecycle import digests, due, health, routes
from tidegate.lifecycle.routes import Route
from tidegate.wiring import Hub
from tidegate.workflows.lifecycle import lifecycle_rules, lifecycle_settings
from tidegate.workflows.lifecycle.lifecycle_rules import rules_of

FAILED: dict[str, Any] = {"failed_attempts": 1, "failing_invoice": "in_1"}
OVER: dict[str, Any] = {"failed_attempts": 0, "failing_invoice": None}


@pytest.fixture
def people(hub: Hub) -> Acting:
    people = Acting(hub)
    people.run("delete from tidegate.lifecycle_settings")
    return people


def day(days: float) -> datetime:
    return NOW + timedelta(days=days)


def change(people: Acting, **said: Any) -> dict[str, Any]:
    return lifecycle_settings.change(people.hub.engine, "ada", as_of=people.now, **said).as_json()


def heard(people: Acting) -> list[tuple[str, str]]:
    return [(kind, data["rule"]) for kind, data in people.told() if kind.startswith("alert.")]


def failing(people: Acting) -> int:
    key = people.add()
    people.pass_()
    people.set(key, **FAILED)
    people.pass_(1)
    return key


def test_a_rule_that_is_switched_off_says_it_is_over_and_fires_nothing(people: Acting) -> None:
    people.act({"alert_resolved": "payment_failed"})
    failing(people)
    change(people, said_alerts=[{"rule": "payment_failed", "enabled": False}])
    people.pass_(0.01)
    assert heard(people) == [("alert.opened", "payment_failed"), ("alert.resolved", "payment_failed")]
    assert people.sent() == []


def test_a_rule_that_is_switched_on_again_opens_what_still_holds(people: Acting) -> None:
    key = failing(people)
    change(people, said_alerts=[{"rule": "payment_failed", "enabled": False}])
    assert change(people, said_alerts=[])["opened"] == {"payment_failed": 1}
    assert people.alerts(key) == [("payment_failed", "open")]


def test_with_fewer_days_an_alert_opens_when_they_have_come(people: Acting) -> None:
    people.add(renews_at=day(40), interval_months=12, status="active")
    people.pass_()
    people.pass_(15)
    change(people, said_alerts=[{"rule": "renewal_upcoming", "days": 7}])
    assert people.alerts() == [("renewal_upcoming", "resolved")]
    people.pass_(20)
    assert people.alerts() == [("renewal_upcoming", "open")]
    assert heard(people)[-1] == ("alert.opened", "renewal_upcoming")


def test_what_is_so_again_is_told_again_and_acted_on_once(people: Acting) -> None:
    people.act({"alert_opened": "payment_failed"}, "opened")
    people.act({"alert_resolved": "payment_failed"}, "resolved")
    key = failing(people)
    for facts in (OVER, FAILED, OVER):
        people.set(key, **facts)
        people.pass_(1)
    assert people.alerts(key) == [("payment_failed", "resolved")], "the same invoice is one occurrence"
    assert [kind for kind, _ in heard(people)] == ["alert.opened", "alert.resolved"] * 2
    assert sorted(one["action"] for one in people.sent()) == ["opened", "resolved"]


def test_whoever_was_not_told_of_an_alert_is_not_told_of_its_end(people: Acting) -> None:
    with people.hub.engine.begin() as db:
        as_history(db)
    key = people.add(**FAILED)
    people.pass_()
    people.set(key, **OVER)
    people.pass_(1)
    assert people.alerts(key) == [("payment_failed", "resolved")]
    assert people.told() == []


def test_what_was_told_ends_where_it_was_told_also_by_an_import(people: Acting) -> None:
    with people.hub.engine.begin() as db:
        routes.put(db, Route("log"))
    people.act({"alert_resolved": "payment_failed"})
    key = failing(people)
    with people.hub.engine.begin() as db:
        as_history(db)
        due.note(db, [key])
    with people.hub.engine.begin() as db:
        due.take(db, 10)
    people.set(key, **OVER)
    people.pass_(1)
    assert heard(people) == [("alert.opened", "payment_failed"), ("alert.resolved", "payment_failed")]
    assert people.sent() == []


def test_other_segments_do_not_swallow_what_the_facts_did(people: Acting) -> None:
    key = people.add(status="active", mrr_total=10)
    people.pass_()
    people.act({"enters_stage": "churned"})
    people.set(key, status="canceled", customer_since=day(-100), mrr_total=0)
    segments = rules_of([{"key": "vip", "when": {"field": "properties.tier", "is": "vip"}}], "segments")
    lifecycle_rules.change(people.hub.engine, "ada", segments=segments, as_of=people.now)
    people.pass_(0.1)
    assert len(people.sent()) == 1


def test_settings_that_change_while_an_import_waits_tell_nobody_of_it(people: Acting) -> None:
    key = people.add()
    people.pass_()
    people.act({"alert_opened": "payment_failed"})
    with people.hub.engine.begin() as db:
        as_history(db)
        due.note(db, [key])
    with people.hub.engine.begin() as db:
        due.take(db, 10)
    people.set(key, status="active", **FAILED)
    change(people, said_alerts=[{"rule": "inactive", "days": 60}])
    people.pass_(0.1)
    assert people.told() == []
    assert people.sent() == []


def test_a_health_that_is_unknown_for_a_while_is_no_second_alert(people: Acting) -> None:
    score = {"key": "nps", "field": "properties.nps", "curve": [[0, 0], [100, 100]], "weight": 5}
    others = [{"key": one.key, "weight": 0} for one in health.COMPONENTS]
    key = people.add("acme", {"nps": 80}, status="active")
    people.pass_()
    change(people, said_health={"components": [*others, score]})
    for nps in ("39", "null", "39"):
        people.run(
            "update tidegate.contacts set properties = jsonb_build_object('nps', cast(:nps as jsonb)) where key = :key",
            nps=nps, key=key,
        )  # fmt: skip
        people.pass_(1)
    assert people.alerts(key) == [("health_dropped", "open")]


def test_a_suppressed_contact_is_in_no_digest_and_its_alerts_go_nowhere(people: Acting) -> None:
    key = people.add("acme-secret", renews_at=day(3))
    people.pass_()
    with people.hub.engine.begin() as db:
        suppressing.suppress(db, key, "asked", "ada")
        routes.put(db, Route("log"))
    people.set(key, **FAILED)
    people.pass_(0.1)
    with people.hub.engine.begin() as db:
        digest = digests.preview(db, "", "daily", people.now)
    assert "acme-secret" not in digest["text"]
    assert people.rows("select routed_to from tidegate.alerts where rule = 'payment_failed'") == [("",)]
