"""Sends what a sync's plan decided: intent, request, outcome; many customers side by side, one's requests in turn."""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from tidegate.connections.accounts import Account
from tidegate.errors import ENDS_THE_WORK, StripeRefused, TidegateError
from tidegate.mirror import lookups
from tidegate.mirror.apply import apply
from tidegate.mirror.arrivals import arrive
from tidegate.mirror.decide import Certainty
from tidegate.outbound import rows
from tidegate.outbound.plan.compare import id_of
from tidegate.outbound.plan.decide import Decision, showing
from tidegate.outbound.planning import Planned
from tidegate.outbound.push import journal
from tidegate.outbound.push.journal import Outcome
from tidegate.outbound.push.lanes import Lanes
from tidegate.outbound.push.redaction import redacted
from tidegate.outbound.push.requests import Request, request
from tidegate.outbound.rows import Row
from tidegate.outbound.specs import Sync
from tidegate.stripe_api.calls import Answer
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES

AHEAD = 100
"""Requests whose intent is written down in one transaction."""
WORKERS = 48
TOGETHER = 200
"""Outcomes that are written down in one transaction, at most."""
STATES = {"nothing": "sent", "skip": "skipped", "held": "held", "conflict": "conflict", "invalid": "invalid",
          "gone": "gone"}  # fmt: skip
"""What becomes of a row about which nothing is sent."""

REVERTED = "what a run sent of it was taken back; it is sent again when it changes in the model"


@dataclass(frozen=True, slots=True)
class Sending:
    """A request on its way: its row's decision, and what is remembered of the row."""

    id: int
    planned: Planned
    request: Request
    row: Row | None


@dataclass(slots=True)
class Sent:
    """What came of a run's requests, by operation; `failed`: refused or without a known outcome."""

    done: Counter[str] = field(default_factory=Counter[str])
    failed: int = 0


class Sender:
    """Sends the requests of one run of a sync; what came of them is added to `sent`."""

    def __init__(
        self,
        engine: Engine,
        api: StripeApi,
        account: Account,
        sync: Sync,
        run: int,
        *,
        sent: Sent | None = None,
        stop: threading.Event | None = None,
        progress: Callable[[Sent], None] | None = None,
    ) -> None:
        self._engine, self._api, self._account, self._sync, self._run = engine, api, account, sync, run
        self._stop, self._progress = stop or threading.Event(), progress
        self._outcomes: queue.SimpleQueue[tuple[Sending, Outcome, Answer | None] | None] = queue.SimpleQueue()
        self.sent = sent or Sent()

    def send(self, planned: Iterable[Sequence[Planned]]) -> Sent:
        """Sends these decisions to create, update and delete, in their order where the customer is the same.

        What is refused is told by its row. Raises what ends the work (`ENDS_THE_WORK`), and the database's errors; the
        outcomes known by then are written down.
        """
        failures: list[BaseException] = []
        keeper = threading.Thread(target=self._keep, args=(failures,), name="outcomes")
        keeper.start()
        lanes: Lanes[Sending] = Lanes(self._do, lambda one: one.request.lane, workers=WORKERS, waiting=4 * WORKERS)
        try:
            lanes.run(self._intended(planned), self._stop)
        finally:
            self._outcomes.put(None)
            keeper.join()
        if failures:
            raise failures[0]
        return self.sent

    def _intended(self, planned: Iterable[Sequence[Planned]]) -> Iterator[Sending]:
        for batch in planned:
            for start in range(0, len(batch), AHEAD):
                if self._stop.is_set():
                    return
                yield from self._intend(batch[start : start + AHEAD])

    def _intend(self, some: Sequence[Planned]) -> list[Sending]:
        resource = self._sync.resource
        with self._engine.begin() as db:
            known = rows.of(db, self._sync.key, [one.decision.key for one in some])
            ids = [one.decision.object_id for one in some if one.decision.object_id]
            live = lookups.bodies(db, self._account.name, resource, ids) if resource != "customers" else {}
            requests = [self._request(one.decision, known, live) for one in some]
            numbers = journal.intend(db, self._run, self._sync.key, self._account.name, requests)
        return [
            Sending(number, one, request, known.get(one.decision.key))
            for number, one, request in zip(numbers, some, requests, strict=True)
        ]

    def _request(self, decision: Decision, known: Mapping[str, Row], live: Mapping[str, lookups.Object]) -> Request:
        row, there = known.get(decision.key), live.get(decision.object_id or "")
        account = f"{self._account.account}:{self._account.livemode}"
        body = there.body if there else None
        generation = row.generation if row else 0
        return request(account, self._sync.key, self._sync.resource, decision, body, generation)

    def _do(self, sending: Sending) -> None:
        if self._stop.is_set():
            return  # the intent stays open, and is settled when the sync runs again
        begun = datetime.now(UTC)
        try:
            answer = perform(self._api, sending.request.method, sending.request.path, sending.request.params,
                             sending.request.idempotency_key)  # fmt: skip
        except TidegateError as error:
            self._outcomes.put((sending, failed(error, begun), None))
            if isinstance(error, ENDS_THE_WORK):
                raise
        else:
            self._outcomes.put((sending, succeeded(answer, begun), answer))

    def _keep(self, failures: list[BaseException]) -> None:
        """Writes outcomes down until the last one, as many together as have come."""
        ended = False
        while not ended:
            some = [self._outcomes.get()]
            while len(some) < TOGETHER and some[-1] is not None and not self._outcomes.empty():
                some.append(self._outcomes.get())
            ended = some[-1] is None
            if failures or not (told := [one for one in some if one is not None]):
                continue
            try:
                with self._engine.begin() as db:
                    self._settle(db, told)
            except Exception as failure:  # raised by `send`; nothing more is begun
                failures.append(failure)
                self._stop.set()
            if self._progress is not None:
                self._progress(self.sent)

    def _settle(self, db: Connection, some: Sequence[tuple[Sending, Outcome, Answer | None]]) -> None:
        journal.settle(db, [(sending.id, outcome) for sending, outcome, _ in some])
        take(db, self._account, self._sync.resource, [answer for _, _, answer in some if answer is not None])
        kept = [after(self._sync, *one) for one in some]
        rows.keep(db, self._sync.key, self._run, [row for row in kept if row is not None])
        rows.forget(
            db, self._sync.key, [s.request.key for (s, _, _), row in zip(some, kept, strict=True) if row is None]
        )
        for sending, outcome, _ in some:
            if outcome.state == "done":
                self.sent.done[sending.request.operation] += 1
            else:
                self.sent.failed += 1


