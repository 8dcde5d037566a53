"""Makes of a model's rows what is decided about: filled and checked, with the objects that they match and name."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from tidegate.mirror import lookups
from tidegate.outbound import rows as remembered
from tidegate.outbound.field_map.fill import Filled, Sought, filled, sought
from tidegate.outbound.fields import priced, values
from tidegate.outbound.fields.catalogue import Operation, catalogue, create_only
from tidegate.outbound.fields.problems import Problem
from tidegate.outbound.fields.shapes import checked
from tidegate.outbound.plan.compare import id_of
from tidegate.outbound.plan.decide import Asked, Decision, Terms, decide
from tidegate.outbound.rows import Row
from tidegate.outbound.specs import SETTABLE, Sync

Finder = Callable[[str, Collection[str]], Mapping[str, tuple[str, ...]]]
"""Finds the customers that values name, for a name: `own_id` asks contacts."""


class Made(NamedTuple):
    """What a row makes for an operation: the payload, what is wrong with it, what it waits for, and its invoice."""

    payload: Mapping[str, Any]
    problems: list[Problem]
    waits: list[str]
    parent: str | None


class Asking:
    """Asks the mirror about rows of a sync. `own_ids` finds customers by your ids."""

    def __init__(self, db: Connection, sync: Sync, connection: str, own_ids: Finder) -> None:
        self._db, self._sync, self._connection, self._own_ids = db, sync, connection, own_ids
        self._map = sync.field_map
        # Of a row that has its object, the payload to make one tells only what cannot be changed any more.
        own_id = sync.matched_by[0] == "id" and sync.resource in SETTABLE
        fixed = not create_only(sync.resource).isdisjoint(self._map.fields)
        self._asks_create = own_id or fixed or sync.replace_prices

    def decided(self, terms: Terms, batch: Sequence[Mapping[str, Any]]) -> list[Decision]:
        """What is to be done with each row, in their order."""
        return [decide(terms, asked) for asked, _ in self.about(batch)]

    def about(self, batch: Sequence[Mapping[str, Any]]) -> list[tuple[Asked, Row | None]]:
        """Each row (`staging.Staging.rows`) as it is decided about, with what is remembered of it; in their order."""
        states = remembered.of(self._db, self._sync.key, [row["_key"] for row in batch])
        known = self.found({one for row in batch for one in sought(self._map, row)})
        ids = self._matched(batch, states)
        bodies = lookups.bodies(
            self._db, self._connection, self._sync.resource, sorted({id_ for those in ids for id_ in those})
        )
        beside = lookups.hanging(self._db, self._connection, self._sync.resource, sorted(bodies))
        living = [[id_ for id_ in those if id_ in bodies and not bodies[id_].deleted] for those in ids]
        found_now = {id_ for row, those in zip(batch, ids, strict=True) if not _object_of(states.get(row["_key"]))
                     for id_ in those}  # fmt: skip
        holders = remembered.holders(self._db, self._sync.key, sorted(found_now))
        updates = self._payloads(batch, known, "update")
        making = [place for place, there in enumerate(living) if len(there) != 1 or self._asks_create]
        made = self._payloads([batch[place] for place in making], known, "create")
        creates = dict(zip(making, made, strict=True))
        owners = {id_: self._owner(id_, bodies) for those in ids for id_ in those}
        forgotten = lookups.forgotten(self._db, self._connection, set(owners.values()) - {""})
        found: list[tuple[Asked, Row | None]] = []
        for place, row in enumerate(batch):
            state = states.get(row["_key"])
            there, update = living[place], updates[place]
            create = creates.get(place) or Made({}, [], update.waits, update.parent)
            asked = Asked(
                row["_key"], create.payload, update.payload, create.problems, update.problems, create.waits,
                ids=there,
                live=self._live(bodies[there[0]], beside) if len(there) == 1 else None,
                sent=state.sent if state else None,
                gone=bool(ids[place]) and not there,
                forgotten=any(owners[id_] in forgotten for id_ in ids[place]),
                twins=() if _object_of(state) else row["_twins"] or [holders[id_] for id_ in there if id_ in holders],
                parent=create.parent,
            )  # fmt: skip
            found.append((asked, state))
        return found

    def _owner(self, id_: str, bodies: Mapping[str, lookups.Object]) -> str:
        """The customer whose an object is, or that it is; empty: nobody's."""
        if self._sync.resource == "customers":
            return id_
        return id_of(bodies[id_].body.get("customer")) or "" if id_ in bodies else ""

    def _live(self, found: lookups.Object, beside: Mapping[str, Mapping[str, str]]) -> Mapping[str, Any]:
        return {**found.body, **beside.get(str(found.body.get("id")), {})}

    def gone(self, keys: Sequence[str]) -> list[tuple[Row, Mapping[str, Any] | None]]:
        """What is remembered of rows that left the model, with their objects as `deletes.deletion` takes them; None:
        the object is not there any more.
        """
        states = remembered.of(self._db, self._sync.key, keys)
        resource = self._sync.resource
        ids = [row.object_id for row in states.values() if row.object_id]
        bodies = lookups.bodies(self._db, self._connection, resource, ids)
        beside = lookups.hanging(self._db, self._connection, resource, ids)
        found: list[tuple[Row, Mapping[str, Any] | None]] = []
        for row in states.values():
            body = bodies.get(row.object_id or "")
            live = None if body is None or body.deleted else {**body.body, **beside.get(row.object_id or "", {})}
            found.append((row, live))
        return found

    def _payloads(
        self, batch: Sequence[Mapping[str, Any]], known: Mapping[Sought, tuple[str, ...]], operation: Operation
    ) -> list["Made"]:
        fields = catalogue(self._sync.resource, operation)
        told = [filled(self._map, row, fields, known) for row in batch]
        if operation == "create":
            for one, row in zip(told, batch, strict=True):
                _mark(self._sync, one, row)
        resource = self._sync.resource
        right = checked(resource, operation, [one.payload for one in told], self._sync.zone)
        prices = self._prices([payload for payload, _ in right])
        found: list[Made] = []
        for one, (payload, problems) in zip(told, right, strict=True):
            # What is waited for, or could not be told, is no value, so nothing is said of it being required.
            wrong = [problem for problem in problems if not (problem.lacks and (one.waits or one.problems))]
            unfit = priced.unfit(resource, operation, payload, prices)
            parent = one.payload.get("invoice") if resource == "invoiceitems" else None
            found.append(Made(payload, [*one.problems, *wrong, *unfit], [str(wait) for wait in one.waits], parent))
        return found

    def _prices(self, payloads: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """The prices that payloads name, as far as the mirror has them."""
        ids = {id_ for one in payloads for _, id_, _ in priced.named(self._sync.resource, one)}
        bodies = lookups.bodies(self._db, self._connection, "prices", sorted(ids))
        return {id_: one.body for id_, one in bodies.items() if not one.deleted}

    def _matched(self, batch: Sequence[Mapping[str, Any]], states: Mapping[str, Row]) -> list[tuple[str, ...]]:
        """The ids of the objects that each row is: what it was before, else what it matches by its field."""
        way, name, column = self._sync.matched_by
        fold = str.casefold if way == "email" else str
        said = {
            row["_key"]: fold(values.told(row[column]).strip())
            for row in batch
            if row[column] not in (None, "") and not _object_of(states.get(row["_key"]))
        }
        if way == "id":
            by_value: Mapping[str, tuple[str, ...]] = {value: (value,) for value in said.values()}
        else:
            wanted = set(said.values())
            by_value = lookups.find(self._db, self._connection, self._sync.resource, way, name, wanted)
        found: list[tuple[str, ...]] = []
        for row in batch:
            before = _object_of(states.get(row["_key"]))
            found.append((before,) if before else by_value.get(said.get(row["_key"], ""), ()))
        return found

    def found(self, wanted: Collection[Sought]) -> dict[Sought, tuple[str, ...]]:
        """The ids of the objects that rows name."""
        grouped: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        for one in wanted:
            grouped[one.resource, one.way, one.name].add(one.value)
        found: dict[Sought, tuple[str, ...]] = {}
        for (resource, way, name), said in grouped.items():
            if way == "own_id":
                by_value = self._own_ids(name, said)
            elif way == "sync":
                states = remembered.of(self._db, name, sorted(said))
                by_value = {
                    key: (row.object_id,) for key, row in states.items() if row.object_id and row.state != "gone"
                }
            else:
                by_value = lookups.find(self._db, self._connection, resource, way, name, said)
            found |= {Sought(resource, way, name, value): ids for value, ids in by_value.items()}
        return found


def _mark(sync: Sync, one: Filled, row: Mapping[str, Any]) -> None:
    """What is made says what its row is matched by, so that it is found again, also where no answer came."""
    way, name, column = sync.matched_by
    payload = one.payload
    if row[column] in (None, ""):
        one.problems.append(Problem(f"{way}.{name}" if name else way, "rows are matched by it, and here it is empty"))
    elif way == "metadata":
        payload["metadata"] = {name: row[column], **_object(payload.get("metadata"))}
    elif way != "id" or sync.resource in SETTABLE:
        payload.setdefault(way, row[column])


def _object(said: Any) -> Mapping[str, Any]:
    """A column of JSON as such; what is none is told when the payload is checked."""
    try:
        found = values.unpacked(said)
    except ValueError:
        return {"": said}
    return found if isinstance(found, Mapping) else {}  # pyright: ignore[reportUnknownVariableType]


def _object_of(state: Row | None) -> str | None:
    return state.object_id if state else None
