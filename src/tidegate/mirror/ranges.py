"""Ranges: the parts of a resource's list that an import reads side by side, with the place each has come to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from tidegate.connections import runs
from tidegate.connections.accounts import is_disconnected
from tidegate.errors import ConnectionDisconnected, ImportTakenOver
from tidegate.mirror.arrivals import Counts
from tidegate.store.driver import run
from tidegate.stripe_api.resources.resource import EACH_TEST_CLOCK, Resource
from tidegate.stripe_api.resources.test_clocks import TEST_CLOCKS


@dataclass(slots=True, eq=False)
class Range:
    """Part of a list: one variant of the resource's listings, `since` <= created < `until` (epoch seconds; None: no
    bound).

    Lists come newest first, so what remains lies between `since` and `reached`, the `created` of the object `cursor`.
    For a resource listed per parent, and for a variant read per test clock, the cursor is the id of the last parent
    (or clock) read.
    """

    id: int
    resource: Resource
    variant: int = 0
    since: int | None = None
    until: int | None = None
    cursor: str = ""
    reached: int | None = None
    done: bool = False
    pages: int = 0
    counts: Counts = field(default_factory=Counts)
    error: str = ""

    @property
    def parents(self) -> str:
        """The resource whose objects this range goes through, reading a whole list for each; empty: one list."""
        return self.resource.per_parent or (TEST_CLOCKS.name if self.resource.by_clock(self.variant) else "")

    def params(self, parent: str = "") -> dict[str, Any]:
        """The list parameters of this range; `parent` is the test clock where it is read per clock."""
        created = {name: value for name, value in (("gte", self.since), ("lt", self.until)) if value is not None}
        variant = of_clock(self.resource.variants[self.variant], parent)
        return {**variant, **({"created": created} if created else {})}


def of_clock(variant: Mapping[str, Any], clock: str) -> dict[str, Any]:
    """A variant's parameters for one test clock; those of a variant that knows no clocks as they are."""
    return {name: clock if value == EACH_TEST_CLOCK else value for name, value in variant.items()}


def create(
    db: Connection, run: int, resource: Resource, variant: int = 0, since: int | None = None, until: int | None = None
) -> Range:
    """A new range of an import."""
    id_ = db.scalar(
        text("""
insert into tidegate.import_ranges (run, resource, variant, since, until)
values (:run, :resource, :variant, :since, :until) returning id"""),
        {"run": run, "resource": resource.name, "variant": variant, "since": since, "until": until},
    )
    return Range(int(id_ or 0), resource, variant, since, until)


def load(db: Connection, run: int, resources: dict[str, Resource]) -> list[Range]:
    """Every range of an import, as they were last checkpointed; errors are forgotten, so that they are tried again."""
    rows = db.execute(
        text("""
select id, resource, variant, since, until, cursor, reached, done, pages, counts
from tidegate.import_ranges where run = :run order by id"""),
        {"run": run},
    ).mappings()
    return [_range(dict(row), resources) for row in rows if row["resource"] in resources]


def _range(row: dict[str, Any], resources: dict[str, Resource]) -> Range:
    resource, counts = resources[row.pop("resource")], Counts.from_json(row.pop("counts"))
    return Range(resource=resource, counts=counts, **row)


def checkpoint(db: Connection, range_: Range, owner: str) -> None:
    """Stores how far a range has come, in the transaction that stores its rows.

    Its bounds are not written: cutting a range changes them at any time, also while its reader stores a page. Raises
    ImportTakenOver when the run is not the `owner`'s any more, and ConnectionDisconnected when its key was erased.
    """
    written = run(
        db,
        _CHECKPOINT,
        {
            "owner": owner,
            "id": range_.id,
            "cursor": range_.cursor,
            "reached": range_.reached,
            "done": range_.done,
            "pages": range_.pages,
            "counts": json.dumps(range_.counts.as_json()),
            "error": range_.error,
        },
    )
    if not written.rowcount:
        name = runs.connection_of_range(db, range_.id)
        raise (ConnectionDisconnected(name=name) if is_disconnected(db, name) else ImportTakenOver(connection=name))


_CHECKPOINT = b"""
update tidegate.import_ranges set cursor = %(cursor)s, reached = %(reached)s, done = %(done)s, pages = %(pages)s,
  counts = cast(%(counts)s as jsonb), error = %(error)s where id = %(id)s and exists (
    select from tidegate.runs r where r.id = import_ranges.run and r.process = %(owner)s and not exists (
      select from tidegate.connections c where c.name = r.connection and c.disconnected_at is not null))"""