def perform(api: StripeApi, method: str, path: str, params: Mapping[str, Any], key: str) -> Answer:
    """Sends a request that changes something. Raises as StripeApi does."""
    send = api.delete if method == "delete" else api.post
    return send(path, params, idempotency_key=key)


def succeeded(answer: Answer, begun: datetime) -> Outcome:
    """The outcome of an answer."""
    body = msgspec.json.decode(answer.body)
    said = msgspec.json.encode(redacted(body)).decode()
    return Outcome("done", 200, answer.request_id, said, "", body.get("id"), begun, datetime.now(UTC))


def failed(error: TidegateError, begun: datetime) -> Outcome:
    """The outcome of an error: refused where Stripe said so definitely; else nobody knows whether it was done."""
    status = int(error.facts.get("status") or 0)
    definite = isinstance(error, StripeRefused) and status < 500 and status not in {409, 429}
    request_id = str(error.facts.get("request_id") or "")
    state = "refused" if definite else "unknown"
    return Outcome(state, status or None, request_id, None, str(error), None, begun, datetime.now(UTC))


def take(db: Connection, account: Account, resource: str, answers: Sequence[Answer]) -> None:
    """Takes the objects that Stripe answered into the mirror; one that says it is deleted leaves its tombstone."""
    for answer in answers:
        arrivals, lost = arrive(RESOURCES[resource], [answer.body], int(answer.at.timestamp()), Certainty.READ)
        apply(db, account.name, RESOURCES[resource], arrivals, lost)


def after(sync: Sync, sending: Sending, outcome: Outcome, answer: Answer | None) -> Row | None:
    """What is remembered of a row after its request; None: it is forgotten, for it was deleted."""
    decision, before = sending.planned.decision, sending.row
    if outcome.state == "done" and decision.kind == "delete":
        return None
    generation = sending.request.generation + (outcome.state != "unknown")
    if decision.kind == "revert":
        if outcome.state == "done" and answer is not None:
            return taken_back(sync, sending, answer)
        return before and replace(before, generation=generation)
    if outcome.state != "done" or answer is None:
        kept = before or Row(decision.key, sending.planned.hash, "failed")
        return replace(kept, hash=sending.planned.hash, state="failed", generation=generation, why=outcome.error)
    body = msgspec.json.decode(answer.body)
    if before is not None and decision.kind == "retire":
        return replace(before, retires=None, generation=generation)
    if before is not None and decision.kind == "finish":
        showed = showing(sync.resource, before.wrote, body)
        return replace(before, showed=showed, seen_at=answer.at, generation=generation)
    return Row(
        decision.key,
        sending.planned.hash,
        "sent",
        body.get("id"),
        True,
        dict(decision.wanted),
        showing(sync.resource, decision.wanted, body),
        answer.at,
        generation,
        parent=id_of(body.get("invoice")) if sync.resource == "invoiceitems" else None,
        retires=decision.object_id if decision.kind == "replace" else before.retires if before else None,
    )


def taken_back(sync: Sync, sending: Sending, answer: Answer) -> Row:
    """What is remembered of a row whose request of an earlier run was undone: it is left alone until it says otherwise
    in the warehouse.
    """
    decision = sending.planned.decision
    known = sending.row or Row(decision.key, sending.planned.hash, "reverted")
    kept = replace(known, state="reverted", generation=sending.request.generation + 1, why=REVERTED, problems=[])
    if "do" in decision.payload:
        return replace(kept, object_id=None, wrote={}, showed={}, seen_at=None, parent=None)
    showed = showing(sync.resource, decision.wanted, msgspec.json.decode(answer.body))
    replaced = known.object_id if known.object_id not in {None, decision.object_id} else known.retires
    return replace(
        kept, object_id=decision.object_id, ours=True, wrote=dict(decision.wanted), showed=showed,
        seen_at=answer.at, retires=replaced,
    )  # fmt: skip


def unsent(sync: Sync, planned: Planned, before: Row | None, live: lookups.Object | None) -> Row:
    """What is remembered of a row about which nothing is sent. One that is as wanted is adopted, unless the sync only
    inserts.
    """
    decision = planned.decision
    known = before or Row(decision.key, planned.hash, "held")
    state = STATES[decision.kind]
    if state == "sent" and live is not None:
        showed = showing(sync.resource, decision.wanted, live.body)
        return Row(
            decision.key, planned.hash, state, decision.object_id, sync.mode == "upsert" or known.ours,
            dict(decision.wanted), showed, live.at, known.generation,
        )  # fmt: skip
    problems = [one.as_json() for one in decision.problems]
    seen_at = live.at if live is not None else known.seen_at
    return replace(known, hash=planned.hash, state=state, seen_at=seen_at, why=decision.why, problems=problems)
