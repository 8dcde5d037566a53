"""How PostgreSQL plans the statements of a part of a transaction: by index for few rows, by sets for many."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, text

from tidegate.store.driver import rows

BY_INDEX: Mapping[str, str] = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_nestloop": "on",
}
"""For looking up and writing a handful of rows: planning such a statement costs three times what running it does, and
the one plan that is kept has to be by index, however small the tables were when it was made.
"""

BY_SETS: Mapping[str, str] = {
    "plan_cache_mode": "force_custom_plan",
    "enable_seqscan": "on",
    "enable_hashjoin": "on",
    "enable_mergejoin": "on",
    "enable_nestloop": "off",
}
"""For many rows of what WITH names: the planner takes them for a handful, and would compare each with each."""

SETTLED = """(
select coalesce(bool_and(
  pg_relation_size(c.oid) <= (4 * c.relpages + 16) * current_setting('block_size')::bigint), true)
from unnest(cast(:tables as regclass[])) as t(oid) join pg_class c on c.oid = t.oid)"""
"""For a statement: whether PostgreSQL knows how large these `:tables` are. None has grown to many times what it was
when it was analysed last, which is when kept plans are made anew. One of an empty table may go by any index.
"""


@contextmanager
def planned(db: Connection, how: Mapping[str, str]) -> Generator[None]:
    """Lets the statements within be planned so, and what follows as before. An error ends the transaction, and with it
    the settings.
    """
    before = {row.name: row.was for row in rows(db, _SET, {"names": list(how), "settings": list(how.values())})}
    yield
    rows(db, _SET, {"names": list(before), "settings": list(before.values())})


_SET = text("""
select name, current_setting(name) as was, set_config(name, setting, true)
from unnest(cast(:names as text[]), cast(:settings as text[])) as s(name, setting)""")
