"""Numbers of 64 bits that PostgreSQL makes of the names in a row: two rows are compared by them, neither being read.

The names of a movement come from its span, so that DuckDB needs no hash of its own: it is told that of the span's names
with the span, and of the unit's with the link, and puts them together as PostgreSQL does for a row that stands.
"""

from sqlalchemy import Connection, text

KINDS = ("new", "reactivation", "expansion", "contraction", "churn", "transfer")
"""Every kind that the expression gives."""

_NAMES = ("customer", "subscription", "item", "currency", "price", "product")
_UNIT, _KIND = len(_NAMES), len(_NAMES) + 1


def _hash(sql: str, seed: int) -> str:
    return f"hashtextextended({sql}, {seed})"


def of_unit(unit: str) -> str:
    """Of a unit, in PostgreSQL's SQL."""
    return _hash(unit, _UNIT)


OF_NAMES = " # ".join(_hash(name, seed) for seed, name in enumerate(_NAMES))
"""Of what a span and its movements are called alike, each with a seed of its own: none passes for another."""

OF_MOVEMENT = f"({OF_NAMES} # {of_unit('unit')} # {_hash('kind', _KIND)})"
"""Of all names of a movement."""


def of_derived(db: Connection, names: str, unit: str, kind: str) -> str:
    """The same in DuckDB's SQL, of a span's two numbers and the kind."""
    told = db.execute(_OF_KINDS, {"kinds": list(KINDS), "seed": _KIND})
    cases = " ".join(f"when '{one}' then {number}" for one, number in told)
    return f"xor(xor({names}, {unit}), case {kind} {cases} end)"


_OF_KINDS = text("select k, hashtextextended(k, :seed) from unnest(cast(:kinds as text[])) k")
