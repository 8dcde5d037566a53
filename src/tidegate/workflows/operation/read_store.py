"""Lets a person query the store with rights that reach neither writing nor secrets."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from sqlalchemy import Engine

from tidegate.connections import sealing
from tidegate.errors import ReaderRefused
from tidegate.store import reader, readonly
from tidegate.store.readonly import Answer

HIDDEN = {
    "destinations": ("secrets",),
    "connections": sealing.COLUMNS,
    "tokens": ("digest",),
    "users": ("password",),
    "user_links": ("digest",),
    "sessions": ("digest",),
    "oauth_states": ("digest", "browser"),
    "sources": ("url",),
    "requests": ("params", "before", "wanted"),
}
"""What no reader sees: sealed credentials and URLs, by what tokens, sessions and passwords are recognised, and what
requests to Stripe said (their answers are there with personal data redacted).
"""
GUARDED = [*(f"tidegate.{table}" for table in HIDDEN), "pg_catalog.pg_statistic"]
"""Where that stands, with samples of it in PostgreSQL's statistics, for when the database's account itself asks."""


@contextmanager
def read_store(engine: Engine, sql: str, *, seconds: int = 30) -> Generator[tuple[Answer, str]]:
    """The answer to one statement (`readonly.query`), and what was lacking: empty, or why it was not asked with the
    rights of the role `tidegate_reader`.

    Without that role the database's own account asks, in a read-only transaction and nothing of the tables with
    secrets. `seconds`: how long the statement may take. Raises what `readonly.query` raises.
    """
    with ExitStack() as stack:
        lacking, asking, guarded = "", engine, []
        try:
            reader.prepare(engine, HIDDEN)
            asking = stack.enter_context(reader.login(engine, seconds))
        except ReaderRefused as refused:
            lacking, guarded = str(refused), GUARDED
        yield stack.enter_context(readonly.query(asking, sql, seconds=seconds, guarded=guarded)), lacking
