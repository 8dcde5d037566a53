"""Actions: each occurrence is acted on once, whoever runs when; nobody who matched before, and no import."""

from datetime import timedelta
from typing import Any

import pytest
from tests.support.acting import Acting
from tests.support.placed import NOW

from tidegate.delivery.outbox import as_history
from tidegate.lifecycle import due, rulebook
from tidegate.lifecycle.actions.stored import one
from tidegate.wiring import Hub
from tidegate.workflows.demo import demo_actions
from tidegate.workflows.lifecycle import action_problems, lifecycle, lifecycle_actions, lifecycle_settings
from tidegate.workflows.lifecycle.fire_actions import fire_actions
from tidegate.workflows.lifecycle.lifecycle_rules import change, preset, rules_of
from tidegate.workflows.operation import standing_problems


@pytest.fixture
def people(hub: Hub) -> Acting:
    return Acting(hub)


def day(number: float) -> Any:
    return NOW + timedelta(days=number)


TIERED = [{"key": "vip", "when": {"field": "properties.tier", "is": "vip"}}]


def test_entering_a_stage_is_acted_on_once_with_its_reasons(people: Acting) -> None:
    key = people.add(status="trialing")
    people.pass_()
    people.act({"enters_stage": "customer"})
    people.set(key, status="active")
    assert people.pass_(1).fired == 1
    assert (people.pass_().fired, people.pass_(1).fired) == (0, 0)
    [told] = people.sent()
    assert told["action"] == "mine"
    assert told["trigger"]["kind"] == "enters_stage"
    assert (told["trigger"]["stage"], told["trigger"]["before"]) == ("customer", "trial")
    assert told["reasons"] == [
        "it came into the stage customer from trial",
        "subscription.status is active or past_due (active)",
    ]
    assert told["text"] == f"acme: {'; '.join(told['reasons'])}"
    assert people.sent("other") == []


def test_each_trigger_of_places_and_alerts_fires_for_its_own(people: Acting) -> None:
    key = people.add(status="trialing", mrr_total=0)
    people.pass_()
    for kind, what in {
        "enters_stage": ["customer", "paused"],
        "leaves_stage": "trial",
        "enters_segment": "starter",
        "leaves_segment": "starter",
        "alert_opened": "payment_failed",
        "alert_resolved": "payment_failed",
    }.items():
        people.act({kind: what}, kind)
    people.set(key, status="active", mrr_total=10, failed_attempts=1, failing_invoice="in_1")
    people.pass_(1)
    fired = [told["action"] for told in people.sent()]
    assert sorted(fired) == ["alert_opened", "enters_segment", "enters_stage", "leaves_stage"]
    people.set(key, mrr_total=0, failed_attempts=0, failing_invoice=None)
    people.pass_(1)
    assert sorted(told["action"] for told in people.sent()[4:]) == ["alert_resolved", "leaves_segment"]
    people.set(key, status="paused")
    people.pass_(1)
    assert [told["action"] for told in people.sent()[6:]] == ["enters_stage"]


def test_switched_on_with_500_matches_it_fires_none_and_the_next_entrant_once(people: Acting) -> None:
    with people.hub.engine.begin() as db:
        db.exec_driver_sql("""
insert into tidegate.contacts (livemode, kind, external_id, made_by)
select false, 'account', 'c' || n, 'api' from generate_series(1, 500) n""")
        db.exec_driver_sql("""
insert into tidegate.contact_facts (contact) select key from tidegate.contacts""")
        db.exec_driver_sql("""
insert into tidegate.contact_lifecycle (contact, status, mrr_total, renewals, renewal_months)
select key, 'active', 10, array[timestamptz '2026-03-30T12:00Z'], '{1}' from tidegate.contacts""")
    late = people.add("late", status="trialing", renews_at=day(31))
    people.pass_()
    people.act({"enters_stage": "customer"}, "stage")
    people.act({"enters_segment": "starter"}, "segment")
    people.act({"renewal_in_days": 30}, "renewal")
    assert people.pass_(0.5).fired == 0
    people.set(late, status="active", mrr_total=10)
    assert people.pass_(1).fired == 3
    assert people.pass_(1).fired == 0
    assert {(told["action"], told["trigger"]["kind"]) for told in people.sent()} == {
        ("stage", "enters_stage"),
        ("segment", "enters_segment"),
        ("renewal", "renewal_in_days"),
    }
    assert len(people.sent()) == 3


