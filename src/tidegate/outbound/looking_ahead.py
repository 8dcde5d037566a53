"""Reads of the next rows of a plan what is remembered of them, while those before them are decided about."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from sqlalchemy import Connection

from tidegate.mirror import lookups
from tidegate.outbound import rows as remembered
from tidegate.outbound.rows import Row

Batch = Sequence[Mapping[str, Any]]
"""Rows as `staging.Staging.rows` has them."""


class Looked(NamedTuple):
    """What is remembered of a batch's rows, by key, and the objects that they were when they were looked at, by id."""

    states: Mapping[str, Row]
    bodies: dict[str, lookups.Object]


def look(db: Connection, sync: str, connection: str, resource: str, batch: Batch) -> Looked:
    """Reads it of a batch."""
    states = remembered.of(db, sync, [row["_key"] for row in batch])
    ids = {one.object_id for one in states.values() if one.object_id}
    return Looked(states, lookups.bodies(db, connection, resource, sorted(ids)))


def ahead(batches: Iterator[Batch], look: Callable[[Batch], Looked]) -> Generator[tuple[Batch, Looked]]:
    """Each batch with what `look` reads of it; that of the next is read in a thread while the caller has this one.

    `look` is called for one batch at a time, in their order. What it raises is raised with its batch.
    """
    with ThreadPoolExecutor(1, "look-ahead") as thread:
        this: tuple[Batch, Future[Looked]] | None = None
        for batch in batches:
            coming = batch, thread.submit(look, batch)
            if this is not None:
                yield this[0], this[1].result()
            this = coming
        if this is not None:
            yield this[0], this[1].result()
