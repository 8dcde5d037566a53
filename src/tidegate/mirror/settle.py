"""Fetches the objects that wait in the re-fetch queue and applies what Stripe says of them now."""

import math
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Engine, text

from tidegate.connections import accounts
from tidegate.errors import ENDS_THE_WORK, DatabaseBusy, StripeObjectMissing, TidegateError, WorkStopped
from tidegate.mirror import discounts, references, refetches
from tidegate.mirror.apply import Applied, apply
from tidegate.mirror.arrivals import Arrival, Counts, Lost, arrive
from tidegate.mirror.decide import Certainty
from tidegate.mirror.pages import Page, belonging, retrieve
from tidegate.mirror.refetches import Claimed
from tidegate.mirror.sightings import known_at
from tidegate.store.trouble import repeated
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.discounts import DISCOUNTS
from tidegate.stripe_api.resources.resource import Column, Resource

AT_ONCE = 100
LEASE_SECONDS = 120
GONE = "named by other objects, gone from Stripe"
OVERTAKEN = "asked for again, or read by another process, while it was fetched"
GONE_CONNECTION = "the connection was purged"


@dataclass(slots=True)
class Settled:
    """What fetching brought, per resource; the customers that changed; the problems by object."""

    counts: dict[str, Counts] = field(default_factory=dict[str, Counts])
    customers: set[str] = field(default_factory=set[str])
    failed: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, resource: str, applied: Applied) -> None:
        """Adds what one fetch brought."""
        self.counts.setdefault(resource, Counts()).add(applied.counts)
        self.customers |= applied.customers


def settle(
    engine: Engine,
    account: str,
    api: StripeApi,
    *,
    readers: int = 8,
    seconds: float = math.inf,
    stop: threading.Event | None = None,
    without: Collection[str] = (),
) -> Settled:
    """Fetches every object that is due, several at a time, until none is, `stop` is set or so many seconds have passed.

    What a fetched object names is asked for in its turn, but nothing of the resources `without`. An object that fails
    goes back to the queue with its error. Once the connection is disconnected nothing more is fetched. Raises
    `ENDS_THE_WORK`.
    """
    settled = Settled()
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(readers, thread_name_prefix="settle") as pool:
        while not (stop and stop.is_set()) and time.monotonic() < end and (claimed := _claim(engine, account)):
            fetched = pool.map(partial(_fetch, engine, account, api, without, stop), claimed)
            for one, outcome in zip(claimed, fetched, strict=True):
                if isinstance(outcome, WorkStopped):
                    continue
                if isinstance(outcome, TidegateError):
                    settled.failed[f"{one.resource}/{one.object_id}"] = str(outcome)
                else:
                    settled.add(one.resource, outcome)
    return settled


def _claim(engine: Engine, account: str) -> Sequence[Claimed]:
    with engine.begin() as db:
        claimed = [] if accounts.is_disconnected(db, account) else refetches.due(db, account, AT_ONCE)
        if claimed:
            refetches.lease(db, account, claimed, LEASE_SECONDS)
    return claimed


def _fetch(
    engine: Engine,
    account: str,
    api: StripeApi,
    without: Collection[str],
    stop: threading.Event | None,
    one: Claimed,
) -> Applied | TidegateError:
    """Fetches one object and applies it as read after everything that was known of it."""
    resource = RESOURCES[one.resource]
    if stop and stop.is_set():
        return _give_back(engine, account, one, WorkStopped(endpoint=f"{one.resource}/{one.object_id}"))
    stored_at, stored = _stored(engine, account, resource, one.object_id)
    known = max(one.known_at, stored_at)
    lost: list[Lost] = []
    try:
        page = _read(api, resource, one)
        arrivals, lost = page.arrivals, page.lost
    except StripeObjectMissing:
        arrivals = _burial(resource, stored, known)
    except WorkStopped as error:
        return _give_back(engine, account, one, error)
    except ENDS_THE_WORK as error:
        _put_back(engine, account, one, error)
        raise
    except TidegateError as error:
        _put_back(engine, account, one, error)
        return error
    for arrival in arrivals if one.reason != refetches.OF_PARENT else ():
        # The request began after `known` was known, so its answer is no older, whatever the rounded-down clock says.
        arrival.at, arrival.certainty = max(arrival.at, known), Certainty.SETTLED
    try:
        return repeated(lambda: _take(engine, account, one, arrivals, lost, without), f"{one.resource}/{one.object_id}")
    except DatabaseBusy as error:
        _put_back(engine, account, one, error)
        return error