def test_the_offered_actions_fire_once_they_are_switched_on(people: Acting) -> None:
    key = people.add(status="active", interval_months=12, renews_at=day(40), trial_ends_at=day(20))
    people.pass_()
    assert demo_actions.begin(people.hub.engine, "log", as_of=people.now) == [
        "renewal-coming",
        "payment-failed",
        "trial-ending",
        "at-risk",
    ]
    people.set(key, ends_at=day(60))
    people.pass_(1)
    people.pass_(11)
    people.pass_(6)
    fired = {"renewal-coming": 1, "payment-failed": 0, "trial-ending": 1, "at-risk": 1}
    assert demo_actions.done(people.hub.engine) == fired
    texts = {one["action"]: one["text"] for one in people.sent()}
    assert texts["renewal-coming"].startswith("acme renews on 24 April 2026, worth")
    assert texts["trial-ending"] == "The trial of acme ends on 04 April."
    assert "ends_at is known: yes" in texts["at-risk"]


def test_a_renewal_is_told_once_and_the_next_one_again(people: Acting) -> None:
    key = people.add(status="active", renews_at=day(40), interval_months=12)
    people.pass_()
    people.act({"renewal_in_days": 30})
    assert [people.pass_(days).fired for days in (5, 6, 1, 20)] == [0, 1, 0, 0]
    assert people.sent()[0]["trigger"]["renews_at"] == "2026-04-24T12:00:00Z"
    people.set(key, renews_at=day(405))
    assert [people.pass_(days).fired for days in (10, 330, 5)] == [0, 0, 1]


def renewing(people: Acting, key: int, *renewals: tuple[float, int]) -> None:
    """What it subscribes to renews in so many days, each by so many months."""
    people.set(key, status="active", interval_months=12)
    people.set(key, renewals=[day(days) for days, _ in renewals], renewal_months=[months for _, months in renewals])


def test_each_renewal_of_a_contact_is_one_of_its_own(people: Acting) -> None:
    key = people.add()
    renewing(people, key, (20, 1), (20.1, 1), (40, 12))
    people.pass_()
    people.act({"renewal_in_days": 15}, "each")
    people.act({"renewal_in_days": {"days": 15, "interval_months": 3}}, "long")
    assert [people.pass_(days).fired for days in (4, 1.5, 10)] == [0, 1, 0]
    renewing(people, key, (40, 12), (51, 1))
    assert [people.pass_(days).fired for days in (5, 5, 11)] == [0, 2, 1]
    assert [(one["action"], one["trigger"]["renews_at"][:10]) for one in people.sent()] == [
        ("each", "2026-04-04"),
        ("each", "2026-04-24"),
        ("long", "2026-04-24"),
        ("each", "2026-05-05"),
    ]


def test_after_days_without_a_worker_each_is_told_once(people: Acting) -> None:
    first, other = people.add("a", status="trialing", trial_ends_at=day(4)), people.add("b", status="trialing")
    people.pass_()
    people.act({"trial_ends_in_days": 3}, "ends")
    people.act({"enters_stage": "customer"}, "stage")
    people.set(other, status="active")
    assert people.pass_(2.5).fired == 2  # two and a half days later
    assert people.pass_(0.1).fired == 0
    assert {told["action"] for told in people.sent()} == {"ends", "stage"}
    assert people.sent()[0]["occurrence"] == "trial:2026-03-19"
    assert first != other


