"""Keeps the lifecycle in step: facts of who changed; health, stage, segments and alerts of everybody; actions."""

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import Connection, Engine, text

from tidegate.lifecycle import alert_merging, alerts, due, facts, health, owners, placing, rulebook
from tidegate.lifecycle.facts import Units
from tidegate.money import exponent
from tidegate.revenue import editions, rate_files
from tidegate.workflows.lifecycle.fire_actions import fire_actions

BATCH = 1_000
"""Contacts of one transaction."""
EVERY = 900
"""Seconds after which everybody is looked at again, because time passes."""


@dataclass(slots=True)
class Kept:
    """What was done: contacts whose facts were looked at, rows of facts written, healths kept, contacts that came to
    another stage or segment, that another owner got by its rule, alerts opened and resolved, occurrences for which
    actions fired, or would have but for the hold-out.
    """

    contacts: int = 0
    facts: int = 0
    healths: int = 0
    moved: int = 0
    owned: int = 0
    opened: int = 0
    resolved: int = 0
    fired: int = 0
    held_out: int = 0

    def as_json(self) -> dict[str, int]:
        """As a JSON object."""
        return asdict(self)


def keep(engine: Engine, *, as_of: datetime | None = None, stop: threading.Event | None = None) -> Kept:
    """Brings facts, health, stages, segments and alerts up to all that changed, and up to the time.

    `as_of`: the instant to look from; the database's clock where it is not said. Facts go by batches, each its own
    transaction, behind whoever places contacts or changes what they are worth; the rest is of all contacts at once,
    because time moves those as well that nothing happened to.
    """
    kept = Kept()
    with engine.begin() as db:
        _note_due(db, as_of or now(db))
    while not (stop and stop.is_set()):
        with engine.begin() as db:
            rulebook.lock(db)
            contacts, written = _keep_facts_due(db, as_of or now(db))
        kept.facts += written
        kept.contacts += len(contacts)
        if len(contacts) < BATCH:
            break
    with engine.begin() as db:
        rulebook.lock(db)
        at = as_of or now(db)
        place(db, at, kept)
        due.note_kept(db, at)
    fired = fire_actions(engine, as_of=as_of, stop=stop)
    kept.fired, kept.held_out = fired.fired, fired.held_out
    return kept


def keep_due(engine: Engine, *, stop: threading.Event | None = None) -> Kept | None:
    """The same where somebody waits, or nobody was looked at for a quarter of an hour; else None."""
    with engine.connect() as db:
        wanted = due.waiting(db, EVERY, now(db))
    return keep(engine, stop=stop) if wanted else None


def place(db: Connection, as_of: datetime, kept: Kept | None = None) -> None:
    """Brings health, stages, segments and alerts of everybody up to the facts that are kept, in the caller's
    transaction, which holds `rulebook.lock`; counts it in `kept`.
    """
    kept = kept if kept is not None else Kept()
    scored = rulebook.health(db)
    kept.healths += health.keep(db, scored.components, as_of, thresholds=scored.thresholds)
    rules = rulebook.load(db)
    quiet = due.of_history(db)
    moved, silent = placing.place(db, rules, as_of, quiet)
    kept.moved += moved
    if owners.has_rules(db):
        kept.owned += owners.assign(db, as_of)
    by_rules = {contact for contact, why in quiet.items() if why == "rules"}
    told = alerts.keep(db, rulebook.alert_rules(db), as_of, silent, by_rules)
    due.settle(db, as_of)
    kept.opened += told.opened
    kept.resolved += told.resolved


def _note_due(db: Connection, as_of: datetime) -> None:
    due.note_used(db)
    due.note_outdated(db, as_of)


def _keep_facts_due(db: Connection, as_of: datetime) -> tuple[list[int], int]:
    """Takes a batch off the queue; returns whom, and how many rows of facts were written."""
    contacts = due.take(db, BATCH)
    return contacts, facts.keep_facts(db, contacts, _units(db, contacts, as_of), as_of) if contacts else 0


def catch_up(db: Connection, as_of: datetime) -> None:
    """Brings all up that changed, in the caller's transaction, which holds `rulebook.lock`: facts of who waits, then
    everybody's place.
    """
    _note_due(db, as_of)
    while len(_keep_facts_due(db, as_of)[0]) == BATCH:
        pass
    place(db, as_of)


def renew_facts(db: Connection, as_of: datetime) -> None:
    """Brings the facts of all contacts up, in the caller's transaction, which holds `rulebook.lock`."""
    everybody = list(db.scalars(text("select key from tidegate.contacts where merged_into is null order by key")))
    for at in range(0, len(everybody), BATCH):
        some = everybody[at : at + BATCH]
        facts.keep_facts(db, some, _units(db, some, as_of), as_of)


def part(db: Connection, kept: int, other: int) -> None:
    """After contacts (internal keys) are two again: alerts that came while they were one go to whose they are."""
    at = now(db)
    facts.keep_facts(db, [kept, other], _units(db, [kept, other], at), at)
    alert_merging.hand_over(db, rulebook.alert_rules(db), kept, other, at)


def _units(db: Connection, contacts: Sequence[int], as_of: datetime) -> Units:
    """What these contacts' currencies are in the base that all ledgers agree on."""
    currencies = list(db.scalars(_CURRENCIES, {"contacts": list(contacts)}))
    base = editions.base(db)
    if not base:
        return Units({one: Decimal(1).scaleb(-exponent(one)) for one in currencies}, {}, based=False)
    rates, day = rate_files.known(db, base, currencies), as_of.date()
    found: dict[str, Decimal] = {}
    for one in currencies:
        factor = rates.factor(one, day)
        if factor is not None:
            found[one] = Decimal(factor.numerator) / Decimal(factor.denominator) * Decimal(1).scaleb(-exponent(base))
    until = {one: last for one in found if (last := rates.holds_until(one, day)) is not None}
    return Units(found, until, based=True)


def now(db: Connection) -> datetime:
    """The database's time, UTC: one clock for all machines."""
    return db.execute(text("select clock_timestamp()")).scalar_one().astimezone(UTC)


_CURRENCIES = text("""
select jsonb_object_keys(mrr) from tidegate.contact_facts where contact = any(cast(:contacts as bigint[]))
union
select v.currency from tidegate.links l
join stripe.invoices v on v.connection = l.connection and v.customer = l.customer and v.status = 'open'
where l.contact = any(cast(:contacts as bigint[])) and v.currency is not null""")
