"""A condition is checked whole before it is kept: what cannot be is refused with its place and the way out."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.conditions.compile import compiled
from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.conditions.nodes import All, AnyOf, Named, Not, Test
from tidegate.conditions.operators import OPERATORS, operators_of
from tidegate.conditions.parse import DEEPEST, MOST_TESTS, parse


def faults(said: Any, **named: Any) -> dict[str, str]:
    return dict(parse(said, CONTACT_FIELDS, named)[1])


def test_a_condition_is_read_as_it_stands() -> None:
    risky, wrong = parse({"field": "health", "below": 40}, CONTACT_FIELDS)
    assert wrong == []
    said = {
        "all": [
            {"field": "subscription.status", "is": ["active", "past_due"]},
            {"any": [{"field": "mrr", "at_least": 200, "below": 1000.5}, {"not": {"condition": "risky"}}]},
        ]
    }
    node, wrong = parse(said, CONTACT_FIELDS, {"risky": risky})
    assert wrong == []
    assert isinstance(node, All)
    status, either = node.parts
    assert isinstance(status, Test)
    assert (status.field.name, status.operator.name, status.value) == (
        "subscription.status",
        "is",
        ["active", "past_due"],
    )
    assert isinstance(either, AnyOf)
    between, unless = either.parts
    assert isinstance(between, All)
    assert [part.value for part in between.parts if isinstance(part, Test)] == [Decimal(200), Decimal("1000.5")]
    assert unless == Not(Named("risky", risky))


@pytest.mark.parametrize(
    ("said", "where", "words"),
    [
        ({"field": "mrrr", "above": 1}, "when.field", "perhaps mrr"),
        ({"field": "status", "is": "active"}, "when.field", "perhaps subscription.status"),
        ({"field": "logins", "above": 1}, "when.field", "properties.logins"),
        ({"field": "properties.", "is": 1}, "when.field", "no field 'properties.'"),
        ({"field": "mrr", "contains": "1"}, "when.contains", "mrr is a number and cannot be compared by 'contains'"),
        ({"field": "mrr", "atleast": 1}, "when.atleast", "perhaps at_least"),
        ({"field": "mrr", "above": "1"}, "when.above", "mrr is a number; it is compared with a number"),
        ({"field": "mrr", "above": True}, "when.above", "with a number"),
        ({"field": "mrr", "above": float("inf")}, "when.above", "with a number"),
        ({"field": "mrr"}, "when", "does not say what mrr is compared with: is, is_not, above"),
        ({"field": "subscription.status", "is": "activ"}, "when.is", "is one of active, past_due"),
        (
            {"field": "subscription.status", "is": "activ"},
            "when.is",
            "'activ' is nothing that it can be, perhaps active",
        ),
        ({"field": "any_subscription.status", "has": "pastdue"}, "when.has", "perhaps past_due; it is one of active"),
        ({"field": "currencies", "has": "USD"}, "when.has", "'USD' is nothing that it can be, perhaps usd"),
        (
            {"field": "currencies", "has": ["usd", "dollars"]},
            "when.has",
            "'dollars' is nothing that it can be, such as",
        ),
        ({"field": "country", "is": "de"}, "when.is", "'de' is nothing that it can be, perhaps DE"),
        ({"field": "subscription.status", "is": []}, "when.is", "it takes 1 to 1,000 values"),
        ({"field": "name", "is": 5}, "when.is", "name is a text; it is compared with a text"),
        ({"field": "name", "contains": "a\0"}, "when.contains", "with a text"),
        ({"field": "ever_paid", "is": "yes"}, "when.is", "it is true or false"),
        ({"field": "renews_at", "after": "tomorrow"}, "when.after", "such as 2026-03-31"),
        ({"field": "renews_at", "after": "2026-02-30"}, "when.after", "such as 2026-03-31"),
        ({"field": "renews_at", "after": "2026-03-31T12:00:00"}, "when.after", "lacks its time zone"),
        ({"field": "renews_at", "in_next_days": -1}, "when.in_next_days", "whole number of days"),
        ({"field": "renews_at", "in_next_days": 1.5}, "when.in_next_days", "whole number of days"),
        ({"field": "any_subscription.status", "has": "gone"}, "when.has", "nothing that it can be"),
        ({"field": "packages", "known": "yes"}, "when.known", "it is true or false"),
        ({"all": []}, "when.all", "it takes a list of conditions"),
        ({"all": {"field": "mrr", "above": 1}}, "when.all", "it takes a list of conditions"),
        ({"every": []}, "when.every", "a condition is {all: […]}"),
        ({}, "when", "a condition is {all: […]}"),
        ("mrr > 5", "when", "a condition is {all: […]}"),
        ({"all": [1], "any": [2]}, "when", "it says all and any at once"),
        ({"condition": "risky"}, "when.condition", "there is no condition 'risky'; known are: none so far"),
        ({"any": [{"field": "mrr", "above": 1}, {"field": "x", "is": 1}]}, "when.any.1.field", "no field 'x'"),
        ({"not": {"field": "kind", "is": "team"}}, "when.not.is", "one of user, account"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(said: Any, where: str, words: str) -> None:
    found = faults(said)
    assert list(found) == [where]
    assert words in found[where]


def test_every_fault_is_told_not_the_first_alone() -> None:
    said = {"all": [{"field": "mrrr", "above": 1}, {"field": "mrr", "above": "x", "near": 2}]}
    assert list(faults(said)) == ["when.all.0.field", "when.all.1.above", "when.all.1.near"]


def test_what_is_nested_without_end_or_too_long_is_refused() -> None:
    deep: Any = {"field": "mrr", "above": 1}
    for _ in range(DEEPEST + 1):
        deep = {"not": deep}
    (problem,) = faults(deep).values()
    assert "nested" in problem
    long = {"any": [{"field": "mrr", "above": place} for place in range(MOST_TESTS + 1)]}
    assert "more than 200 tests" in faults(long)["when"]


def test_a_property_takes_every_operator_and_keeps_its_path() -> None:
    assert operators_of("any") == list(OPERATORS)
    node, wrong = parse({"field": "properties.crm.tier", "is": "gold"}, CONTACT_FIELDS)
    assert wrong == []
    assert isinstance(node, Test)
    assert node.field.path == ("crm", "tier")
    made = compiled(node)
    assert list(made.values.values()) == [["gold"], ["crm", "tier"]]


def test_no_word_of_a_condition_stands_in_the_sql() -> None:
    """They are bound, so nothing that is said there is ever read as SQL."""
    text = "x') or true; drop table tidegate.contacts; --"
    node, wrong = parse(
        {"all": [{"field": "name", "contains": text}, {"field": f"properties.{text}", "is": text}]}, CONTACT_FIELDS
    )
    assert wrong == []
    assert "drop" not in compiled(node).sql


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["all", "any", "not", "field", "condition", *OPERATORS, "x"]) | st.text(max_size=4),
            inner | st.sampled_from(list(CONTACT_FIELDS.known)),
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_is_said_is_read_or_refused(said: Any) -> None:
    node, wrong = parse(said, CONTACT_FIELDS)
    if not wrong:
        assert compiled(node).sql