@pytest.mark.parametrize(
    ("field", "on", "word"),
    [("renews_at", "renewal_in_days", "it renewed on"), ("trial_ends_at", "trial_ends_in_days", "its trial ended on")],
)
def test_a_date_that_came_and_went_while_nobody_looked_is_told_once(
    people: Acting, field: str, on: str, word: str
) -> None:
    people.add(status="active", **{field: day(2)})
    people.pass_()
    people.act({on: 1})
    assert people.pass_(0.96).fired == 0
    assert people.pass_(29 / 24).fired == 1
    assert people.pass_(0.1).fired == 0
    [told] = people.sent()
    assert (told["trigger"]["days"], told["reasons"]) == (0, [f"{word} 2026-03-17"])


def test_a_date_that_is_moved_to_now_did_not_come_near(people: Acting) -> None:
    key = people.add(status="trialing", trial_ends_at=day(10))
    people.pass_()
    people.act({"trial_ends_in_days": 3})
    people.pass_(1)
    people.set(key, trial_ends_at=day(1.01))
    assert people.pass_(0.1).fired == 0


def test_what_was_missed_for_longer_than_a_week_is_history(people: Acting) -> None:
    people.add(status="active", renews_at=day(2))
    people.pass_()
    people.act({"renewal_in_days": 1})
    people.pass_(0.5)
    assert people.pass_(9).fired == 0


def test_first_placings_and_rule_changes_fire_nothing(people: Acting) -> None:
    people.act({"enters_stage": "customer"}, "stage")
    people.act({"renewal_in_days": 30}, "renewal")
    people.act({"alert_opened": "payment_failed"}, "alert")
    people.add("new", status="active", renews_at=day(10), failed_attempts=1, failing_invoice="in_1")
    done = people.pass_(1)
    assert (done.moved, done.opened, done.fired) == (1, 1, 0)
    assert people.pass_(1).fired == 0
    assert people.decided("renewal") == [("passed", "begin")]
    people.add("late", status="past_due", statuses=["past_due"])
    people.pass_(1)
    people.act({"leaves_stage": "at_risk"}, "left")
    change(people.hub.engine, "ada", stages=preset("journy"), as_of=people.now)
    change(people.hub.engine, "ada", segments=rules_of(TIERED, "segments"), as_of=people.now)
    assert people.pass_(1).fired == 0


def test_what_an_import_brings_to_those_who_were_there_fires_nothing(people: Acting) -> None:
    key = people.add()
    people.pass_()
    people.act({"enters_stage": "customer"}, "stage")
    people.act({"renewal_in_days": 30}, "renewal")
    people.act({"alert_opened": "payment_failed"}, "alert")
    with people.hub.engine.begin() as db:
        as_history(db)
        due.note(db, [key])
    with people.hub.engine.begin() as db:  # the facts that a refresh would bring
        assert due.take(db, 10) == [key]
    people.set(key, status="active", renews_at=day(20), failed_attempts=1, failing_invoice="in_1")
    done = people.pass_(1)
    assert (done.moved, done.opened, done.fired) == (1, 1, 0)
    assert people.told() == []
    assert people.decided("renewal") == [("passed", "begin")]
    people.set(key, status="paused")
    people.pass_(1)
    people.set(key, status="active")
    assert people.pass_(1).fired == 1


def test_news_of_somebody_who_waits_for_an_import_are_news(people: Acting) -> None:
    key = people.add()
    with people.hub.engine.begin() as db:
        as_history(db)
        due.note(db, [key])
    with people.hub.engine.begin() as db:
        due.note(db, [key])
    assert people.rows("select history from tidegate.lifecycle_due") == [(False,)]


def test_what_happens_before_an_import_was_looked_at_is_news(people: Acting) -> None:
    key = people.add(status="trialing")
    people.pass_()
    people.act({"enters_stage": "customer"}, "stage")
    people.act({"alert_opened": "payment_failed"}, "alert")
    _imports(people, key)
    with people.hub.engine.begin() as db:  # the worker dies here, or something happens in between
        assert due.take(db, 10) == [key]
    with people.hub.engine.begin() as db:
        due.note(db, [key])
        assert due.take(db, 10) == [key]
    people.set(key, status="active", failed_attempts=1, failing_invoice="in_1")
    assert people.pass_(1).fired == 2
    assert people.rows("select history, untold_at from tidegate.contact_lifecycle") == [(False, None)]


