"""Settles requests whose outcome nobody knows, before a sync sends anything else: sent again under the same key while
Stripe remembers it, else looked for.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Engine

from tidegate.connections.accounts import Account
from tidegate.errors import ENDS_THE_WORK, TidegateError
from tidegate.mirror import lookups
from tidegate.outbound import rows
from tidegate.outbound.plan.decide import Decision
from tidegate.outbound.planning import Planned
from tidegate.outbound.push import journal, outcomes, seen
from tidegate.outbound.push.journal import Open
from tidegate.outbound.push.outcomes import Outcome, body_of
from tidegate.outbound.push.requests import Request, lane
from tidegate.outbound.push.turns import Turns
from tidegate.outbound.resources import INSERT_ONLY
from tidegate.outbound.specs import Sync
from tidegate.stripe_api.calls import Answer
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.entitlements.usage_settling import UsageSettling
from tidegate.workflows.outbound.sync_looking import MAKES, NOT_DONE, looked_for, seen_now
from tidegate.workflows.outbound.sync_remembering import Sending
from tidegate.workflows.outbound.sync_sending import Came, Sender, done

REMEMBERED = 23 * 3600
"""Seconds for which an idempotency key is relied on: Stripe forgets it after at least 24 hours
(docs.stripe.com/api/idempotent_requests).
"""


def settle(
    engine: Engine,
    api: StripeApi,
    account: Account,
    sync: Sync,
    run: int,
    turns: Turns,
    stop: threading.Event | None = None,
    kind: str | None = None,
) -> int:
    """Settles the open requests of a sync (of a kind); returns how many there were. Of one that cannot be settled now
    the row is left alone by this run. Raises as `Sender.send` does.
    """
    with engine.connect() as db:
        left = journal.opened(db, sync.key, account.name, kind)
        known = rows.known(db, sync.key, {one.key: one.object_id for one in left})
        live = lookups.bodies(db, account.name, sync.resource, [one.object_id for one in left if one.object_id])
        marks = lookups.marks(db, account.name, sync.resource, [one.object_id or "" for one in left])
        made = journal.made(db, sync.key, account.name, [one.key for one in left if one.operation in MAKES])
    if left:
        sender = Sender(engine, api, account, sync, run, turns, stop=stop)
        told = sync.resource in INSERT_ONLY
        settling = UsageSettling(engine, api, account, sender) if told else _Settling(api, sync, sender, made)
        sendings = [
            Sending(
                one.id,
                _planned(one),
                _request(sync, one, live.get(one.object_id or "")),
                known.get(one.key),
                marks.get(one.object_id or ""),
            )
            for one in left
        ]
        settling.settle(sendings, left)
    return len(left)


class _Settling:
    def __init__(self, api: StripeApi, sync: Sync, sender: Sender, made: Mapping[str, set[str]]) -> None:
        self._api, self._sync, self._sender, self._made = api, sync, sender, made

    def settle(self, sendings: Sequence[Sending], left: Sequence[Open]) -> None:
        by_id = {one.id: one for one in left}
        self._sender.through(sendings, lambda sending: self._settled(sending, by_id[sending.id]))

    def _settled(self, sending: Sending, one: Open) -> Came:
        again = one.age < REMEMBERED and (one.status or 0) < 500
        begun = datetime.now(UTC)
        try:
            came = self._again(sending, begun) if again else None
            return came or self._looked(sending, begun, one)
        except TidegateError as error:
            # Whatever this try came to, the one before may have been carried out.
            error.facts["maybe_done"] = True
            if isinstance(error, ENDS_THE_WORK) or outcomes.is_storm(error):
                raise
            outcome = outcomes.failed(error, sending.request, begun, datetime.now(UTC))
            return Came(sending, replace(outcome, state="unknown"))

    def _again(self, sending: Sending, begun: datetime) -> Came | None:
        """The same request under the same key: done once, whether it was done before or not. None: it is to be looked
        for.

        An answer told again shows the object as it was then, and the mirror takes what it is now.
        """
        try:
            answer = self._sender.performed(sending.request)
            now = seen_now(self._api, self._sync.resource, str(body_of(answer.body).get("id")))
            return replace(done(sending, answer, begun), seen=now)
        except ENDS_THE_WORK:
            raise
        except TidegateError as error:
            if outcomes.is_storm(error):
                raise
            outcome = outcomes.failed(error, sending.request, begun, datetime.now(UTC))
            looks = outcome.state == "unknown" or outcome.status in outcomes.BEFORE_THE_WORK
            return None if looks or outcomes.is_missing(error.facts) else Came(sending, outcome)

    def _looked(self, sending: Sending, begun: datetime, one: Open) -> Came:
        request, before = sending.request, sending.row.object_id if sending.row else None
        known = self._made.get(one.key, set[str]()) | ({before} if before else set[str]())
        way, name = one.matched_by
        answer = looked_for(self._api, self._sync.resource, request, one.age, (way, name), known)
        if answer is not None and self._is_done(request, answer):
            return replace(done(sending, answer, begun), found=request.operation in MAKES)
        request_id = answer.request_id if answer is not None else ""
        return Came(
            sending, Outcome("refused", None, request_id, None, NOT_DONE, None, begun, datetime.now(UTC)), answer
        )

    def _is_done(self, request: Request, answer: Answer) -> bool:
        return request.operation in MAKES or seen.is_done(
            self._sync.resource, request.operation, request.params, body_of(answer.body)
        )


def _planned(one: Open) -> Planned:
    payload = one.params if one.operation in {*MAKES, "update"} else {**one.params, "do": one.operation}
    return Planned(Decision(one.key, one.kind, one.object_id, payload, wanted=one.wanted), one.hash)


def _request(sync: Sync, one: Open, live: lookups.Object | None) -> Request:
    return Request(
        one.key,
        one.kind,
        one.hash,
        one.wanted,
        one.operation,
        one.method,
        one.path,
        one.params,
        {},
        one.object_id,
        lane(sync.resource, _planned(one).decision, live.body if live else None),
        one.generation,
        one.idempotency_key,
    )
