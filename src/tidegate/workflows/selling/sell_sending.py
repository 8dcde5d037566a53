"""Sends what a sale takes: intent, request, outcome; what Stripe answers goes into the mirror, and the mirror grants.

Of a request whose outcome nobody knows (its process died, no answer came) the next sale of the contact settles first
what became of it: sent again under the same key for the same wish, looked for in Stripe for any other.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.contacts import by_hand, changes, directory
from tidegate.contacts.directory import Contact
from tidegate.errors import (
    SaleUnsettled,
    StripeObjectMissing,
    StripePermissionMissing,
    TidegateError,
    WritePermissionMissing,
)
from tidegate.mirror import lookups
from tidegate.mirror.lookups import Mark
from tidegate.outbound import pausing
from tidegate.outbound.push import journal, outcomes, seen, turns
from tidegate.outbound.push.journal import Open
from tidegate.outbound.push.outcomes import Outcome, body_of
from tidegate.outbound.push.requests import Request
from tidegate.store.trouble import repeated
from tidegate.stripe_api.calls import Answer
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.outbound.sync_keeping import take
from tidegate.workflows.outbound.sync_looking import every_object, seen_now
from tidegate.workflows.refresh import refresh

KIND = "subscription"
"""The kind of the runs of sales."""
MARK = "tidegate_request"
"""The key of an object's metadata that tells which request made it."""
REMEMBERED = 23 * 3600
"""Seconds for which an idempotency key is relied on: Stripe forgets it after at least 24 hours
(docs.stripe.com/api/idempotent_requests).
"""
UNDER_WAY = 120.0
"""Seconds after which no request of a process that died is still being carried out: Stripe gives up after 80."""
BEFORE = 300
"""Seconds before a request was meant, from which on what it made is looked for: clocks differ."""
MAKES = ("create",)
NOT_DONE = "it was not done, as Stripe shows"


