"""Decides about a model's rows that describe contacts: the hub's own objects, of which Stripe knows nothing."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, text

from tidegate.contacts.match import Kind
from tidegate.contacts.records import Record, problems_of
from tidegate.outbound import rows as remembered
from tidegate.outbound.associations import Found
from tidegate.outbound.field_map.fill import Known, filler
from tidegate.outbound.fields import values
from tidegate.outbound.fields.catalogue import catalogue
from tidegate.outbound.fields.problems import Problem
from tidegate.outbound.fields.shapes import checked
from tidegate.outbound.looking_ahead import Batch, Looked
from tidegate.outbound.plan.decide import FORGOTTEN, Change, Decision, Terms
from tidegate.outbound.rows import Row
from tidegate.outbound.specs import Sync

RESOURCE = "contacts"
KINDS = ("account", "user")
PROPERTY = "properties."
"""Before the name of a property where fields are told one by one."""
_NOBODY: Known = {}


class Contact(NamedTuple):
    """A contact as it is known; `ref`: kind and id; `yours`: whether its name and owner are what you said."""

    ref: str
    said: Mapping[str, Any]
    yours: Mapping[str, bool]
    forgotten: bool


class Describing:
    """Decides about rows of one sync of contacts, as `Asking` and `decide` do about rows of Stripe's objects.
    `beside`: another connection to the database, for `look`.
    """

    def __init__(self, db: Connection, sync: Sync, livemode: bool, beside: Connection | None = None) -> None:
        self._db, self._sync, self._livemode, self._beside = db, sync, livemode, beside or db
        self._fill = filler(sync.field_map, catalogue(RESOURCE, "update"))
        self._taken: dict[str, str] = {}  # over all batches of a plan: which row describes a contact
        self.named: list[Found] = []
        """Nothing: a contact is named by what it is matched by alone."""

    def look(self, batch: Batch) -> Looked:
        """What is remembered of rows; may be called in another thread."""
        return Looked(remembered.of(self._beside, self._sync.key, [row["_key"] for row in batch]), {})

    def decided(
        self, terms: Terms, batch: Batch, departed: Callable[[Collection[str]], set[str]], looked: Looked
    ) -> list[Decision]:
        """What is to be done with each row (`staging.Staging.rows`), in their order: create, update, nothing, skip or
        invalid.
        """
        told = [self._fill(row, _NOBODY) for row in batch]
        right = checked(RESOURCE, "update", [one.payload for one in told], self._sync.zone)
        column = self._sync.matched_by[2]
        records = [_record(row[column], payload) for row, (payload, _) in zip(batch, right, strict=True)]
        known = self._known(records)
        holders = remembered.holders(self._db, self._sync.key, sorted({one.ref for one in known if one}))
        gone = departed(holders.values())
        found: list[Decision] = []
        for row, filled, (payload, problems), record, contact in zip(batch, told, right, records, known, strict=True):
            key, ref = row["_key"], contact.ref if contact else f"{record.kind}:{record.id}"
            wrong = [*filled.problems, *problems, *(Problem("", one) for one in problems_of(record))]
            if row["_wrong"]:
                wrong = [Problem(f"the column {name}", words) for name, words in row["_wrong"].items()]
            before = looked.states.get(key)
            if (contact is not None and contact.forgotten) or (before is not None and before.why == FORGOTTEN):
                found.append(Decision(key, "skip", before.object_id if before else None, why=FORGOTTEN))
            elif wrong:
                found.append(Decision(key, "invalid", contact.ref if contact else None, problems=wrong))
            elif row["_twins"] and "kind" not in payload:  # else the same id may be another kind's
                others = ", ".join([one for one in row["_twins"] if one != key][:5])
                found.append(Decision(key, "invalid", why=f"it would be the same contact as row {others}"))
            elif (holder := self._holder(key, ref, holders.get(ref), gone)) != key:
                why = f"it would be the same contact as row {holder}"
                found.append(Decision(key, "invalid", why=why))
            else:
                found.append(_decision(key, terms, record, _said(payload), contact))
        return found

    def _holder(self, key: str, ref: str, before: str | None, gone: Collection[str]) -> str:
        """The row that describes a contact, whose is it first: `before` is the one that it was so far."""
        return self._taken.setdefault(ref, key if before is None or before in gone else before)

    def gone(self, keys: Sequence[str]) -> list[tuple[Row, Mapping[str, Any] | None]]:
        """What is remembered of rows that left the model; what they said of their contacts stays."""
        return [(row, None) for row in remembered.of(self._db, self._sync.key, keys).values()]

    def holders(self, ids: Sequence[str]) -> list[tuple[str, str]]:
        """The rows that were these contacts when they were looked at last: ref and key."""
        return remembered.all_holders(self._db, self._sync.key, ids)

    def drafts(self, ids: Sequence[str]) -> set[str]:
        """None: contacts have no drafts."""
        del ids
        return set()

    def _known(self, records: Sequence[Record]) -> list[Contact | None]:
        """The contact that each record's id leads to now; None: there is none."""
        wanted = {
            "livemode": self._livemode,
            "kinds": [one.kind for one in records],
            "ids": [one.id for one in records],
        }
        found: list[Contact | None] = []
        for row in self._db.execute(_KNOWN, wanted):
            properties: Mapping[str, Any] = row.properties or {}
            said = {PROPERTY + name: value for name, value in properties.items()}
            yours = {"name": row.name_is_yours, "owner": not row.owner_by_rule}
            ref = f"{row.kind}:{row.external_id}"
            one = Contact(ref, {"name": row.name, "owner": row.owner, **said}, yours, row.forgotten_at is not None)
            found.append(None if row.kind is None else one)
        return found


