"""Exchange rates that are missing whenever one looks, so that nobody knows what contacts are worth in the base."""

from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection, text

from tidegate.revenue import editions, rate_files
from tidegate.revenue.rates import OLDEST
from tidegate.workflows.operation.problems_found import Found


def of_installation(db: Connection, as_of: datetime | None = None) -> list[Found]:
    """The problem, if it is one. `as_of`: the day that rates are wanted of; None: today, UTC."""
    base, contacts = editions.base(db), db.scalar(_UNRATED) or 0
    if not base or not contacts:
        return []
    rates = rate_files.known(db, base, currencies := list(db.scalars(_CURRENCIES)))
    day = (as_of or datetime.now(UTC)).date()
    for one in currencies:
        rates.factor(one, day)
    lacking = sorted(rates.lacking.values())
    words = ", ".join(f"{one.currency} ({f'the last is of {one.newest}' if one.newest else 'none'})" for one in lacking)
    newest = [one.newest for one in lacking if one.newest]
    since = datetime.combine(min(newest) + OLDEST + timedelta(days=1), time(), UTC) if newest else None
    detail = f"Of {contacts:,} contacts nobody knows the worth in {base}: a rate is missing of {words or 'a currency'}."
    return [Found("rates_missing", since, detail)]


_UNRATED = text("""
select count(*) from tidegate.contact_lifecycle l
join tidegate.contacts c on c.key = l.contact and c.merged_into is null and c.forgotten_at is null
where l.unrated""")

_CURRENCIES = text("""
select jsonb_object_keys(f.mrr) from tidegate.contact_lifecycle l
join tidegate.contact_facts f on f.contact = l.contact where l.unrated
union
select v.currency from tidegate.contact_lifecycle l
join tidegate.links k on k.contact = l.contact
join stripe.invoices v on v.connection = k.connection and v.customer = k.customer and v.status = 'open'
where l.unrated and v.currency is not null
order by 1""")
