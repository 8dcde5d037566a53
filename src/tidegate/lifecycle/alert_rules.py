"""The rules of alerts: when each holds, about what, and the days that can be set of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.revenue.risks import EXPIRING_DAYS

SETTABLE: Mapping[str, Mapping[str, float]] = {
    "payment_failed": {},
    "past_due": {},
    "card_expiring": {"days": EXPIRING_DAYS},
    "renewal_upcoming": {"days": 30, "interval_months": 3},
    "cancellation_scheduled": {},
    "canceled": {"days": 30},
    "downgrade": {"days": 30},
    "health_dropped": {},
    "trial_ending": {"days": 7},
    "inactive": {"days": 30},
}
"""What can be set of each rule, beside whether it is enabled: days ahead or past, months of the shortest interval."""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """When to alert, and about what: `occurrence`, SQL of a text that is another one when the same happens anew.

    One that is not `enabled` opens nothing, and resolves what it opened.
    """

    key: str
    name: str
    when: Mapping[str, Any]
    occurrence: str
    enabled: bool = True


def _at(of: str) -> str:
    """An instant as a text that sorts and means the same everywhere."""
    return f"to_char({of} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"


_LIVE = {"field": "subscription.status", "is": ["active", "past_due", "trialing"]}


def rules_of(said: Mapping[str, Mapping[str, Any]]) -> Sequence[AlertRule]:
    """The rules, with what is said of some of them, by key: {days, interval_months, enabled}; it is sound
    (`settings.read_alerts`).
    """
    days = {key: said.get(key, {}).get("days", able["days"]) for key, able in SETTABLE.items() if "days" in able}
    months = said.get("renewal_upcoming", {}).get("interval_months", SETTABLE["renewal_upcoming"]["interval_months"])
    soon, expiring = days["renewal_upcoming"], days["card_expiring"]
    rows: Sequence[tuple[str, str, Mapping[str, Any], str]] = (
        ("payment_failed", "Payment failed", {"field": "payments.failed", "above": 0}, "l.failing_invoice"),
        ("past_due", "Past due", {"field": "any_subscription.status", "has": "past_due"}, _at("l.past_due_since")),
        (
            "card_expiring",
            "Card expiring",
            {
                "all": [
                    _LIVE,
                    {"field": "card.expires_at", "known": True},
                    {"not": {"field": "card.expires_at", "more_than_days_ahead": expiring}},
                    {"field": "card.backup", "is_not": True},
                ]
            },
            _at("l.card_expires_at"),
        ),
        (
            "renewal_upcoming",
            "Renewal upcoming",
            {"all": [{"field": "renews_at", "in_next_days": soon}, {"field": "interval_months", "at_least": months}]},
            _at("f.renews_at"),
        ),
        ("cancellation_scheduled", "Cancellation scheduled", {"field": "ends_at", "known": True}, _at("f.ends_at")),
        ("canceled", "Canceled", {"field": "churned_at", "in_last_days": days["canceled"]}, _at("f.churned_at")),
        (
            "downgrade",
            "Downgrade",
            {"field": "downgraded_at", "in_last_days": days["downgrade"]},
            _at("l.downgraded_at"),
        ),
        ("health_dropped", "Health dropped", {"field": "unhealthy", "is": True}, _at("l.unhealthy_since")),
        (
            "trial_ending",
            "Trial ending",
            {"field": "trial_ends_at", "in_next_days": days["trial_ending"]},
            _at("f.trial_ends_at"),
        ),
        (
            "inactive",
            "Inactive",
            {"all": [_LIVE, {"field": "days_inactive", "at_least": days["inactive"]}]},
            _at("l.last_active_at"),
        ),
    )
    return [AlertRule(*row, enabled=said.get(row[0], {}).get("enabled", True)) for row in rows]


RULES: Sequence[AlertRule] = rules_of({})
"""The rules that hold without a word said."""
