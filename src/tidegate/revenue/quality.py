"""What in the data makes figures of revenue doubtful: each object by name, with what is wrong and where to mend it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.errors import ReportInvalid


class Check(NamedTuple):
    """What is looked for: `about` says why it matters, `remedy` what to do; `sql` finds rows of object, id, name and
    detail.
    """

    name: str
    about: str
    remedy: str
    sql: str


def known(check: str | None) -> str | None:
    """The name of a check, or of none. Raises ReportInvalid for another name."""
    if check is not None and check not in ABOUTS:
        raise ReportInvalid(problem=f"There is no check {check}: there are {', '.join(ABOUTS)}.")
    return check


def found(db: Connection, connection: str) -> list[dict[str, Any]]:
    """What the checks of `CHECKS` find: {check, object, id, name, detail}, check by check."""
    return [
        {"check": check.name, **row}
        for check in CHECKS
        for row in db.execute(text(check.sql), {"connection": connection}).mappings()
    ]


def counts(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How much each check found, those that found nothing too: {check, about, remedy, objects}."""
    numbers: dict[str, int] = dict.fromkeys(ABOUTS, 0)
    for row in rows:
        numbers[row["check"]] += 1
    return [
        {"check": name, "about": ABOUTS[name], "remedy": REMEDIES[name], "objects": number}
        for name, number in numbers.items()
    ]


# Items of subscriptions that may bill again.
_LIVE = """
select i.id, i.subscription, i.price, i.product, i.interval, i.interval_count, s.customer, s.connection
from stripe.subscription_items i
join stripe.subscriptions s on s.connection = i.connection and s.id = i.subscription and s.deleted_at is null
  and s.status in ('trialing', 'active', 'past_due', 'unpaid', 'paused') and s.test_clock is null
where i.connection = :connection and i.deleted_at is null"""

_SOLD = f"""
sold as (
  select p.*, coalesce(nullif(p.nickname, ''), p.lookup_key, '') as called, o.name as product_name,
    coalesce(n.items, 0) as items
  from stripe.prices p
  left join stripe.products o on o.connection = p.connection and o.id = p.product
  left join (select price, count(*) as items from ({_LIVE}) live group by price) n on n.price = p.id
  where p.connection = :connection and p.deleted_at is null and p.type = 'recurring' and (p.active or n.items > 0))"""

_USED = "items || ' items of live subscriptions have it'"

_PRICE = """
'price' as object, id, coalesce(nullif(called, ''), product_name, '') as name"""