def _record(said: Any, payload: Mapping[str, Any]) -> Record:
    """What a row says of a contact. An id may have its kind before it (`user:7`)."""
    value = "" if said is None else values.told(said).strip()
    before, colon, id_ = value.partition(":")
    if not colon or before not in KINDS:
        before, id_ = str(payload.get("kind", KINDS[0])), value
    properties: Mapping[str, Any] = payload.get("properties") or {}
    return Record(
        cast("Kind", before), id_.strip(), payload.get("name"), owner=payload.get("owner"),
        properties={name: value for name, value in properties.items() if not _is_empty(value)},
    )  # fmt: skip


def _said(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that a payload says, each property a field of its own; None: it is to be taken away."""
    said = {name: payload[name] for name in ("name", "owner") if payload.get(name)}
    properties: Mapping[str, Any] = payload.get("properties") or {}
    return said | {PROPERTY + name: None if _is_empty(one) else one for name, one in properties.items()}


def _decision(key: str, terms: Terms, record: Record, said: Mapping[str, Any], contact: Contact | None) -> Decision:
    if contact is None and terms.mode == "update":
        return Decision(key, "skip", why=f"there is no contact {record.kind}:{record.id}")
    has: Mapping[str, Any] = contact.said if contact else {}
    yours: Mapping[str, bool] = contact.yours if contact else {}
    changes = [
        Change(name, has.get(name), value)
        for name, value in said.items()
        if not (_same(value, has.get(name)) and yours.get(name, True))  # else Stripe, or a rule, would change it again
    ]
    payload = {"kind": record.kind, "id": record.id, **said}
    ref = contact.ref if contact else f"{record.kind}:{record.id}"
    kind = "create" if contact is None else "update" if changes else "nothing"
    return Decision(key, kind, ref, payload if kind != "nothing" else {}, changes, wanted=said)


def _is_empty(value: Any) -> bool:
    return value is None or value == ""


def _same(one: Any, other: Any) -> bool:
    """Whether two values of JSON are one: true is no 1."""
    if isinstance(one, dict | list):
        return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    return one == other and isinstance(one, bool) == isinstance(other, bool)


_KNOWN = text("""
select c.kind, c.external_id, c.name, c.name_is_yours, c.owner, c.owner_by_rule, c.properties, c.forgotten_at
from unnest(cast(:kinds as text[]), cast(:ids as text[])) with ordinality as wanted(kind, id, place)
left join tidegate.contact_ids i
  on i.livemode = :livemode and i.kind = wanted.kind and i.external_id = wanted.id
left join tidegate.contacts c on c.key = i.contact
order by wanted.place""")
