"""By what a connection's ledger is kept: shown, tried with the difference that it makes, adopted as a new edition."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.catalog import journal
from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.contacts import linking
from tidegate.errors import ManagedByFile, PolicyInvalid
from tidegate.lifecycle import due
from tidegate.mirror import changed
from tidegate.pricing.policy import SETTINGS
from tidegate.revenue import editions, rate_files, rebuild, spans
from tidegate.revenue.editions import Ledger, Terms
from tidegate.workflows.lifecycle.lifecycle import keep_due
from tidegate.workflows.refresh import BATCH as REFRESHED
from tidegate.workflows.refresh import ROWS, refresh_changed

BATCH = 500
ONLY_MOVEMENTS = {"zero", "unit", "netting"}
"""Settings that decide about movements alone: the spans stay as they are."""

Sums = dict[tuple[str, str, str], int]
"""Amounts of movements by month (`2026-03`), currency and kind, in millionths of a minor unit."""


def shown(engine: Engine, account: Account) -> dict[str, Any]:
    """The policy in force: {connection, edition (null: the ledger has not begun), preset, settings, assumed,
    base_currency, time_zone, identity, managed_by, editions}.
    """
    with engine.connect() as db:
        terms = editions.terms(db, account.name)
        every = editions.every(db, account.name)
        found = editions.current(db, account.name)
    return _told(account.name, terms) | {"edition": found and found.edition, "editions": every}


def _told(connection: str, terms: Terms) -> dict[str, Any]:
    chosen = terms.policy
    return {
        "connection": connection,
        "preset": terms.preset,
        "choices": dict(terms.choices),
        "settings": {name: getattr(chosen, name) for name in SETTINGS},
        "assumed": list(chosen.assumed),
        "base_currency": terms.base_currency or None,
        "time_zone": terms.zone.key,
        "identity": terms.identity,
        "managed_by": terms.managed_by or None,
    }


def preview(engine: Engine, account: Account, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the ledger would say under other terms (`Terms.otherwise`), and the difference; nothing is stored.

    Returns what `shown` says of the terms and {months: [{month, currency, kind, before, now}], mrr: {currency:
    [before, now]}}, amounts in millionths of a minor unit. Raises PolicyInvalid.
    """
    with engine.connect() as db, db.begin() as looking:
        before = editions.terms(db, account.name)
        wanted = before.otherwise(**given)
        _check_rates(db, wanted)
        ledger = editions.tried(account.name, wanted)
        with rebuild.opened() as work:
            if _same_spans(before, wanted):
                work.read_spans(db, ledger)
            else:
                _derive_spans(db, ledger, work)
            work.derive(ledger)
            now = _by_month(work.sums("month"))
        told = _told(account.name, wanted) | _difference(_standing(db, account.name), now)
        looking.rollback()
    return told


def _derive_spans(db: Connection, ledger: Ledger, work: rebuild.Rebuild) -> None:
    work.begin_spans()
    as_of = _now(db)
    for some in _customers(db, ledger.connection):
        found, _ = spans.derived(db, ledger, some, as_of)
        unit = "coalesce('contact:' || l.contact, c.id)" if ledger.policy.unit == "contact" else "c.id"
        values = {"connection": ledger.connection, "customers": list(some)}
        units = {row.id: row.unit for row in db.execute(text(_UNITS.format(unit=unit)), values)}
        work.add_spans(ledger, units, found)


def adopt(engine: Engine, account: Account, given: Mapping[str, Any], by: str) -> dict[str, Any]:
    """Keeps the ledger by other terms from now on, its past included; the edition before stays for comparison. The
    facts of contacts and billing events follow by batches; what is left of them when it ends before its time a worker
    does. Contacts that are elsewhere by other facts are moved silently, after what is due by the old ones was told.

    Answers as `preview` does, and {edition, events}: how many rows of billing events changed. Raises PolicyInvalid, and
    ManagedByFile where tidegate.yaml says.
    """
    with engine.connect() as db:
        _get_ready(editions.tried(account.name, editions.terms(db, account.name).otherwise(**given)))
    keep_due(engine)
    with engine.begin() as db:
        linking.lock(db)
        before = editions.terms(db, account.name)
        if before.managed_by:
            raise ManagedByFile(what=f"The revenue policy of {account.name}")
        told = adopted(db, account, before.otherwise(**given), by)
    return told | {"events": refresh_changed(engine, account).events}


def _get_ready(ledger: Ledger) -> None:
    """Derives the movements of nothing: what that loads and compiles takes seconds, in which nobody has to wait."""
    with rebuild.opened() as work:
        work.begin_spans()
        work.derive(ledger)


