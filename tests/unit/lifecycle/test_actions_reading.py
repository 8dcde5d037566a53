"""An action is checked whole when it is written: what cannot be is refused with its place and the nearest name."""

from typing import Any

import pytest

from tidegate.lifecycle.actions.presets import suggested
from tidegate.lifecycle.actions.reading import read
from tidegate.lifecycle.actions.spec import KINDS, Goal, Known, Step, Trigger
from tidegate.lifecycle.actions.wording import sample

KNOWN = Known(
    stages=["trial", "customer", "at_risk"],
    segments=["growth"],
    alerts=["past_due"],
    features=["seats"],
    movements=["new", "expansion", "churn"],
    events=["Payment Failed", "Subscription Canceled"],
    destinations={"slack": "apprise", "app": "webhook", "crm": "hubspot"},
)
DO = [{"destination": "slack", "template": "{{ contact.name }}"}]


def faults(**said: Any) -> dict[str, str]:
    action, wrong = read({"key": "mine", "on": "payment_failed", "do": DO} | said, KNOWN)
    assert (action is None) == bool(wrong)
    return dict(wrong)


def test_an_action_is_read_as_it_stands() -> None:
    said = {
        "key": "win-back",
        "on": {"leaves_stage": ["customer", "trial"]},
        "when": {"field": "mrr", "above": 10},
        "cooldown_days": 30,
        "do": [{"destination": "app", "event": "Left", "title": "{{ reason }}", "template": "{{ trigger.now }}"}],
        "goal": {"reach": "property_set", "property": "won.back", "value": True, "within_days": 14},
        "hold_out": 0.1,
        "enabled": False,
    }
    action, wrong = read(said, KNOWN)
    assert wrong == []
    assert action is not None
    assert (action.key, action.name, action.enabled) == ("win-back", "Win back", False)
    assert action.on == Trigger("leaves_stage", ("customer", "trial"))
    assert action.do == (Step("app", "Left", "{{ reason }}", "{{ trigger.now }}"),)
    assert action.goal is not None
    assert (action.goal, action.goal.as_json()) == (Goal("property_set", 14, "won.back", True), said["goal"])
    assert (action.cooldown_days, action.hold_out) == (30, 0.1)


@pytest.mark.parametrize(
    "on",
    [
        "payment_failed",
        "entitlement_changed",
        {"entitlement_changed": "seats"},
        {"enters_stage": "trial"},
        {"enters_segment": "growth"},
        {"leaves_segment": ["growth"]},
        {"alert_opened": "past_due"},
        {"alert_resolved": "past_due"},
        {"renewal_in_days": 30},
        {"renewal_in_days": {"days": 30, "interval_months": 3}},
        {"trial_ends_in_days": 3},
        {"movement": ["new", "expansion"]},
        {"billing_event": "Subscription Canceled"},
    ],
    ids=str,
)
def test_each_trigger_is_taken(on: Any) -> None:
    assert faults(on=on) == {}


