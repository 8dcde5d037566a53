"""Contacts as a table for people: how each is doing, searched, narrowed down, sorted, page by page."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from tidegate.conditions.compile import Compiled, compiled
from tidegate.conditions.nodes import AnyOf, Node
from tidegate.contacts.listing import escaped
from tidegate.contacts.match import fold
from tidegate.errors import LifecycleInvalid
from tidegate.lifecycle import holders, own_worth, report, rulebook
from tidegate.lifecycle.health import BAND, BANDED, BANDS
from tidegate.revenue import editions, source

_LAST = "nulls last"
SORTS: Mapping[str, Sequence[tuple[str, str]]] = {
    # name: the order, by what and which way; by MRR as long as all amounts are of one currency (`_by_mrr`),
    # by renewal as that is shown and narrowed down by
    "mrr": (("l.mrr_total", f"desc {_LAST}"), ("c.key", "")),
    "name": (("lower(coalesce(nullif(c.name, ''), c.external_id))", ""), ("c.key", "")),
    "health": (("l.health", _LAST), ("c.key", "")),
    "renewal": (("{at}", _LAST), ("c.key", "")),
    "newest": (("c.key", "desc"),),
}
"""Orders of the table: highest MRR first, by name, lowest health first, next renewal first, newest first."""
ANY = "any"
"""For whatever reason somebody is at risk."""
FURTHEST = 3650
"""Days within which a renewal is looked for, at most."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which contacts, of live or of test data: `search` is a part of an id, a name or an e-mail; `stage`, `segment`,
    `package`, `health` (a band), `owner`: those that are in it, hold it, are looked after by it. `version`: those that
    hold this one of the package; `mapping` (its number): those that it gives something; `feature`: those to whom
    something of it is granted; as `holders` counts them. `risk`: those at risk for this reason, one of
    `rules.AT_RISK_BY`, or for ANY. `renews`: those of which something renews within so many days, as
    `outlook.renewing` has it. `paying`: those that pay by Stripe in this currency now; in the base currency, those that
    pay at all. `paid_by`: of these, who pay by this connection. Empty: whichever.
    """

    livemode: bool
    search: str = ""
    stage: str = ""
    segment: str = ""
    package: str = ""
    health: str = ""
    owner: str = ""
    version: str = ""
    mapping: str = ""
    feature: str = ""
    risk: str = ""
    renews: str = ""
    paying: str = ""
    paid_by: str = ""


def page(db: Connection, wanted: Wanted, *, sort: str = "mrr", skip: int = 0, limit: int = 50) -> list[dict[str, Any]]:
    """Rows of the table: {key, contact, kind, id, name, email, owner, stage, segments, packages, status, mrr, health,
    renews_at, ends_at, open_alerts}. `mrr`: by currency, in millionths of a minor unit.

    Raises LifecycleInvalid for an order that there is not.
    """
    return page_and_total(db, wanted, sort=sort, skip=skip, limit=limit)[0]


def page_and_total(
    db: Connection, wanted: Wanted, *, sort: str, skip: int, limit: int
) -> tuple[list[dict[str, Any]], int]:
    """The same, and how many there are in all."""
    into = Compiled()
    order = _order(db, sort, into)
    found_in, values = _from(db, wanted, into)
    source.roomy(db)
    # What is narrowed down is looked for once, by several processes, and then sorted; all are counted by themselves.
    statement = _CHOSEN.format(
        how="not" if wanted == Wanted(wanted.livemode) else "",
        keys=", ".join(f"{what} as by_{n}" for n, (what, _) in enumerate(order)),
        found_in=found_in,
        order=", ".join(f"by_{n} {way}" for n, (_, way) in enumerate(order)),
    )
    chosen = db.execute(text(statement), values | {"skip": skip, "limit": limit}).all()
    of_each = Compiled()
    these = text(f"{_select(db, of_each)} {_JOINED} where c.key = any(cast(:contacts as bigint[]))")
    found = db.execute(these, of_each.values | {"contacts": [one.key for one in chosen]})
    rows = {row["key"]: dict(row) for row in found.mappings()}
    in_all = chosen[0].total if chosen else total(db, wanted)
    return [rows[one.key] for one in chosen if one.key in rows], in_all


def every(db: Connection, wanted: Wanted, *, sort: str = "mrr") -> Iterator[dict[str, Any]]:
    """All rows of the table, as they come out of the database."""
    into = Compiled()  # one for all of the statement: its parts bind under names of their own
    select = _select(db, into)
    order = ", ".join(f"{what} {way}" for what, way in _order(db, sort, into))
    found_in, values = _from(db, wanted, into)
    statement = text(f"{select} {found_in} order by {order}")
    rows = db.execute(statement, values, execution_options={"yield_per": 1_000}).mappings()
    return (dict(row) for row in rows)


def one(db: Connection, contact: int) -> dict[str, Any]:
    """The row of one contact (internal key)."""
    into = Compiled()
    statement = text(f"{_select(db, into)} {_JOINED} where c.key = :contact")
    return dict(db.execute(statement, into.values | {"contact": contact}).mappings().one())


def total(db: Connection, wanted: Wanted) -> int:
    """How many rows there are."""
    found_in, values = _from(db, wanted, Compiled())
    return db.scalar(text(f"select count(*) {found_in}"), values) or 0


def choices(db: Connection, livemode: bool) -> dict[str, list[tuple[str, str]]]:
    """By what a table of these contacts may be narrowed down: {stage, segment, package, health, owner}, each (key,
    name).
    """
    rules = rulebook.load(db)
    owners = [(owner, owner) for owner in db.scalars(_OWNERS, {"livemode": livemode})]
    return {
        "stage": [(rule.key, rule.name) for rule in rules.stages],
        "segment": [(rule.key, rule.name) for rule in rules.segments],
        "package": [(row.key, row.name) for row in db.execute(_PACKAGES)],
        "health": [(band, band) for band in BANDS],
        "owner": owners,
    }


def known(sort: str) -> str:
    """The order, if there is such a one. Raises LifecycleInvalid."""
    if sort not in SORTS:
        raise LifecycleInvalid(problem=f"Contacts are not sorted by {sort!r}, but by {', '.join(SORTS)}.")
    return sort


def _select(db: Connection, into: Compiled) -> str:
    """What is read of a contact."""
    return _SELECT.format(mrr=own_worth.mrr(db, into), at=own_worth.renews_at(db, into))


def _order(db: Connection, sort: str, into: Compiled) -> Sequence[tuple[str, str]]:
    if sort == "renewal":
        return [(what.format(at=own_worth.renews_at(db, into)), way) for what, way in SORTS[sort]]
    return SORTS[known(sort)] if sort != "mrr" else _by_mrr(db)


def _by_mrr(db: Connection) -> Sequence[tuple[str, str]]:
    """Highest MRR first. Without a base currency amounts of one currency alone compare: those in the currency that most
    pay in come first, then those of the next one, so that no yen stand above dollars.
    """
    found = [] if editions.base(db) else [one for one in db.scalars(_CURRENCIES) if re.fullmatch("[a-z]{3}", one)]
    if len(found) < 2:
        return SORTS["mrr"]
    return [*((f"(f.mrr ->> '{one}')::numeric", f"desc {_LAST}") for one in found), ("c.key", "")]


def _values(wanted: Wanted) -> dict[str, Any]:
    search = wanted.search.strip()
    found: dict[str, Any] = {name: getattr(wanted, name) for name in (*_NARROWED, "package")}
    found |= {name: _number(getattr(wanted, name)) for name in ("version", "mapping")}
    found |= {"livemode": wanted.livemode, "as_of": datetime.now(UTC)}
    found |= {"pattern": f"%{escaped(search)}%", "folded": f"%{escaped(fold(search))}%"}
    return found | (compiled(_risk(wanted.risk), "r").values if wanted.risk else {})


def _from(db: Connection, wanted: Wanted, into: Compiled) -> tuple[str, dict[str, Any]]:
    """Where the rows are, and what the statement binds with that. What is not asked for is not in it: it would be
    looked at for every row.
    """
    if wanted.version and not wanted.package:
        raise LifecycleInvalid(problem="A version is one of a package: `package` says of which.")
    asked = [name for name in _NARROWED if getattr(wanted, name).strip()]
    parts = [_NARROWED[name] for name in asked]
    if wanted.version and holders.by_default(db, wanted.package, _number(wanted.version)):
        parts[asked.index("version")] = f"c.key in ({holders.OF_DEFAULT})"
    if wanted.package and not wanted.version:
        parts.append(":package = any(l.packages)")
    if wanted.risk:
        parts.append(f"c.forgotten_at is null and {compiled(_risk(wanted.risk), 'r').sql}")
    if wanted.renews:
        at = own_worth.renews_at(db, into)
        into.values["until"] = datetime.now(UTC) + timedelta(days=_days(wanted.renews))
        parts.append(f"c.forgotten_at is null and {at} >= :as_of and {at} < :until")
    if wanted.paying:
        parts.append(_pays(db, wanted, into))
    return f"{_FROM}{''.join(f' and {one}' for one in parts)}", _values(wanted) | into.values


def _pays(db: Connection, wanted: Wanted, into: Compiled) -> str:
    """Who pays. Raises LifecycleInvalid for what is no currency."""
    currency = wanted.paying
    if not re.fullmatch("[a-z]{3}", currency):
        raise LifecycleInvalid(problem=f"`paying` is a currency such as usd, not {currency[:40]!r}.")
    whichever = currency == editions.base(db)
    holds = "f.mrr <> '{}'" if whichever else "jsonb_exists(f.mrr, :paying)"
    into.values |= {} if whichever else {"paying": currency}
    if wanted.paid_by:
        into.values["paid_by"] = wanted.paid_by
        holds += f" and {_PAID_BY.format(of='' if whichever else 'and s.currency = :paying')}"
    return holds


def _risk(name: str) -> Node:
    """Why somebody is at risk. Raises LifecycleInvalid."""
    reasons = report.reasons()
    if name not in {ANY, *reasons}:
        raise LifecycleInvalid(problem=f"Nobody is at risk for {name[:40]!r}, but for {', '.join(reasons)}.")
    return AnyOf(tuple(reasons.values())) if name == ANY else reasons[name]


def _days(said: str) -> int:
    """Within how many days something renews. Raises LifecycleInvalid."""
    if not said.isdecimal() or len(said) > 9 or not 1 <= int(said) <= FURTHEST:
        raise LifecycleInvalid(problem=f"`renews` is a number of days from 1 to {FURTHEST:,}, not {said[:40]!r}.")
    return int(said)


def _number(said: str) -> int | None:
    """A version or a mapping; no other text is one of any."""
    return (int(said) if said.isdecimal() and len(said) < 10 else 0) if said else None


_SELECT = """
select c.key, c.kind || ':' || c.external_id as contact, c.kind, c.external_id as id, coalesce(c.name, '') as name,
  coalesce(c.email, '') as email, coalesce(c.owner, '') as owner, l.stage, coalesce(l.segments, '{{}}') as segments,
  coalesce(l.packages, '{{}}') as packages, l.status, {mrr} as mrr,
  l.health::float8 as health, {at} as renews_at, f.ends_at, (
    select count(*) from tidegate.alerts a
    where a.contact = c.key and a.state in ('open', 'acknowledged')) as open_alerts
