"""Writes outcomes down as they come: on a thread of its own, many in one transaction, and none twice."""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from sqlalchemy import Connection, Engine, text

from tidegate.connections.accounts import Account
from tidegate.errors import SyncTakenOver
from tidegate.mirror import lookups, refetches
from tidegate.mirror.apply import apply
from tidegate.mirror.arrivals import arrive
from tidegate.mirror.decide import Certainty
from tidegate.mirror.lookups import Mark
from tidegate.outbound.push.outcomes import body_of
from tidegate.store.trouble import repeated, told
from tidegate.stripe_api.calls import Answer
from tidegate.stripe_api.resources import RESOURCES

log = logging.getLogger(__name__)

TOGETHER = 200
"""Outcomes that are written down in one transaction, at most."""

T = TypeVar("T")


class Keeper(Generic[T]):
    """Keeps what is `put` within its block: `keep` writes some down in a transaction, `kept` hears of them afterwards.

    When that fails nothing more is written, `failed` is called at once, and the failure is raised at the block's end,
    unless the block raises something itself.
    """

    def __init__(
        self,
        engine: Engine,
        keep: Callable[[Connection, Sequence[T]], None],
        kept: Callable[[Sequence[T]], None],
        failed: Callable[[], None],
    ) -> None:
        self._engine, self._keep, self._kept, self._tell_failed = engine, keep, kept, failed
        self._come: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="outcomes")
        self._failure: Exception | None = None

    def put(self, one: T) -> None:
        """Hands an outcome over; returns at once."""
        self._come.put(one)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._come.put(None)
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure
        if self._failure is not None:
            log.warning("outcomes_not_kept", extra={"problem": told(self._failure)})

    def _work(self) -> None:
        ended = False
        while not ended:
            some, ended = self._next()
            if some and self._failure is None:
                try:
                    self._write(some)
                except Exception as failure:  # raised where the block ends
                    self._failure = failure
                    self._tell_failed()

    def _next(self) -> tuple[list[T], bool]:
        """What has come, at least one, and whether it is all."""
        some: list[T] = []
        while not some or (len(some) < TOGETHER and not self._come.empty()):
            if (one := self._come.get()) is None:
                return some, True
            some.append(one)
        return some, False

    def _write(self, some: Sequence[T]) -> None:
        def once() -> None:
            with self._engine.begin() as db:
                self._keep(db, some)

        repeated(once, "what Stripe answered")
        self._kept(some)


def take(db: Connection, account: Account, resource: str, answers: Sequence[tuple[Answer, Mark | None]]) -> None:
    """Takes the objects that Stripe answered into the mirror; one that says it is deleted leaves its tombstone.

    Beside each answer stands the mark that its object had in the mirror before it was asked for. While it has the same,
    what is stored is older than the answer, also where both are of one second.
    """
    if resource not in RESOURCES:
        return  # Stripe lists none of them
    marked = {_id(answer): mark for answer, mark in answers if mark is not None}
    now = lookups.marks(db, account.name, resource, sorted(marked)) if marked else {}
    older = {id_: mark.at for id_, mark in marked.items() if now.get(id_) == mark}
    with refetches.at_the_end(db, account.name):
        for answer, _ in answers:
            at, stored_at = int(answer.at.timestamp()), older.get(_id(answer))
            certainty = Certainty.READ if stored_at is None else Certainty.SETTLED
            arrivals, lost = arrive(RESOURCES[resource], [answer.body], max(at, stored_at or 0), certainty)
            apply(db, account.name, RESOURCES[resource], arrivals, lost)


def _id(answer: Answer) -> str:
    return str(body_of(answer.body).get("id"))


def refuse_if_taken_over(db: Connection, sync: str, run: int) -> None:
    """Raises SyncTakenOver where another process took this run for dead and began the next, of the sync or of another
    one of its line: what that finds open, or writes, is its own.
    """
    if next_ := db.execute(_NEXT, {"run": run}).first():
        raise SyncTakenOver(sync=sync, next=next_.sync, process=next_.process)


_NEXT = text("""
select substr(n.connection, length('sync:') + 1) as sync, n.process from tidegate.runs o
join tidegate.runs n on n.kind = o.kind and n.id > o.id
  and (n.connection = o.connection or coalesce(n.options ->> 'line', n.options ->> 'connection')
    = coalesce(o.options ->> 'line', o.options ->> 'connection'))
where o.id = :run and o.kind = 'sync' order by n.id desc limit 1""")
