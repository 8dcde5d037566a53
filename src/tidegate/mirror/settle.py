"""Fetches the objects that wait in the re-fetch queue and applies what Stripe says of them now."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Engine, text

from tidegate.errors import StripeKeyInvalid, StripeObjectMissing, TidegateError, Unreachable
from tidegate.mirror import refetches
from tidegate.mirror.apply import Applied, apply
from tidegate.mirror.arrivals import Counts
from tidegate.mirror.decide import Certainty
from tidegate.mirror.pages import retrieve
from tidegate.mirror.refetches import Claimed
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Resource

AT_ONCE = 100
LEASE_SECONDS = 120
CATALOG = frozenset({"products", "prices", "coupons"})
"""What items, lines and discounts name is fetched whenever the mirror lacks it (semantics, Mirror, Completeness)."""
GONE = "named by other objects, gone from Stripe"


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


def settle(engine: Engine, account: str, api: StripeApi, *, readers: int = 8) -> Settled:
    """Fetches every object that is due, several at a time, until none is.

    An object that fails goes back to the queue with its error. Raises StripeKeyInvalid and Unreachable.
    """
    settled = Settled()
    with ThreadPoolExecutor(readers, thread_name_prefix="settle") as pool:
        while claimed := _claim(engine, account):
            for one, outcome in zip(claimed, pool.map(partial(_fetch, engine, account, api), claimed), strict=True):
                if isinstance(outcome, TidegateError):
                    settled.failed[f"{one.resource}/{one.object_id}"] = str(outcome)
                else:
                    settled.add(one.resource, outcome)
    return settled


def _claim(engine: Engine, account: str) -> Sequence[Claimed]:
    with engine.begin() as db:
        claimed = refetches.due(db, account, AT_ONCE)
        refetches.lease(db, account, claimed, LEASE_SECONDS)
    return claimed


def _fetch(engine: Engine, account: str, api: StripeApi, one: Claimed) -> Applied | TidegateError:
    """Fetches one object and applies it as read after everything that was known of it."""
    resource = RESOURCES[one.resource]
    known = max(one.known_at, _stored_at(engine, account, resource, one.object_id))
    try:
        page = retrieve(api, resource, "" if resource.singleton else one.object_id)
    except StripeObjectMissing:
        return _missing(engine, account, resource, one, known)
    except (StripeKeyInvalid, Unreachable) as error:
        _put_back(engine, account, one, error)
        raise
    except TidegateError as error:
        _put_back(engine, account, one, error)
        return error
    for arrival in page.arrivals:
        # The request began after `known` was known, so its answer is no older, whatever the rounded-down clock says.
        arrival.at, arrival.certainty = max(arrival.at, known), Certainty.SETTLED
    with engine.begin() as db:
        applied = apply(db, account, resource, page.arrivals, page.lost)
        refetches.done(db, account, one)
    return applied


def _stored_at(engine: Engine, account: str, resource: Resource, object_id: str) -> int:
    """Epoch seconds of the stored version; 0 when there is none."""
    with engine.connect() as db:
        at = db.scalar(
            text(f"""
select extract(epoch from updated_at)::bigint from stripe.{resource.table}
where connection = :connection and id = :id"""),
            {"connection": account, "id": object_id},
        )
    return int(at or 0)


def _missing(engine: Engine, account: str, resource: Resource, one: Claimed, known: int) -> Applied:
    """Stripe does not know the object: what is stored of it becomes a tombstone, dated by the newest that was known."""
    applied = Applied()
    with engine.begin() as db:
        buried = db.execute(
            text(f"""
update stripe.{resource.table}
set deleted_at = to_timestamp(:at), updated_at = to_timestamp(:at), certainty = :certainty
where connection = :connection and id = :id and deleted_at is null returning id"""),
            {"at": known, "certainty": int(Certainty.SETTLED), "connection": account, "id": one.object_id},
        ).all()
        refetches.done(db, account, one)
    if buried:
        applied.counts.deleted += 1
    else:
        applied.counts.skipped[GONE] += 1
    return applied


def _put_back(engine: Engine, account: str, one: Claimed, error: TidegateError) -> None:
    with engine.begin() as db:
        refetches.failed(db, account, one, str(error))


def ask_for_missing(engine: Engine, account: str, resources: Sequence[Resource]) -> int:
    """Queues what these resources (and their children) name and the mirror lacks; returns how many objects.

    Objects of the same resources are followed, and the catalog always: a chosen few resources do not pull in, one by one,
    all the customers that they name.
    """
    wanted = {resource.name for resource in resources} | CATALOG
    asked = 0
    for resource in [*resources, *(RESOURCES[nested.resource] for r in resources for nested in r.nested)]:
        for column in resource.columns:
            target = RESOURCES.get(column.refers_to)
            if target is None or not target.retrievable or target.name not in wanted:
                continue
            named = f"unnest(t.{column.name})" if column.type == "text[]" else f"t.{column.name}"
            with engine.begin() as db:
                missing = db.scalars(
                    text(f"""
select distinct n.id from (select {named} as id from stripe.{resource.table} t where t.connection = :connection) n
where n.id is not null and not exists (
  select from stripe.{target.table} o where o.connection = :connection and o.id = n.id)"""),
                    {"connection": account},
                ).all()
                refetches.ask(db, account, target, [refetches.Ask(id_, "referenced") for id_ in missing])
            asked += len(missing)
    return asked
