"""The health of many contacts together, weighted by what they pay; amounts of several currencies never add up."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, text

from tidegate.conditions.compile import Compiled
from tidegate.lifecycle import own_worth
from tidegate.lifecycle.health import BAND, BANDED
from tidegate.lifecycle.listing import LIVING
from tidegate.revenue import editions
from tidegate.revenue.rounding import whole

By = Literal["owner", "segment"]


def portfolio(db: Connection, livemode: bool | None) -> dict[str, Any]:
    """The health of all, of live or of test contacts (None: there is no connection that says which): {health,
    by_currency, bands: [{band, contacts, mrr}]}.

    `by_currency`: [{currency, health}], the health weighted by MRR in the base currency, or without one in each that
    is paid in, that of the largest sum first; `health`: the only one, None where there are several. `mrr`: [{currency,
    mrr}] in minor units, each currency for itself.
    """
    found = _grouped(db, "''", "", livemode).get("", {"health": None, "by_currency": [], "bands": {}})
    bands = [{"band": band} | told for band, told in sorted(found["bands"].items())]
    return {"health": found["health"], "by_currency": found["by_currency"], "bands": bands}


def portfolio_by(db: Connection, by: By, livemode: bool | None) -> list[dict[str, Any]]:
    """The same of each owner's contacts, or of each segment's, the most contacts first: {key, contacts, mrr, health,
    by_currency, bands}; `key` is empty for those without one, `bands` has contacts and MRR by band.
    """
    found = [one for one in _grouped(db, _KEY[by], _JOIN[by], livemode).values() if one["contacts"]]
    return sorted(found, key=lambda one: (-one["contacts"], one["key"]))


def of_owners(db: Connection, livemode: bool | None) -> dict[str, dict[str, Any]]:
    """By owner {mrr, health, by_currency} of all that its contacts pay, whether or not they have a health."""
    found = _grouped(db, _KEY["owner"], "", livemode)
    return {key: {name: one[name] for name in ("mrr", "health", "by_currency")} for key, one in found.items()}


def _grouped(db: Connection, key: str, join: str, livemode: bool | None) -> dict[str, dict[str, Any]]:
    """By key a row of `portfolio_by`."""
    into = Compiled()
    mrr, base = own_worth.mrr(db, into), editions.base(db)
    those = _THOSE.format(key=key, join=join, mrr=mrr, weights=_BASED if base else mrr)
    given = into.values | {"livemode": livemode} | ({"base": base} if base else {})
    found: dict[str, dict[str, Any]] = {}
    for row in db.execute(text(f"{those} {_BANDS}"), given):
        of = found.setdefault(row.key, {"key": row.key, "contacts": 0, "mrr": Counter[str](), "bands": {}})
        if row.currency is not None:
            of["mrr"][row.currency] += int(row.mrr)
        if row.band is None:
            continue
        band = of["bands"].setdefault(row.band, {"contacts": 0, "mrr": []})
        of["contacts"] += row.contacts
        band["contacts"] += row.contacts
        band["mrr"] += _amounts({row.currency: int(row.mrr)}) if row.currency is not None else []
    healths: dict[str, list[dict[str, Any]]] = {}
    for row in db.execute(text(f"{those} {_HEALTHS}"), given):
        healths.setdefault(row.key, []).append({"currency": row.currency, "health": row.health})
    return {name: of | _health(healths.get(name, [])) | {"mrr": _amounts(of["mrr"])} for name, of in found.items()}


def _health(by_currency: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"health": by_currency[0]["health"] if len(by_currency) == 1 else None, "by_currency": list(by_currency)}


def _amounts(amounts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Amounts in millionths of a minor unit by currency, as [{currency, mrr}] in minor units."""
    minor = {currency: whole(amount) for currency, amount in sorted(amounts.items())}
    return [{"currency": currency, "mrr": amount} for currency, amount in minor.items() if amount]


_KEY: Mapping[By, str] = {"owner": "c.owner", "segment": "coalesce(s.key, '')"}
_JOIN: Mapping[By, str] = {"owner": "", "segment": "left join lateral unnest(l.segments) as s(key) on true"}
_BASED = "case when l.mrr_total > 0 then jsonb_build_object(cast(:base as text), l.mrr_total) else '{}' end"

_THOSE = f"""
with those as materialized (
  select {{key}} as key, l.health, case when {BANDED} then {BAND} end as band,
    {{mrr}} as mrr, {{weights}} as weights
  from {LIVING} left join tidegate.contact_facts f on f.contact = l.contact {{join}}
  where {BANDED} or {{mrr}} <> '{{{{}}}}')"""

_BANDS = """
select key, band, null as currency, count(*) as contacts, 0 as mrr from those group by key, band
union all
select t.key, t.band, m.key, 0, sum(m.value::numeric) from those t cross join lateral jsonb_each_text(t.mrr) m
group by t.key, t.band, m.key order by key, band, currency nulls first"""

_HEALTHS = """
select t.key, w.key as currency, round(sum(t.health * w.value::numeric) / sum(w.value::numeric), 1)::float8 as health
from those t cross join lateral jsonb_each_text(t.weights) w
where t.health is not null and w.value::numeric > 0
group by t.key, w.key order by t.key, sum(w.value::numeric) desc, w.key"""
