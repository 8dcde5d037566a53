"""Takes a model's rows into DuckDB, each with its key and a hash of what it says, and tells what is wrong with keys."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow leaves its functions without types.

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tidegate.errors import ModelInvalid
from tidegate.outbound.quoting import listed, quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

RESERVED = frozenset({"_key", "_null", "_hash", "_what", "_twins", "_wrong"})
"""Names of what stands beside the columns of a row."""
SHOWN = 10
"""How many wrong rows an error names."""


class KeyProblems(NamedTuple):
    """How many rows a model has, and what is wrong with their keys."""

    rows: int
    problems: list[str]


def take(
    db: "DuckDBPyConnection", model: str, rows: Any, primary_key: Sequence[str], columns: Sequence[str] = (),
    version: str = "",
) -> KeyProblems:  # fmt: skip
    """Makes the table `model` of a pyarrow.RecordBatchReader: `_key`, whether that is `_null`, `_hash` of what a row
    says, with its key and the version, and the columns of the key and these. Raises ModelInvalid for a column that is
    lacking, or cannot be told from others.
    """
    lacking = sorted({*primary_key, *columns} - set(rows.schema.names))
    if lacking:
        has = ", ".join(rows.schema.names)
        raise ModelInvalid(model=model, problem=f"it has no column {', '.join(lacking)}; it has {has}")
    if unfit := _unfit({*primary_key, *columns}, rows.schema.names):
        raise ModelInvalid(model=model, problem=unfit)
    key = quoted(primary_key[0]) if len(primary_key) == 1 else f"to_json([{listed(primary_key, '::varchar')}])"
    null = " or ".join(f"{quoted(name)} is null" for name in primary_key)
    kept = listed(sorted({*columns, *primary_key}))
    said = ", ".join([f"'{version}'", '"_key"', *(quoted(name) for name in columns)])
    db.register("incoming", rows)
    db.execute(f"""
create table model as
select {key}::varchar as "_key", ({null}) as "_null", (hash({said}) >> 1)::bigint as "_hash", {kept} from incoming""")
    db.unregister("incoming")
    return _key_problems(db, primary_key)


def _key_problems(db: "DuckDBPyConnection", primary_key: Sequence[str]) -> KeyProblems:
    named, problems = ", ".join(primary_key), list[str]()
    [(rows, nulls)] = db.execute('select count(*), count(*) filter (where "_null") from model').fetchall()
    if nulls:
        [(example,)] = db.execute("""
select to_json(m)::varchar
from (select * exclude ("_key", "_null", "_hash") from model where "_null" limit 1) m""").fetchall()
        problems.append(f"{nulls:,} have no {named}, such as {example[:300]}")
    twice = db.execute(f"""
select "_key", count(*) from model where not "_null" group by 1 having count(*) > 1 order by 2 desc, 1
limit {SHOWN}""").fetchall()
    if twice:
        shown = ", ".join(f"{key} ({count} times)" for key, count in twice)
        problems.append(f"{named} is not unique: {shown}")
    [(nul,)] = db.execute("""select count(*) from model where contains("_key", chr(0))""").fetchall()
    if nul:
        problems.append(f"{nul:,} have the character NUL in their {named}, which cannot be kept")
    return KeyProblems(rows, problems)


def _unfit(wanted: set[str], names: Sequence[str]) -> str:
    """Why columns cannot be told from others; empty: they can. To DuckDB upper and lower case are the same."""
    if reserved := sorted(one for one in wanted if one.lower() in RESERVED):
        return f"the column {reserved[0]} has a name that is kept for the sync itself: give it another with `as`"
    alike = {one: [name for name in names if name.lower() == one.lower()] for one in wanted}
    if several := sorted(one for one, found in alike.items() if len(found) > 1):
        named = " and ".join(alike[several[0]])
        return f"it has columns that differ in nothing but their case, {named}: give them other names with `as`"
    return ""