def adopted(db: Connection, account: Account, wanted: Terms, by: str) -> dict[str, Any]:
    """The same in the caller's transaction, which holds `linking.lock` unless it is only tried; whoever manages it. The
    facts of contacts and billing events are left to `refresh_changed`.
    """
    _check_rates(db, wanted)
    accounts.hold(db, account.name)
    editions.begin(db, account.name)
    before, standing = editions.terms(db, account.name), _standing(db, account.name)
    same = _kept_by(before) == _kept_by(wanted)
    if same:
        editions.amend(db, account.name, wanted)
    else:
        _begin_edition(db, account.name, before, wanted)
    ledger = editions.begin(db, account.name)
    detail = {"preset": wanted.preset, "choices": dict(wanted.choices), "edition": ledger.edition}
    journal.note(db, by, "revenue.policy", account.name, **detail)
    if not same or wanted.identity != before.identity:
        changed.note_all(db, account.name, REFRESHED // ROWS, by_rules=True)
    if wanted.base_currency != before.base_currency:
        with due.by_other_rules(db):
            due.note_all(db)  # what they are worth is told in it
    told = _told(account.name, wanted) | {"edition": ledger.edition}
    return told | _difference(standing, _standing(db, account.name))


def _check_rates(db: Connection, wanted: Terms) -> None:
    """Raises PolicyInvalid for a base currency that no report could be in."""
    base = wanted.base_currency
    if base and not rate_files.are_known(db, base):
        problem = (
            f"No rates of {base} are known, so that no report could be in it. `tidegate rates import` takes yours."
        )
        raise PolicyInvalid(problem=problem)


def _begin_edition(db: Connection, connection: str, before: Terms, wanted: Terms) -> None:
    ledger = editions.draft(db, connection, wanted)
    if not _same_spans(before, wanted):
        as_of = _now(db)
        for some in _customers(db, connection):
            spans.keep_spans(db, ledger, some, as_of, sums=False)
    write_movements(db, ledger)
    editions.adopt(db, ledger)


def write_movements(db: Connection, ledger: Ledger) -> rebuild.Written:
    """Derives all movements of the ledger from its spans, and writes those that differ."""
    with rebuild.opened() as work:
        return work.rebuild(db, ledger)


def _kept_by(terms: Terms) -> tuple[Any, ...]:
    """What movements depend on."""
    return tuple(getattr(terms.policy, name) for name in SETTINGS), terms.preset, terms.choices, terms.time_zone


def _same_spans(before: Terms, wanted: Terms) -> bool:
    return all(
        getattr(before.policy, name) == getattr(wanted.policy, name) for name in SETTINGS if name not in ONLY_MOVEMENTS
    )


def _standing(db: Connection, connection: str) -> Sums:
    ledger = editions.current(db, connection)
    rows = db.execute(_SUMS, {"connection": connection, "edition": ledger.edition}) if ledger else ()
    return _by_month([tuple(row) for row in rows])


def _by_month(rows: Sequence[tuple[Any, ...]]) -> Sums:
    return {(f"{day:%Y-%m}", currency, kind): int(amount) for currency, day, kind, amount, _ in rows}


def _difference(before: Sums, now: Sums) -> dict[str, Any]:
    months = [
        {"month": month, "currency": currency, "kind": kind, "before": before.get(key, 0), "now": now.get(key, 0)}
        for key in sorted({*before, *now})
        for month, currency, kind in [key]
        if before.get(key, 0) != now.get(key, 0)
    ]
    mrr: dict[str, list[int]] = {}
    for place, sums in enumerate((before, now)):
        for (_, currency, _), amount in sums.items():
            mrr.setdefault(currency, [0, 0])[place] += amount
    return {"months": months, "mrr": dict(sorted(mrr.items()))}


def _customers(db: Connection, connection: str) -> Iterator[Sequence[str]]:
    return _batches(list(db.scalars(_SUBSCRIBED, {"connection": connection})))


def _batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[at : at + BATCH] for at in range(0, len(values), BATCH))


def _now(db: Connection) -> int:
    return int(db.execute(text("select extract(epoch from clock_timestamp())::bigint")).scalar_one())


_SUBSCRIBED = text("""
select distinct customer from stripe.subscriptions
where connection = :connection and customer is not null order by customer""")

_UNITS = """
select c.id, {unit} as unit
from unnest(cast(:customers as text[])) as c(id)
left join tidegate.links l on l.connection = :connection and l.customer = c.id
where not exists (
  select from tidegate.exclusions e where e.connection = :connection and e.customer = c.id)"""

_SUMS = text("""
select currency, date_trunc('month', day)::date, kind, sum(amount), sum(movements)
from tidegate.mrr_days where connection = :connection and edition = :edition group by 1, 2, 3
having sum(movements) <> 0""")
