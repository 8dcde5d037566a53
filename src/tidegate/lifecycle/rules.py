"""The rules that hold without a word said: who is at risk, stages in their order, segments, and the preset `journy`.

Each is written as a person would write it in tidegate.yaml (semantics.md §6).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.conditions.nodes import AnyOf, Node, tests
from tidegate.conditions.parse import parse
from tidegate.errors.wrong import Wrong
from tidegate.revenue.risks import EXPIRING_DAYS

AT_RISK_BY: Mapping[str, Mapping[str, Any]] = {
    "past_due": {"field": "any_subscription.status", "has": "past_due"},
    "unpaid": {"field": "any_subscription.status", "has": "unpaid"},
    "scheduled_to_cancel": {"field": "ends_at", "known": True},
    "card_expiring": {
        "all": [
            {"field": "card.expires_at", "known": True},
            {"not": {"field": "card.expires_at", "more_than_days_ahead": EXPIRING_DAYS}},
            {"field": "card.backup", "is_not": True},
        ]
    },
    "unhealthy": {"field": "unhealthy", "is": True},
}
"""Past due, unpaid, scheduled to cancel, a card that expires with no valid backup, unhealthy: by the keys of
`revenue.risks.RISKS`, which says the same of each subscription.
"""
AT_RISK: Mapping[str, Any] = {"any": list(AT_RISK_BY.values())}
"""Any of them."""


class Rule(NamedTuple):
    """A stage or a segment: its key, its name, and the condition as it was said; None: of the default stage."""

    key: str
    name: str
    when: Mapping[str, Any] | None


def _status(*values: str) -> dict[str, Any]:
    return {"field": "subscription.status", "is": list(values)}


_CHURNED = {
    "all": [
        {"field": "ever_paid", "is": True},
        {"field": "subscription.status", "is_not": ["active", "past_due", "trialing"]},
    ]
}

STAGES: Sequence[Rule] = (
    Rule("at_risk", "At risk", {"all": [_status("active", "past_due", "unpaid"), {"condition": "at_risk"}]}),
    Rule("customer", "Customer", _status("active", "past_due")),
    Rule("trial", "Trial", _status("trialing")),
    Rule("paused", "Paused", _status("paused")),
    Rule("churned", "Churned", _CHURNED),
    Rule("prospect", "Prospect", None),
)
"""The first that holds is the contact's."""

JOURNY: Sequence[Rule] = (
    Rule("trial", "Trial", _status("trialing")),
    Rule("customer", "Customer", _status("active", "incomplete", "incomplete_expired", "past_due", "unpaid")),
    Rule("churn", "Churn", _status("canceled")),
    Rule("prospect", "Prospect", None),
)
"""As journy.io maps statuses of Stripe to stages; a status that it maps to none is a prospect's."""

PRESETS: Mapping[str, Sequence[Rule]] = {"default": STAGES, "journy": JOURNY}

_GROWTH = {"all": [{"field": "mrr", "at_least": 200}, {"field": "usage", "at_least": 0.8}]}
_STARTER = {"all": [{"field": "mrr", "above": 0, "below": 1000}, {"not": _GROWTH}]}

SEGMENTS: Sequence[Rule] = (
    Rule("enterprise", "Enterprise", {"field": "mrr", "at_least": 1000}),
    Rule("growth", "Growth", _GROWTH),
    Rule("starter", "Starter", _STARTER),
    Rule("at_risk", "At risk", {"condition": "at_risk"}),
)
"""Whoever pays is in one of the first three at least: a starter is whoever is neither enterprise nor growth."""

NEVER: Node = AnyOf(())


def named() -> dict[str, Node]:
    """The conditions that others can name."""
    node, wrong = parse(AT_RISK, CONTACT_FIELDS)
    assert not wrong, wrong
    return {"at_risk": node}


def read(rule: Rule) -> tuple[Node, list[Wrong]]:
    """The condition of a rule, and what is wrong with it; that of the default stage never holds by itself."""
    if rule.when is None:
        return NEVER, []
    return parse(rule.when, CONTACT_FIELDS, named(), where=f"{rule.key}.when")


def wrong_stages(stages: Sequence[Rule]) -> list[Wrong]:
    """What is wrong with stages: their conditions, two of one key, no default or several."""
    found = [fault for stage in stages for fault in read(stage)[1]]
    keys = [stage.key for stage in stages]
    found += [Wrong(key, "two stages have this key") for key in sorted(set(keys)) if keys.count(key) > 1]
    defaults = [stage.key for stage in stages if stage.when is None]
    if len(defaults) != 1:
        said = f"{', '.join(defaults)} have none" if defaults else "each has one"
        found.append(Wrong("stages", f"exactly one stage has no `when`, for whomever no other takes; {said}"))
    found += [
        Wrong(f"{stage.key}.when", f"a stage cannot ask for {test}")
        for stage in stages
        for test in _tests(stage)
        if test in {"segments", "stage"}
    ]
    return found


def wrong_segments(segments: Sequence[Rule]) -> list[Wrong]:
    """What is wrong with segments: their conditions, two of one key, one that asks for places itself."""
    found = [fault for one in segments for fault in read(one)[1]]
    keys = [one.key for one in segments]
    found += [Wrong(key, "two segments have this key") for key in sorted(set(keys)) if keys.count(key) > 1]
    found += [Wrong(one.key, "a segment needs `when`") for one in segments if one.when is None]
    found += [
        Wrong(f"{one.key}.when", f"a segment cannot ask for {test}")
        for one in segments
        for test in _tests(one)
        if test in {"segments", "stage"}
    ]
    return found


def _tests(rule: Rule) -> list[str]:
    return [test.field.name for test in tests(read(rule)[0])]
