"""How much room the database takes, by what it is for."""

from sqlalchemy import Connection, text

GROUPS = ("mirror", "versions", "inbox", "jobs", "other")


def sizes(db: Connection) -> dict[str, int]:
    """Bytes per group of tables, indexes included: `mirror` is schema stripe, `jobs` the queue, `other` the rest of the
    database. Sizes of files are looked up and no row is counted, so it is quick however much there is.
    """
    rows = db.execute(
        text("""
select case when n.nspname = 'stripe' then 'mirror' when c.relname in ('versions', 'inbox') then c.relname
            when c.relname like 'procrastinate\\_%' then 'jobs' else 'rest' end as name,
       sum(coalesce(pg_total_relation_size(c.oid), 0))::bigint as bytes
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('stripe', 'tidegate') and c.relkind = 'r' group by 1""")
    )
    found = {row.name: int(row.bytes) for row in rows}
    whole = int(db.scalar(text("select pg_database_size(current_database())")) or 0)
    named = {name: found.get(name, 0) for name in GROUPS[:-1]}
    return {**named, "other": max(0, whole - sum(named.values()))}
