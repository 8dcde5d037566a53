"""Stores the pages of an import: each in one transaction with the place at which it ends."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, Engine

from tidegate.mirror import discounts, ranges, refetches, sightings
from tidegate.mirror.apply import apply
from tidegate.mirror.arrivals import Counts
from tidegate.mirror.discounts import Inside
from tidegate.mirror.pages import Page
from tidegate.mirror.ranges import Range
from tidegate.store.driver import run
from tidegate.store.trouble import repeated
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.discounts import DISCOUNTS

AT_ONCE = 5
"""Pages stored side by side. One interpreter feeds no more sessions than that; every further one only costs both sides
CPU, on a small machine above all.
"""


# Holds the connection, so that nobody is forgotten between the look for who was and the rows. A crash of the server may
# lose the last transactions, each with its checkpoint: they are read again.
_BEGIN = b"""
select set_config('synchronous_commit', 'off', true) from tidegate.connections where name = %(connection)s
for key share"""


class Place(NamedTuple):
    """Where a reader stands in its range after its pages: the last id, that object's `created`, whether it was the end.

    `reached` None: as before.
    """

    cursor: str
    reached: int | None
    done: bool


@dataclass(slots=True)
class Storing:
    """What those who store share. `owner`: whose work the run is, as `runs.begin` was told. `full`: what is read
    unchanged is noted in `sightings` and not written.
    """

    engine: Engine
    account: str
    owner: str
    full: bool = False
    _discounts: set[int] = field(default_factory=set[int])  # that were met and stored, as `discounts.inside` takes them
    _turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(AT_ONCE))

    def store(self, range_: Range, pages: Sequence[Page], place: Place, gone: Sequence[str] = ()) -> None:
        """Stores pages of a range and the place they end at, again where the database was in trouble; `gone` are
        parents that Stripe has no more, to be looked at themselves. The range is as before when it fails.

        Raises ImportTakenOver, ConnectionDisconnected and the errors of `store.trouble.repeated`.
        """
        before = (range_.cursor, range_.reached, range_.done, range_.pages, range_.counts)
        whole = discounts.inside(range_.resource, [one for page in pages for one in page.arrivals], self._discounts)

        def once() -> None:
            try:
                with self._turns, self.engine.begin() as db:
                    run(db, _BEGIN, {"connection": self.account})
                    counts = self._put(db, range_, pages, whole, gone)
                    counts.add(range_.counts)
                    range_.counts = counts
                    range_.cursor, range_.done, range_.pages = place.cursor, place.done, range_.pages + len(pages)
                    range_.reached = place.reached if place.reached is not None else range_.reached
                    ranges.checkpoint(db, range_, self.owner)
            except BaseException:
                range_.cursor, range_.reached, range_.done, range_.pages, range_.counts = before
                raise

        repeated(once, f"a page of {range_.resource.name}")
        self._discounts |= whole.digests

    def _put(self, db: Connection, range_: Range, pages: Sequence[Page], whole: Inside, gone: Sequence[str]) -> Counts:
        counts = Counts()
        with refetches.at_the_end(db, self.account):
            for page in pages:
                one = apply(db, self.account, range_.resource, page.arrivals, page.lost, sparing=self.full)
                sightings.keep(db, range_.id, one.spared)
                counts.add(one.counts)
            if whole.arrivals or whole.lost:
                apply(db, self.account, DISCOUNTS, *whole, sparing=self.full)
            if gone:
                parents = RESOURCES[range_.parents]
                refetches.ask(db, self.account, parents, [refetches.Ask(id_, "doubt") for id_ in gone])
        return counts