@pytest.mark.parametrize("looked_at", [True, False])
def test_an_import_that_comes_while_news_wait_to_be_placed_takes_nothing_from_them(
    people: Acting, looked_at: bool
) -> None:
    key = people.add(status="trialing")
    people.pass_()
    people.act({"enters_stage": "customer"})
    if looked_at:
        with people.hub.engine.begin() as db:
            due.note(db, [key])
            assert due.take(db, 10) == [key]
        _imports(people, key)
    else:
        _imports(people, key)
        with people.hub.engine.begin() as db:
            assert due.take(db, 10) == [key]
        with people.hub.engine.begin() as db:
            due.note(db, [key])
    people.set(key, status="active")
    with people.hub.engine.begin() as db:  # nobody else is taken any more
        rulebook.lock(db)
        lifecycle.place(db, people.now)
    assert next(kind for kind, _ in people.told()) == "stage.changed"
    assert people.fire(0.1) == 1


@pytest.mark.parametrize(("before", "fires"), [(30.5, True), (90, False)], ids=["it came near", "it was brought"])
def test_time_goes_on_while_an_import_is_looked_at(people: Acting, before: float, fires: bool) -> None:
    key = people.add(status="active", renews_at=day(before), interval_months=12)
    people.pass_()
    people.act({"renewal_in_days": 30})
    _imports(people, key)
    with people.hub.engine.begin() as db:
        assert due.take(db, 10) == [key]
    people.set(key, renews_at=day(30.5 if fires else 20), interval_months=12)
    assert people.pass_(1).fired == fires
    assert people.decided() == ([("fired", "")] if fires else [("passed", "begin")])


def _imports(people: Acting, key: int) -> None:
    with people.hub.engine.begin() as db:
        as_history(db)
        due.note(db, [key])


def test_what_happened_while_it_was_off_is_not_its_business(people: Acting) -> None:
    key = people.add(status="trialing")
    people.pass_()
    people.act({"enters_stage": "customer"})
    with people.hub.engine.begin() as db:
        lifecycle_actions.switch(db, "mine", "ada", enabled=False, as_of=people.now)
    people.set(key, status="active")
    assert people.pass_(1).fired == 0
    with people.hub.engine.begin() as db:
        lifecycle_actions.switch(db, "mine", "ada", enabled=True, as_of=people.now + timedelta(seconds=1))
    assert people.pass_(1).fired == 0
    people.set(key, status="trialing")
    people.pass_(1)
    people.set(key, status="active")
    assert people.pass_(1).fired == 1


def test_another_template_goes_on_where_it_was_and_another_trigger_begins_anew(people: Acting) -> None:
    key = people.add(status="trialing")
    people.pass_()
    people.act({"enters_stage": "customer"})
    people.set(key, status="active")
    people.place(1)
    people.act({"enters_stage": "customer"}, do=[{"destination": "log", "template": "Now a customer."}])
    assert people.fire() == 1
    assert people.sent()[0]["text"] == "Now a customer."
    people.act({"leaves_stage": "trial"})
    assert people.fire() == 0


def test_the_condition_is_asked_when_it_happens_and_not_later(people: Acting) -> None:
    small, big = (
        people.add("small", status="trialing", mrr_total=5),
        people.add("big", status="trialing", mrr_total=500),
    )
    people.pass_()
    people.act({"enters_stage": "customer"}, when={"field": "mrr", "at_least": 100})
    people.set(small, status="active")
    people.set(big, status="active")
    assert people.pass_(1).fired == 1
    assert people.sent()[0]["reasons"][-1] == "mrr is at least 100 (500)"
    assert sorted(people.decided()) == [("fired", ""), ("passed", "condition")]
    people.set(small, mrr_total=500)
    assert people.pass_(1).fired == 0


