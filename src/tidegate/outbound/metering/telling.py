"""Decides about a model's rows of usage: each is told once, and what was told is never told again nor changed."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tidegate.connections.accounts import Account
from tidegate.mirror import lookups
from tidegate.outbound.asking import Asking
from tidegate.outbound.associations import Finder
from tidegate.outbound.field_map.fill import Filled, Sought, filler, sought
from tidegate.outbound.fields.catalogue import catalogue
from tidegate.outbound.fields.problems import Problem
from tidegate.outbound.fields.shapes import checked
from tidegate.outbound.looking_ahead import Batch, Looked
from tidegate.outbound.metering import events
from tidegate.outbound.metering.events import EARLIEST_SECONDS, OLDEST_DAYS, PATH
from tidegate.outbound.metering.meters import lacking, meters
from tidegate.outbound.plan.compare import flat, same
from tidegate.outbound.plan.decide import FORGOTTEN, Change, Decision, Terms
from tidegate.outbound.rows import Row
from tidegate.outbound.specs import Sync

RESOURCE = "meter_events"
UNCHANGEABLE = (
    "it was told to Stripe as {told}; usage cannot be changed: put the row back as it was, and write what differs "
    "as a new row (a value below 0 takes away)"
)


class _Said(NamedTuple):
    """What a row makes: the parameters (empty where they cannot be told), what is wrong with what it says, why Stripe
    would not take it now, and what it waits for.
    """

    params: Mapping[str, Any]
    problems: list[Problem]
    unfit: list[Problem]
    waits: list[str]
    customer: str = ""


class Telling:
    """Decides about rows of usage of one sync, as `Asking` and `decide` do about rows of objects."""

    def __init__(
        self, db: Connection, sync: Sync, account: Account, own_ids: Finder, beside: Connection | None = None
    ) -> None:
        self._db, self._sync, self._account = db, sync, account
        self._asking = Asking(db, sync, account.name, own_ids, beside)
        self._fill = filler(sync.field_map, catalogue(RESOURCE, "create"))
        self._meters = meters(db, account.name)
        self._now: datetime = db.execute(text("select clock_timestamp()")).scalar_one()
        self.named: list[tuple[Sought, tuple[str, ...]]] = []
        """Nothing: what a row names may be another object by now, what was told of it stays told."""

    def look(self, batch: Batch) -> Looked:
        """What is remembered of rows; may be called in another thread."""
        return self._asking.look(batch)

    def decided(
        self, terms: Terms, batch: Batch, departed: Callable[[Collection[str]], set[str]], looked: Looked
    ) -> list[Decision]:
        """What is to be done with each row (`staging.Staging.rows`), in their order: create, nothing, held, invalid or
        skip. `terms` and `departed` say nothing of usage.
        """
        states, journal = looked.states, self._told([row["_key"] for row in batch])
        field_map = self._sync.field_map
        known = self._asking.found({one for row in batch for one in sought(field_map, row)})
        told = [self._fill(row, known) for row in batch]
        right = checked(RESOURCE, "create", [one.payload for one in told], self._sync.zone)
        named = {str(payload["customer"]) for payload, _ in right if payload.get("customer")}
        customers = lookups.bodies(self._db, self._account.name, "customers", sorted(named))
        forgotten = lookups.forgotten(self._db, self._account.name, named)
        found: list[Decision] = []
        for row, one, (payload, problems) in zip(batch, told, right, strict=True):
            key = row["_key"]
            said = self._said(key, one, payload, problems, customers)
            before = _before(states.get(key), journal.get(key))
            found.append(_told_before(key, before, said) if before else self._new(key, said, forgotten))
        return found

    def gone(self, keys: Sequence[str]) -> list[tuple[Row, Mapping[str, Any] | None]]:
        """What is remembered of rows that left the model; what was counted stays counted."""
        return self._asking.gone(keys)

    def holders(self, ids: Sequence[str]) -> list[tuple[str, str]]:
        """The rows that were told under these identifiers: each is one row's for good, so none other is."""
        del ids
        return []

    def drafts(self, ids: Sequence[str]) -> set[str]:
        """None: usage has no drafts."""
        del ids
        return set()

    def _said(
        self, key: str, one: Filled, payload: Mapping[str, Any], problems: Sequence[Problem],
        customers: Mapping[str, lookups.Object],
    ) -> _Said:  # fmt: skip
        wrong = [problem for problem in problems if not (problem.lacks and (one.waits or one.problems))]
        wrong, unfit = [*one.problems, *wrong], list[Problem]()
        waits = [str(wait) for wait in one.waits]
        customer = str(payload.get("customer") or "")
        if customer and customer not in customers:
            waits.append(str(Sought("customers", "id", "", customer)))
        elif customer and customers[customer].deleted:
            unfit.append(Problem("customer", "the customer was deleted in Stripe", customer))
        name = str(payload.get("event_name") or "")
        if name and (lack := lacking(self._meters, name)):
            unfit.append(Problem("event_name", lack, name))
        meter = self._meters.get(name)
        more: Mapping[str, Any] = payload.get("payload") or {}
        if meter is not None and (taken := sorted({meter.customer_key, meter.value_key} & set(more))):
            wrong.append(Problem(f"payload.{taken[0]}", "write `customer` and `value`, which go there"))
        if wrong or meter is None or not customer:
            return _Said({}, wrong, unfit, waits, customer)
        if late := self._outside(payload["timestamp"]):
            unfit.append(Problem("timestamp", late, payload["timestamp"]))
        said = events.event(meter, self._identifier(key), customer, payload["value"], payload["timestamp"], more)
        return _Said(said, wrong, unfit, waits, customer)

    def _new(self, key: str, said: _Said, forgotten: Collection[str]) -> Decision:
        if said.customer in forgotten:
            return Decision(key, "skip", why=FORGOTTEN)
        if said.problems or said.unfit:
            return Decision(key, "invalid", problems=[*said.problems, *said.unfit])
        if said.waits:
            return Decision(key, "held", why=f"waits for {', '.join(said.waits)}")
        changes = [Change(name, None, value) for name, value in said.params.items()]
        return Decision(key, "create", payload=said.params, changes=changes, wanted=flat(said.params))

    def _outside(self, at: int) -> str:
        """Why Stripe takes no usage of that time; empty: it does."""
        age = self._now.timestamp() - at
        if age > OLDEST_DAYS * 86_400:
            return f"Stripe takes usage of the past {OLDEST_DAYS} days only"
        return f"Stripe takes usage up to {EARLIEST_SECONDS // 60} minutes ahead" if age < -EARLIEST_SECONDS else ""

    def _identifier(self, key: str) -> str:
        account = f"{self._account.account}:{self._account.livemode}"
        return events.identifier(account, "sync", self._sync.key, key)

    def _told(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """What was told of rows by the journal, which knows it also after a sync was removed or reset."""
        values = {"sync": self._sync.key, "connection": self._account.name, "keys": list(keys), "path": PATH}
        return {row.key: row.params for row in self._db.execute(_TOLD, values)}


class _Before(NamedTuple):
    """A row that was told: its identifier, and what was sent of it; empty: that is not kept any more."""

    identifier: str
    wrote: Mapping[str, Any]
    left_alone: str = ""


def _before(state: Row | None, told: Mapping[str, Any] | None) -> _Before | None:
    if state is not None and state.object_id:
        return _Before(state.object_id, state.wrote, state.why if state.state in {"reverted", "skipped"} else "")
    if told is not None:
        return _Before(str(told.get("identifier", "")), flat(told))
    return None


def _told_before(key: str, before: _Before, said: _Said) -> Decision:
    """A row that was told is left alone: whatever it says now, Stripe has counted what it said then."""
    if not before.wrote:
        return Decision(key, "skip", before.identifier, why=FORGOTTEN)
    if before.left_alone:  # it was taken back
        return Decision(key, "skip", before.identifier, why=before.left_alone)
    now = {name: value for name, value in flat(said.params).items() if name != "identifier"}
    differs = [name for name, value in now.items() if not same(value, before.wrote.get(name))]
    if differs or said.problems:
        why = UNCHANGEABLE.format(told=_shown(before.wrote))
        return Decision(key, "invalid", before.identifier, why=why, problems=said.problems, wanted=dict(before.wrote))
    return Decision(key, "nothing", before.identifier, wanted=dict(before.wrote))


def _shown(wrote: Mapping[str, Any]) -> str:
    payload: Mapping[str, Any] = wrote.get("payload") or {}
    said = ", ".join(f"{name} {value}" for name, value in sorted(payload.items()))
    at = datetime.fromtimestamp(int(wrote["timestamp"]), UTC)
    return f"{wrote.get('event_name')} of {at:%Y-%m-%dT%H:%M:%SZ}: {said}"


_TOLD = text("""
select distinct on (key) key, params from tidegate.requests
where sync = :sync and connection = :connection and key = any(cast(:keys as text[])) and path = :path
  and operation = 'create' and state = 'done'
order by key, id desc""")
