"""Plans an import's reading: which range is read next, and where a long one is cut in two. Pure but for the lock
around it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from tidegate.mirror.ranges import Range

FEWEST_PAGES_TO_SPLIT = 3.0
WORTH_IT = 1.25
"""A range is cut when it is this much longer than what falls to each reader: every cut costs half a page."""
PAGE = 100


@dataclass(slots=True, eq=False)
class Load:
    """A range with what is known of its size: objects a second of `created` time, from the pages read near it."""

    range: Range
    density: float | None = None  # objects per second of `created`; None: nothing seen yet
    reading: bool = False
    passing: bool = True  # whether the range's error may go by itself
    refused: str = ""  # why Stripe refuses the list, as `errors.refusal` says it
    passed: set[str] = field(default_factory=set[str])  # where its pages ended, so that a circle is noticed
    ahead: int | None = None  # `created` of the last object of the page in hand, which is not stored yet

    def remaining_pages(self, oldest: int, now: int) -> float:
        """About how many pages are still to be read; infinite while nothing is known."""
        if self.range.done or self.range.error:
            return 0.0
        if self.range.resource.by_clock(self.range.variant):
            return 1.0  # what is on test clocks is little
        if self.density is None:
            return math.inf
        return max(1.0, self._span(oldest, now) * self.density / PAGE)

    def _span(self, oldest: int, now: int) -> int:
        return max(0, self._upper(now) - self._lower(oldest))

    def _upper(self, now: int) -> int:
        return min(x for x in (self.ahead, self.range.reached, self.range.until, now) if x is not None)

    def _lower(self, oldest: int) -> int:
        return self.range.since if self.range.since is not None else oldest

    def middle(self, oldest: int, now: int) -> int | None:
        """The instant to cut at: what is older goes to another reader. None when nothing is gained."""
        lower, upper = self._lower(oldest), self._upper(now)
        cut = lower + (upper - lower) // 2
        return cut if lower < cut < upper else None

    def learn(self, newest: int | None, objects: int) -> None:
        """Takes note of a page: `objects` between `newest` and where the range has come to.

        Nothing is learnt of a page within one second, nor of one that shows the oldest first: such a list, which no
        server of Stripe's has, is read from end to end and never cut.
        """
        if newest is None or self.range.reached is None or newest <= self.range.reached:
            return
        self.density = objects / (newest - self.range.reached)


@dataclass(slots=True)
class Plan:
    """All ranges of an import. `oldest` is the time the account began, `now` the time the import began (epoch seconds).

    `readers`: how many read; `side_by_side`: how many of them one resource can use at most (its share of the rate
    budget, times the latency).
    """

    oldest: int
    now: int
    readers: int
    side_by_side: int
    loads: list[Load] = field(default_factory=list[Load])

    def expected(self, resource: str) -> int | None:
        """About how many objects of a resource will have been read in the end; None while that is not known.

        An account grows: a list of which only the newest is known has about half of that density on its way back to
        the account's beginning.
        """
        mine = list(self._of_resource(resource))
        left = 0.0
        for load in mine:
            pages = load.remaining_pages(self.oldest, self.now)
            left += pages / 2 if load.range.since is None and pages > 1 else pages
        return None if left == math.inf else sum(load.range.counts.read for load in mine) + int(left * PAGE)

    def next_unread(self) -> Load | None:
        """The waiting range whose resource has most left to read, among resources with a reader to spare."""
        open_ = [load for load in self.loads if not load.reading and not load.range.done and not load.range.error]
        ready = [load for load in open_ if self._ready(load) and self._readers(load) < self.side_by_side]
        return max(ready, key=self._left_in_resource, default=None)

    def longest_in_reading(self) -> Load | None:
        """The range worth cutting: being read, with most pages left, of a resource with a reader to spare."""
        found = [
            (pages, load)
            for load in self.loads
            if load.reading
            and load.range.resource.created_filter
            and self._enough(load) <= (pages := load.remaining_pages(self.oldest, self.now)) < math.inf
            and self._readers(load) < self.side_by_side
            and load.middle(self.oldest, self.now) is not None
        ]
        return max(found, key=lambda one: one[0], default=(0.0, None))[1]

    def _enough(self, load: Load) -> float:
        """The pages that make a range worth cutting: clearly more than the share of each reader, or it ends in time."""
        left = [one.remaining_pages(self.oldest, self.now) for one in self.loads]
        mine = self._left_in_resource(load)
        share = max(sum(pages for pages in left if pages < math.inf) / self.readers, mine / self.side_by_side)
        if math.inf in left:  # lists of unknown size will want readers too: the first to be known gets its part of them
            open_ = {one.range.resource.name for one, pages in zip(self.loads, left, strict=True) if pages}
            share = max(share, mine * len(open_) / self.readers)
        return max(FEWEST_PAGES_TO_SPLIT, 1 + WORTH_IT * share)

    def finished(self) -> bool:
        """Whether nothing is being read and nothing can be any more."""
        return not any(load.reading for load in self.loads) and self.next_unread() is None

    def _ready(self, load: Load) -> bool:
        """What is listed per parent or test clock waits until these are read, and stored."""
        parents = load.range.parents
        return not parents or all(
            (one.range.done or one.range.error) and not one.reading for one in self._of_resource(parents)
        )

    def _of_resource(self, name: str) -> Iterable[Load]:
        return (load for load in list(self.loads) if load.range.resource.name == name)

    def _readers(self, load: Load) -> int:
        return sum(one.reading for one in self._of_resource(load.range.resource.name))

    def _left_in_resource(self, load: Load) -> float:
        return sum(one.remaining_pages(self.oldest, self.now) for one in self._of_resource(load.range.resource.name))
