"""Keeps the lifecycle in step: facts of contacts that changed, and the stage of everybody, whatever moved it."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import Connection, Engine, text

from tidegate.lifecycle import due, facts, stages
from tidegate.lifecycle.rules import STAGES
from tidegate.lifecycle.stages import Because
from tidegate.money import exponent
from tidegate.revenue import rate_files

BATCH = 1_000
"""Contacts of one transaction."""


@dataclass(slots=True)
class Kept:
    """What was done: contacts whose facts were looked at, rows of facts written, contacts that came to another stage."""

    contacts: int = 0
    facts: int = 0
    moved: int = 0


def keep(engine: Engine, *, as_of: datetime | None = None, stop: threading.Event | None = None) -> Kept:
    """Brings facts and stages up to all that changed, and up to the time; each batch is its own transaction.

    `as_of`: the instant to look from; the database's clock where it is not said.
    """
    kept = Kept()
    while not (stop and stop.is_set()):
        with engine.begin() as db:
            contacts = due.take(db, BATCH)
            if contacts:
                at = as_of or _now(db)
                kept.facts += facts.keep_facts(db, contacts, *_units(db, contacts, at), at)
                kept.moved += _move(db, at, "facts", contacts)
        kept.contacts += len(contacts)
        if len(contacts) < BATCH:
            break
    with engine.begin() as db:
        kept.moved += _move(db, as_of or _now(db), "facts")
    return kept


def _move(db: Connection, as_of: datetime, because: Because, contacts: Sequence[int] | None = None) -> int:
    rules = stages.staged(STAGES)
    found = stages.moves(db, rules, as_of, contacts)
    stages.carry_out(db, rules, found, as_of, because)
    return len(found)


def _units(db: Connection, contacts: Sequence[int], as_of: datetime) -> tuple[dict[str, Decimal], str]:
    """What a minor unit of each currency of these contacts is in whole units of the base, and the base; "": there is
    none that all ledgers agree on.
    """
    currencies = list(db.scalars(_CURRENCIES, {"contacts": list(contacts)}))
    bases = list(db.scalars(_BASES))
    base = bases[0] if len(bases) == 1 else ""
    if not base:
        return {one: Decimal(1).scaleb(-exponent(one)) for one in currencies}, ""
    rates = rate_files.known(db, base, currencies)
    found: dict[str, Decimal] = {}
    for one in currencies:
        factor = rates.factor(one, as_of.date())
        if factor is not None:
            found[one] = Decimal(factor.numerator) / Decimal(factor.denominator) * Decimal(1).scaleb(-exponent(base))
    return found, base


def _now(db: Connection) -> datetime:
    return db.execute(text("select clock_timestamp()")).scalar_one().astimezone(UTC)


_CURRENCIES = text("""
select jsonb_object_keys(mrr) from tidegate.contact_facts where contact = any(cast(:contacts as bigint[]))
union
select v.currency from tidegate.links l
join stripe.invoices v on v.connection = l.connection and v.customer = l.customer and v.status = 'open'
where l.contact = any(cast(:contacts as bigint[])) and v.currency is not null""")

_BASES = text("""
select distinct base_currency from tidegate.ledgers where adopted_at is not null and retired_at is null""")
