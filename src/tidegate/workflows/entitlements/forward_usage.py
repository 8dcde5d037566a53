"""Tells Stripe's meters what was consumed: each debit once, whatever becomes of this process or of Stripe's answers."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import Connection, Engine

from tidegate.catalog import snapshot
from tidegate.connections.accounts import Account
from tidegate.entitlements import forwards, holders
from tidegate.entitlements.forwards import Forward, Outcome, State
from tidegate.entitlements.resolve import resolve
from tidegate.errors import ENDS_THE_WORK, StripeRefused, TidegateError, WorkStopped
from tidegate.mirror import lookups
from tidegate.outbound import pausing
from tidegate.outbound.metering import events
from tidegate.outbound.metering.events import BACK, OLDEST_DAYS, PATH, SAFE_SECONDS, Meter
from tidegate.outbound.metering.meters import beside, lacking, meters
from tidegate.outbound.push import outcomes
from tidegate.outbound.push.lanes import Lanes
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.entitlements.usage_telling import DOUBTFUL, total_of

AHEAD = 200
"""Debits whose intent is written down in one transaction."""
WORKERS = 16
AGAIN = 60.0
"""Seconds after which one whose outcome is unknown is tried again."""
LATER = 600.0
"""Seconds after which one that Stripe cannot take yet is looked at again."""
CONTACTS = 500
"""Contacts that are looked at for who pays for them, at most, in one transaction."""


@dataclass(slots=True)
class Sent:
    """What came of a while's work, by state; `more`: some of it is left."""

    counts: dict[State, int] = field(default_factory=dict[State, int])
    more: bool = False


def assign(engine: Engine) -> int:
    """Finds who pays for what was used while nobody was known to; returns for how many contacts and features it looked.

    That is the customer whose subscription gives the feature, else the only customer that the contact has.
    """
    with engine.begin() as db:
        forwards.expire(db, OLDEST_DAYS)
        waiting = forwards.unassigned(db, CONTACTS)
        if not waiting:
            return 0
        catalog, as_of = snapshot.load(db), datetime.now(UTC)
        held = holders.load(db, sorted({contact for contact, _ in waiting}), as_of)
        for contact, feature in waiting:
            known = feature in catalog.features and contact in held
            standing = resolve(held[contact], catalog, as_of, [feature])[0] if known else None
            payer = forwards.payer_of(standing) if standing else None
            linked = forwards.customers_of(db, contact) if payer is None else []
            payer = payer or (linked[0] if len(linked) == 1 else None)
            named = ", ".join(customer for _, customer in linked)
            several = f"the contact has several customers ({named}), and no subscription of theirs gives the feature"
            error = "" if payer else several if linked else "the contact has no customer in Stripe"
            forwards.assign(db, contact, feature, payer, error)
        return len(waiting)


def forward(
    engine: Engine, account: Account, api: StripeApi, *, seconds: float, stop: threading.Event | None = None
) -> Sent:
    """Tells what is due of a connection, for a while. As one process alone. Raises what ends the work, and
    StripeRateLimited where Stripe takes no more; what came of the requests until then is written down.
    """
    sent, until = Sent(), time.monotonic() + seconds
    while True:
        with engine.begin() as db:
            if pausing.paused(db):
                return sent
            batch = _intended(db, account)
        if batch is None:
            return sent
        if batch:
            _send(engine, account, api, batch, sent, stop)
        if (stop and stop.is_set()) or time.monotonic() > until:
            sent.more = True
            return sent


def _intended(db: Connection, account: Account) -> "list[_Ready] | None":
    """The next debits, their intent written down; None: nothing is due any more. What Stripe would not take is settled
    here.
    """
    due = forwards.take(db, account.name, AHEAD)
    if not due:
        return None
    known = meters(db, account.name)
    customers = {one.customer for one in due}
    bodies = lookups.bodies(db, account.name, "customers", sorted(customers))
    forgotten = lookups.forgotten(db, account.name, customers)
    ready: list[_Ready] = []
    for one in due:
        if one.customer in forgotten:
            forwards.settle(db, [Outcome(one.id, "discarded", "the person was forgotten")])
        elif why := _unfit(one, known, bodies):
            forwards.settle(db, [why])
        else:
            back = forwards.cancels(db, one, SAFE_SECONDS) if one.first and one.value < 0 else None
            ready.append(_ready(account, back or one, known[one.event_name]))
    forwards.intend(db, [one.forward for one in ready])
    return ready


@dataclass(frozen=True, slots=True)
class _Ready:
    """A debit with its request."""

    forward: Forward
    meter: Meter
    path: str
    params: dict[str, object]
    name: str
    key: str


def _ready(account: Account, one: Forward, meter: Meter) -> _Ready:
    name = _name(account, one.debit, one.at.isoformat())
    at = int(one.at.timestamp())
    if one.takes_back is not None and one.taken_at is not None:
        taken = _name(account, one.taken_debit, one.taken_at.isoformat())
        path, params = BACK, events.cancellation(meter.event_name, taken)
    else:
        path, params = PATH, events.event(meter, name, one.customer, str(one.value), at)
    return _Ready(one, meter, path, params, name, f"{name}-{one.generation}")


def _name(account: Account, debit: int | None, at: str) -> str:
    """The identifier of a debit; with its instant, since numbers begin anew in another database."""
    return events.identifier(f"{account.account}:{account.livemode}", "debit", debit, at)


