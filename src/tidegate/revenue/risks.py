"""What puts a subscription at risk, and the contact that has it: one rule for stages, segments, alerts and renewals.

Conditions of contacts say it in their own language (`lifecycle.rules`), from the same reasons, days and cards.
"""

EXPIRING_DAYS = 30
"""A card that expires within so many days, or did, is at risk where no other way to pay outlasts it."""

RISKS = {
    "past_due": "a payment failed and is tried again",
    "unpaid": "payments failed for good",
    "scheduled_to_cancel": "it is to end by itself, at `ends_at`",
    "card_expiring": f"its card expires within {EXPIRING_DAYS} days, and the customer has no other way to pay",
    "unhealthy": "the health of its contact fell below what was set, and did not recover",
}
"""The reasons for which a subscription is at risk."""

# A card lasts to the end of its month; of a date that is none nothing is known.
_EXPIRES = """case when p.card_exp_year between 2000 and 2999 and p.card_exp_month between 1 and 12 then
    make_timestamptz(p.card_exp_year::int, p.card_exp_month::int, 1, 0, 0, 0, 'UTC') + interval '1 month' end"""


def backed(expires: str, until: str) -> str:
    """Whether a card that expires then is no matter, since another way to pay lasts until then: SQL, of an instant
    `:as_of`. A backup can expire, too.
    """
    return f"{until} > greatest({expires}, :as_of)"


CARD = f"""
left join lateral (
  select d.expires_at, b.backup_until, coalesce({backed("d.expires_at", "b.backup_until")}, false) as has_backup
  from (
    select p.id, {_EXPIRES} as expires_at from stripe.payment_methods p
    where p.connection = s.connection and p.deleted_at is null
      and p.id = coalesce(s.default_payment_method, s.default_source, (
        select coalesce(c.default_payment_method, c.default_source) from stripe.customers c
        where c.connection = s.connection and c.id = s.customer and c.deleted_at is null))) d
  cross join lateral (
    select max(case when p.card_exp_year is null then timestamptz '9999-01-01Z' else {_EXPIRES} end) as backup_until
    from stripe.payment_methods p
    where p.connection = s.connection and p.customer = s.customer and p.id <> d.id and p.deleted_at is null) b
  where d.expires_at is not null and s.status in ('active', 'past_due', 'trialing')
    and s.collection_method is distinct from 'send_invoice') k on true"""
"""Joins to subscriptions `s` as `k` the card that each is charged to: when it expires, until when another way to pay
lasts (null: there is none), and whether that outlasts it. The subscription's own comes before the customer's
(docs.stripe.com/api/subscriptions/object). Nulls where it is paid by invoice or by what does not expire. Asks for
`:as_of`.
"""

EXPIRING = f"(k.expires_at <= :as_of + interval '{EXPIRING_DAYS} days' and not k.has_backup)"
"""Whether that card is a risk. Asks for `:as_of`, a timestamptz."""
