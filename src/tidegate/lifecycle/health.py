"""The health of a contact: a weighted mean of what has data, how much of it that is, and each component's part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, cast

from sqlalchemy import Connection, text

from tidegate.conditions.compile import Compiled, value
from tidegate.conditions.contact_fields import CONTACT_FIELDS, CONTACTS
from tidegate.errors.wrong import Wrong

GOOD = 70
POOR = 40
"""Bands, of the score as a whole number: good from the one on, poor below the other, fair between them."""
SCORED = ("active", "past_due", "trialing", "unpaid")
"""The states in which a contact has a health; nobody looks after the others."""
MOST_POINTS = 20


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Below `unhealthy` a contact is unhealthy, until it has `well` again: a score that goes to and fro around the
    threshold crosses it once. `coverage`: the part of all weight that must have data; with less the health is unknown.
    """

    unhealthy: Decimal = Decimal(40)
    well: Decimal = Decimal(45)
    coverage: Decimal = Decimal("0.4")


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the health.

    `curve`: points (value of the field, score 0 to 100) in rising order of the values, straight between them and level
    beyond. Where the field is unknown the score is `otherwise`, if `known_by`, another field, is known.
    """

    key: str
    field: str
    curve: tuple[tuple[Decimal, Decimal], ...]
    weight: Decimal
    otherwise: Decimal | None = None
    known_by: str = ""


BANDS = ("good", "fair", "poor", "unknown")
"""Healths in a word, the best first."""
BAND = f"""
case when l.health is null then 'unknown' when round(l.health) < {POOR} then 'poor'
  when round(l.health) < {GOOD} then 'fair' else 'good' end"""
"""SQL: the band of a row of contact_lifecycle, `l`."""
BANDED = f"l.status in ({', '.join(repr(status) for status in SCORED)})"
"""SQL: whether such a row is of those whose health counts: who was never a customer, or has left, has none."""


def band(score: int) -> str:
    """A score in a word: poor, fair or good."""
    return "poor" if score < POOR else "fair" if score < GOOD else "good"


def _curve(*points: tuple[float, float]) -> tuple[tuple[Decimal, Decimal], ...]:
    return tuple((Decimal(str(x)), Decimal(str(y))) for x, y in points)


COMPONENTS: Sequence[Component] = (
    Component(
        "payment", "days_past_due", _curve((0, 60), (7, 30), (30, 0)), Decimal(30), Decimal(100),
        "latest_invoice.status",
    ),
    Component("usage", "usage", _curve((0, 0), (0.1, 40), (0.5, 80), (0.8, 100)), Decimal(20)),
    Component("recency", "days_inactive", _curve((0, 100), (7, 90), (30, 40), (90, 0)), Decimal(20)),
    Component("mrr_trend", "mrr_trend", _curve((0.5, 0), (0.9, 50), (1, 75), (1.2, 100)), Decimal(10)),
    Component("tenure", "tenure_days", _curve((0, 30), (90, 60), (365, 100)), Decimal(10)),
    Component("revenue_tier", "mrr", _curve((0, 0), (50, 40), (200, 70), (1000, 100)), Decimal(10)),
)  # fmt: skip
"""The default table: which field, its curve, its weight."""


def parse(key: str, said: Mapping[str, Any]) -> tuple[Component | None, list[Wrong]]:
    """A component as it was said: {field, curve: [[value, score], …], weight}; and what is wrong with it."""
    wrong = [Wrong(f"{key}.{name}", "there is no such key") for name in sorted({*said} - {"field", "curve", "weight"})]
    name = said.get("field")
    found = CONTACT_FIELDS.find(name) if isinstance(name, str) else None
    if found is None:
        wrong.append(Wrong(f"{key}.field", CONTACT_FIELDS.nearest(str(name))))
    elif found.kind not in {"number", "any"}:
        wrong.append(Wrong(f"{key}.field", f"{found.name} is {found.is_a}; a component takes a number"))
    elif found.name == "health":
        wrong.append(Wrong(f"{key}.field", "health cannot be a part of itself"))
    weight = said.get("weight", 10)
    if not _is_number(weight) or not 0 < weight <= 1000:
        wrong.append(Wrong(f"{key}.weight", "it is a number above 0, at most 1000"))
    curve = _points(said.get("curve"))
    if curve is None:
        problem = f"it is a list of 1 to {MOST_POINTS} [value, score], values rising, scores from 0 to 100"
        wrong.append(Wrong(f"{key}.curve", problem))
    if wrong or curve is None:
        return None, wrong
    return Component(key, str(name), curve, Decimal(str(weight))), []


def _points(said: Any) -> tuple[tuple[Decimal, Decimal], ...] | None:
    if not isinstance(said, list) or not 1 <= len(cast("list[Any]", said)) <= MOST_POINTS:
        return None
    points: list[tuple[Decimal, Decimal]] = []
    for one in cast("list[Any]", said):
        if not isinstance(one, list) or len(cast("list[Any]", one)) != 2 or not all(map(_is_number, one)):  # pyright: ignore[reportUnknownArgumentType]
            return None
        x, y = (Decimal(str(part)) for part in cast("list[float]", one))
        if not 0 <= y <= 100 or (points and x <= points[-1][0]):
            return None
        points.append((x, y))
    return tuple(points)


def _is_number(said: Any) -> bool:
    return isinstance(said, int | float) and not isinstance(said, bool) and abs(said) < 1e12


@dataclass(slots=True)
class _Asked:
    """Columns of SQL: of each component its value `x`, its score `s` of that, and its weight; and what they bind."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    found: list[str] = field(default_factory=list[str])
    scores: list[str] = field(default_factory=list[str])
    weights: list[str] = field(default_factory=list[str])

    def number(self, name: str, said: Decimal) -> str:
        self.values[name] = said
        return f"cast(:{name} as numeric)"


