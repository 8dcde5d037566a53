"""When a subscription renews and when it is to end, in SQL: one rule for facts of contacts, renewals and explanations.

`pricing.subscription` has the same rule of ends for a subscription that somebody hands over.
"""

ENDS = """
left join lateral (
  select case when s.ended_at is null and s.status not in ('canceled', 'incomplete_expired') then least(
    coalesce(s.cancel_at, case when s.cancel_at_period_end then s.current_period_end end), (
      select coalesce(h.ends_at, h.phase_end) from stripe.subscription_schedules h
      where h.connection = s.connection and h.id = s.schedule and h.end_behavior = 'cancel'
        and h.status in ('active', 'not_started') and h.deleted_at is null)) end as ends_at) e on true"""
"""Joins to subscriptions `s` as `e` when each is to end by what was asked for so far, the earliest of all; null: it
goes on, or has ended.
"""

RENEWS = """
left join lateral (
  select greatest(coalesce(i.current_period_end, s.current_period_end), i.billed_until) as renews_at,
    i.interval, i.interval_count
  from stripe.subscription_items i
  where i.connection = s.connection and i.subscription = s.id and i.deleted_at is null
  order by 1 nulls last, i.id limit 1) n on true"""
"""Joins as `n` when it renews next: the earliest end, over its items, of what is billed. Whether it lives to see that,
RENEWING says.
"""

RENEWING = """(ends_at is null or renews_at < ends_at) and (pause_behavior is null or pause_resumes_at < renews_at)"""
"""Whether it renews then: it does not end until then, and collection is not paused or resumes before."""

MONTHS = """i.interval_count * case i.interval when 'year' then 12 when 'month' then 1 when 'week' then 12 / 52.0
  when 'day' then 12 / 365.0 end"""
"""How many months an interval of the item `i` is."""
