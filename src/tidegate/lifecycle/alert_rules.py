"""The rules of alerts: when each holds, about what, and the days that can be set of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.conditions.fields import Field, Fields
from tidegate.revenue.risks import EXPIRING_DAYS, backed

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
    """When to alert, and about what: `occurrences`, SQL of texts, each of which is another one when the same happens
    anew. One that ends, or begins, leaves the others as they are.

    One that is not `enabled` opens nothing, and resolves what it opened. `fields`: what `when` may ask for.
    `happened`: SQL of when one, `o.occurrence` of `o.contact`, came about; empty: time brings it, or nobody knows.
    """

    key: str
    name: str
    when: Mapping[str, Any]
    occurrences: str
    enabled: bool = True
    fields: Fields = field(default=CONTACT_FIELDS, compare=False)
    happened: str = ""


def at(of: str) -> str:
    """SQL of an instant as a text that sorts and means the same everywhere."""
    return f"to_char({of} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"


def _one(of: str) -> str:
    """The only occurrence: an instant, be it unknown."""
    return f"array[coalesce({at(of)}, '')]"


def _each(of: str) -> str:
    """Every instant of an array is an occurrence."""
    return f"array(select distinct {at('each')} from unnest({of}) each)"


def _with(name: str, sql: str, meaning: str) -> Fields:
    """The fields, of which one is another than in other conditions."""
    return Fields({**CONTACT_FIELDS.known, name: Field(name, "instant", sql, meaning)}.values())


def _renewals(months: float, days: float) -> tuple[Fields, str]:
    """The fields, with a renewal that is one of intervals of so many months or more; and which come so soon."""
    long = f"from unnest(l.renewals, l.renewal_months) r(at, months) where r.months >= {months} and r.at >= :as_of"
    end = f":as_of + {days} * interval '1 day'"
    sql = f"case when l.renewals[1] < {end} then (select min(r.at) {long}) end"  # most renew later: nothing to look for
    soon = f"array(select distinct {at('r.at')} {long} and r.at < {end})"
    return _with("renews_at", sql, f"the next renewal of an interval of {months} months or more"), soon


def _trials(days: float) -> tuple[Fields, str]:
    """The fields, with the trial that ends next, though one that is over still stands; and which end so soon."""
    ending = "from unnest(l.trial_ends) t(at) where t.at >= :as_of"
    soon = f"array(select distinct {at('t.at')} {ending} and t.at < :as_of + {days} * interval '1 day')"
    return _with("trial_ends_at", f"(select min(t.at) {ending})", "the end of the trial that ends next"), soon


def _cards(days: float) -> tuple[Fields, str]:
    """The fields, with the first card to expire that nothing backs up; and all of these that expire so soon, or did."""
    alone = f"from unnest(l.cards, l.card_backups) k(at, until) where ({backed('k.at', 'k.until')}) is not true"
    soon = f"array(select distinct {at('k.at')} {alone} and k.at <= :as_of + {days} * interval '1 day')"
    return _with("card.expires_at", f"(select min(k.at) {alone})", "when a card expires that nothing backs up"), soon


_AT = "cast(nullif(o.occurrence, '') as timestamptz)"
_HAPPENED = {
    "past_due": _AT,
    "canceled": _AT,
    "downgrade": _AT,
    "cancellation_scheduled": "cast(nullif(split_part(o.occurrence, ' asked ', 2), '') as timestamptz)",
    "payment_failed": """(
  select min(c.created) from tidegate.links l
  join stripe.invoices v on v.connection = l.connection and v.customer = l.customer and v.id = o.occurrence
  join stripe.charges c on c.connection = v.connection and c.customer = v.customer and c.status = 'failed'
    and c.deleted_at is null and (
      c.invoice = v.id or c.id = v.charge or c.payment_intent = v.payment_intent or c.payment_intent in (
        select p.payment_intent from stripe.invoice_payments p where p.connection = v.connection and p.invoice = v.id))
  where l.contact = o.contact)""",
}

_LIVE = {"field": "subscription.status", "is": ["active", "past_due", "trialing"]}


def rules_of(said: Mapping[str, Mapping[str, Any]]) -> Sequence[AlertRule]:
    """The rules, with what is said of some of them, by key: {days, interval_months, enabled}; it is sound
    (`settings.read_alerts`).
    """
    days = {key: said.get(key, {}).get("days", able["days"]) for key, able in SETTABLE.items() if "days" in able}
    months = said.get("renewal_upcoming", {}).get("interval_months", SETTABLE["renewal_upcoming"]["interval_months"])
    soon, expiring = days["renewal_upcoming"], days["card_expiring"]
    long, renewals = _renewals(months, soon)
    trying, trials = _trials(days["trial_ending"])
    charged, cards = _cards(expiring)
    fields = {"renewal_upcoming": long, "trial_ending": trying, "card_expiring": charged}
    rows: Sequence[tuple[str, str, Mapping[str, Any], str]] = (
        ("payment_failed", "Payment failed", {"field": "payments.failed", "above": 0}, "l.failing_invoices"),
        ("past_due", "Past due", {"field": "any_subscription.status", "has": "past_due"}, _each("l.past_dues")),
        (
            "card_expiring",
            "Card expiring",
            {
                "all": [
                    _LIVE,
                    {"field": "card.expires_at", "known": True},
                    {"not": {"field": "card.expires_at", "more_than_days_ahead": expiring}},
                ]
            },
            cards,
        ),
        (
            "renewal_upcoming",
            "Renewal upcoming",
            {"field": "renews_at", "in_next_days": soon},
            renewals,
        ),
        ("cancellation_scheduled", "Cancellation scheduled", {"field": "ends_at", "known": True}, "l.cancellations"),
        ("canceled", "Canceled", {"field": "churned_at", "in_last_days": days["canceled"]}, _one("f.churned_at")),
        (
            "downgrade",
            "Downgrade",
            {"field": "downgraded_at", "in_last_days": days["downgrade"]},
            _one("l.downgraded_at"),
        ),
        ("health_dropped", "Health dropped", {"field": "unhealthy", "is": True}, _one("l.unhealthy_since")),
        (
            "trial_ending",
            "Trial ending",
            {"field": "trial_ends_at", "in_next_days": days["trial_ending"]},
            trials,
        ),
        (
            "inactive",
            "Inactive",
            {"all": [_LIVE, {"field": "days_inactive", "at_least": days["inactive"]}]},
            _one("l.last_active_at"),
        ),
    )
    return [
        AlertRule(
            *row,
            enabled=said.get(row[0], {}).get("enabled", True),
            fields=fields.get(row[0], CONTACT_FIELDS),
            happened=_HAPPENED.get(row[0], ""),
        )
        for row in rows
    ]


RULES: Sequence[AlertRule] = rules_of({})
"""The rules that hold without a word said."""
