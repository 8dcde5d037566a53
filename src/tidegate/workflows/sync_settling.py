"""Settles requests whose outcome nobody knows, before a sync sends anything else: sent again under the same key while
Stripe remembers it, else looked for.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from sqlalchemy import Engine

from tidegate.connections.accounts import Account
from tidegate.errors import ENDS_THE_WORK, StripeObjectMissing, TidegateError
from tidegate.outbound import rows
from tidegate.outbound.push import journal
from tidegate.outbound.push.journal import Open, Outcome
from tidegate.outbound.rows import Row
from tidegate.outbound.specs import Sync
from tidegate.stripe_api.calls import Answer
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.sync_sending import failed, perform, succeeded, take

REMEMBERED = 23 * 3600
"""Seconds for which an idempotency key is relied on: Stripe forgets it after at least 24 hours
(docs.stripe.com/api/idempotent_requests).
"""


def settle(engine: Engine, api: StripeApi, account: Account, sync: Sync, run: int) -> int:
    """Settles every open request of a sync; returns how many. Raises what ends the work."""
    with engine.connect() as db:
        left = journal.opened(db, sync.key)
    for one in left:
        begun = datetime.now(UTC)
        if one.age < REMEMBERED and (one.status or 0) < 500:
            outcome, answer = _again(api, one, begun)
        else:
            outcome, answer = None, None
        if outcome is None or outcome.state == "unknown":
            outcome, answer = _looked_for(api, sync, one, begun)
        with engine.begin() as db:
            journal.settle(db, [(one.id, outcome)])
            if answer is not None:
                take(db, account, sync.resource, [answer])
            known = rows.of(db, sync.key, [one.key]).get(one.key)
            if outcome.state == "done" and one.method == "delete":
                rows.forget(db, sync.key, [one.key])
            else:
                rows.keep(db, sync.key, run, [_after(one, outcome, known)])
    return len(left)


def _again(api: StripeApi, one: Open, begun: datetime) -> tuple[Outcome, Answer | None]:
    """The same request under the same key: done once, whether it was done before or not."""
    try:
        answer = perform(api, one.method, one.path, one.params, one.idempotency_key)
    except ENDS_THE_WORK:
        raise
    except TidegateError as error:
        return failed(error, begun), None
    return succeeded(answer, begun), answer


def _looked_for(api: StripeApi, sync: Sync, one: Open, begun: datetime) -> tuple[Outcome, Answer | None]:
    """What Stripe shows: an object that was to be made is found by what its row is matched by."""
    answer = _object(api, one.path) if one.operation != "create" else _made(api, sync, one)
    if answer is None:
        return Outcome(
            "refused", one.status, "", None, "not done, as Stripe shows", None, begun, datetime.now(UTC)
        ), None
    found = succeeded(answer, begun)
    if one.operation == "create":
        return found, answer
    # Whether it was done, the next plan sees by what the object is like.
    return Outcome("refused", one.status, found.request_id, None, "looked at instead", found.object_id, begun,
                   datetime.now(UTC)), answer  # fmt: skip


def _object(api: StripeApi, path: str) -> Answer | None:
    try:
        return api.get("/".join(path.split("/")[:4]))
    except StripeObjectMissing:
        return None


def _made(api: StripeApi, sync: Sync, one: Open) -> Answer | None:
    """The object that a request to create was to make; None: there is none."""
    way, name, _ = sync.matched_by
    params = one.params
    if way == "id":
        return _object(api, f"{one.path}/{params.get('id')}")
    asked: dict[str, Any] = {"limit": 100}
    if way == "email":
        asked |= {"email": params.get("email")}
    elif way == "lookup_key":
        asked |= {"lookup_keys": [params.get("lookup_key")]}
    else:
        asked |= {"customer": params["customer"]} if "customer" in params else {}
        asked |= {"status": "all"} if sync.resource == "subscriptions" else {}
    for body in _every(api, one.path, asked):
        if way != "metadata" or _marked(body, name) == _marked(params, name):
            return _object(api, f"{one.path}/{body['id']}")
    return None


def _marked(said: Mapping[str, Any], name: str) -> Any:
    return cast("Mapping[str, Any]", said.get("metadata") or {}).get(name)


def _every(api: StripeApi, path: str, asked: Mapping[str, Any]) -> Any:
    """All objects of a list, newest first."""
    params = dict(asked)
    while True:
        page = msgspec.json.decode(api.get(path, params).body)
        yield from page["data"]
        if not page.get("has_more"):
            return
        params["starting_after"] = page["data"][-1]["id"]


def _after(one: Open, outcome: Outcome, known: Row | None) -> Row:
    """What is remembered of the row: what it is in Stripe, and that it is to be looked at again."""
    state = known or Row(one.key, 0, "failed")
    object_id = outcome.object_id or state.object_id
    ours = state.ours or (one.operation == "create" and outcome.state == "done")
    generation = max(state.generation, one.generation + 1)
    why = outcome.error or "its last request was settled; it is looked at again"
    return replace(state, state="failed", object_id=object_id, ours=ours, generation=generation, why=why)