@pytest.mark.parametrize(
    ("said", "where", "words"),
    [
        ({"key": "a b"}, "key", "letters, digits"),
        ({"key": "suggested"}, "key", "call it otherwise"),
        ({"colour": 1}, "colour", "there is no key 'colour'"),
        ({"cooldown": 1}, "cooldown", "perhaps cooldown_days"),
        ({"on": None}, "on", "one trigger"),
        ({"on": {"enters_stage": "trial", "leaves_stage": "trial"}}, "on", "one trigger"),
        ({"on": "enters_stage"}, "on", "say on: {enters_stage: …}"),
        ({"on": "payment_faild"}, "on", "perhaps payment_failed"),
        ({"on": {"enter_stage": "trial"}}, "on.enter_stage", "perhaps enters_stage"),
        ({"on": {"enters_stage": "trail"}}, "on.enters_stage", "there is no stage 'trail', perhaps trial"),
        ({"on": {"enters_segment": "grow"}}, "on.enters_segment", "perhaps growth"),
        ({"on": {"alert_opened": "pastdue"}}, "on.alert_opened", "perhaps past_due"),
        ({"on": {"movement": "expand"}}, "on.movement", "perhaps expansion"),
        ({"on": {"billing_event": "Canceled"}}, "on.billing_event", "there is no billing event 'Canceled'"),
        ({"on": {"entitlement_changed": "seat"}}, "on.entitlement_changed", "perhaps seats"),
        ({"on": {"enters_stage": []}}, "on.enters_stage", "at least one stage"),
        ({"on": {"renewal_in_days": 0}}, "on.renewal_in_days", "whole number of days"),
        ({"on": {"renewal_in_days": "30"}}, "on.renewal_in_days", "whole number of days"),
        ({"on": {"renewal_in_days": {"interval_months": 3}}}, "on.renewal_in_days.days", "whole number of days"),
        ({"on": {"renewal_in_days": {"days": 9, "interval_months": 99}}}, "on.renewal_in_days.interval_months", "36"),
        ({"on": {"renewal_in_days": {"days": 9, "months": 3}}}, "on.renewal_in_days.months", "there is no key"),
        ({"on": {"trial_ends_in_days": {"days": 9}}}, "on.trial_ends_in_days", "whole number of days"),
        ({"on": {"payment_failed": True}}, "on.payment_failed", "say on: payment_failed"),
        ({"when": {"field": "mrrr", "above": 1}}, "when.field", "perhaps mrr"),
        ({"cooldown_days": -1}, "cooldown_days", "from 0 to"),
        ({"do": []}, "do", "a list of 1 to 10"),
        ({"do": [{"destination": "slak", "template": "x"}]}, "do.0.destination", "perhaps slack"),
        ({"do": [{"destination": "crm", "event": "x"}]}, "do.0.destination", "takes properties of contacts, no events"),
        ({"do": [{"destination": "slack"}]}, "do.0", "says what is sent"),
        ({"do": [{"destination": "slack", "text": "x"}]}, "do.0.text", "there is no key 'text'"),
        ({"do": [{"destination": "slack", "template": "{{ a"}]}, "do.0.template", "no Liquid template"),
        ({"do": [{"destination": "slack", "template": "{{ contact.nmae }}"}]}, "do.0.template", "perhaps contact.name"),
        ({"do": [{"destination": "slack", "template": "{{ facts.card.back }}"}]}, "do.0.template", "facts.card.backup"),
        ({"do": [{"destination": "slack", "template": "{{ trigger.stage }}"}]}, "do.0.template", "trigger has: "),
        ({"do": [{"destination": "slack", "template": "{{ user.id }}"}]}, "do.0.template", "there are: contact"),
        ({"do": [{"destination": "slack", "template": "{{ reason | loud }}"}]}, "do.0.template", "unknown filter"),
        ({"do": [{"destination": "slack", "template": "{% include 'x' %}"}]}, "do.0.template", "not found"),
        (
            {"do": [{"destination": "slack", "template": "{% for a in (1..999999) %}x{% endfor %}"}]},
            "do.0.template",
            "loop iteration limit",
        ),
        ({"goal": {"reach": "renewd", "within_days": 3}}, "goal.reach", "perhaps renewed"),
        ({"goal": {"reach": "renewed"}}, "goal.within_days", "whole number of days"),
        ({"goal": {"reach": "property_set", "within_days": 3}}, "goal.property", "names the property"),
        ({"goal": {"reach": "renewed", "property": "x", "within_days": 3}}, "goal.property", "and nothing else"),
        (
            {"goal": {"reach": "property_set", "property": "x", "value": float("inf"), "within_days": 3}},
            "goal.value",
            "it is a text, a number, true or false",
        ),
        ({"hold_out": 0.1}, "hold_out", "without a goal nothing is learnt"),
        ({"hold_out": 0.6, "goal": {"reach": "renewed", "within_days": 3}}, "hold_out", "from 0 to 0.5"),
        ({"enabled": "yes"}, "enabled", "true or false"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_with_its_place(said: dict[str, Any], where: str, words: str) -> None:
    found = faults(**said)
    assert where in found
    assert words in found[where]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    said = {"on": {"enters_stage": "trail"}, "do": [{"destination": "slak", "template": "{{ contact.nmae }}"}]}
    assert list(faults(**said)) == ["on.enters_stage", "do.0.destination", "do.0.template"]


def test_properties_of_yours_may_be_anything() -> None:
    template = (
        "{{ contact.properties.a.b }}{{ contact.properties['c d'] }}{% for one in reasons %}{{ one }}{% endfor %}"
    )
    assert faults(do=[{"destination": "slack", "template": template}]) == {}


def test_what_is_offered_is_sound_and_off() -> None:
    for one in suggested("slack"):
        action, wrong = read(one, KNOWN)
        assert wrong == []
        assert action is not None
        assert not action.enabled


def test_a_sample_has_every_trigger() -> None:
    for kind in KINDS:
        assert sample(Trigger(kind))["trigger"]["kind"] == kind
