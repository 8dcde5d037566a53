"""Carries a write out: checks its parameters, keeps its outcome under its idempotency key, names it in its events."""

from collections import deque
from typing import NamedTuple

import msgspec

from tidegate.sandbox import expansion
from tidegate.sandbox.answers import Answer, Refusal, Request, as_json
from tidegate.sandbox.faults import broken_backend, own_failure
from tidegate.sandbox.forms import Tree, elements, pairs_of, tree_of
from tidegate.sandbox.idempotency import IdempotencyKeys, Outcome, fingerprint, key_of
from tidegate.sandbox.params import checked
from tidegate.sandbox.resources import BY_OBJECT, Obj
from tidegate.sandbox.state import NO_REQUEST
from tidegate.sandbox.webhooks import Webhooks
from tidegate.sandbox.world import World
from tidegate.sandbox.writes.calls import Call, Write
from tidegate.sandbox.writes.locks import Locks, customer_of
from tidegate.sandbox.writes.pace import Pace
from tidegate.sandbox.writes.test_clocks import time_of

LOGGED = 10_000
"""Writes that the log holds."""


class Written(NamedTuple):
    """A write that was asked for: with which idempotency key and parameters (nested as they were named, all values
    text), and what was answered; `replayed`: an answer told again.

    `status` is None for what was turned away before the work began.
    """

    method: str
    path: str
    key: str | None
    status: int | None
    replayed: bool
    params: Tree


class Desk:
    """Takes the writes of one account; `log` has the latest of them."""

    def __init__(self, world: World, webhooks: Webhooks) -> None:
        self.world = world
        self.webhooks = webhooks
        self.keys = IdempotencyKeys(world.clock)
        self.pace = Pace(world.state)
        self.log: deque[Written] = deque(maxlen=LOGGED)
        self.locks = Locks()
        self._last: Outcome | None = None
        self._customer: str | None = None

    def answer(
        self, write: Write, names: list[str], request: Request, *, request_id: bytes, late_fault: bool
    ) -> Answer:
        """The answer to a write, as `_answer` gives it; written into the log. Raises Refusal."""
        status, replayed, tree = None, False, tree_of(pairs_of(request))
        try:
            answer = self._answer(write, names, request, tree, request_id=request_id, late_fault=late_fault)
            status, replayed = answer.status, any(name == b"Idempotent-Replayed" for name, _ in answer.headers)
        finally:
            key = (request.headers.get(b"idempotency-key") or b"").decode("latin-1")
            self.log.append(Written(request.method, request.path, key or None, status, replayed, tree))
        return answer

    def _answer(
        self, write: Write, names: list[str], request: Request, tree: Tree, *, request_id: bytes, late_fault: bool
    ) -> Answer:
        """The answer to a write; with `late_fault` it is an error (500) although the work was done.

        Every outcome is kept from where the work begins. Raises Refusal for what is turned away before, which is not
        kept: parameters that cannot be read, limits, a key used for something else or still in use.
        """
        self._last, self._customer = None, None
        key = None if write.reads else key_of(request, live=self.world.state.livemode)
        told = self.keys.replay(key, request, fingerprint(tree)) if key else None
        if told is not None:
            if late_fault:
                raise broken_backend()
            return told
        expand = expansion.parse(paths_of(tree), write.kind)
        call = Call(self.world, self.webhooks, self.pace, names, checked(tree, write.params, write.served))
        if not write.reads:
            customer = customer_of(call, write)
            self.locks.pass_through(customer)
            self._customer = customer
        if key is None:
            return self._kept(write, call, expand, request_id, None, late_fault)
        self._last = self.keys.begin(key, request, fingerprint(tree), request_id)
        try:
            answer = self._kept(write, call, expand, request_id, key[0], late_fault)
        except Refusal:
            self.keys.forget(key)
            raise
        except Exception:
            self._last.answer = own_failure().answer()
            raise
        self._last.answer = answer
        return answer

    def delayed(self, seconds: float) -> None:
        """Says how late the answer just given leaves: until then its request counts as under way."""
        last, self._last = self._last, None
        customer, self._customer = self._customer, None
        if last and seconds > 0:
            self.keys.delay(last, seconds)
        if customer and seconds > 0:
            self.locks.hold(customer, seconds)

    def _kept(
        self, write: Write, call: Call, expand: expansion.Tree, request_id: bytes, key: str | None, late_fault: bool
    ) -> Answer:
        """The outcome to keep. Raises Refusal only for what a limit turned away (429)."""
        state = self.world.state
        state.request = {"id": request_id.decode(), "idempotency_key": key}
        self.world.by_chance = False
        try:
            with time_of(call, write.permission):
                obj = write.do(call)
            answer = self._rendered(obj, expand)
        except Refusal as refusal:
            if refusal.status == 429:
                raise
            answer = refusal.answer()
        finally:
            state.request = NO_REQUEST
            self.world.by_chance = True
            for work in call.later:
                work()
            self.webhooks.flush()
        if late_fault:
            answer = broken_backend().answer()
        if key is None:
            return answer
        return Answer(answer.status, answer.body, (*answer.headers, (b"Idempotency-Key", key.encode("latin-1"))))

    def _rendered(self, obj: Obj, expand: expansion.Tree) -> Answer:
        state, kind = self.world.state, obj["object"]
        known = BY_OBJECT.get(kind)
        if known and not obj.get("deleted") and obj["id"] in state[known.name]:
            return Answer(200, expansion.rendered(state, state[known.name], obj["id"], expand))
        if expand and not obj.get("deleted"):
            obj = expansion.expanded(state, msgspec.json.decode(msgspec.json.encode(obj)), kind, expand)
        return as_json({name: value for name, value in obj.items() if not name.startswith("_")})


def paths_of(tree: Tree) -> list[str]:
    """What the request asks to expand. Raises Refusal (400) when that is no list of paths."""
    asked = tree.get("expand", {})
    listed = None if isinstance(asked, str) else elements(asked)
    if listed is None:
        raise Refusal(400, "Invalid array", param="expand")
    paths = [path for path in listed if isinstance(path, str)]
    if len(paths) < len(listed):
        raise Refusal(400, "Invalid string", param="expand")
    return paths
