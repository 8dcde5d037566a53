"""Names and texts within the SQL of a staging area, as DuckDB and PostgreSQL read them."""

from collections.abc import Iterable


def quoted(name: str) -> str:
    """A column's name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"


def listed(names: Iterable[str], suffix: str = "") -> str:
    """Columns' names, each with what follows it, parted by commas."""
    return ", ".join(f"{quoted(name)}{suffix}" for name in names)
