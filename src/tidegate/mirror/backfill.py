"""Reads a whole Stripe account into the mirror: many readers over the ranges of a plan, page by page."""

import gc
import logging
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Engine, text

from tidegate.connections import problems
from tidegate.errors import (
    ENDS_THE_WORK,
    ConnectionDisconnected,
    ImportTakenOver,
    StripeCursorGone,
    StripeObjectMissing,
    TidegateError,
    WorkStopped,
    passes,
    refusal,
)
from tidegate.mirror import ranges
from tidegate.mirror.arrivals import Counts
from tidegate.mirror.pages import Page, read_objects, retrieve
from tidegate.mirror.plan import Load, Plan
from tidegate.mirror.ranges import Range
from tidegate.mirror.storing import Place, Storing
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.endpoints import list_path
from tidegate.stripe_api.resources import RESOURCES

log = logging.getLogger(__name__)

PARENTS_AT_ONCE = 20


class Progress(NamedTuple):
    """What one page brought: rows read in all of a resource, about how many there are (None: not known yet), done or
    not.
    """

    resource: str
    counts: Counts
    expected: int | None
    done: bool
    error: str


@dataclass(slots=True)
class Reader:
    """What the readers of one import share; what they read goes to `storing`."""

    engine: Engine
    account: str
    api: StripeApi
    run: int
    plan: Plan
    storing: Storing
    tell: Callable[[Progress], None]
    stop: threading.Event
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _fatal: list[BaseException] = field(default_factory=list[BaseException])

    def read_all(self, readers: int) -> None:
        """Reads every range of the plan with so many threads. A failed range carries its error; the others go on.

        Raises what makes all further work useless: `ENDS_THE_WORK`, ImportTakenOver, ConnectionDisconnected, an error
        of the database.
        """
        with _rare_collection():
            self._run(readers)
        if self._fatal:
            raise self._fatal[0]

    def _run(self, readers: int) -> None:
        threads = [threading.Thread(target=self._work, name=f"reader-{n}", daemon=True) for n in range(readers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        try:
            while (load := self._take()) is not None:
                self._read_range(load)
        except BaseException as error:  # every other reader must end too, and the caller hear of it
            with self._changed:
                self._fatal.append(error)
                self._changed.notify_all()

    def _take(self) -> Load | None:
        """The next range to read: one that waits, else half of the longest one. None when the work is done."""
        with self._changed:
            while not self._fatal and not self.stop.is_set():
                load = self.plan.next_unread() or self._split()
                if load is not None:
                    load.reading = True
                    return load
                if self.plan.finished():
                    self._changed.notify_all()
                    return None
                self._changed.wait(timeout=1.0)
            self._changed.notify_all()
            return None

    def _split(self) -> Load | None:
        """Cuts the longest range that is being read: its older half becomes a range of its own."""
        longest = self.plan.longest_in_reading()
        if longest is None:
            return None
        old = longest.range
        cut = longest.middle(self.plan.oldest, self.plan.now)
        with self.engine.begin() as db:
            half = ranges.create(db, self.run, old.resource, old.variant, old.since, cut)
            db.execute(
                text("update tidegate.import_ranges set since = :cut where id = :id"), {"cut": cut, "id": old.id}
            )
        old.since = cut
        load = Load(half, longest.density)
        self.plan.loads.append(load)
        return load

    def _read_range(self, load: Load) -> None:
        range_ = load.range
        try:
            while not range_.done and not self.stop.is_set() and not self._fatal:
                self._step(load)
        except WorkStopped:
            log.info("import_range_stopped", extra={"run": self.run, "resource": range_.resource.name})
        except (*ENDS_THE_WORK, ImportTakenOver, ConnectionDisconnected):
            raise
        except TidegateError as error:
            range_.error, load.passing, load.refused = str(error), passes(error), refusal(error)
            log.warning("import_range_failed", extra={"run": self.run, "resource": range_.resource.name})
            problems.note_error(self.engine, self.account, error, f"GET {range_.resource.path}")
            with self.engine.begin() as db:
                ranges.checkpoint(db, range_, self.storing.owner)
        finally:
            with self._changed:
                load.reading = False
                self._changed.notify_all()
            self._report(load)

    def _step(self, load: Load) -> None:
        """One page: read without a transaction, then stored with the checkpoint in one."""
        range_ = load.range
        if range_.parents:
            self._step_parents(range_)
        elif range_.resource.singleton:
            page = retrieve(self.api, range_.resource)
            self.storing.store(range_, [page], Place(range_.cursor, None, done=True))
        else:
            self._step_list(load)
        self._report(load)

    def _step_list(self, load: Load) -> None:
        range_ = load.range
        try:
            page = read_objects(
                self.api,
                range_.resource,
                str(range_.resource.path),
                range_.params(),
                after=range_.cursor,
                passed=load.passed,
            )
        except StripeCursorGone:
            if range_.reached is None:
                raise
            # The object was deleted since: go on from its second, reading that second again, or from the beginning.
            range_.cursor = ""
            load.passed.clear()
            range_.until, range_.reached = (
                (range_.reached + 1, range_.reached) if range_.resource.created_filter else (None, None)
            )
            return
        newest = page.arrivals[0].reading.created if page.arrivals else None
        with self._changed:
            page, beyond = _within(page, range_.since)
            load.ahead = page.reached
        place = Place(page.last or range_.cursor, page.reached, done=beyond or not page.has_more)
        self.storing.store(range_, [page], place)
        with self._changed:
            load.learn(newest, len(page.arrivals))
            self._changed.notify_all()

    def _step_parents(self, range_: Range) -> None:
        """The whole lists of the next few parents (or test clocks); one that Stripe has no more is queued to be looked
        at itself.
        """
        parents = self._parents(range_)
        pages: list[Page] = []
        gone: list[str] = []
        last = range_.cursor
        for parent in parents:
            if self.stop.is_set():
                break
            try:
                pages += self._pages_of(range_, parent)
            except StripeObjectMissing:
                gone.append(parent)
            except WorkStopped:  # what was read of the others is kept
                break
            last = parent
        done = len(parents) < PARENTS_AT_ONCE and last == (parents[-1] if parents else last)
        self.storing.store(range_, pages, Place(last, None, done), gone)

    def _pages_of(self, range_: Range, parent: str) -> list[Page]:
        path = list_path(str(range_.resource.path), parent)
        pages: list[Page] = []
        passed = set[str]()
        while not pages or pages[-1].has_more:
            after = pages[-1].last if pages else ""
            params = range_.params(parent)
            pages.append(
                read_objects(self.api, range_.resource, path, params, after=after, passed=passed, parent=parent)
            )
        return pages

    def _parents(self, range_: Range) -> Sequence[str]:
        table = RESOURCES[range_.parents].table
        with self.engine.connect() as db:
            return db.scalars(
                text(f"""
select id from stripe.{table} where connection = :connection and deleted_at is null and id > :cursor
order by id limit {PARENTS_AT_ONCE}"""),
                {"connection": self.account, "cursor": range_.cursor},
            ).all()

    def _report(self, load: Load) -> None:
        name = load.range.resource.name
        with self._changed:
            mine = [one for one in self.plan.loads if one.range.resource.name == name]
            counts = Counts()
            for one in mine:
                counts.add(one.range.counts)
            expected = self.plan.expected(name)
            done = all(one.range.done or one.range.error for one in mine)
            error = next((one.range.error for one in mine if one.range.error), "")
        self.tell(Progress(name, counts, counts.read if done else expected, done, error))


@contextmanager
def _rare_collection() -> Generator[None]:
    """Lets Python look for cyclic garbage less often: pages hold thousands of objects and no cycles."""
    before = gc.get_threshold()
    gc.set_threshold(500_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _within(page: Page, since: int | None) -> tuple[Page, bool]:
    """The page without what lies beyond a cut made while it was read (another reader has that), and whether there was
    any.
    """
    if since is None:
        return page, False
    mine = [one for one in page.arrivals if one.reading.created is None or one.reading.created >= since]
    return page._replace(arrivals=mine), len(mine) < len(page.arrivals)
