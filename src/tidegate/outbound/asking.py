"""Makes of a model's rows what is decided about: filled and checked, with the objects that they match and name."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from tidegate.mirror import lookups
from tidegate.outbound import rows as remembered
from tidegate.outbound.associations import Finder, Found
from tidegate.outbound.field_map.fill import Filled, Sought, filler, sought
from tidegate.outbound.field_map.nodes import Column
from tidegate.outbound.fields import priced, values
from tidegate.outbound.fields.catalogue import Operation, catalogue, create_only
from tidegate.outbound.fields.problems import Problem
from tidegate.outbound.fields.shapes import checked
from tidegate.outbound.looking_ahead import Batch, Looked, look
from tidegate.outbound.plan.applicable import is_over
from tidegate.outbound.plan.compare import id_of
from tidegate.outbound.plan.decide import REMOVED, Asked, Decision, Terms, decide
from tidegate.outbound.resources import SETTABLE
from tidegate.outbound.rows import Row
from tidegate.outbound.specs import Sync


class Made(NamedTuple):
    """What a row makes for an operation: the payload, what is wrong with it, what it waits for, and its invoice."""

    payload: Mapping[str, Any]
    problems: list[Problem]
    waits: list[str]
    parent: str | None


class Matched(NamedTuple):
    """The objects that a row is. `own`: the one that it was before; `gone`: that one, or the one whose id the row says,
    was deleted in Stripe. `back`: how this sync removed the row's object while the row was away.
    """

    ids: tuple[str, ...]
    own: bool = False
    gone: bool = False
    back: str = ""


class Asking:
    """Asks the mirror about rows of a sync. `own_ids` finds customers by your ids; `beside` is another connection to
    the database, for `look`.
    """

    def __init__(
        self, db: Connection, sync: Sync, connection: str, own_ids: Finder, beside: Connection | None = None
    ) -> None:
        self._db, self._sync, self._connection, self._own_ids = db, sync, connection, own_ids
        self._beside = beside or db
        self._map = sync.field_map
        self.named: list[Found] = []
        """What the rows of the last batch name, and what that stands for."""
        # Of a row that has its object, the payload to make one tells only what cannot be changed any more.
        own_id = sync.matched_by[0] == "id" and sync.resource in SETTABLE
        fixed = not create_only(sync.resource).isdisjoint(self._map.fields)
        self._asks_create = own_id or fixed or sync.replace_prices
        operations: tuple[Operation, ...] = ("create", "update")
        self._fill = {one: filler(self._map, catalogue(sync.resource, one)) for one in operations}

    def look(self, batch: Batch) -> Looked:
        """What is remembered of rows; may be called in another thread."""
        return look(self._beside, self._sync.key, self._connection, self._sync.resource, batch)

    def decided(
        self, terms: Terms, batch: Batch, departed: Callable[[Collection[str]], set[str]], looked: Looked
    ) -> list[Decision]:
        """What is to be done with each row (`staging.Staging.rows`), in their order. `looked`: what `look` made of
        them; `departed`: those of some keys that the model has no more: what they were is handed over to who matches
        it.
        """
        return [decide(terms, asked) for asked in self._about(batch, departed, looked)]

    def _about(self, batch: Batch, departed: Callable[[Collection[str]], set[str]], looked: Looked) -> list[Asked]:
        """Each row as it is decided about."""
        states = looked.states
        named = {one for row in batch for one in sought(self._map, row)} if self._map.references else set[Sought]()
        known = self.found(named)
        self.named = [(one, known.get(one, ())) for one in sorted(named, key=str)]
        found, bodies = self._objects(batch, looked)
        ids = [one.ids for one in found]
        beside = lookups.hanging(self._db, self._connection, self._sync.resource, sorted(bodies))
        living = [[id_ for id_ in those if id_ in bodies and not bodies[id_].deleted] for those in ids]
        found_now = {id_ for one in found if not one.own for id_ in one.ids}
        holders = remembered.holders(self._db, self._sync.key, sorted(found_now))
        left = remembered.of(self._db, self._sync.key, sorted(departed(holders.values())))
        updates = self._payloads(batch, known, "update")
        making = [place for place, there in enumerate(living) if len(there) != 1 or self._asks_create]
        made = self._payloads([batch[place] for place in making], known, "create")
        creates = dict(zip(making, made, strict=True))
        owners = {id_: self._owner(id_, bodies) for those in ids for id_ in those}
        forgotten = lookups.forgotten(self._db, self._connection, set(owners.values()) - {""})
        about: list[Asked] = []
        for place, row in enumerate(batch):
            state, one = states.get(row["_key"]), found[place]
            there, update = living[place], updates[place]
            create = creates.get(place) or Made({}, [], update.waits, update.parent)
            asked = Asked(
                row["_key"], create.payload, update.payload, create.problems, update.problems, create.waits,
                ids=there,
                live=self._live(bodies[there[0]], beside) if len(there) == 1 else None,
                sent=state.sent if state and one.own else None,
                gone=one.gone,
                back=one.back,
                forgotten=bool(forgotten) and any(owners[id_] in forgotten for id_ in ids[place]),
                twins=() if one.own else row["_twins"] or [holders[id_] for id_ in there if id_ in holders],
                parent=create.parent,
                unreadable=[Problem(f"the column {name}", told) for name, told in row["_wrong"].items()]
                if row["_wrong"]
                else (),
            )  # fmt: skip
            if not one.own and len(there) == 1 and (before := left.get(holders.get(there[0], ""))) is not None:
                asked = asked._replace(sent=before.sent, twins=row["_twins"] or ())
            about.append(asked)
        return about

    def _owner(self, id_: str, bodies: Mapping[str, lookups.Object]) -> str:
        """The customer whose an object is, or that it is; empty: nobody's."""
        if self._sync.resource == "customers":
            return id_
        return id_of(bodies[id_].body.get("customer")) or "" if id_ in bodies else ""

    def _live(self, found: lookups.Object, beside: Mapping[str, Mapping[str, str]]) -> Mapping[str, Any]:
        hanging = beside.get(str(found.body.get("id"))) if beside else None
        return {**found.body, **hanging} if hanging else found.body

    def holders(self, ids: Sequence[str]) -> list[tuple[str, str]]:
        """The rows that were these objects when they were looked at last: id and key, of each id perhaps several."""
        return remembered.all_holders(self._db, self._sync.key, ids)

    def drafts(self, ids: Sequence[str]) -> set[str]:
        """Those of these objects that are drafts."""
        found = self._bodies(ids)
        return {id_ for id_, one in found.items() if not one.deleted and one.body.get("status") == "draft"}

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
        fill = self._fill[operation]
        told = [fill(row, known) for row in batch]
        by, settable = self._sync.matched_by, self._sync.resource in SETTABLE
        mapped = isinstance(self._map.fields.get(by[0]), Column)
        for one, row in zip(told, batch, strict=True):
            _mark(by, one, row, operation, mapped=mapped, settable=settable)
        resource = self._sync.resource
        right = checked(resource, operation, [one.payload for one in told], self._sync.zone)
        prices = self._prices([payload for payload, _ in right])
        found: list[Made] = []
        for one, (payload, problems) in zip(told, right, strict=True):
            if one.waits or one.problems:
                # What is waited for, or could not be told, is no value, so nothing is said of it being required.
                problems = [*one.problems, *(problem for problem in problems if not problem.lacks)]
            if prices:
                problems = [*problems, *priced.unfit(resource, operation, payload, prices)]
            parent = one.payload.get("invoice") if resource == "invoiceitems" else None
            found.append(Made(payload, problems, [str(wait) for wait in one.waits], parent))
        return found

    def _prices(self, payloads: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """The prices that payloads name, as far as the mirror has them."""
        ids = {id_ for one in payloads for _, id_, _ in priced.named(self._sync.resource, one)}
        bodies = lookups.bodies(self._db, self._connection, "prices", sorted(ids))
        return {id_: one.body for id_, one in bodies.items() if not one.deleted}

    def _objects(self, batch: Batch, looked: Looked) -> tuple[list[Matched], dict[str, lookups.Object]]:
        """The objects that each row is, and their bodies: what it was before, while that lives, else what it matches by
        its field.
        """
        states, bodies = looked.states, dict(looked.bodies)
        before = self._before([states.get(row["_key"]) for row in batch])
        back = [_removed(states.get(row["_key"])) if id_ else "" for row, id_ in zip(batch, before, strict=True)]
        for place, id_ in enumerate(before):
            if id_ and back[place] and is_over(self._sync.resource, bodies[id_].body if id_ in bodies else {}):
                before[place] = None  # what this sync ended; the row that came back wants another
        lost = [id_ is not None and not _lives(bodies, id_) for id_ in before]
        seeking = [place for place, id_ in enumerate(before) if id_ is None or lost[place]]
        by_field = dict(zip(seeking, self._matched([batch[place] for place in seeking]), strict=True))
        bodies |= self._bodies({id_ for ids in by_field.values() for id_ in ids} - bodies.keys())
        for place in seeking:
            if back[place]:
                over = {id_ for id_ in by_field[place] if is_over(self._sync.resource, bodies[id_].body)}
                by_field[place] = tuple(id_ for id_ in by_field[place] if id_ not in over)
        found: list[Matched] = []
        for place, id_ in enumerate(before):
            ids = by_field.get(place, ())
            if id_ and not (lost[place] and any(_lives(bodies, one) for one in ids)):
                found.append(Matched((id_,), own=True, gone=lost[place], back=back[place]))
            else:
                found.append(Matched(ids, gone=any(one in bodies and bodies[one].deleted for one in ids)))
        return found, bodies

    def _before(self, states: Sequence[Row | None]) -> list[str | None]:
        """The objects that rows were before; of one that left and came back not what is another row's since, also where
        it is looked at again since then.
        """
        away = {one.key: one.object_id for one in states if one and one.object_id and not (one.ours and one.was_there)}
        holders = remembered.holders(self._db, self._sync.key, sorted(set(away.values())))
        lost = {key for key, id_ in away.items() if holders.get(id_, key) != key}
        return [None if one is None or one.key in lost else one.object_id for one in states]

    def _bodies(self, ids: Collection[str]) -> dict[str, lookups.Object]:
        return lookups.bodies(self._db, self._connection, self._sync.resource, sorted(ids))

    def _matched(self, batch: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
        """The ids of the objects that each row matches by its field."""
        way, name, column = self._sync.matched_by
        said = {row["_key"]: _said(row[column]) for row in batch if row[column] not in (None, "")}
        if way == "id":
            by_value: Mapping[str, tuple[str, ...]] = {value: (value,) for value in said.values()}
        else:
            wanted = set(said.values())
            by_value = lookups.find(self._db, self._connection, self._sync.resource, way, name, wanted)
        return [by_value.get(said.get(row["_key"], ""), ()) for row in batch]

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
                named = {key: row.object_id for key, row in states.items() if row.object_id and row.state != "gone"}
                there = lookups.living(self._db, self._connection, resource, named.values())
                by_value = {key: (id_,) for key, id_ in named.items() if id_ in there}
            else:
                by_value = lookups.find(self._db, self._connection, resource, way, name, said)
            found |= {Sought(resource, way, name, value): ids for value, ids in by_value.items()}
        return found


def _mark(
    by: tuple[str, str, str], one: Filled, row: Mapping[str, Any], operation: Operation, *, mapped: bool, settable: bool
) -> None:
    """What is made says what its row is matched by (`Sync.matched_by`), as it is looked for, so that it is found again,
    also where no answer came; and what is there follows the row. `mapped`: the field map fills the field with that
    column; `settable`: an object can be made under an id of ours.
    """
    way, name, column = by
    payload, said = one.payload, "" if row[column] is None else _said(row[column])
    making = operation == "create"
    if not said:
        if making:
            where = f"{way}.{name}" if name else way
            one.problems.append(Problem(where, "rows are matched by it, and here it is empty"))
    elif way == "metadata":
        payload["metadata"] = {**_object(payload.get("metadata") or {}), name: said}
    elif way != "id" or (making and settable):
        if mapped or way not in payload:
            payload[way] = said
        elif making and _said(payload[way]).lower() != said.lower():
            wrong = f"rows are matched by the column {column}, and there it is {said}"
            one.problems.append(Problem(way, wrong, payload[way]))


def _said(value: Any) -> str:
    """What a row is matched by, as it is looked for and written."""
    return values.told(value).strip()


def _object(said: Any) -> Mapping[str, Any]:
    """A column of JSON as such; what is none is told when the payload is checked."""
    try:
        found = values.unpacked(said)
    except ValueError:
        return {"": said}
    return found if isinstance(found, Mapping) else {}  # pyright: ignore[reportUnknownVariableType]


def _lives(bodies: Mapping[str, lookups.Object], id_: str) -> bool:
    return id_ in bodies and not bodies[id_].deleted


def _removed(state: Row | None) -> str:
    """How this sync removed a row's object; so it stays where the row came back and could not be sent yet."""
    return str(state.wrote.get(REMOVED, "")) if state else ""
