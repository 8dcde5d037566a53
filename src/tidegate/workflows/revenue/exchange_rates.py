"""Takes exchange rates, and looks anew at the contacts that are worth something else by them."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, text

from tidegate.lifecycle import due
from tidegate.revenue import editions, rate_files


def take(db: Connection, rates: Mapping[str, Mapping[date, Decimal]], where: str) -> int:
    """Stores rates as `rate_files.store` does, in the caller's transaction; returns how many were written.

    Whoever pays in another currency than the base is looked at again: what conditions, health and segments know of it
    is in the base. They move by that, and nobody is told: a rate is no news of anybody.
    """
    written = rate_files.store(db, rates, where)
    if written and (base := editions.base(db)):
        with due.by_other_rules(db):
            due.note(db, list(db.scalars(_ELSEWHERE, {"base": base})))
    return written


_ELSEWHERE = text("""
select f.contact from tidegate.contact_facts f left join tidegate.contact_lifecycle l on l.contact = f.contact
where exists (select from jsonb_object_keys(f.mrr) currency where currency <> :base) or l.mrr_total is null
  or l.open_total is null or l.open_invoices > 0
order by 1""")