CHECKS = (
    Check(
        "price_without_amount",
        "A price that tells no amount: its items are worth nothing.",
        "Give the price an amount or tiers in Stripe; where it has tiers, let the key read prices whole.",
        f"""
with {_SOLD}
select {_PRICE},
  case when billing_scheme = 'tiered' then 'its tiers are not known; ' else 'it tells no amount; ' end || {_USED}
    as detail
from sold
where case when billing_scheme = 'tiered' then coalesce(jsonb_array_length(nullif(data -> 'tiers', 'null')), 0) = 0
      else unit_amount is null and unit_amount_decimal is null end
order by items desc, id""",
    ),
    Check(
        "price_without_name",
        "A price that only its id tells from the others of its product.",
        "Give the price a nickname in Stripe.",
        f"""
with {_SOLD}, told as (select sold.*, count(*) over (partition by product) as siblings from sold)
select {_PRICE}, siblings || ' prices of the product are in use; ' || {_USED} as detail
from told where called = '' and (siblings > 1 or coalesce(product_name, '') = '') order by items desc, id""",
    ),
    Check(
        "duplicate_prices",
        "Prices of a product that say the same: figures by price fall apart.",
        "Keep one of them: archive the others in Stripe once no subscription has them.",
        f"""
with {_SOLD}, told as (
  select sold.*, array_agg(id) over same as alike from sold
  where coalesce(billing_scheme, '') <> 'tiered' and (unit_amount is not null or unit_amount_decimal is not null)
  window same as (partition by product, currency, interval, interval_count, usage_type, tax_behavior,
    coalesce(unit_amount_decimal, unit_amount::text), data -> 'transform_quantity'
    rows between unbounded preceding and unbounded following))
select {_PRICE}, 'the same as ' || array_to_string(array_remove(alike, id), ', ') || '; ' || {_USED} as detail
from told where cardinality(alike) > 1 order by product, items desc, id""",
    ),
    Check(
        "interval_misnamed",
        "A price whose name says another interval than it has.",
        "Rename the price in Stripe, or move its subscriptions to one that bills as its name says.",
        f"""
with {_SOLD}, told as (
  select sold.*, case when called ~* '(year|annual|yr)' then 'year' when called ~* '(month|/mo)' then 'month'
    when called ~* 'week' then 'week' when called ~* '(daily|per day)' then 'day' end as says from sold)
select {_PRICE}, 'it is called ' || called || ' and bills every ' || coalesce(interval_count, 1) || ' ' || interval
  || '; ' || {_USED} as detail
from told
where says <> interval and not (says = 'year' and interval = 'month' and interval_count = 12)
order by items desc, id""",
    ),
    Check(
        "mixed_intervals",
        "A subscription whose items bill at different intervals: it renews in parts.",
        "Nothing where it is meant; else part it into a subscription for each interval.",
        f"""
with live as ({_LIVE})
select 'subscription' as object, subscription as id, min(c.email) as name,
  string_agg(distinct coalesce(interval_count, 1) || ' ' || interval, ', ') as detail
from live left join stripe.customers c on c.connection = live.connection and c.id = live.customer
where interval is not null
group by subscription having count(distinct (interval, coalesce(interval_count, 1))) > 1 order by subscription""",
    ),
    Check(
        "customer_without_email",
        "A customer that subscribes and has no e-mail address: nothing but its id tells who it is.",
        "Give the customer an e-mail address in Stripe, or your id in its metadata.",
        f"""
with live as ({_LIVE})
select 'customer' as object, c.id, coalesce(c.name, '') as name,
  count(distinct live.subscription) || ' live subscriptions' as detail
from stripe.customers c join live on live.connection = c.connection and live.customer = c.id
where c.deleted_at is null and coalesce(c.email, '') = '' group by c.id, c.name order by c.id""",
    ),
    Check(
        "item_without_mapping",
        "A price that means no package and no feature: figures by package leave it out.",
        "Map the price or its product to a package: page Mappings, or `tidegate map`.",
        f"""
with live as ({_LIVE})
select 'price' as object, u.price as id, coalesce(p.nickname, o.name, '') as name,
  (select count(*) from live where live.price = u.price) || ' items of live subscriptions have it' as detail
from tidegate.unmapped_prices u
left join stripe.prices p on p.connection = u.connection and p.id = u.price
left join stripe.products o on o.connection = u.connection and o.id = coalesce(u.product, p.product)
where u.connection = :connection order by u.price""",
    ),
    Check(
        "unreadable",
        "An object of which Stripe sent something that could not be read: what hangs on it may be missing.",
        "Compare the object in Stripe with the reason; `tidegate audit` reads it again.",
        """
select case resource when 'invoice_lines' then 'invoice' when 'subscription_items' then 'subscription'
    else rtrim(resource, 's') end as object,
  split_part(object_id, '/', 1) as id, '' as name,
  case when field = '' then '' else field || ': ' end || reason || case when object_id like '%/%'
    then ' (' || object_id || ')' else '' end as detail
from tidegate.unreadable
where connection = :connection and resource in (
  'subscriptions', 'subscription_items', 'invoices', 'invoice_lines', 'prices', 'coupons', 'discounts', 'customers')
order by resource, object_id, field""",
    ),
)

TAX = "inclusive_tax_without_rate"
ABOUT_TAX = "An item whose price includes tax, and nothing says how much: all of it counts."
ABOUTS = {check.name: check.about for check in CHECKS} | {TAX: ABOUT_TAX}
"""Every check by its name, with why it matters."""
REMEDIES = {check.name: check.remedy for check in CHECKS} | {
    TAX: "Attach a tax rate to the subscription in Stripe, or let it work tax out by itself."
}
"""What to do about what a check finds."""
