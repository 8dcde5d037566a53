"""The fields of a contact: each of a column of its worth (`f`), of its lifecycle (`l`) or of itself (`c`)."""

from tidegate.conditions.fields import Field, Fields
from tidegate.revenue.risks import backed

STATUSES = ("active", "past_due", "trialing", "unpaid", "paused", "canceled", "incomplete", "incomplete_expired")
"""Of a subscription, the best first."""
_INVOICE = ("draft", "open", "paid", "uncollectible", "void")
_DAYS = "extract(epoch from {0})::numeric / 86400"


def _days(of: str) -> str:
    return _DAYS.format(of)


_RENEWS_AT = "coalesce(l.renewals[1], f.renews_at)"
_BACKUP = f"""case when l.card_expires_at is not null
  then coalesce({backed("l.card_expires_at", "l.backup_until")}, false) end"""

_ROWS = (
    Field("kind", "text", "c.kind", "a user or an account", ("user", "account")),
    Field("id", "text", "c.external_id", "your id of it"),
    Field("name", "text", "nullif(c.name, '')", "its name"),
    Field("email", "text", "nullif(c.email, '')", "its e-mail address"),
    Field("owner", "text", "nullif(c.owner, '')", "who of your team looks after it"),
    Field("created_at", "instant", "c.created_at", "when it came to be known"),
    Field("country", "text", "l.country", "of its customers, ISO code", written="FR"),
    Field("subscription.status", "text", "l.status", "the best state of its subscriptions", STATUSES),
    Field("any_subscription.status", "list", "f.statuses", "every state of its subscriptions", STATUSES),
    Field("subscriptions", "number", "coalesce(f.subscriptions, 0)::numeric", "how many count towards its MRR"),
    Field("mrr", "number", "l.mrr_total", "a month, in the base currency or its only one, in whole units: 49.50"),
    Field("ever_paid", "flag", "(f.customer_since is not null)", "whether its MRR was ever above 0"),
    Field("mrr_trend", "number", "l.mrr_trend", "MRR as a part of what it was 90 days ago: 0.8 is a fifth less"),
    Field("downgraded_at", "instant", "l.downgraded_at", "the last time that it went down to less"),
    Field("currencies", "list", "l.currencies", "in which it pays, such as usd", written="usd"),
    Field("intervals", "list", "l.intervals", "of its prices", ("day", "week", "month", "year")),
    Field("interval_months", "number", "l.interval_months", "the longest interval that it pays for, in months"),
    Field("packages", "list", "l.packages", "keys of the packages that it holds"),
    Field("quantity", "number", "l.quantity::numeric", "of all its items, seats for the most part"),
    Field("renews_at", "instant", _RENEWS_AT, "the next renewal; unknown when it ends or is paused before"),
    Field("days_to_renewal", "number", _days(f"{_RENEWS_AT} - :as_of"), "days until then, fractions and all"),
    Field("ends_at", "instant", "f.ends_at", "the next end of a subscription that was asked for"),
    Field("trial_ends_at", "instant", "f.trial_ends_at", "the end of a trial that runs"),
    Field("customer_since", "instant", "f.customer_since", "when its MRR was first above 0"),
    Field("churned_at", "instant", "f.churned_at", "when its MRR fell to 0, unless it came back"),
    Field("tenure_days", "number", _days(":as_of - f.customer_since"), "days since it first paid"),
    Field("last_moved_at", "instant", "f.last_moved_at", "when its MRR last changed"),
    Field("payments.failed", "number", "coalesce(l.failed_attempts, 0)::numeric", "failed attempts of open invoices"),
    Field("payments.decline_code", "text", "l.decline_code", "why the last one failed, in Stripe's words"),
    Field("payments.next_attempt_at", "instant", "l.next_attempt_at", "when Stripe tries again"),
    Field(
        "days_past_due", "number",
        f"case when l.past_due_since <= :as_of then {_days(':as_of - l.past_due_since')} end",
        "days since the oldest debt was due",
    ),
    Field("amount_open", "number", "coalesce(l.open_total, 0)", "of open invoices, as MRR is told"),
    Field("invoices.open", "number", "coalesce(l.open_invoices, 0)::numeric", "how many are open"),
    Field(
        "invoices.overdue", "number",
        "(select count(*) from unnest(l.due_dates) due where due < :as_of)::numeric",
        "how many are past their due date",
    ),
    Field("invoices.void", "number", "coalesce(l.void_invoices, 0)::numeric", "how many were voided"),
    Field(
        "invoices.uncollectible", "number", "coalesce(l.uncollectible_invoices, 0)::numeric",
        "how many nobody hopes for any more",
    ),
    Field("latest_invoice.status", "text", "l.latest_invoice_status", "of the newest invoice", _INVOICE),
    Field("card.expires_at", "instant", "l.card_expires_at", "when the card that is charged expires"),
    Field("card.backup", "flag", _BACKUP, "whether another way to pay outlasts that card"),
    Field("cancellation.reason", "text", "l.cancellation_reason", "what was said on the last cancellation"),
    Field("usage", "number", "l.usage_share", "the fullest metered feature: 0.8 is 80 % of its limit"),
    Field("last_active_at", "instant", "l.last_active_at", "the last use of a metered feature"),
    Field("days_inactive", "number", _days(":as_of - l.last_active_at"), "days since the last use"),
    Field("health", "number", "l.health", "its score, 0 to 100; unknown where too little is known"),
    Field("unhealthy", "flag", "(l.unhealthy_since is not null)", "its health fell below 40 and is not 45 again"),
    Field("segments", "list", "l.segments", "keys of the segments that it is in"),
    Field("stage", "text", "l.stage", "key of the stage that it is in"),
)  # fmt: skip

CONTACT_FIELDS = Fields(_ROWS)

CONTACTS = """
from tidegate.contacts c
left join tidegate.contact_facts f on f.contact = c.key
left join tidegate.contact_lifecycle l on l.contact = c.key
where c.merged_into is null and c.forgotten_at is null"""
"""Where the fields stand: every contact that is one, live and test."""