def subject(contact: Contact) -> str:
    """What the runs and requests of a contact's sales are filed under; by internal key, for an id may be an address."""
    return f"contact:{contact.key}"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that was carried out: of which run, what for, and the object as it left it."""

    run: int
    operation: str
    resource: str
    wanted: Mapping[str, Any]
    body: Mapping[str, Any]


class Sender:
    """Sends the requests of sales to one contact. `by`: who wants them; `session`: a database connection of the sale
    alone, for its turns beside syncs.
    """

    def __init__(
        self, engine: Engine, api: StripeApi, account: Account, contact: Contact, by: str, session: Connection
    ) -> None:
        self._engine, self._api, self._account, self._contact, self._by = engine, api, account, contact, by
        self._session = session

    def send(
        self, run: int, key: str, operation: str, method: str, path: str, params: Mapping[str, Any],
        wanted: Mapping[str, Any], before: Mapping[str, Any], lane: str,
    ) -> Sent:  # fmt: skip
        """Writes the intent down, sends the request, and takes its answer into the mirror with its outcome.

        `key`: the package, `wanted`: the wish, `before`: what stood there. Raises OutboundPaused, CustomerBusy,
        and as StripeApi does.
        """
        nonce = uuid.uuid4().hex
        if operation in MAKES:
            params = {**params, "metadata": {**params.get("metadata", {}), MARK: nonce}}
        object_id = path.split("/")[3] if operation not in MAKES else None
        request = Request(
            key, "create" if operation in MAKES else "update", 0, wanted, operation, method, path, params, before,
            object_id, lane, 0, f"tidegate-{nonce}",
        )  # fmt: skip
        with turns.waited(self._session, self._account.name, lane):
            return self._sent(run, request)

    def _sent(self, run: int, request: Request) -> Sent:
        with self._engine.begin() as db:
            pausing.refuse(db)
            [number] = journal.intend(db, run, subject(self._contact), self._account.name, [request])
            mark = self._mark(db, request.path, request.object_id)
        return self._carried_out(number, run, request, mark)

    def settle(self, wanted: Mapping[str, Any]) -> list[Sent]:
        """Settles what earlier sales of this contact left open, oldest first; returns what was carried out of it.

        `wanted`: the wish at hand. Raises SaleUnsettled, CustomerBusy, and as StripeApi does.
        """
        with self._engine.connect() as db:
            left = journal.opened(db, subject(self._contact), self._account.name)
        found = [self._settled(one, again=dict(one.wanted) == dict(wanted)) for one in left]
        return [one for one in found if one is not None]

    def _settled(self, one: Open, *, again: bool) -> Sent | None:
        request = Request(
            one.key, one.kind, one.hash, one.wanted, one.operation, one.method, one.path, one.params, {},
            one.object_id, "", one.generation, one.idempotency_key,
        )  # fmt: skip
        with self._engine.connect() as db:
            mark = self._mark(db, one.path, one.object_id)
            lane = self._lane(db, one)
        begun = datetime.now(UTC)
        if again and one.age < REMEMBERED and (one.status or 0) < 500:
            with turns.waited(self._session, self._account.name, lane):
                try:
                    return self._carried_out(one.id, one.run, request, mark, replayed=True)
                except TidegateError as error:
                    if outcomes.failed(error, request, begun, begun).state == "refused":
                        return None  # told by the step that is tried next, as facts or as the same refusal
                    raise
        answer = self._looked(one)
        if answer is None and one.age < UNDER_WAY:
            raise SaleUnsettled(run=one.run)
        if answer is not None and self._is_done(one, body_of(answer.body)):
            return self._keep(one.id, one.run, request, _done(answer, begun), answer, mark)
        with self._engine.begin() as db:
            journal.settle(db, [(one.id, Outcome("refused", None, "", None, NOT_DONE, None, begun, datetime.now(UTC)))])
        return None

    def _carried_out(
        self, number: int, run: int, request: Request, mark: Mark | None, *, replayed: bool = False
    ) -> Sent:
        begun = datetime.now(UTC)
        send = self._api.delete if request.method == "delete" else self._api.post
        try:
            answer = send(request.path, request.params, idempotency_key=request.idempotency_key, interactive=True)
        except TidegateError as error:
            outcome = outcomes.failed(error, request, begun, datetime.now(UTC))
            with self._engine.begin() as db:
                journal.settle(db, [(number, outcome)])
            if isinstance(error, StripePermissionMissing):
                raise WritePermissionMissing(**error.facts | {"connection": self._account.name}) from error
            raise
        shown = answer
        if replayed:  # an answer told again shows the object as it was then
            shown = seen_now(self._api, _resource(request.path), str(body_of(answer.body).get("id")))
        return self._keep(number, run, request, _done(answer, begun), shown, mark)

    def _keep(
        self, number: int, run: int, request: Request, outcome: Outcome, answer: Answer, mark: Mark | None
    ) -> Sent:
        """Writes the outcome down, takes the object into the mirror, links and derives, in one transaction."""
        resource, body = _resource(request.path), body_of(answer.body)

        def once() -> None:
            with self._engine.begin() as db:
                connected = accounts.hold(db, self._account.name)  # before contacts are locked
                journal.settle(db, [(number, outcome)])
                if not connected:
                    return
                take(db, self._account, resource, [(answer, mark)])
                customer = str(body["id"] if resource == "customers" else body.get("customer"))
                refresh(db, self._account, [customer])
                if resource == "customers":
                    self._own(db, customer, run)
                what = {"connection": self._account.name, "package": request.key, "run": run, "id": body.get("id")}
                action = "make customer" if resource == "customers" else str(request.wanted.get("action"))
                changes.note(db, action, self._by, contact=self._contact.key, what=what)

        repeated(once, "what Stripe answered")
        return Sent(run, request.operation, resource, request.wanted, body)

    def _own(self, db: Connection, customer: str, run: int) -> None:
        """Makes a new customer the contact's by hand, where matching did not find out whose it is."""
        if by_hand.holder(db, self._account.name, customer) == self._contact.key:
            return
        contact = directory.of_key(db, self._contact.key)
        evidence = {"made_by_run": run}
        by_hand.link(db, self._account.name, self._account.livemode, customer, contact, by=self._by, evidence=evidence)
        refresh(db, self._account, [customer])

    def _looked(self, one: Open) -> Answer | None:
        """The object that a request was to make or to change, as Stripe shows it; None: what it makes is not there."""
        resource = _resource(one.path)
        if one.operation not in MAKES:
            return seen_now(self._api, resource, one.path.split("/")[3])
        nonce = _nonce(one.params)
        with self._engine.connect() as db:
            now = db.scalar(text("select extract(epoch from clock_timestamp())::bigint")) or 0
        asked: dict[str, Any] = {"limit": 100, "created": {"gte": int(now - one.age) - BEFORE}}
        if resource == "subscriptions":  # all of the customer: one on a test clock is created at the clock's time
            asked = {"limit": 100, "customer": one.params["customer"], "status": "all"}
        for body in every_object(self._api, one.path, asked):
            if _nonce(body) == nonce:
                try:
                    return self._api.get(f"{one.path}/{body['id']}", interactive=True)
                except StripeObjectMissing:
                    return None
        return None

    def _is_done(self, one: Open, live: Mapping[str, Any]) -> bool:
        if one.operation in MAKES:
            return True
        return seen.is_done("subscriptions", one.operation, one.params, live)

    def _lane(self, db: Connection, one: Open) -> str:
        """The customer whose a request is; of one that makes a customer the contact."""
        if "customer" in one.params or one.object_id is None:
            return str(one.params.get("customer") or self._contact.ref)
        found = lookups.bodies(db, self._account.name, _resource(one.path), [one.object_id])
        return str(found[one.object_id].body["customer"]) if one.object_id in found else one.object_id

    def _mark(self, db: Connection, path: str, object_id: str | None) -> Mark | None:
        known = lookups.marks(db, self._account.name, _resource(path), [object_id] if object_id else [])
        return known.get(object_id or "")


def _resource(path: str) -> str:
    return path.split("/")[2]


def _done(answer: Answer, begun: datetime) -> Outcome:
    return outcomes.succeeded(answer.body, answer.request_id, begun, datetime.now(UTC))


def _nonce(said: Mapping[str, Any]) -> str:
    metadata: Mapping[str, Any] = said.get("metadata") or {}
    return str(metadata.get(MARK) or "")
