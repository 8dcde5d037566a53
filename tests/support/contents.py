"""What a database holds of a connection, small enough to compare: a digest of the content of every mirrored table."""

from sqlalchemy import Engine, text


def contents(engine: Engine, connection: str) -> dict[str, tuple[int, int, str]]:
    """Live rows, deleted rows and a digest of ids, typed columns and bodies, per table of schema `stripe`.

    Left out is what depends on the instant of reading: the time and the certainty of a version.
    """
    from tidegate.mirror.tables import STRIPE_TABLES

    found: dict[str, tuple[int, int, str]] = {}
    with engine.connect() as db:
        for table in STRIPE_TABLES.values():
            row = db.execute(
                text(f"""
select count(*) filter (where deleted_at is null), count(*) filter (where deleted_at is not null),
  coalesce(md5(string_agg(fact, chr(10) order by fact)), '')
from (select deleted_at,
        (to_jsonb(t) - array['connection', 'updated_at', 'deleted_at', 'certainty'])::text
        || (deleted_at is null) as fact
      from stripe.{table.name} t where connection = :connection) t"""),
                {"connection": connection},
            ).one()
            found[table.name] = (row[0], row[1], row[2])
    return found
