"""Actions that are offered: written as in tidegate.yaml, switched off until somebody wants them."""

from collections.abc import Mapping, Sequence
from typing import Any

PRESETS: Sequence[Mapping[str, Any]] = (
    {
        "key": "renewal-coming",
        "name": "Renewal coming",
        "on": {"renewal_in_days": {"days": 30, "interval_months": 3}},
        "cooldown_days": 60,
        "template": "{{ contact.name | default: contact.id }} renews on {{ trigger.renews_at | date: '%d %B %Y' }}, "
        "worth {{ facts.mrr }} a month. Health: {{ facts.health | default: 'unknown' }}.",
        "goal": {"reach": "renewed", "within_days": 60},
    },
    {
        "key": "payment-failed",
        "name": "Payment failed",
        "on": "payment_failed",
        "cooldown_days": 7,
        "template": "A payment of {{ trigger.amount }} {{ trigger.currency | upcase }} by "
        "{{ contact.name | default: contact.id }} failed ({{ trigger.decline_reason | default: 'no reason given' }}).",
        "goal": {"reach": "payment_recovered", "within_days": 14},
    },
    {
        "key": "trial-ending",
        "name": "Trial ending",
        "on": {"trial_ends_in_days": 3},
        "template": "The trial of {{ contact.name | default: contact.id }} ends on "
        "{{ trigger.trial_ends_at | date: '%d %B' }}.",
    },
    {
        "key": "at-risk",
        "name": "At risk",
        "on": {"enters_stage": "at_risk"},
        "cooldown_days": 30,
        "template": "{{ contact.name | default: contact.id }} is at risk: {{ reason }}.",
        "goal": {"reach": "not_churned", "within_days": 90},
    },
)


def suggested(destination: str) -> list[dict[str, Any]]:
    """The entries of `actions`, sent to this destination."""
    return [
        {name: value for name, value in one.items() if name not in ("template", "goal")}
        | {"do": [{"destination": destination, "template": one["template"]}]}
        | ({"goal": one["goal"]} if "goal" in one else {})
        | {"enabled": False}
        for one in PRESETS
    ]