def _unfit(one: Forward, known: dict[str, Meter], bodies: dict[str, lookups.Object]) -> Outcome | None:
    """Why a debit cannot be told now, or not at all; None: it can. What may have been told is not given up here."""
    why, fails = _why_not(one, known, bodies), False
    if one.first and one.days > OLDEST_DAYS:
        until = f"; until then: {why}" if why else ""
        why, fails = f"Stripe takes usage of the past {OLDEST_DAYS} days only{until}", True
    if not why:
        return None
    state: State = "failed" if fails else "waiting" if one.first else "intended"
    return Outcome(one.id, state, why, again=LATER)


def _why_not(one: Forward, known: dict[str, Meter], bodies: dict[str, lookups.Object]) -> str:
    if lack := lacking(known, one.event_name):
        return lack
    if (formula := known[one.event_name].formula) != "sum":
        return f"the meter {one.event_name} takes the {formula} of its events, and not their sum"
    if one.customer not in bodies:
        return f"the mirror lacks the customer {one.customer}"
    return f"the customer {one.customer} was deleted in Stripe" if bodies[one.customer].deleted else ""


def _send(
    engine: Engine, account: Account, api: StripeApi, batch: Sequence[_Ready], sent: Sent, stop: threading.Event | None
) -> None:
    """Sends requests, a customer's one after the other, and writes down what came of them."""
    came: dict[int, Outcome] = {}
    over = threading.Event()

    def one(ready: _Ready) -> None:
        try:
            came[ready.forward.id] = _told(engine, account, api, ready)
        except TidegateError as error:
            if isinstance(error, ENDS_THE_WORK) or outcomes.is_storm(error) or isinstance(error, WorkStopped):
                came[ready.forward.id] = _unsettled(ready, error)
                over.set()
                raise
            came[ready.forward.id] = _unsettled(ready, error)

    try:
        lanes: Lanes[_Ready] = Lanes(one, lambda ready: ready.forward.customer, workers=WORKERS, room=AHEAD)
        lanes.run(batch, lambda: over.is_set() or bool(stop and stop.is_set()))
    finally:
        left = [one for one in batch if one.forward.id not in came]
        told = [*came.values(), *(_unbegun(one.forward) for one in left)]
        with engine.begin() as db:
            forwards.settle(db, told)
        for outcome in came.values():
            sent.counts[outcome.state] = sent.counts.get(outcome.state, 0) + 1


def _unbegun(one: Forward) -> Outcome:
    """One whose request was not sent after all."""
    return Outcome(one.id, "waiting", anew=True) if one.first else Outcome(one.id, "intended")


def _told(engine: Engine, account: Account, api: StripeApi, ready: _Ready) -> Outcome:
    """Tells a debit; again as long as Stripe surely remembers its identifier, and afterwards looks for it. Raises as
    StripeApi does.
    """
    one = ready.forward
    if one.age >= SAFE_SECONDS:
        return _looked(engine, account, api, ready, "")
    try:
        api.post(ready.path, ready.params, idempotency_key=ready.key)
    except StripeRefused as error:
        known = events.was_known(error.facts, ready.name) or events.was_taken_back(error.facts)
        if known:
            return Outcome(one.id, "sent")
        status = int(error.facts.get("status") or 0)
        if isinstance(error, ENDS_THE_WORK) or status == 429 or status >= 500 or status == 409:
            raise
        maybe = not one.first or bool(error.facts.get("maybe_done", False))
        return _looked(engine, account, api, ready, str(error)) if maybe else Outcome(one.id, "failed", str(error))
    return Outcome(one.id, "sent")


def _unsettled(ready: _Ready, error: TidegateError) -> Outcome:
    """Of an error that tells nothing of an earlier try: the same again later; what was surely not sent as if new."""
    one, status = ready.forward, int(error.facts.get("status") or 0)
    if one.first and not error.facts.get("maybe_done", True):
        return Outcome(one.id, "waiting", str(error), again=AGAIN, anew=True)
    return Outcome(one.id, "intended", str(error), again=AGAIN, generation=int(status >= 500))


def _looked(engine: Engine, account: Account, api: StripeApi, ready: _Ready, refused: str) -> Outcome:
    """What the meter's summary tells of a debit whose answer was lost. `refused`: what Stripe said to another try."""
    one, meter = ready.forward, ready.meter
    if ready.path == BACK:
        return Outcome(one.id, "unknown", refused or "nobody knows whether the event was taken back: see in Stripe")
    at = int(one.at.timestamp())
    with engine.connect() as db:
        known = beside(db, account.name, meter, one.customer, *events.minute(at))
    total = total_of(api, meter, one.customer, at)
    verdict = events.counted(meter, total, known.told, known.doubtful)
    if verdict:
        return Outcome(one.id, "sent")
    if verdict is None:
        sure, open_ = sum(known.told, Decimal(0)), sum(known.doubtful, Decimal(0))
        said = f"it says {total or 0}: without what is in doubt it were {sure}, with all of it {sure + open_}"
        return Outcome(one.id, "unknown", DOUBTFUL.format(total=said, identifier=ready.name))
    if refused:
        return Outcome(one.id, "failed", refused)
    return Outcome(one.id, "waiting", anew=True, generation=1)