def test_many_are_decided_by_parts_and_none_twice(people: Acting) -> None:
    keys = [people.add(f"c{number:02}", status="trialing") for number in range(30)]
    people.pass_()
    people.act({"enters_stage": "customer"}, cooldown_days=1)
    for key in keys:
        people.set(key, status="active")
    people.place(1)
    fired = fire_actions(people.hub.engine, as_of=people.now, at_once=7)
    assert (fired.fired, fired.passed) == (30, 0)
    assert [one["text"].partition(":")[0] for one in people.sent()] == [f"c{number:02}" for number in range(30)]
    assert fire_actions(people.hub.engine, as_of=people.now, at_once=7).fired == 0


def test_what_was_decided_of_a_merged_contact_is_decided_of_whom_it_is_now(people: Acting) -> None:
    kept, other = people.add("kept", renews_at=day(40)), people.add("other", renews_at=day(20))
    people.pass_()
    people.act({"renewal_in_days": 10})
    assert people.pass_(12).fired == 1
    people.run("update tidegate.contacts set merged_into = :kept where key = :other", kept=kept, other=other)
    people.set(kept, renews_at=day(20))
    assert people.pass_(1).fired == 0
    assert people.decided() == [("fired", ""), ("passed", "merged")]


def test_cooldown_is_of_each_contact(people: Acting) -> None:
    one_, other = people.add("one", status="active"), people.add("other", status="active")
    people.pass_()
    people.act({"enters_stage": "paused"}, cooldown_days=30)

    def again(key: int) -> int:
        people.set(key, status="active")
        people.pass_(1)
        people.set(key, status="paused")
        return people.pass_(1).fired

    assert [again(one_), again(one_), again(other), again(one_)] == [1, 0, 1, 0]
    people.now += timedelta(days=30)
    assert again(one_) == 1
    assert [why for _, why in people.decided()] == ["", "cooldown", "", "cooldown", ""]


def test_the_held_out_are_chosen_by_chance_and_told_nobody(people: Acting) -> None:
    keys = [people.add(f"c{number}", status="trialing") for number in range(60)]
    people.pass_()
    people.act({"enters_stage": "customer"}, hold_out=0.5, goal={"reach": "not_churned", "within_days": 30})
    for key in keys:
        people.set(key, status="active")
    done = people.pass_(1)
    assert done.fired + done.held_out == 60
    assert 12 < done.held_out < 48
    assert len(people.sent()) == done.fired
    assert len(people.decided()) == 60


def test_destinations_of_the_other_mode_are_sent_nothing(people: Acting) -> None:
    people.destination("live", livemode=True)
    key = people.add(status="trialing")
    people.pass_()
    people.act({"enters_stage": "customer"}, "live", do=[{"destination": "live", "event": "won"}])
    both = [{"destination": "live", "event": "won"}, {"destination": "log", "event": "won"}]
    people.act({"enters_stage": "customer"}, "both", do=both)
    people.set(key, status="active")
    people.pass_(1)
    assert people.decided("live") == [("passed", "mode")]
    assert (people.decided("both"), len(people.sent()), people.sent("live")) == ([("fired", "")], 1, [])


def test_merged_and_forgotten_contacts_are_acted_on_as_what_they_are(people: Acting) -> None:
    kept, other, gone = (people.add(ref, status="trialing") for ref in ("kept", "other", "gone"))
    people.pass_()
    people.act({"alert_opened": "payment_failed"}, cooldown_days=30)
    people.set(other, failed_attempts=1, failing_invoice="in_1")
    assert people.pass_(1).fired == 1
    people.run("update tidegate.contacts set merged_into = :kept where key = :other", kept=kept, other=other)
    people.run("update tidegate.contacts set forgotten_at = now() where key = :gone", gone=gone)
    people.set(kept, failed_attempts=1, failing_invoice="in_2")
    people.set(gone, failed_attempts=1, failing_invoice="in_3")
    assert people.pass_(1).fired == 0
    assert [why for _, why in people.decided()] == ["", "cooldown"]


