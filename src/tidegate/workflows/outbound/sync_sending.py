"""Sends what a sync's plan decided: intent, request, outcome; many customers side by side, one's requests in turn."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from tidegate.connections.accounts import Account
from tidegate.errors import ENDS_THE_WORK, StripeObjectMissing, StripeRefused, SyncTakenOver, TidegateError, WorkStopped
from tidegate.mirror import lookups
from tidegate.outbound import rows
from tidegate.outbound.planning import Planned
from tidegate.outbound.push import journal, outcomes, seen
from tidegate.outbound.push.lanes import Lanes
from tidegate.outbound.push.outcomes import Outcome, body_of, id_told
from tidegate.outbound.push.requests import Request, request
from tidegate.outbound.push.turns import Turns, making
from tidegate.outbound.rows import Row
from tidegate.outbound.specs import Sync
from tidegate.store.trouble import told
from tidegate.stripe_api.calls import Answer
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.entitlements.usage_telling import counted_before
from tidegate.workflows.outbound.sync_keeping import Keeper, refuse_if_taken_over, take
from tidegate.workflows.outbound.sync_looking import MAKES, seen_now
from tidegate.workflows.outbound.sync_remembering import Sending, after

log = logging.getLogger(__name__)

AHEAD = 100
"""Requests whose intent is written down in one transaction."""
WORKERS = 48
ROOM = 1_000
"""Requests whose intent is written down and which are not sent, at most: so long may one customer's rows follow each
other without keeping others from being sent beside them.
"""
STORM_SECONDS = 900.0
"""For which a request is tried while Stripe takes none."""
MADE_MEANWHILE = "{} was made since the plan, and the row matches it, so no other was made: the next run writes to it"
TOLD_EVERY = 1.0
"""Seconds between two reports of how far it is."""


@dataclass(slots=True)
class Sent:
    """What came of a run's requests, by operation; `failed`: refused or without a known outcome."""

    done: Counter[str] = field(default_factory=Counter[str])
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a request; `answer`: the object as it left it; `seen`: the object as Stripe shows it since, for the
    mirror, where that is another answer. `found`: the object was found by looking, and no answer came to the request.
    """

    sending: Sending
    outcome: Outcome
    answer: Answer | None = None
    seen: Answer | None = None
    found: bool = False


class Sender:
    """Sends the requests of one run of a sync; what came of them is added to `sent`."""

    def __init__(
        self,
        engine: Engine,
        api: StripeApi,
        account: Account,
        sync: Sync,
        run: int,
        turns: Turns,
        *,
        sent: Sent | None = None,
        stop: threading.Event | None = None,
        progress: Callable[[Sent], None] | None = None,
    ) -> None:
        self._engine, self._api, self._account, self._sync, self._run = engine, api, account, sync, run
        self._turns = turns
        self._stop, self._progress = stop or threading.Event(), progress
        self._over = threading.Event()  # of this sender alone: `stop` may be a whole worker's
        self._unbegun: dict[int, Sending] = {}
        self._making: dict[int, str] = {}
        self._told_at = 0.0
        self._counting = threading.Lock()
        self.sent = sent or Sent()

    def send(self, planned: Iterable[Sequence[Planned]]) -> Sent:
        """Sends these decisions to create, update and delete, in their order where the customer is the same.

        What is refused is told by its row; a row whose last request's outcome is still unknown is left out, and failed.
        Of what was not begun, because the run was stopped or ended, it is written down that it was never sent. Raises
        what ends the work (`ENDS_THE_WORK`), StripeRateLimited where Stripe takes no more, SyncTakenOver, and the
        database's errors; the outcomes known by then are written down.
        """
        try:
            self.through(self._intended(planned), self._sent_now)
        except WorkStopped:  # while it waited to be sent, or to be sent again
            if not self._stop.is_set():
                raise
        except BaseException:
            try:
                self._withdraw()
            except (DBAPIError, SyncTakenOver) as problem:  # the next run settles them
                log.warning("intents_not_withdrawn", extra={"sync": self._sync.key, "problem": told(problem)})
            raise
        self._withdraw()
        return self.sent

    def through(self, work: Iterable[Sending], do: Callable[[Sending], Came]) -> None:
        """Does something with requests whose intent is written down, in their lanes, and writes down what came."""
        try:
            self._through(work, do)
        finally:
            self._give_back(list(self._making))  # of what was not written down; a pooled session keeps its locks
        self._tell(last=True)

    def _through(self, work: Iterable[Sending], do: Callable[[Sending], Came]) -> None:
        with Keeper(self._engine, self._settle, self._count, self._over.set) as keeper:

            def one(sending: Sending) -> None:
                self._unbegun.pop(sending.id, None)
                begun = datetime.now(UTC)
                try:
                    keeper.put(do(sending))
                except TidegateError as error:
                    keeper.put(Came(sending, outcomes.failed(error, sending.request, begun, datetime.now(UTC))))
                    if isinstance(error, ENDS_THE_WORK) or outcomes.is_storm(error):
                        self._over.set()
                        raise

            def in_turn(sending: Sending) -> None:
                if (sought := self._makes(sending.request)) is not None:
                    lane = making(*sought)
                    if self._turns.take(lane, self._is_over):
                        self._making[sending.id] = lane  # given back once the mirror has what came of it
                        one(sending)
                    return
                with self._turns.of(sending.request.lane, self._is_over) as mine:
                    if mine:
                        one(sending)

            lanes: Lanes[Sending] = Lanes(in_turn, lambda one: one.request.lane, workers=WORKERS, room=ROOM)
            lanes.run(work, self._is_over)

    def _give_back(self, ids: Sequence[int]) -> None:
        for id_ in ids:
            if (lane := self._making.pop(id_, None)) is not None:
                self._turns.give_back(lane)

    def _makes(self, request: Request) -> tuple[str, str, str] | None:
        """By what a customer would be found (`lookups.find`) that a request makes; None: it makes none. A sale may be
        making the same one: its turn is that of whoever makes it.
        """
        way, name, _ = self._sync.matched_by
        if self._sync.resource != "customers" or request.operation not in MAKES:
            return None
        said = request.params.get("metadata", {}).get(name) if way == "metadata" else request.params.get(way)
        return (way, name, str(said)) if said else None

    def _made_meanwhile(self, sending: Sending) -> Came | None:
        """What came of a request whose customer was made since the plan; None: there is none yet."""
        if (sought := self._makes(sending.request)) is None:
            return None
        way, name, value = sought
        # Asked for each customer that is made: with a transaction around it these were three questions.
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            there = lookups.find(db, self._account.name, "customers", way, name, {value}).get(value)
        if not there:
            return None
        now = datetime.now(UTC)
        return Came(sending, Outcome("refused", error=MADE_MEANWHILE.format(", ".join(there)), answered_at=now))

    def _is_over(self) -> bool:
        return self._over.is_set() or self._stop.is_set()

    def _intended(self, planned: Iterable[Sequence[Planned]]) -> Iterator[Sending]:
        for batch in planned:
            for start in range(0, len(batch), AHEAD):
                if self._is_over():
                    return
                yield from self._intend(batch[start : start + AHEAD])

    def _intend(self, some: Sequence[Planned]) -> list[Sending]:
        keys = [one.decision.key for one in some]
        with self._engine.begin() as db:
            refuse_if_taken_over(db, self._sync.key, self._run)
            before = journal.before(db, self._sync.key, self._account.name, keys)
            open_ = {key for key, known in before.items() if known.open}
            some = [one for one in some if one.decision.key not in open_]
            known = rows.known(db, self._sync.key, {one.decision.key: one.decision.object_id for one in some})
            requests = self.requests(db, some, known, before)
            marks = lookups.marks(db, self._account.name, self._sync.resource, [r.object_id or "" for r in requests])
            by = self._sync.matched_by[:2]
            numbers = journal.intend(db, self._run, self._sync.key, self._account.name, requests, by)
        with self._counting:
            self.sent.failed += len(open_)
        intended = [
            Sending(number, one, request, known.get(one.decision.key), marks.get(request.object_id or ""))
            for number, one, request in zip(numbers, some, requests, strict=True)
        ]
        self._unbegun |= {one.id: one for one in intended}
        return intended

    def requests(
        self,
        db: Connection,
        some: Sequence[Planned],
        known: Mapping[str, Row],
        before: Mapping[str, journal.Before],
    ) -> list[Request]:
        """The requests of decisions, with the lanes that the mirror tells."""
        resource = self._sync.resource
        ids = [one.decision.object_id for one in some if one.decision.object_id]
        live = lookups.bodies(db, self._account.name, resource, ids) if resource != "customers" else {}
        account = f"{self._account.account}:{self._account.livemode}"
        found: list[Request] = []
        for one in some:
            key, there = one.decision.key, live.get(one.decision.object_id or "")
            generation = max(
                known[key].generation if key in known else 0, before[key].generation if key in before else 0
            )
            body = there.body if there else None
            found.append(request(account, self._sync.key, resource, one.decision, body, generation, one.hash))
        return found

    def _sent_now(self, sending: Sending) -> Came:
        if (came := self._made_meanwhile(sending)) is not None:
            return came
        begun = datetime.now(UTC)
        try:
            answer = self.performed(sending.request)
        except StripeRefused as error:
            if (known := counted_before(sending.request, error)) is not None:
                return known_before(sending, known, error, begun)
            if not isinstance(error, StripeObjectMissing):
                raise
            # Deleted by somebody, or by an earlier try of this; or what the request names is missing.
            request = sending.request
            if request.operation in MAKES:
                raise
            answer = seen_now(self._api, self._sync.resource, request.path.split("/")[3])
            if not seen.is_done(self._sync.resource, request.operation, request.params, body_of(answer.body)):
                return Came(sending, outcomes.failed(error, request, begun, datetime.now(UTC)), answer)
        return done(sending, answer, begun)

    def performed(self, request: Request) -> Answer:
        """Sends a request, for a while also through a storm of 429. Raises as StripeApi does."""
        send = self._api.delete if request.method == "delete" else self._api.post
        begun = time.monotonic()
        maybe_done = False
        while True:
            try:
                return send(request.path, request.params, idempotency_key=request.idempotency_key)
            except TidegateError as error:
                # Of all tries under this key, not only of the last round.
                maybe_done = error.facts["maybe_done"] = maybe_done or bool(error.facts.get("maybe_done", True))
                if not outcomes.is_storm(error) or time.monotonic() - begun > STORM_SECONDS or self._is_over():
                    raise

    def _settle(self, db: Connection, some: Sequence[Came]) -> None:
        refuse_if_taken_over(db, self._sync.key, self._run)
        journal.settle(db, [(one.sending.id, one.outcome) for one in some])
        shown = [(answer, one.sending.mark) for one in some if (answer := one.seen or one.answer) is not None]
        take(db, self._account, self._sync.resource, shown)
        told = [one for one in some if one.outcome.state != "unsent"]
        kept = [after(self._sync, one.sending, one.outcome, one.answer, found=one.found) for one in told]
        rows.keep(db, self._sync.key, self._run, [row for row in kept if row is not None])
        gone = [one.sending.request.key for one, row in zip(told, kept, strict=True) if row is None]
        rows.forget(db, self._sync.key, gone)

    def _count(self, some: Sequence[Came]) -> None:
        self._give_back([one.sending.id for one in some])
        with self._counting:
            self.sent.done.update(one.sending.request.operation for one in some if one.outcome.state == "done")
            self.sent.failed += sum(one.outcome.state in {"refused", "unknown"} for one in some)
        self._tell()

    def _tell(self, *, last: bool = False) -> None:
        if self._progress is not None and (last or time.monotonic() - self._told_at >= TOLD_EVERY):
            self._told_at = time.monotonic()
            self._progress(self.sent)

    def _withdraw(self) -> None:
        if self._unbegun:
            with self._engine.begin() as db:
                refuse_if_taken_over(db, self._sync.key, self._run)
                journal.withdraw(db, list(self._unbegun))
            self._unbegun.clear()


def known_before(sending: Sending, answer: Answer, error: TidegateError, begun: datetime) -> Came:
    """A request that was carried out before, as the refusal of another try of it says."""
    status, request_id = int(error.facts["status"]), str(error.facts.get("request_id") or "")
    id_ = sending.request.object_id or id_told(body_of(answer.body))
    told = Outcome("done", status, request_id, None, str(error), id_, begun, datetime.now(UTC))
    return Came(sending, told, answer)


def done(sending: Sending, answer: Answer, begun: datetime) -> Came:
    """A request that was carried out."""
    return Came(sending, outcomes.succeeded(answer.body, answer.request_id, begun, datetime.now(UTC)), answer)
