"""Lets a person query the store with rights that reach neither writing nor secrets."""

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import Engine, text

from tidegate.connections import sealing
from tidegate.errors import ReaderRefused
from tidegate.store import reader, readonly
from tidegate.store.readonly import NOTHING, Answer

HIDDEN = {
    "destinations": ("secrets",),
    "connections": sealing.COLUMNS,
    "tokens": ("digest",),
    "users": ("password",),
    "user_links": ("digest",),
    "sessions": ("digest",),
    "failed_tries": ("whom",),
    "kept_answers": ("asked", "answer"),
    "oauth_states": ("digest", "browser"),
    "sources": ("url",),
    "requests": ("params", "before", "wanted"),
    "forgotten_ids": ("digest",),
}
"""What no reader sees: sealed credentials and URLs, by what tokens, sessions, passwords, tries and ids of people who
were forgotten are recognised, and what requests to Stripe said (their answers are there with personal data redacted).
"""
GUARDED = dict.fromkeys(
    [*(f"tidegate.{table}" for table in HIDDEN), "pg_catalog.pg_statistic"],
    "holds secrets, and this database account cannot hide them",
)
"""Where that stands, with samples of it in PostgreSQL's statistics, for when the database's account itself asks."""
OF_ADMINS = dict.fromkeys(
    [f"tidegate.{table}" for table in ("audit_log", "sessions", "tokens", "user_links", "users")],
    "is for admins",
)
"""Who may use the hub, and what they changed: of this only admins read."""


@contextmanager
def read_store(
    engine: Engine, sql: str, *, seconds: int = 30, withheld: Mapping[str, str] = NOTHING
) -> Generator[tuple[Answer, str]]:
    """The answer to one statement (`readonly.query`), and what was lacking: empty, or why it was not asked with the
    rights of the role `tidegate_reader`.

    Without that role the database's own account asks, in a read-only transaction and nothing of the tables with
    secrets. `seconds`: how long the statement may take; `withheld`: tables of which nothing is answered, with the
    reason. Raises what `readonly.query` raises.
    """
    with ExitStack() as stack:
        lacking, asking, guarded = "", engine, withheld
        try:
            reader.prepare(engine, HIDDEN)
            asking = stack.enter_context(reader.login(engine, seconds))
        except ReaderRefused as refused:
            lacking, guarded = str(refused), {**withheld, **GUARDED}
        yield stack.enter_context(readonly.query(asking, sql, seconds=seconds, guarded=guarded)), lacking


def readable(engine: Engine, withheld: Mapping[str, str] = NOTHING) -> list[dict[str, Any]]:
    """The tables that queries may name, by schema and name: {schema, table, columns: [{name, type}]}."""
    with engine.connect() as db:
        rows = db.execute(_READABLE).all()
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    for schema, table, name, kind in rows:
        named = f"{schema}.{table}"
        if named not in withheld and not (schema == "tidegate" and name in HIDDEN.get(table, ())):
            found.setdefault((schema, table), []).append({"name": name, "type": kind})
    return [{"schema": schema, "table": table, "columns": columns} for (schema, table), columns in found.items()]


_READABLE = text("""
select n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace and n.nspname in ('stripe', 'tidegate')
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relkind in ('r', 'p', 'v') and not c.relispartition
order by 1, 2, a.attnum""")
