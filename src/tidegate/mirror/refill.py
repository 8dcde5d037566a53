"""Fills typed columns anew from the stored JSON, after the registry gained a column."""

from sqlalchemy import Engine, text

from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.shapes.read import Reading, read

BATCH = 500


def refill(engine: Engine, name: str) -> int:
    """Reads every stored object of a resource again and sets its typed columns; returns how many rows there were.

    By batches of 500, each its own transaction, so that it may be stopped and run again.
    """
    resource = RESOURCES[name]
    key = ["connection", *([resource.parent] if resource.parent else []), "id"]
    columns = [column for column in resource.columns if column.name != resource.parent]
    sets = ", ".join(
        f"{c.name} = " + (f"to_timestamp(cast(:{c.name} as bigint))" if c.type == "timestamptz" else f":{c.name}")
        for c in columns
    )
    page = text(
        f"select {', '.join(key)}, data::text as data from stripe.{resource.table} "
        f"where ({', '.join(key)}) > ({', '.join(f':{k}' for k in key)}) order by {', '.join(key)} limit {BATCH} "
        "for update"  # else a version that comes in between would get the columns of the one before
    )
    put = text(f"update stripe.{resource.table} set {sets} where {' and '.join(f'{k} = :{k}' for k in key)}")
    last = dict.fromkeys(key, "")
    done = 0
    while True:
        with engine.begin() as connection:
            rows = connection.execute(page, last).mappings().all()
            if not rows:
                return done
            found = [(row, read(resource, row["data"].encode())) for row in rows]
            changes = [
                {k: row[k] for k in key}
                | {c.name: v for c, v in zip(resource.columns, reading.values, strict=True) if c in columns}
                for row, reading in found
                if isinstance(reading, Reading)
            ]
            if changes:
                connection.execute(put, changes)
            last = {k: rows[-1][k] for k in key}
            done += len(rows)