"""

# Of all contacts only what they are ordered by is read, and the rest of those that are shown.
_CHOSEN = """
with these as {how} materialized (select c.key, {keys} {found_in})
select key, (select count(*) from these) as total from these order by {order} offset :skip limit :limit"""

_JOINED = """
from tidegate.contacts c
left join tidegate.contact_lifecycle l on l.contact = c.key
left join tidegate.contact_facts f on f.contact = c.key"""

_FROM = f"""{_JOINED}
where c.livemode = :livemode and c.merged_into is null"""

# Every id, also the present one, is among `contact_ids`. `ilike` would lower the pattern again for each row.
_NARROWED = {
    "search": """c.key in (
    select key from tidegate.contacts where lower(name) like lower(:pattern)
    union all select contact from tidegate.contact_emails where folded like :folded
    union all select contact from tidegate.contact_ids where lower(external_id) like lower(:pattern))""",
    "stage": "l.stage = :stage",
    "segment": ":segment = any(l.segments)",
    "health": f"{BANDED} and c.forgotten_at is null and {BAND} = :health",
    "owner": "c.owner = :owner",
    "version": f"c.key in ({holders.OF_VERSION})",
    "mapping": f"c.key in ({holders.OF_MAPPING})",
    "feature": ":feature = any(l.features)",
}
"""What each asks of a row, by its name."""

_PAID_BY = """exists (
    select from tidegate.links k
    join tidegate.spans s on s.connection = k.connection and s.customer = k.customer
    where k.contact = c.key and k.connection = :paid_by and s.ends_at is null and s.mrr <> 0 {of} and not exists (
      select from tidegate.exclusions e where e.connection = k.connection and e.customer = k.customer))"""

# Of the first contacts with MRR, which are enough to tell, and every other currency that there is after them.
_CURRENCIES = text("""
select currency from (
  select m.currency, count(*) as contacts
  from (select mrr from tidegate.contact_facts where mrr <> '{}' order by contact limit 2000) f
  cross join lateral jsonb_object_keys(f.mrr) as m(currency) group by 1
  union all
  select distinct currency, 0 from tidegate.mrr_days) c
group by currency order by max(contacts) desc, currency""")

# Each after the one before it, by the index: few owners look after many contacts.
_OWNERS = text("""
with recursive these as (
  (select owner from tidegate.contacts where livemode = :livemode and owner <> '' order by owner limit 1)
  union all
  select (
    select owner from tidegate.contacts
    where livemode = :livemode and owner <> '' and owner > t.owner order by owner limit 1)
  from these t where t.owner is not null)
select owner from these where owner is not null order by 1""")

_PACKAGES = text("select key, name from tidegate.packages order by name, key")
