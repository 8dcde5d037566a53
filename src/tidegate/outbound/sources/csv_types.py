"""Which columns of a CSV file stay text: those that a number or a date would not say again as they are written.

A CSV has no types, and DuckDB guesses them: `01234` would become 1234, `+4915112345` lose its plus, a long number its
last digits, and whether 03/04/2026 is in March or April is anybody's guess.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# duckdb answers rows of anything.

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

WHOLE = "^-?(0|[1-9][0-9]{0,17})$"
NUMBER = "^-?(0|[1-9][0-9]{0,14})([.][0-9]{1,6})?$"
DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
WRITTEN: Mapping[str, str] = {
    "BIGINT": WHOLE,
    "HUGEINT": "^-?(0|[1-9][0-9]{0,37})$",
    "DOUBLE": NUMBER,
    "DATE": DATE,
    "TIMESTAMP": DATE,
    "TIMESTAMP WITH TIME ZONE": DATE,
}
"""How values are written that say the same as what they are guessed to be, by DuckDB's name of the type."""


def kept_as_text(db: "DuckDBPyConnection", file: str) -> str:
    """The argument of `read_csv` that keeps such columns as text, with a comma before it; empty: none is. `file` is
    quoted for SQL already. The file is read once for it.
    """
    guessed = [(name, kind) for name, kind, *_ in db.execute(f"describe select * from read_csv('{file}')").fetchall()]
    doubtful = [(name, WRITTEN[kind]) for name, kind in guessed if kind in WRITTEN]
    if not doubtful:
        return ""
    asked = ", ".join(f"bool_or(not regexp_matches({_quoted(name)}, '{written}'))" for name, written in doubtful)
    [found] = db.execute(f"select {asked} from read_csv('{file}', all_varchar = true)").fetchall()
    names = [name for (name, _), other in zip(doubtful, found, strict=True) if other]
    listed = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in names)
    return f", types = {{{listed}}}" if names else ""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"