def test_an_action_that_names_what_is_gone_waits_and_makes_up_for_it(people: Acting) -> None:
    key = people.add(status="trialing")
    people.pass_()
    people.act({"enters_stage": "customer"}, do=[{"destination": "other", "template": "{{ contact.id }}"}])
    people.run("update tidegate.destinations set key = 'another' where key = 'other'")
    people.set(key, status="active")
    assert people.pass_(1).fired == 0
    with people.hub.engine.connect() as db:
        assert "there is no destination 'other'" in lifecycle_actions.shown(db, "mine")["problem"]
        assert one(db, "mine").action is None
        [problem] = action_problems.of_installation(db)
    assert (problem.code, problem.subject) == ("action_unusable", "mine")
    people.run("update tidegate.destinations set key = 'other' where key = 'another'")
    assert people.pass_(1).fired == 1


def problems(people: Acting) -> list[tuple[str, str]]:
    """(code, what is listed as the action's problem) of what status has of actions."""
    with people.hub.engine.connect() as db:
        listed = {one["key"]: one["problem"] for one in lifecycle_actions.listing(db)}
        return [(one.code, listed[one.subject]) for one in action_problems.of_installation(db)]


def test_an_action_that_waits_for_what_is_switched_off_says_so(people: Acting) -> None:
    people.act({"alert_opened": ["past_due", "inactive"]})
    assert problems(people) == []
    said = [{"rule": "inactive", "enabled": False}]
    lifecycle_settings.change(people.hub.engine, "ada", said_alerts=said, as_of=people.now)
    assert problems(people) == [
        ("action_idle", "on.alert_opened: the alert rule inactive is switched off, so it opens nothing")
    ]
    with people.hub.engine.connect() as db:
        facts = standing_problems.facts(db, poll_seconds=60, home=None)
    assert ("action_idle", "action:mine") in [(one.rule, one.subject) for one in facts]
    key = people.add()
    people.pass_()
    people.set(key, statuses=["past_due"], past_due_since=NOW)
    assert people.pass_(1).fired == 1, "the other rule sets it off all the same"
    lifecycle_settings.change(people.hub.engine, "ada", said_alerts=[], as_of=people.now)
    assert problems(people) == []


@pytest.mark.parametrize(
    ("on", "when", "code", "words"),
    [
        ({"enters_segment": "vip"}, None, "action_unusable", "on.enters_segment: there is no segment 'vip'"),
        ({"leaves_stage": "trial"}, None, "action_unusable", "on.leaves_stage: there is no stage 'trial'"),
        ("payment_failed", {"field": "segments", "has": "vip"}, "action_idle", "when: there is no segment 'vip'"),
        (
            "payment_failed",
            {"field": "stage", "is": ["trial", "customer"]},
            "action_idle",
            "when: there is no stage 'trial'",
        ),
    ],
    ids=str,
)
def test_an_action_that_names_a_place_that_is_gone_says_so(
    people: Acting, on: Any, when: Any, code: str, words: str
) -> None:
    late = [{"key": "customer", "when": {"field": "days_past_due", "above": 0}}, {"key": "others"}]
    change(people.hub.engine, "ada", segments=rules_of(TIERED, "segments"), as_of=people.now)
    people.act(on, when=when) if when else people.act(on)
    assert [one for one in problems(people) if "vip" in one[1]] == []
    change(people.hub.engine, "ada", segments=rules_of([], "segments"), as_of=people.now)
    change(people.hub.engine, "ada", stages=rules_of(late, "stages"), as_of=people.now)
    [(found, said)] = problems(people)
    assert (found, said.startswith(words)) == (code, True)


def test_a_template_that_fails_of_somebody_fails_of_nobody_else(people: Acting) -> None:
    good, bad = people.add("good", status="trialing"), people.add("bad", {"n": 0}, status="trialing")
    people.pass_()
    template = "{% if contact.id == 'bad' %}{{ 1 | divided_by: contact.properties.n }}{% endif %}fine"
    people.act({"enters_stage": "customer"}, do=[{"destination": "log", "template": template}])
    people.set(good, status="active")
    people.set(bad, status="active")
    people.pass_(1)
    states = dict(people.decided())
    assert states["fired"] == ""
    assert "can't divide by 0" in states["failed"]
    assert [told["text"] for told in people.sent()] == ["fine"]