DEFAULT = Thresholds()


def keep(
    db: Connection,
    components: Sequence[Component],
    as_of: datetime,
    contacts: Sequence[int] | None = None,
    *,
    thresholds: Thresholds = DEFAULT,
) -> int:
    """Scores these contacts (internal keys), or all. What changed by a point or more since it was kept last goes into
    history; returns how many did.
    """
    asked = _scored(components, thresholds)
    points = ", ".join(
        f"cast(:part{n} as text), round(s{n} * {weight} / known, 2)" for n, weight in enumerate(asked.weights)
    )
    judged = _judged(asked, among="" if contacts is None else _AMONG)
    statement = _KEEP.format(judged=judged, points=_POINTS.format(points=points))
    values = {"unhealthy": thresholds.unhealthy, "well": thresholds.well, "as_of": as_of}
    among = {"contacts": None if contacts is None else list(contacts)}
    return db.execute(text(statement), asked.values | values | among).rowcount


def moved(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """Which part each component had in a change: by how many points of the health it came to more or less, the largest
    first; those that had none are left out. Of a health that was or is unknown (no points) nobody knows.
    """
    if not before or not now:
        return {}
    found = {key: round(now.get(key, 0) - before.get(key, 0), 1) for key in {**before, **now}}
    return dict(sorted(((key, by) for key, by in found.items() if by), key=lambda one: (-abs(one[1]), one[0])))


def distribution(
    db: Connection,
    components: Sequence[Component],
    as_of: datetime,
    *,
    livemode: bool | None,
    thresholds: Thresholds = DEFAULT,
) -> dict[str, int]:
    """How many contacts, live or test ones (None: all), are in each band, and `unknown`, by these components;
    `unhealthy`: how many of all are below the threshold. Nothing is written.
    """
    asked = _scored(components, thresholds)
    values = {"as_of": as_of, "good": GOOD, "poor": POOR, "unhealthy": thresholds.unhealthy}
    statement = _DISTRIBUTION.format(judged=_judged(asked, "" if livemode is None else "and c.livemode = :livemode"))
    bound = asked.values | values | ({} if livemode is None else {"livemode": livemode})
    return dict(db.execute(text(statement), bound).mappings().one())


def _scored(components: Sequence[Component], thresholds: Thresholds) -> _Asked:
    """What scoring by these asks, with all that `_judged` binds."""
    asked = _Asked()
    for place, one in enumerate(components):
        _ask(asked, place, one)
        asked.weights.append(asked.number(f"weight{place}", one.weight))
    asked.values |= {f"part{place}": one.key for place, one in enumerate(components)}
    asked.values |= {"scored": list(SCORED), "coverage": thresholds.coverage}
    return asked


def _judged(asked: _Asked, among: str = "") -> str:
    """The first steps of a statement: every contact with its health."""
    numbered = list(enumerate(asked.weights))
    return _JUDGED.format(
        found=", ".join(asked.found),
        scores=", ".join(asked.scores),
        contacts=CONTACTS,
        among=among,
        sum=" + ".join(f"coalesce(s{n} * {weight}, 0)" for n, weight in numbered),
        known=" + ".join(f"case when s{n} is null then 0 else {weight} end" for n, weight in numbered),
        whole=" + ".join(asked.weights),
        parts=", ".join(f"cast(:part{n} as text), round(s{n})" for n, _ in numbered),
    )


def explained(db: Connection, components: Sequence[Component], as_of: datetime, contact: int) -> list[dict[str, Any]]:
    """Why a contact (internal key) has the health it has, a row for each component: {key, field, weight, value, score,
    part}. `value`: of its field; `score`: 0 to 100; `part`: how many points of the health it makes; None: nothing is
    known.
    """
    asked = _Asked()
    for place, one in enumerate(components):
        _ask(asked, place, one)
    statement = _EXPLAIN.format(found=", ".join(asked.found), scores=", ".join(asked.scores), contacts=CONTACTS)
    row = db.execute(text(statement), asked.values | {"as_of": as_of, "contact": contact}).mappings().first()
    scores = [None if row is None else row[f"s{place}"] for place in range(len(components))]
    known = sum((one.weight for one, score in zip(components, scores, strict=True) if score is not None), Decimal(0))
    return [
        {
            "key": one.key,
            "field": one.field,
            "weight": one.weight,
            "value": None if row is None else row[f"x{place}"],
            "score": score,
            "part": None if score is None else score * one.weight / known,
        }
        for place, (one, score) in enumerate(zip(components, scores, strict=True))
    ]


def _ask(into: _Asked, place: int, one: Component) -> None:
    asked = Compiled()
    found, by = CONTACT_FIELDS.find(one.field), CONTACT_FIELDS.find(one.known_by)
    assert found is not None, one.field
    into.found.append(f"{value(found, asked, f'f{place}_', kind='number')} as x{place}")
    into.values |= asked.values
    score = _score(into, place, one.curve)
    if by is not None and one.otherwise is not None:
        into.found.append(f"{by.sql} is not null as known{place}")
        score = f"coalesce({score}, case when known{place} then {into.number(f'otherwise{place}', one.otherwise)} end)"
    into.scores.append(f"{score} as s{place}")


def _score(into: _Asked, place: int, curve: Sequence[tuple[Decimal, Decimal]]) -> str:
    """The score of the value on the curve; null of null."""
    x = f"x{place}"
    points = [
        (into.number(f"at{place}_{n}", at), into.number(f"score{place}_{n}", score))
        for n, (at, score) in enumerate(curve)
    ]
    branches = [f"when {x} <= {points[0][0]} then {points[0][1]}"]
    for (left, low), (right, high) in pairwise(points):
        branches.append(f"when {x} <= {right} then {low} + ({x} - {left}) * ({high} - {low}) / ({right} - {left})")
    return f"case when {x} is null then null {' '.join(branches)} else {points[-1][1]} end"


_EXPLAIN = """
with valued as (select c.key as contact, {found} {contacts} and c.key = :contact offset 0)
select *, {scores} from valued"""

# OFFSET 0 keeps each step one: PostgreSQL would write the scores out wherever they are named, a hundred times over.
# ORDER BY lets it look into the history before the first row is written: a small table it reads whole for each contact,
# and would read all that this statement has written so far.
_JUDGED = """
with valued as (
  select c.key as contact, l.health as before, l.health_coverage as coverage_before, l.health_parts as parts_before,
    l.unhealthy_since, l.status = any(cast(:scored as text[])) as scored, {found}
  {contacts} and l.contact is not null {among} offset 0),
weighed as (select *, {scores} from valued offset 0),
summed as (
  select *, {sum} as total, {known} as known, ({known}) / ({whole}) as share,
    jsonb_strip_nulls(jsonb_build_object({parts})) as parts
  from weighed offset 0),
judged as (
  select *, case when scored and share >= :coverage and known > 0 then round(total / known, 1) end as health
  from summed offset 0)"""
_POINTS = """
case when health is null then '{{}}'::jsonb else jsonb_strip_nulls(jsonb_build_object({points})) end as points"""
_AMONG = "and c.key = any(cast(:contacts as bigint[]))"

_DISTRIBUTION = """{judged}
select count(*) filter (where round(health) >= :good) as good,
  count(*) filter (where round(health) >= :poor and round(health) < :good) as fair,
  count(*) filter (where round(health) < :poor) as poor, count(*) filter (where scored and health is null) as unknown,
  count(*) filter (where health < :unhealthy) as unhealthy
from judged"""

_KEEP = """{judged},
fresh as materialized (
  select contact, before, health, round(share, 2) as coverage, parts, {points},
    case when health < :unhealthy then coalesce(unhealthy_since, cast(:as_of as timestamptz))
      when health < :well or (health is null and scored) then unhealthy_since end as since
  from judged
  where (health, round(share, 2), parts) is distinct from (before, coverage_before, parts_before)
    or (unhealthy_since is null and health < :unhealthy)
    or (unhealthy_since is not null and (health >= :well or scored is not true))),
put as (
  update tidegate.contact_lifecycle l set health = n.health, health_coverage = n.coverage, health_parts = n.parts,
    unhealthy_since = n.since, updated_at = clock_timestamp()
  from fresh n where n.contact = l.contact)
insert into tidegate.health_history (contact, at, health, coverage, parts, points)
select n.contact, :as_of, n.health, n.coverage, n.parts, n.points from fresh n left join lateral (
  select h.health from tidegate.health_history h where h.contact = n.contact order by h.at desc limit 1) last on true
where n.health is distinct from last.health
  and (n.health is null or last.health is null or abs(n.health - last.health) >= 1)
order by n.contact
on conflict (contact, at) do update
  set health = excluded.health, coverage = excluded.coverage, parts = excluded.parts, points = excluded.points"""