def _read(api: StripeApi, resource: Resource, one: Claimed) -> Page:
    if one.reason == refetches.OF_PARENT:
        return belonging(api, resource, one.object_id)
    return retrieve(api, resource, "" if resource.singleton else one.object_id)


def _take(
    engine: Engine,
    account: str,
    one: Claimed,
    arrivals: Sequence[Arrival],
    lost: Sequence[Lost],
    without: Collection[str],
) -> Applied:
    """Applies what was read, unless the object was asked for again or read by another process meanwhile.

    Else the slower of two looks within one second could put back what was before.
    """
    with engine.begin() as db:
        if not accounts.hold(db, account):
            return _nothing(GONE_CONNECTION)
        savepoint = db.begin_nested()
        with refetches.at_the_end(db, account) as later:
            applied = apply(db, account, RESOURCES[one.resource], arrivals, lost, sparing=one.reason == "unlisted")
            whole = discounts.inside(RESOURCES[one.resource], arrivals)
            if whole.arrivals or whole.lost:
                applied.customers |= apply(db, account, DISCOUNTS, *whole).customers
            references.ask_for_named(db, account, RESOURCES[one.resource], [found.id for found in arrivals], without)
            later.hold(one.resource, one.object_id)
        nothing = not arrivals and not lost and one.reason != refetches.OF_PARENT
        if not (refetches.gone if nothing else refetches.done)(db, account, one):
            savepoint.rollback()
            return _nothing(OVERTAKEN)
        savepoint.commit()
    return _nothing(GONE) if nothing else applied


def _nothing(reason: str) -> Applied:
    applied = Applied()
    applied.counts.skipped[reason] += 1
    return applied


def _stored(engine: Engine, account: str, resource: Resource, object_id: str) -> tuple[int, str]:
    """Epoch seconds to which the stored version is known to have held (0: there is none), its JSON unless deleted."""
    with engine.connect() as db:
        row = db.execute(
            text(f"""
select extract(epoch from {known_at(resource.name)})::bigint as at,
  case when t.deleted_at is null then t.data::text else '' end as data
from stripe.{resource.table} t where t.connection = :connection and t.id = :id"""),
            {"connection": account, "id": object_id},
        ).first()
    return (int(row.at), row.data) if row else (0, "")


def _burial(resource: Resource, stored: str, known: int) -> list[Arrival]:
    """Stripe does not know the object: what is stored of it becomes a tombstone, dated by the newest that was known."""
    arrivals, _ = arrive(resource, [stored.encode()] if stored else [], known, Certainty.SETTLED)
    for arrival in arrivals:
        arrival.deleted = True
    return arrivals


def _give_back(engine: Engine, account: str, one: Claimed, error: WorkStopped) -> WorkStopped:
    with engine.begin() as db:
        refetches.give_back(db, account, one)
    return error


def _put_back(engine: Engine, account: str, one: Claimed, error: TidegateError) -> None:
    with engine.begin() as db:
        refetches.failed(db, account, one, str(error))


def ask_for_missing(
    engine: Engine,
    account: str,
    resources: Sequence[Resource],
    *,
    without: Collection[str] = (),
    naming: Collection[str] | None = None,
) -> set[str]:
    """Queues what these resources (and their children) name and the mirror lacks; returns of which resources.

    Objects of the same resources are followed, and the catalog always, but none of `without`: a chosen few resources
    do not pull in, one by one, all the customers that they name. `naming`: look only at what these of them name.
    """
    wanted = ({resource.name for resource in resources} | references.CATALOG) - set(without)
    asked = set[str]()
    holders = [resource for resource in resources if naming is None or resource.name in naming]
    for resource in [*holders, *(RESOURCES[nested.resource] for r in holders for nested in r.nested)]:
        for column in resource.columns:
            target = RESOURCES.get(column.refers_to)
            if target is None or not target.retrievable or target.name not in wanted:
                continue
            ask = partial(_ask_for_unknown, engine, account, resource, column, target)
            if repeated(ask, f"what {resource.name} name"):
                asked.add(target.name)
    return asked


def _ask_for_unknown(engine: Engine, account: str, holder: Resource, column: Column, target: Resource) -> int:
    with engine.begin() as db:
        missing = references.unknown(db, account, holder, column)
        refetches.ask(db, account, target, [refetches.Ask(id_, "referenced") for id_ in missing])
    return len(missing)
