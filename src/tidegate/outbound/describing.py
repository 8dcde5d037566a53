"""Decides about a model's rows that describe contacts: the hub's own objects, of which Stripe knows nothing."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, text

from tidegate.conditions.fields import PROPERTIES
from tidegate.contacts.forgetting import digest
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
_NOBODY: Known = {}


class Contact(NamedTuple):
    """A contact as it is known; `ref`: kind and id; `yours`: whether its name and owner are what you said. One whose id
    was an e-mail address, and that was forgotten, has nothing but its ref.
    """

    ref: str
    said: Mapping[str, Any]
    yours: Mapping[str, bool]
    forgotten: bool


class _Read(NamedTuple):
    """What a row says of a contact: the record, the fields that were filled, and what is wrong with it."""

    record: Record
    payload: Mapping[str, Any]
    wrong: Sequence[Problem]


class Describing:
    """Decides about rows of one sync of contacts, as `Asking` and `decide` do about rows of Stripe's objects.
    `rows_of`: the model's rows of some keys as they are now; `beside`: another connection to the database, for `look`.
    """

    def __init__(
        self, db: Connection, sync: Sync, livemode: bool, rows_of: Callable[[Collection[str]], Batch],
        beside: Connection | None = None,
    ) -> None:  # fmt: skip
        self._db, self._sync, self._livemode, self._beside = db, sync, livemode, beside or db
        self._rows_of = rows_of
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
        read = self._read(batch)
        known = self._known([one.record for one in read])
        refs = [contact.ref if contact else _ref(one.record) for one, contact in zip(read, known, strict=True)]
        asking = {contact.ref: row["_key"] for row, contact in zip(batch, known, strict=True) if contact}
        before = self._before(asking, departed)
        found: list[Decision] = []
        for row, one, contact, ref in zip(batch, read, known, refs, strict=True):
            key, state = row["_key"], looked.states.get(row["_key"])
            if (contact is not None and contact.forgotten) or (state is not None and state.why == FORGOTTEN):
                found.append(Decision(key, "skip", state.object_id if state else None, why=FORGOTTEN))
            elif one.wrong:
                found.append(Decision(key, "invalid", contact.ref if contact else None, problems=one.wrong))
            elif row["_twins"] and "kind" not in one.payload:  # else the same id may be another kind's
                others = ", ".join([twin for twin in row["_twins"] if twin != key][:5])
                found.append(Decision(key, "invalid", why=f"it would be the same contact as row {others}"))
            elif (holder := self._taken.setdefault(ref, before.get(ref, key))) != key:
                found.append(Decision(key, "invalid", why=f"it would be the same contact as row {holder}"))
            else:
                found.append(_decision(key, terms, one.record, _said(one.payload), contact))
        return found

    def _read(self, batch: Batch) -> list[_Read]:
        filled = [self._fill(row, _NOBODY) for row in batch]
        right = checked(RESOURCE, "update", [one.payload for one in filled], self._sync.zone)
        column = self._sync.matched_by[2]
        found: list[_Read] = []
        for row, one, (payload, problems) in zip(batch, filled, right, strict=True):
            id_, unfit = _id(row[column])
            record = _record(id_, payload)
            wrong = [Problem(f"the column {name}", words) for name, words in row["_wrong"].items()]
            if unfit and not wrong:
                wrong = [Problem(f"the column {column}", unfit)]
            told = (*one.problems, *problems, *(Problem("", words) for words in problems_of(record)))
            found.append(_Read(record, payload, wrong or told))
        return found

    def _before(self, asking: Mapping[str, str], departed: Callable[[Collection[str]], set[str]]) -> Mapping[str, str]:
        """The row that each contact (ref) was so far, where the model has it still and it says the same contact yet;
        `asking`: a row that is the contact now.
        """
        holders = remembered.holders(self._db, self._sync.key, sorted(asking))
        left = departed(holders.values())
        others = sorted({holder for ref, holder in holders.items() if holder != asking[ref]} - left)
        rows = self._rows_of(others)
        read = self._read(rows)
        known = self._known([one.record for one in read])
        now = {
            row["_key"]: contact.ref if contact else _ref(one.record)
            for row, one, contact in zip(rows, read, known, strict=True)
        }
        return {ref: key for ref, key in holders.items() if key not in left and now.get(key, ref) == ref}

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
            "digests": [digest(one.kind, one.id) for one in records],
        }
        found: list[Contact | None] = []
        for row, record in zip(self._db.execute(_KNOWN, wanted), records, strict=True):
            properties: Mapping[str, Any] = row.properties or {}
            said = {PROPERTIES + name: value for name, value in properties.items()}
            yours = {"name": row.name_is_yours, "owner": not row.owner_by_rule}
            if row.kind is None:
                found.append(Contact(_ref(record), {}, {}, True) if row.was_forgotten else None)
                continue
            ref = f"{row.kind}:{row.external_id}"
            one = Contact(ref, {"name": row.name, "owner": row.owner, **said}, yours, row.forgotten_at is not None)
            found.append(one)
        return found


def awaited(db: Connection, sync: str, livemode: bool) -> list[str]:
    """The keys of rows that were left alone because there was no such contact, and now there is one."""
    return list(db.scalars(_AWAITED, {"sync": sync, "livemode": livemode, "forgotten": FORGOTTEN}))


def _ref(record: Record) -> str:
    return f"{record.kind}:{record.id}"


def _id(said: Any) -> tuple[str, str]:
    """The id that a row says, and why it is none: a warehouse's NaN, or a list, would be written out otherwise."""
    try:
        return "" if said is None else values.text(said).strip(), ""
    except ValueError as wrong:
        return "", str(wrong)


def _record(value: str, payload: Mapping[str, Any]) -> Record:
    """What a row says of a contact. An id may have its kind before it (`user:7`)."""
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
    return said | {PROPERTIES + name: None if _is_empty(one) else one for name, one in properties.items()}


def _decision(key: str, terms: Terms, record: Record, said: Mapping[str, Any], contact: Contact | None) -> Decision:
    if contact is None and terms.mode == "update":
        return Decision(key, "skip", _ref(record), why=f"there is no contact {_ref(record)}")
    has: Mapping[str, Any] = contact.said if contact else {}
    yours: Mapping[str, bool] = contact.yours if contact else {}
    changes = [
        Change(name, has.get(name), value)
        for name, value in said.items()
        if not (_same(value, has.get(name)) and yours.get(name, True))  # else Stripe, or a rule, would change it again
    ]
    payload = {"kind": record.kind, "id": record.id, **said}
    ref = contact.ref if contact else _ref(record)
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
select c.kind, c.external_id, c.name, c.name_is_yours, c.owner, c.owner_by_rule, c.properties, c.forgotten_at,
  f.digest is not null as was_forgotten
from unnest(cast(:kinds as text[]), cast(:ids as text[]), cast(:digests as bytea[]))
  with ordinality as wanted(kind, id, digest, place)
left join tidegate.contact_ids i
  on i.livemode = :livemode and i.kind = wanted.kind and i.external_id = wanted.id
left join tidegate.contacts c on c.key = i.contact
left join tidegate.forgotten_ids f on f.livemode = :livemode and f.digest = wanted.digest
order by wanted.place""")

_AWAITED = text("""
select r.key from tidegate.sync_rows r
join tidegate.contact_ids i on i.livemode = :livemode and i.kind = split_part(r.object_id, ':', 1)
  and i.external_id = substr(r.object_id, strpos(r.object_id, ':') + 1)
where r.sync = :sync and r.state = 'skipped' and r.why <> :forgotten""")
