"""The policy table: every setting has a choice and a source for every preset, and nothing else can be chosen."""

import re

import pytest

from tidegate.errors import PolicyInvalid
from tidegate.pricing.discounts import COUNTING
from tidegate.pricing.policy import NO_SOURCE, OWN, PRESETS, SETTINGS, Policy, policy


@pytest.mark.parametrize("name", SETTINGS)
def test_each_choice_of_a_preset_may_be_chosen_and_names_a_page(name: str) -> None:
    setting = SETTINGS[name]
    assert tuple(setting.presets) == PRESETS
    assert setting.presets["default"].source == OWN
    for preset, choice in setting.presets.items():
        assert re.fullmatch(r"https://\S+", choice.source) or choice.source in {NO_SOURCE, OWN}
        assert (choice.source == OWN) == (preset == "default")
        assert choice.value is None or choice.source != NO_SOURCE, "what no page tells is left to the account"
        if choice.value is not None:
            assert getattr(policy("default", {name: choice.value}), name) == choice.value
    for other, source in setting.others:
        assert getattr(policy("default", {name: other}), name) == other
        assert source.startswith("https://")


def test_the_default_policy_is_the_table() -> None:
    assert policy() == Policy()
    assert policy().assumed == ()


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_vendor_leaves_to_the_account_is_named_until_it_is_chosen(preset: str) -> None:
    left = [one.name for one in SETTINGS.values() if one.presets[preset].value is None]
    assert policy(preset).assumed == tuple(left)
    chosen = {name: SETTINGS[name].choices[0] for name in left if not SETTINGS[name].choices[0].startswith("N ")}
    assert set(policy(preset, chosen).assumed) == set(left) - set(chosen)
    for name in left:
        assert getattr(policy(preset), name) == getattr(Policy(), name)


@pytest.mark.parametrize(
    ("preset", "choices", "words"),
    [
        ("profitwell", {}, "There is no policy profitwell: there are default, stripe, chartmogul."),
        ("default", {"tax": "none"}, "There is no setting tax: there are past_due, trials,"),
        ("default", {"trials": "half"}, "trials cannot be 'half': it is one of zero, count."),
        ("default", {"past_due": "N days"}, "past_due cannot be 'N days': it is one of counts, N days."),
        ("default", {"past_due": "-3 days"}, "past_due cannot be '-3 days'"),
        ("default", {"past_due": "3 weeks"}, "past_due cannot be '3 weeks'"),
        ("default", {"past_due": "1234567 days"}, "past_due cannot be '1234567 days'"),
        ("default", {"past_due": "100000 days"}, "past_due cannot be '100000 days'"),
        ("default", {"past_due": "\u00b2 days"}, "past_due cannot be '\u00b2 days'"),
        ("default", {"netting": ""}, "netting cannot be ''"),
    ],
)
def test_a_choice_that_is_none_is_refused(preset: str, choices: dict[str, str], words: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        policy(preset, choices)
    assert str(refused.value).startswith(words)


@pytest.mark.parametrize(
    ("netting", "seconds"), [("instant", 0), ("60 minutes", 3600), ("5 minutes", 300), ("day", None), ("period", None)]
)
def test_netting_in_seconds(netting: str, seconds: int | None) -> None:
    assert policy("default", {"netting": netting}).netting_seconds == seconds


@pytest.mark.parametrize(("past_due", "days"), [("counts", None), ("30 days", 30), ("0 days", 0)])
def test_days_past_due(past_due: str, days: int | None) -> None:
    assert policy("default", {"past_due": past_due}).past_due_days == days


def test_every_choice_of_discounts_is_known_where_they_are_taken_off() -> None:
    assert set(SETTINGS["discounts"].choices) == {*COUNTING, "none"}
